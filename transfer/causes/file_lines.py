"""Why a line of a file can't be read. What it says is judged by the checks of its kind."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

NOT_A_NUMBER = Cause(
    "not_a_number",
    gettext_noop("This is not a number."),
    gettext_noop("Write it like 1234.50 or 1 234,50, without words."),
)

NOT_A_DATE = Cause(
    "not_a_date",
    gettext_noop("This is not a date."),
    gettext_noop("Write it like 31.12.2026, 31.12.2026 18:00 or 2026-12-31."),
)

NOT_A_STATUS = Cause(
    "not_a_status",
    gettext_noop("This is not a card status."),
    gettext_noop("Write 0, 1, 2 or 3, or EARN_ONLY, EARN_PAY, NO_OPERATION, PAY_ONLY."),
)

DIGITS_LOST = Cause(
    "digits_lost",
    gettext_noop(
        "The number is written with an exponent, such as 1E+03, or has more than 15 digits: some "
        "of its digits may be lost."
    ),
    gettext_noop(
        "Write all of its digits: 1000. If Excel has written it so, format the column as text "
        "there before you enter or paste the numbers, and take them from their source again."
    ),
)

WRITTEN_AS_AMOUNT = Cause(
    "written_as_amount",
    gettext_noop("The number is written as an amount, with “.0” at its end."),
    gettext_noop(
        "A program has taken it for an amount: format the column as text there. Leading "
        "zeros may be lost as well."
    ),
)

FORMULA = Cause(
    "formula",
    gettext_noop("The cell holds a formula instead of a value."),
    gettext_noop("Copy the column and paste it as values."),
)

UNREADABLE_CHARACTER = Cause(
    "unreadable_character",
    gettext_noop("A character can't be read in the file's encoding."),
    gettext_noop("Choose another encoding, or save the file as UTF-8."),
)

TOO_MANY_CELLS = Cause(
    "too_many_cells",
    gettext_noop("The line has more cells than the heading."),
    gettext_noop(
        "Put a value that contains the separator into quotes: often it is a decimal comma."
    ),
)

VALUE_TOO_LONG = Cause(
    "value_too_long",
    gettext_noop("The value is far too long."),
    gettext_noop("Look for a quote that is not closed."),
)

REJECT_UNREADABLE = Cause(
    "reject_unreadable",
    gettext_noop("This is not the number of a rejected row."),
    gettext_noop(
        "Copy it from the file of rejected rows, such as R12-345. In a line that corrects "
        "none, leave the cell empty."
    ),
)

REJECT_UNKNOWN = Cause(
    "reject_unknown",
    gettext_noop("There is no such rejected row."),
    gettext_noop(
        "Download the file of rejected rows again: this one may be from another "
        "installation, or the row was closed long ago."
    ),
)

REJECT_OF_ANOTHER = Cause(
    "reject_of_another",
    gettext_noop("The rejected row is of another transfer."),
    gettext_noop(
        "Load the line in a file of its own transfer: a file holds the rows of one transfer."
    ),
)

ROW_UNDONE = Cause(
    "row_undone",
    gettext_noop("The file of the rejected row was taken back."),
    gettext_noop("Leave the line out, or leave out the number of the rejected row."),
)

REJECT_CLOSED = Cause(
    "reject_closed",
    gettext_noop("The rejected row is closed already: sent again, or discarded."),
    gettext_noop(
        "Take the line out of the file. If it has to be applied all the same, empty the "
        "cell: it is then a new row."
    ),
)

ROW_LOST = Cause(
    "row_lost",
    gettext_noop("Shop All was restored to a time before the rejected row, and lacks it."),
    gettext_noop(
        "A row that is not known there can't be corrected. If it has to be applied all the "
        "same, load it as a new row, without the number of the rejected one, and discard the "
        "rejected one."
    ),
)

ROW_SETS_AMOUNT = Cause(
    "row_sets_amount",
    gettext_noop("The rejected row only sends an amount that was changed in shop All."),
    gettext_noop(
        "Correct the amount in the changed row itself, and send it again under “Changed after "
        "the transfer”: that closes this reject. Or discard it."
    ),
)

REJECT_TWICE = Cause(
    "reject_twice",
    gettext_noop("Several lines of the file correct this rejected row."),
    gettext_noop("Leave one of them."),
)

PIN_MASKED = Cause(
    "pin_masked",
    gettext_noop("The cell holds the mask of a PIN code, not a PIN code."),
    gettext_noop(
        "Enter the PIN code. Only a line that corrects a rejected row may keep the old one."
    ),
)

PIN_GONE = Cause(
    "pin_gone",
    gettext_noop("There is no PIN code to keep."),
    gettext_noop(
        "The rejected row had none, is purged, or is of an earlier staging database: enter "
        "the PIN code."
    ),
)

ROW_GONE = Cause(
    "row_gone",
    gettext_noop("The rejected row is no longer in shop All."),
    gettext_noop(
        "It was purged, or is of an earlier staging database. Enter all of its values on the "
        "page of the rejected row: those that a bonus server has recorded are never sent."
    ),
)
