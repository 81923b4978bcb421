"""A table as a file: CSV as a stream, XLSX with constant memory.

Cells that Excel would take for formulas are defused. Times are in the user's zone, which the
headings name. CSV has the separators of the user's Excel. Columns of a workbook are as wide as what
they hold.
"""

import csv
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain, islice, repeat
from types import NoneType
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import get_format
from django.utils.translation import gettext as _

from transfer.engine.kind import Kind
from transfer.engine.table_mapping import Column
from transfer.loading.values import number
from transfer.pages.back import page_before, refused
from transfer.text import formats
from transfer.text.columns import heading

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
FIRST_ROWS = 50
ROWS_OF_A_WORKBOOK = 100_000  # it is sent when it is complete, while the user waits
NARROWEST, WIDEST = 8, 80  # columns of a workbook, in characters
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

    @property
    def is_too_long(self) -> bool:
        """Whether a workbook has no room for all rows."""
        rows = self.records
        return isinstance(rows, QuerySet) and rows[ROWS_OF_A_WORKBOOK:].exists()


def zoned(heading: Any) -> str:
    """A heading of times with their zone, as the pages name it: "Queued at, MSK".

    A zone whose clocks change has its full name: a file may hold times of summer and of winter.
    """
    zone, now = timezone.get_current_timezone(), timezone.now()
    half_a_year = (now, now + timedelta(182))
    changes = len({when.astimezone(zone).utcoffset() for when in half_a_year}) > 1
    name = timezone.get_current_timezone_name() if changes else formats.zone_name()
    return f"{heading}, {name}"


def defused(value: Any) -> Any:
    """Puts an apostrophe before a text that Excel would take for a formula."""
    if isinstance(value, str) and value.startswith(FORMULA):
        return f"'{value}"
    return value


def csv_response(name: str, sheet: Sheet) -> StreamingHttpResponse:
    """A stream of CSV with a BOM and the separators of the user's language."""
    as_here = _Here()
    lines = _without_quotes(_lines(sheet, as_here))
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


class StreamBroken(Exception):
    """A file ends before its last row. The web server closes the connection, so browsers notice."""


def _without_quotes(lines: Iterator[str]) -> Iterator[str]:
    """Yields the lines. The web server's log gets no text of an error, which may quote a cell.

    Raises StreamBroken.
    """
    try:
        yield from lines
    except Exception as error:
        logger.error("an export broke off: %s", type(error).__name__)
        broken = StreamBroken(type(error).__name__)
    else:
        return
    raise broken


class _Here:
    """Sets the language and zone of the request again: a stream is written after its end."""

    def __init__(self) -> None:
        self.language = translation.get_language()
        self.zone = timezone.get_current_timezone()
        self.comma = get_format("DECIMAL_SEPARATOR") == ","
        # How cells of each type are written; all others are written as text.
        self.writers: dict[type, Callable[[Any], Any]] = {
            **dict.fromkeys((int, bool, NoneType), lambda value: value),
            **dict.fromkeys((Decimal, float), self._number),
            datetime: lambda value: value.astimezone(self.zone).isoformat(" ", "seconds")[:19],
        }

    def __call__(self, work: Callable[[], str]) -> str:
        with translation.override(self.language), timezone.override(self.zone):
            return work()

    def _number(self, value: Decimal | float) -> str:
        text = f"{value:f}" if isinstance(value, Decimal) else str(value)
        return text.replace(".", ",") if self.comma else text


def _lines(sheet: Sheet, as_here: _Here) -> Iterator[str]:
    rows = chain([None], sheet.rows())
    writer_of = as_here.writers.get

    def batch(most: int) -> str:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";" if as_here.comma else ",")
        for row in islice(rows, most):
            cells = sheet.headings() if row is None else row
            writer.writerow([writer_of(type(cell), defused)(cell) for cell in cells])
        return text.getvalue()

    yield "\ufeff"
    # Few lines at first, so that the browser shows the download at once.
    sizes = chain([FIRST_ROWS], repeat(ROWS_AT_ONCE))
    while lines := as_here(partial(batch, next(sizes))):
        yield lines


def file_response(request: HttpRequest, name: str, form: str, *sheets: Sheet) -> HttpResponseBase:
    """The first sheet as CSV, or all as XLSX, by `form`. Only CSV has no limit of rows."""
    if form == "csv":
        return csv_response(name, *sheets)
    if not any(sheet.is_too_long for sheet in sheets):
        return xlsx_response(name, sheets)
    text = _(
        "An XLSX file holds %(rows)s at most, and more were found. Filter for fewer, or take CSV, "
        "which holds all of them."
    )
    words = text % {"rows": formats.rows(ROWS_OF_A_WORKBOOK)}
    return refused(request, words, page_before(request, reverse("overview")))


def xlsx_response(name: str, sheets: Iterable[Sheet]) -> HttpResponseBase:
    """A workbook, written row by row into a file that is deleted after the response."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it
    with xlsxwriter.Workbook(
        file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    ) as book:
        for sheet in sheets:
            _write(book, sheet)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx")


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
    elif isinstance(cell, Decimal) and not (
        cell.is_finite() and len(cell.as_tuple().digits) <= EXACT_DIGITS
    ):
        page.write_string(line, column, f"{cell:f}")
    elif isinstance(cell, int | float | Decimal):
        page.write_number(line, column, cell)
    else:
        page.write_string(line, column, str(defused(str(cell))))


def column_fields(kind: Kind, text_of: Callable[[Any, str], str]) -> list[Field]:
    """The columns that loading reads, with amounts as numbers."""

    def value_in(column: Column) -> Callable[[Any], Any]:
        if column.carried_as == "numeric":
            return lambda record: _exact(text_of(record, column.name))
        return lambda record: text_of(record, column.name)

    return [
        Field(heading(column.name), value_in(column), column.carried_as == "text")
        for column in kind.columns
    ]


def _exact(text: str) -> Decimal | str:
    """An amount as a number, or the text as received if it is none."""
    amount = number(text).value
    return text if amount is None else Decimal(amount)
