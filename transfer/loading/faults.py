"""What can be wrong with a file, and with one of its lines, before the checks of `kinds`."""

import re
from collections.abc import Sequence
from typing import Any

from transfer.engine.checks import Check
from transfer.engine.kind import Kind
from transfer.errors import FileRefused, gettext_noop

# Why a line can't be read: code → sentence and hint. What it says is judged by the checks of its
# kind.
WORDS = {
    "not_a_number": (
        gettext_noop("This is not a number."),
        gettext_noop("Write it like 1234.50 or 1 234,50, without words."),
    ),
    "not_a_date": (
        gettext_noop("This is not a date."),
        gettext_noop("Write it like 31.12.2026, 31.12.2026 18:00 or 2026-12-31."),
    ),
    "not_a_status": (
        gettext_noop("This is not a card status."),
        gettext_noop("Write 0, 1, 2 or 3, or EARN_ONLY, EARN_PAY, NO_OPERATION, PAY_ONLY."),
    ),
    "digits_lost": (
        gettext_noop("Excel has turned the number into a power of ten, and digits are lost."),
        gettext_noop(
            "Format the column as text in Excel before you enter or paste the numbers, and "
            "take them from their source again: Excel keeps 15 digits only."
        ),
    ),
    "written_as_amount": (
        gettext_noop("The number is written as an amount, with “.0” at its end."),
        gettext_noop(
            "A program has taken it for an amount: format the column as text there. Leading "
            "zeros may be lost as well."
        ),
    ),
    "formula": (
        gettext_noop("The cell holds a formula instead of a value."),
        gettext_noop("Copy the column and paste it as values."),
    ),
    "unreadable_character": (
        gettext_noop("A character can't be read in the file's encoding."),
        gettext_noop("Choose another encoding, or save the file as UTF-8."),
    ),
    "too_many_cells": (
        gettext_noop("The line has more cells than the heading."),
        gettext_noop(
            "Put a value that contains the separator into quotes: often it is a decimal comma."
        ),
    ),
    "value_too_long": (
        gettext_noop("The value is far too long."),
        gettext_noop("Look for a quote that is not closed."),
    ),
    "reject_unreadable": (
        gettext_noop("This is not the number of a rejected row."),
        gettext_noop(
            "Copy it from the file of rejected rows, such as R12-345. In a line that corrects "
            "none, leave the cell empty."
        ),
    ),
    "reject_unknown": (
        gettext_noop("There is no such rejected row."),
        gettext_noop(
            "Download the file of rejected rows again: this one may be from another "
            "installation, or the row was closed long ago."
        ),
    ),
    "reject_of_another": (
        gettext_noop("The rejected row is of another transfer."),
        gettext_noop(
            "Load the line in a file of its own transfer: a file holds the rows of one transfer."
        ),
    ),
    "row_undone": (
        gettext_noop("The file of the rejected row was taken back."),
        gettext_noop("Leave the line out, or leave out the number of the rejected row."),
    ),
    "reject_closed": (
        gettext_noop("The rejected row is closed already: sent again, or discarded."),
        gettext_noop(
            "Take the line out of the file. If it has to be applied all the same, empty the "
            "cell: it is then a new row."
        ),
    ),
    "row_lost": (
        gettext_noop("Shop All was restored to a time before the rejected row, and lacks it."),
        gettext_noop(
            "A row that is not known there can't be corrected. If it has to be applied all the "
            "same, load it as a new row, without the number of the rejected one, and discard the "
            "rejected one."
        ),
    ),
    "row_sets_amount": (
        gettext_noop("The rejected row only sends an amount that was changed in shop All."),
        gettext_noop(
            "Correct the amount in the changed row itself, and send it again under “Changed after "
            "the transfer”: that closes this reject. Or discard it."
        ),
    ),
    "reject_twice": (
        gettext_noop("Several lines of the file correct this rejected row."),
        gettext_noop("Leave one of them."),
    ),
    "pin_masked": (
        gettext_noop("The cell holds the mask of a PIN code, not a PIN code."),
        gettext_noop(
            "Enter the PIN code. Only a line that corrects a rejected row may keep the old one."
        ),
    ),
    "pin_gone": (
        gettext_noop("There is no PIN code to keep."),
        gettext_noop(
            "The rejected row had none, is purged, or is of an earlier staging database: enter "
            "the PIN code."
        ),
    ),
    "row_gone": (
        gettext_noop("The rejected row is no longer in shop All."),
        gettext_noop(
            "It was purged, or is of an earlier staging database. Enter all of its values on the "
            "page of the rejected row: those that a bonus server has recorded are never sent."
        ),
    ),
}
LINE_FAULTS = {
    code: Check(code, "pincode" if code.startswith("pin_") else "", *words)
    for code, words in WORDS.items()
}


