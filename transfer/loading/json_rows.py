"""Rows that a program sends as a JSON list of objects, read as the cells of a file.

Numbers keep their digits: "0.10" does not become 0.1.
"""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from transfer.errors import FileRefused
from transfer.loading.faults import (
    NoRows,
    NotJsonRows,
    RowFieldTwice,
    RowFieldUnknown,
    RowPowerOfTen,
    RowWithoutValues,
    RowWrongValue,
)
from transfer.loading.headings import REJECT, Expected
from transfer.loading.values import outlined, printable
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
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise NotJsonRows from None
    if not isinstance(parsed, list) or isinstance(parsed, _Object):
        raise NotJsonRows
    if not parsed:
        raise NoRows
    return parsed


class _Object(list[tuple[str, Any]]):
    """An object of JSON as pairs: a name may occur twice in one."""

    __slots__ = ()  # a body may have millions of them


class _PowerOfTen(str):
    """A number such as 1e3: what its digits are, only its sender knows."""


def _number(text: str) -> str:
    return _PowerOfTen(text) if "e" in text.lower() else text


def _refuse_constant(text: str) -> Any:
    """NaN and Infinity are Python's, not JSON's."""
    raise ValueError(text)


def _cells(row: int, pairs: Any, columns: dict[str, int]) -> list[Any]:
    if not isinstance(pairs, _Object):
        raise NotJsonRows
    cells: list[Any] = [None] * len(columns)
    seen: set[str] = set()
    for name, value in pairs:
        if (fault := _fault(name, value, columns, seen)) is not None:
            raise fault(row=row, field=_shown(name), known=", ".join(columns))
        seen.add(name)
        cells[columns[name]] = value
    if not any((value or "").strip() for value in cells):
        raise RowWithoutValues(row=row)
    return cells


def _fault(
    name: str, value: Any, columns: dict[str, int], seen: set[str]
) -> type[FileRefused] | None:
    """What is wrong with a field, if anything is; `seen` are the fields before it in the row."""
    if name not in columns:
        return RowFieldUnknown
    if name in seen:
        return RowFieldTwice
    if not (value is None or isinstance(value, str)):
        return RowWrongValue
    return RowPowerOfTen if isinstance(value, _PowerOfTen) else None


def _shown(name: str) -> str:
    """The name of a field; of one with digits the form alone, since it may be a PIN code."""
    text = printable(name)[:LONGEST_NAME]
    return outlined(text) if any(sign.isdigit() for sign in text) else text
