"""A table as a file: CSV as a stream, XLSX with constant memory.

Times are in the user's zone, which the headings name. CSV has the separators of the user's Excel.
`text/workbook.py` writes workbooks.
"""

import csv
import io
import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain, islice, repeat
from types import NoneType
from typing import Any

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
from transfer.text.workbook import ROWS_AT_ONCE, Field, Sheet, defused, write_workbook

logger = logging.getLogger(__name__)

FIRST_ROWS = 50
ROWS_OF_A_WORKBOOK = 100_000  # it is sent when it is complete, while the user waits


def zoned(heading: Any) -> str:
    """A heading of times with their zone, as the pages name it: "Queued at, MSK".

    A zone whose clocks change has its full name: a file may hold times of summer and of winter.
    """
    zone, now = timezone.get_current_timezone(), timezone.now()
    half_a_year = (now, now + timedelta(182))
    changes = len({when.astimezone(zone).utcoffset() for when in half_a_year}) > 1
    name = timezone.get_current_timezone_name() if changes else formats.zone_name()
    return f"{heading}, {name}"


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
    if not any(map(_is_too_long, sheets)):
        return xlsx_response(name, sheets)
    text = _(
        "An XLSX file holds %(rows)s at most, and more were found. Filter for fewer, or take CSV, "
        "which holds all of them."
    )
    words = text % {"rows": formats.rows(ROWS_OF_A_WORKBOOK)}
    return refused(request, words, page_before(request, reverse("overview")))


def _is_too_long(sheet: Sheet) -> bool:
    """Whether a workbook has no room for all rows."""
    rows = sheet.records
    return isinstance(rows, QuerySet) and rows[ROWS_OF_A_WORKBOOK:].exists()


def xlsx_response(name: str, sheets: Iterable[Sheet]) -> HttpResponseBase:
    """A workbook, written row by row into a file that is deleted after the response."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - FileResponse closes it
    write_workbook(file, sheets)
    file.seek(0)
    return FileResponse(file, as_attachment=True, filename=f"{name}.xlsx")


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