def columns_of(kind: Kind, check: Check) -> list[str]:
    """The columns that a check of the kind looks at."""
    return [name for name in kind.names if re.search(rf"\b{name}\b", check.fails)]


class EmptyFile(FileRefused):
    code = "file_empty"
    sentence = gettext_noop("The file is empty.")
    hint = gettext_noop("Choose another file.")


class FileTooLarge(FileRefused):
    code = "file_too_large"
    sentence = gettext_noop("The file is larger than %(most)s MB.")
    hint = gettext_noop("Split it into several files.")


class NotATable(FileRefused):
    code = "file_not_a_table"
    sentence = gettext_noop("This is not a table, but %(what)s.")
    hint = gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again.")


class Utf16WithoutMark(FileRefused):
    code = "utf16_without_mark"
    sentence = gettext_noop("The encoding is UTF-16, but its byte order mark is missing.")
    hint = gettext_noop(
        "Save the file as UTF-8, or as UTF-16 with a byte order mark. If it is in another "
        "encoding, name that one."
    )


class DamagedWorkbook(FileRefused):
    code = "workbook_damaged"
    sentence = gettext_noop("The workbook is damaged and can't be read.")
    hint = gettext_noop("Open it in Excel, save it under a new name, and upload that.")


class WorkbookTooLarge(FileRefused):
    code = "workbook_too_large"
    sentence = gettext_noop("Unpacked, the workbook is too large.")
    hint = gettext_noop(
        "Save the sheet as CSV in UTF-8, or copy the filled rows into a new workbook."
    )


class WorkbooksBusy(FileRefused):
    code = "workbooks_busy"
    sentence = gettext_noop("Other workbooks are being read at this moment.")
    hint = gettext_noop(
        "A file on its page is read by itself as soon as one of them is done; otherwise send it "
        "again in a minute. A CSV does not have to wait."
    )


class BodyIsAWorkbook(FileRefused):
    code = "body_is_a_workbook"
    sentence = gettext_noop("The body is a workbook.")
    hint = gettext_noop("Send the rows as CSV or JSON. Workbooks are loaded on the page.")


class TooManyColumns(FileRefused):
    code = "too_many_columns"
    sentence = gettext_noop("The file has more than %(most)s columns.")
    hint = gettext_noop(
        "Remove those that are not needed, or save the file with another separator."
    )


class QuoteNotClosed(FileRefused):
    code = "quote_not_closed"
    sentence = gettext_noop("Line %(line)s has a cell that is far too long.")
    hint = gettext_noop("Most often a quote is opened there and not closed.")


class LineTooLong(FileRefused):
    code = "line_too_long"
    sentence = gettext_noop("Line %(line)s is longer than a million characters.")
    hint = gettext_noop(
        "Check that this is the right file, and that each of its rows ends with a line break."
    )


class NotJsonRows(FileRefused):
    code = "not_json_rows"
    sentence = gettext_noop("The body is not a JSON list of objects, one for each row.")
    hint = gettext_noop('Send it like [{"account": "4100", "amount": "12.50"}], in UTF-8.')


class RowFieldUnknown(FileRefused):
    code = "row_field_unknown"
    sentence = gettext_noop("Row %(row)s has a field that is not known: %(field)s.")
    hint = gettext_noop("The fields are: %(known)s.")


class RowFieldTwice(FileRefused):
    code = "row_field_twice"
    sentence = gettext_noop("Row %(row)s has the field %(field)s twice.")
    hint = gettext_noop("Leave one of the two.")


class RowWrongValue(FileRefused):
    code = "row_wrong_value"
    sentence = gettext_noop("Row %(row)s: %(field)s is neither a text nor a number nor null.")
    hint = gettext_noop("Send numbers of accounts and cards, and PIN codes, as text.")


