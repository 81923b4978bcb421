"""Rows that a program sends as a JSON list of objects, read as the cells of a file.

Numbers keep their digits: "0.10" does not become 0.1.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from transfer.loading.faults import (
    NotJsonRows,
    RowFieldTwice,
    RowFieldUnknown,
    RowWithoutValues,
    RowWrongValue,
)
from transfer.loading.headings import REJECT, Expected
from transfer.loading.values import printable
from transfer.loading.workbook import Line

FORMAT = "json"
LARGEST = 16 << 20  # bytes: unlike a CSV, it is in memory as a whole
LONGEST_NAME = 60  # characters of a field's name in a sentence

Pairs = list[tuple[str, Any]]


def places(expected: Expected) -> dict[str, int]:
    """Column → its place among the cells that `rows` yields."""
    return {name: place for place, name in enumerate([*expected.names, REJECT])}


def rows(content: BinaryIO, columns: dict[str, int]) -> Iterator[Line]:
    """Yields number, from 1, and cells of each row. Raises FileRefused."""
    for number, pairs in enumerate(_parsed(content.read()), 1):
        yield number, _cells(number, pairs, columns)


def _parsed(content: bytes) -> list[Any]:
    try:
        parsed = json.loads(
            content,
            object_pairs_hook=_Object,
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise NotJsonRows from None
    if not isinstance(parsed, list) or isinstance(parsed, _Object):
        raise NotJsonRows
    return parsed


class _Object(list[tuple[str, Any]]):
    """An object of JSON as pairs: a name may occur twice in one."""


def _refuse_constant(text: str) -> Any:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(text)


def _cells(row: int, pairs: Any, columns: dict[str, int]) -> list[Any]:
    if not isinstance(pairs, _Object):
        raise NotJsonRows
    cells: list[Any] = [None] * len(columns)
    seen = set()
    for name, value in pairs:
        about: dict[str, Any] = {"row": row, "field": printable(name)[:LONGEST_NAME]}
        if name not in columns:
            raise RowFieldUnknown(**about, known=", ".join(columns))
        if name in seen:
            raise RowFieldTwice(**about)
        if not (value is None or isinstance(value, str)):
            raise RowWrongValue(**about)
        seen.add(name)
        cells[columns[name]] = value
    if not any((value or "").strip() for value in cells):
        raise RowWithoutValues(row=row)
    return cells
