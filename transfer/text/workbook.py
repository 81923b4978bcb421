"""Tables as a workbook (XLSX), written row by row.

Cells that Excel would take for formulas are defused. Columns are as wide as what they hold.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import IO, Any

import xlsxwriter  # type: ignore[import-untyped]
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

ROWS_AT_ONCE = 1000
NARROWEST, WIDEST = 8, 80  # columns, in characters
FILTER = 3  # characters that the button in a heading takes
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
EXACT_DIGITS = 15  # Excel rounds the rest of a longer number


@dataclass(frozen=True)
class Field:
    """A column of a file: its heading, and its value for a record."""

    heading: Any
    value: Callable[[Any], Any]
    is_text: bool = False  # a workbook keeps leading zeros that people enter


@dataclass(frozen=True)
class Sheet:
    """The content of a file. `records` is read once, with one batch in memory at a time."""

    title: str
    fields: list[Field]
    records: Iterable[Any]

    def headings(self) -> list[str]:
        return [str(field.heading) for field in self.fields]

    def rows(self) -> Iterator[list[Any]]:
        values = [field.value for field in self.fields]
        for record in self._walked():
            yield [value(record) for value in values]

    def _walked(self) -> Iterator[Any]:
        """Reads in a transaction: without one the database would store all rows first."""
        if not isinstance(self.records, QuerySet):
            yield from self.records
            return
        with transaction.atomic():
            yield from self.records.iterator(chunk_size=ROWS_AT_ONCE)


def defused(value: Any) -> Any:
    """Puts an apostrophe before a text that Excel would take for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def write_workbook(file: IO[bytes], sheets: Iterable[Sheet]) -> None:
    """Write the sheets with constant memory."""
    with xlsxwriter.Workbook(
        file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        for sheet in sheets:
            _write(book, sheet)


def _write(book: Any, sheet: Sheet) -> None:
    """Freezes the heading, and gives each column a filter and the width of what it holds."""
    bold = book.add_format({"bold": True, "bottom": 1})
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    as_text = book.add_format({"num_format": "@"})
    page = book.add_worksheet(sheet.title[:31])
    page.freeze_panes(1, 0)
    styles = [as_text if field.is_text else None for field in sheet.fields]
    for place, style in enumerate(styles):  # before its cells, which take it over
        page.set_column(place, place, None, style)
    headings = sheet.headings()
    page.write_row(0, 0, headings, bold)
    longest = [len(heading) + FILTER for heading in headings]
    line = 0
    for line, row in enumerate(sheet.rows(), 1):
        for column, cell in enumerate(row):
            _write_cell(page, line, column, cell, moment)
            longest[column] = max(longest[column], _length(cell))
    for place, style in enumerate(styles):
        width = min(max(longest[place], NARROWEST), WIDEST)
        page.set_column(place, place, width, style)
    page.autofilter(0, 0, line, len(sheet.fields) - 1)


def _length(cell: Any) -> int:
    """How many characters a cell takes, with the space beside them."""
    if isinstance(cell, datetime):
        return len("2026-12-31 23:59:59") + 1
    return 0 if cell is None else len(str(cell)) + 1


def _write_cell(page: Any, line: int, column: int, cell: Any, moment: Any) -> None:
    if cell is None or cell == "":
        return
    if isinstance(cell, datetime):
        page.write_datetime(line, column, timezone.localtime(cell).replace(tzinfo=None), moment)
    elif isinstance(cell, Decimal) and not _is_exact(cell):
        page.write_string(line, column, f"{cell:f}")
    elif isinstance(cell, int | float | Decimal):
        page.write_number(line, column, cell)
    else:
        page.write_string(line, column, str(defused(str(cell))))


def _is_exact(number: Decimal) -> bool:
    return number.is_finite() and len(number.as_tuple().digits) <= EXACT_DIGITS
