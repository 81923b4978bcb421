"""Files to fill in, and the bad lines of one that was."""

import io
from collections.abc import Iterator
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from django.utils.translation import gettext as _

from transfer.exports import Field, Sheet
from transfer.kinds import Kind
from transfer.loading.report import explain_line
from transfer.loading.words import OPTIONAL, heading, how_to_fill_in
from transfer.models import BadLine, Upload

WIDTH = 22
ROWS_AT_ONCE = 2000


def bad_lines(upload: Upload) -> Sheet:
    """Every bad line, with what to do about it."""
    found = upload.bad_lines.all().iterator(chunk_size=ROWS_AT_ONCE)
    explained: dict[str, Any] = {}

    def why(line: BadLine) -> Any:
        if line.code not in explained:
            explained[line.code] = explain_line(line.code)
        return explained[line.code]

    fields = [
        Field(_("Line"), lambda line: line.line),
        Field(_("Column"), lambda line: line.columns),
        Field(_("What stands there"), lambda line: line.value),
        Field(_("Reason"), lambda line: why(line).sentence),
        Field(_("What to do"), lambda line: why(line).hint),
    ]
    return Sheet(_("Bad lines"), fields, found)


def empty(kind: Kind) -> Sheet:
    """The headings alone, for CSV."""
    fields = [Field(heading(column.name), lambda _row: "") for column in kind.columns]
    return Sheet(_("Data"), fields, iter(()))


def workbook(kind: Kind) -> bytes:
    """The same as a workbook: columns of text keep leading zeros, a second sheet explains."""
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        bold = book.add_format({"bold": True, "bottom": 1})
        as_text = book.add_format({"num_format": "@"})
        sheet = book.add_worksheet(_("Data"))
        sheet.freeze_panes(1, 0)
        for place, column in enumerate(kind.columns):
            is_text = column.carried_as == "text"
            sheet.set_column(place, place, WIDTH, as_text if is_text else None)
            sheet.write_string(0, place, heading(column.name), bold)
        _explain(book, kind)
    return file.getvalue()


def _explain(book: Any, kind: Kind) -> None:
    sheet = book.add_worksheet(_("How to fill it in"))
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, WIDTH, wrapped)
    sheet.set_column(1, 1, 80, wrapped)
    for line, (name, text) in enumerate(_explanations(kind)):
        sheet.write_row(line, 0, [name, text])


def _explanations(kind: Kind) -> Iterator[tuple[str, str]]:
    for column in kind.columns:
        may_be_empty = _("May be empty.") if column.name in OPTIONAL else ""
        yield heading(column.name), f"{how_to_fill_in(kind, column.name)} {may_be_empty}".strip()
