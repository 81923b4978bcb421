"""Files to fill in, and the bad lines of one that was."""

import io
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import xlsxwriter  # type: ignore[import-untyped]
from django.utils.translation import gettext as _

from transfer.engine.kinds import Column, Kind
from transfer.loading.headings import REJECT
from transfer.loading.report import explain_line
from transfer.loading.values import number
from transfer.models import BadLine, Upload
from transfer.pages.exports import Field, Sheet
from transfer.words.columns import (
    HOW_TO_FILL_IN,
    KEPT_PIN,
    heading,
    how_to_fill_in,
    named,
)

WIDTH = 22


def bad_lines(upload: Upload) -> Sheet:
    """Every bad line as it came, to be corrected and loaded again, and what to do about it.

    The columns that loading knows come first. The others have headings that it does not know.
    """
    explained = cache(explain_line)
    has_rejects = REJECT in upload.layout.get("columns", {})
    fields = [
        *(
            Field(heading(column.name), _cell(column), column.carried_as == "text")
            for column in upload.moves.columns
        ),
        *([Field(heading(REJECT), lambda line: line.cells.get(REJECT))] if has_rejects else []),
        Field(_("Line in the file"), lambda line: line.line),
        Field(_("What is wrong"), lambda line: explained(line.code).sentence),
        Field(_("Where"), lambda line: named(line.columns)),
        Field(_("What stands there"), lambda line: line.value),
        Field(_("What to do"), lambda line: explained(line.code).hint),
    ]
    if upload.moves.secrets:
        note = _("PIN codes are never shown: enter them anew.")
        kept_pin = _("•••• keeps the PIN code of the rejected row.") if has_rejects else ""
        fields.append(Field(_("About the PIN code"), lambda line: f"{note} {kept_pin}".strip()))
    return Sheet(_("Bad lines"), fields, upload.bad_lines.all())


def _cell(column: Column) -> Callable[[BadLine], Any]:
    def cell(line: BadLine) -> Any:
        text = line.cells.get(column.name, "")
        return exact(text) if column.carried_as == "numeric" else text

    return cell


def exact(text: str) -> Decimal | str:
    """An amount as a number, or as it came where it is none."""
    amount = number(text).value
    return text if amount is None else Decimal(amount)


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
    needed = {name for group in kind.needed for name in group}
    for column in kind.columns:
        may_be_empty = "" if column.name in needed else _("May be empty.")
        yield heading(column.name), f"{how_to_fill_in(kind, column.name)} {may_be_empty}".strip()
        if column.secret:
            yield "", str(KEPT_PIN)
    yield heading(REJECT), str(HOW_TO_FILL_IN[REJECT])