class RowPowerOfTen(FileRefused):
    code = "row_power_of_ten"
    sentence = gettext_noop("Row %(row)s: %(field)s is written as a power of ten.")
    hint = gettext_noop('Write all of its digits, best as text: "1500.00".')


class RowCellTooLong(FileRefused):
    code = "row_cell_too_long"
    sentence = gettext_noop("Row %(row)s: %(field)s is far too long.")
    hint = gettext_noop("Send the value alone.")


class RowTooLong(FileRefused):
    code = "row_too_long"
    sentence = gettext_noop("Row %(row)s is longer than a million characters.")
    hint = gettext_noop("Send the fields of the row alone, each once.")


class NoRows(FileRefused):
    code = "no_rows"
    sentence = gettext_noop("The list has no rows.")
    hint = gettext_noop("Send at least one.")


class RowWithoutValues(FileRefused):
    code = "row_without_values"
    sentence = gettext_noop("Row %(row)s has no value.")
    hint = gettext_noop("Leave it out.")


class NothingInside(FileRefused):
    code = "file_without_rows"
    sentence = gettext_noop("The file has no line with data.")
    hint = gettext_noop("Fill in the template and upload that.")


class ColumnsMissing(FileRefused):
    code = "columns_missing"
    sentence = gettext_noop("The columns %(columns)s are not recognised in the file.")
    hint = gettext_noop(
        "Name each of them once, above the lines, as the template or the list on the page does. "
        "When rows are loaded on the page, you can also choose there which column is which."
    )


class BadLinesLeft(FileRefused):
    code = "bad_lines_left"
    sentence = gettext_noop("Lines that can't be loaded: %(bad)s.")
    hint = gettext_noop(
        "Nothing was loaded. Correct them, or load the good lines only: --good-only"
    )


class BusyWithTheSame(FileRefused):
    code = "busy_with_the_same"
    sentence = gettext_noop("The same call is being answered at this moment.")
    hint = gettext_noop("Make the same call again in some seconds: it gets that answer.")


class OtherContent(FileRefused):
    code = "other_content"
    sentence = gettext_noop("The Idempotency-Key was used before, for other rows.")
    hint = gettext_noop("Nothing was loaded. Send other rows with another Idempotency-Key.")


class CallTakenBack(FileRefused):
    code = "call_taken_back"
    sentence = gettext_noop(
        "The load of this Idempotency-Key was taken back, and shop All was restored to a time "
        "before it."
    )
    hint = gettext_noop(
        "Nothing was loaded: a bonus server may know that it was taken back. Send the rows with "
        "another Idempotency-Key if they are to count."
    )


class TooLargeForACall(FileRefused):
    code = "too_large_for_a_call"
    sentence = gettext_noop("The call has more than %(rows)s rows or %(most)s MB.")
    hint = gettext_noop(
        "Send the header “Prefer: respond-async”: the rows are then loaded after the answer, and "
        "GET loads/ID says when. Or split them into several calls."
    )


class LargeCallOpen(FileRefused):
    code = "large_call_open"
    sentence = gettext_noop("Another large call of this key is not finished.")
    hint = gettext_noop(
        "Nothing was loaded. Make the same call again later: a key has one large call at a time."
    )


class BadRows(FileRefused):
    """Some rows fail the checks of a file. `lines` are the first of them, of the model BadLine."""

    lines: Sequence[Any] = ()

    code = "bad_rows"
    sentence = gettext_noop("Rows that cannot be loaded: %(bad)s.")
    hint = gettext_noop("Nothing was loaded. Correct them and send all rows again.")


class UnexpectedlyDifferent(FileRefused):
    code = "upload_differs"
    sentence = gettext_noop("The check of the file now has another result than the preview.")
    hint = gettext_noop("Nothing was loaded. Look at the new preview.")


class RejectsClosedMeanwhile(UnexpectedlyDifferent):
    code = "rejects_closed_meanwhile"
    sentence = gettext_noop("Somebody has closed rejected rows that the file corrects.")
    hint = gettext_noop("Nothing was loaded. The file was checked again: its bad lines name them.")
