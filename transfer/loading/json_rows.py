"""Rows that a program sends as a JSON list of objects, read as the cells of a file.

One row is in memory at a time. Numbers keep their digits: "0.10" does not become 0.1. That is why
Python's own decoder reads each row: the parsers that read JSON as a stream do not say how a number
was written, and 1.2345678901234568e16 has lost digits of an account.
"""

import codecs
import csv
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from transfer.causes.cause import Cause
from transfer.causes.files import (
    NO_ROWS,
    NOT_JSON_ROWS,
    ROW_CELL_TOO_LONG,
    ROW_FIELD_TWICE,
    ROW_FIELD_UNKNOWN,
    ROW_POWER_OF_TEN,
    ROW_TOO_LONG,
    ROW_WITHOUT_VALUES,
    ROW_WRONG_VALUE,
)
from transfer.errors import FileRefused
from transfer.loading.headings import REJECT, Expected
from transfer.loading.values import LONGEST_LINE, outlined, printable
from transfer.loading.workbook import Line

FORMAT = "json"
LARGEST = 16 << 20  # bytes
LONGEST_CELL = csv.field_size_limit()  # characters
LONGEST_NAME = 60  # characters of a field's name in a sentence
PIECE = 1 << 16  # bytes that are read at once
LONGEST_TOKEN = 16  # characters that the decoder needs to see together: null, \ud83d\ude00
SPACES = re.compile(r"[ \t\r\n]*")


def places(expected: Expected) -> dict[str, int]:
    """Column → its place among the cells that `rows` yields."""
    return {name: place for place, name in enumerate([*expected.names, REJECT])}


def rows(content: BinaryIO, columns: dict[str, int]) -> Iterator[Line]:
    """Yields number, from 1, and cells of each row. Raises FileRefused."""
    number = 0
    try:
        for number, pairs in enumerate(_elements(_Text(content)), 1):
            yield number, _cells(number, pairs, columns)
    except (ValueError, RecursionError):
        raise FileRefused(NOT_JSON_ROWS) from None
    except _TooLong:
        raise FileRefused(ROW_TOO_LONG, row=number + 1) from None
    if not number:
        raise FileRefused(NO_ROWS)


def _elements(text: "_Text") -> Iterator[Any]:
    """Yields what is in the list, one after the other. Raises ValueError, RecursionError, _TooLong.

    Nothing comes after the list.
    """
    text.skip("[")
    if text.sign() == "]":
        text.skip("]")
    else:
        separator = ","
        while separator == ",":
            yield text.value()
            separator = text.sign()
            text.skip("," if separator == "," else "]")
    if text.sign():
        raise ValueError


class _TooLong(Exception):
    """A value of the list is longer than a line of a CSV may be."""


class _Text:
    """The text of a body, piece by piece, from a place on. Raises ValueError if it is no text."""

    def __init__(self, content: BinaryIO) -> None:
        self.content = content
        start = content.read(PIECE)
        encoding = json.detect_encoding(start)
        self.decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self.text, self.place = self.decoder.decode(start), 0
        self.has_ended = not start

    def read_on(self) -> None:
        """Adds as much as is held, so that a value that is not whole is parsed few times."""
        held = self.text[self.place :]
        piece = self.content.read(max(PIECE, len(held)))
        self.has_ended = not piece
        self.text, self.place = held + self.decoder.decode(piece, self.has_ended), 0

    def sign(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            self.place = SPACES.match(self.text, self.place).end()  # type: ignore[union-attr]
            if self.place < len(self.text) or self.has_ended:
                return self.text[self.place : self.place + 1]
            self.read_on()

    def skip(self, sign: str) -> None:
        """Goes beyond the next character that is no space. Raises ValueError if it is another."""
        if self.sign() != sign:
            raise ValueError
        self.place += 1

    def value(self) -> Any:
        """The next value. Raises ValueError, RecursionError, _TooLong."""
        self.sign()
        while True:
            try:
                value, end = DECODER.raw_decode(self.text, self.place)
            except json.JSONDecodeError as error:
                if self.has_ended or not self.is_cut(error):
                    raise
                if len(self.text) - self.place > LONGEST_LINE:
                    raise _TooLong from None
                self.read_on()
                continue
            if end - self.place > LONGEST_LINE:
                raise _TooLong
            self.place = end
            return value

    def is_cut(self, error: json.JSONDecodeError) -> bool:
        """Whether the value may go on in the next piece."""
        is_near_the_end = error.pos > len(self.text) - LONGEST_TOKEN
        return is_near_the_end or error.msg.startswith("Unterminated string")


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


DECODER = json.JSONDecoder(
    object_pairs_hook=_Object,
    parse_int=str,
    parse_float=_number,
    parse_constant=_refuse_constant,
)


def _cells(row: int, pairs: Any, columns: dict[str, int]) -> list[Any]:
    if not isinstance(pairs, _Object):
        raise FileRefused(NOT_JSON_ROWS)
    cells: list[Any] = [None] * len(columns)
    seen: set[str] = set()
    for name, value in pairs:
        if (fault := _fault(name, value, columns, seen)) is not None:
            field = printable(name)[:LONGEST_NAME]
            if any(sign.isdigit() for sign in field):
                field = outlined(field)  # it may be a PIN code
            raise FileRefused(fault, row=row, field=field, known=", ".join(columns))
        seen.add(name)
        cells[columns[name]] = value
    if not any((value or "").strip() for value in cells):
        raise FileRefused(ROW_WITHOUT_VALUES, row=row)
    return cells


def _fault(name: str, value: Any, columns: dict[str, int], seen: set[str]) -> Cause | None:
    """What is wrong with a field, if anything is; `seen` are the fields before it in the row."""
    if name not in columns:
        return ROW_FIELD_UNKNOWN
    if name in seen:
        return ROW_FIELD_TWICE
    if not (value is None or isinstance(value, str)):
        return ROW_WRONG_VALUE
    if len(value or "") > LONGEST_CELL:
        return ROW_CELL_TOO_LONG
    return ROW_POWER_OF_TEN if isinstance(value, _PowerOfTen) else None
