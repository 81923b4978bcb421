"""Files and bodies of calls that can't be read or loaded."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

# The file can't be read. Nothing of it is loaded.
FILE_REFUSED = Cause(
    "file_refused",
    gettext_noop("The file can't be read."),
    gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again."),
    status=422,
)


FILE_EMPTY = Cause(
    "file_empty",
    gettext_noop("The file is empty."),
    gettext_noop("Choose another file."),
    status=422,
)


FILE_TOO_LARGE = Cause(
    "file_too_large",
    gettext_noop("The file is larger than %(most)s MB."),
    gettext_noop("Split it into several files."),
    status=413,
)


FILE_NOT_A_TABLE = Cause(
    "file_not_a_table",
    gettext_noop("This is not a table, but %(what)s."),
    gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again."),
    status=422,
)


UTF16_WITHOUT_MARK = Cause(
    "utf16_without_mark",
    gettext_noop("The encoding is UTF-16, but its byte order mark is missing."),
    gettext_noop(
        "Save the file as UTF-8, or as UTF-16 with a byte order mark. If it is in another "
        "encoding, name that one."
    ),
    status=422,
)


WORKBOOK_DAMAGED = Cause(
    "workbook_damaged",
    gettext_noop("The workbook is damaged and can't be read."),
    gettext_noop("Open it in Excel, save it under a new name, and upload that."),
    status=422,
)


WORKBOOK_TOO_LARGE = Cause(
    "workbook_too_large",
    gettext_noop("Unpacked, the workbook is too large."),
    gettext_noop("Save the sheet as CSV in UTF-8, or copy the filled rows into a new workbook."),
    status=422,
)


WORKBOOKS_BUSY = Cause(
    "workbooks_busy",
    gettext_noop("Other workbooks are being read at this moment."),
    gettext_noop(
        "A file on its page is read by itself as soon as one of them is done; otherwise send it "
        "again in a minute. A CSV does not have to wait."
    ),
    status=422,
)


BODY_IS_A_WORKBOOK = Cause(
    "body_is_a_workbook",
    gettext_noop("The body is a workbook."),
    gettext_noop("Send the rows as CSV or JSON. Workbooks are loaded on the page."),
    status=422,
)


TOO_MANY_COLUMNS = Cause(
    "too_many_columns",
    gettext_noop("The file has more than %(most)s columns."),
    gettext_noop("Remove those that are not needed, or save the file with another separator."),
    status=422,
)


QUOTE_NOT_CLOSED = Cause(
    "quote_not_closed",
    gettext_noop("Line %(line)s has a cell that is far too long."),
    gettext_noop("Most often a quote is opened there and not closed."),
    status=422,
)


LINE_TOO_LONG = Cause(
    "line_too_long",
    gettext_noop("Line %(line)s is longer than a million characters."),
    gettext_noop(
        "Check that this is the right file, and that each of its rows ends with a line break."
    ),
    status=422,
)


NOT_JSON_ROWS = Cause(
    "not_json_rows",
    gettext_noop("The body is not a JSON list of objects, one for each row."),
    gettext_noop('Send it like [{"account": "4100", "amount": "12.50"}], in UTF-8.'),
    status=422,
)


ROW_FIELD_UNKNOWN = Cause(
    "row_field_unknown",
    gettext_noop("Row %(row)s has a field that is not known: %(field)s."),
    gettext_noop("The fields are: %(known)s."),
    status=422,
)


ROW_FIELD_TWICE = Cause(
    "row_field_twice",
    gettext_noop("Row %(row)s has the field %(field)s twice."),
    gettext_noop("Leave one of the two."),
    status=422,
)


ROW_WRONG_VALUE = Cause(
    "row_wrong_value",
    gettext_noop("Row %(row)s: %(field)s is neither a text nor a number nor null."),
    gettext_noop("Send numbers of accounts and cards, and PIN codes, as text."),
    status=422,
)


ROW_POWER_OF_TEN = Cause(
    "row_power_of_ten",
    gettext_noop("Row %(row)s: %(field)s is written as a power of ten."),
    gettext_noop('Write all of its digits, best as text: "1500.00".'),
    status=422,
)


ROW_CELL_TOO_LONG = Cause(
    "row_cell_too_long",
    gettext_noop("Row %(row)s: %(field)s is far too long."),
    gettext_noop("Send the value alone."),
    status=422,
)


ROW_TOO_LONG = Cause(
    "row_too_long",
    gettext_noop("Row %(row)s is longer than a million characters."),
    gettext_noop("Send the fields of the row alone, each once."),
    status=422,
)


NO_ROWS = Cause(
    "no_rows",
    gettext_noop("The list has no rows."),
    gettext_noop("Send at least one."),
    status=422,
)


ROW_WITHOUT_VALUES = Cause(
    "row_without_values",
    gettext_noop("Row %(row)s has no value."),
    gettext_noop("Leave it out."),
    status=422,
)


FILE_WITHOUT_ROWS = Cause(
    "file_without_rows",
    gettext_noop("The file has no line with data."),
    gettext_noop("Fill in the template and upload that."),
    status=422,
)


COLUMNS_MISSING = Cause(
    "columns_missing",
    gettext_noop("The columns %(columns)s are not recognised in the file."),
    gettext_noop(
        "Name each of them once, above the lines, as the template or the list on the page does. "
        "When rows are loaded on the page, you can also choose there which column is which."
    ),
    status=422,
)


BAD_LINES_LEFT = Cause(
    "bad_lines_left",
    gettext_noop("Lines that can't be loaded: %(bad)s."),
    gettext_noop("Nothing was loaded. Correct them, or load the good lines only: --good-only"),
    status=422,
)


BUSY_WITH_THE_SAME = Cause(
    "busy_with_the_same",
    gettext_noop("The same call is being answered at this moment."),
    gettext_noop("Make the same call again in some seconds: it gets that answer."),
    status=409,
)


OTHER_CONTENT = Cause(
    "other_content",
    gettext_noop("The Idempotency-Key was used before, for other rows."),
    gettext_noop("Nothing was loaded. Send other rows with another Idempotency-Key."),
    status=409,
)


CALL_TAKEN_BACK = Cause(
    "call_taken_back",
    gettext_noop(
        "The load of this Idempotency-Key was taken back, and shop All was restored to a time "
        "before it."
    ),
    gettext_noop(
        "Nothing was loaded: a bonus server may know that it was taken back. Send the rows with "
        "another Idempotency-Key if they are to count."
    ),
    status=409,
)


TOO_LARGE_FOR_A_CALL = Cause(
    "too_large_for_a_call",
    gettext_noop("The call has more than %(rows)s rows or %(most)s MB."),
    gettext_noop(
        "Send the header “Prefer: respond-async”: the rows are then loaded after the answer, and "
        "GET loads/ID says when. Or split them into several calls."
    ),
    status=413,
)


LARGE_CALL_OPEN = Cause(
    "large_call_open",
    gettext_noop("Another large call of this key is not finished."),
    gettext_noop(
        "Nothing was loaded. Make the same call again later: a key has one large call at a time."
    ),
    status=429,
)


# Some rows fail the checks of a file. `lines` are the first of them, of the model BadLine.
BAD_ROWS = Cause(
    "bad_rows",
    gettext_noop("Rows that cannot be loaded: %(bad)s."),
    gettext_noop("Nothing was loaded. Correct them and send all rows again."),
    status=422,
)


UPLOAD_DIFFERS = Cause(
    "upload_differs",
    gettext_noop("The check of the file now has another result than the preview."),
    gettext_noop("Nothing was loaded. Look at the new preview."),
    status=422,
)


REJECTS_CLOSED_MEANWHILE = Cause(
    "rejects_closed_meanwhile",
    gettext_noop("Somebody has closed rejected rows that the file corrects."),
    gettext_noop("Nothing was loaded. The file was checked again: its bad lines name them."),
    status=422,
)


TOO_MANY_LINES = Cause(
    "too_many_lines",
    gettext_noop("The file has more than 50,000 lines."),
    gettext_noop("Split it into several files."),
    status=422,
)
