"""Loads, their undos, corrections, and rows that were changed in place."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

LOAD_KNOWN = Cause(
    "load_known",
    gettext_noop("These rows were loaded at this moment, by another process."),
    gettext_noop(
        "Nothing was loaded twice. Look at the list of loads; load the file again only if its rows "
        "are to count twice."
    ),
)


LOAD_LOST = Cause(
    "load_lost",
    gettext_noop("Shop All does not have this load: it was restored to a time before."),
    gettext_noop(
        "Nothing was taken back. Load the file, or repeat the call, first: only the bonus servers "
        "that lack its rows get them. Then take the load back."
    ),
)


LOAD_IS_UNDO = Cause(
    "load_is_undo",
    gettext_noop("This load takes another one back."),
    gettext_noop(
        "An undo can't be taken back. Load the file again: its rows then count as a new load."
    ),
)


LOAD_CORRECTS = Cause(
    "load_corrects",
    gettext_noop(
        "Lines of this load correct rejected rows: %(rows)s. It can't be taken back as a whole."
    ),
    gettext_noop(
        "Nothing was changed: each of these lines counts only where its row was rejected. Load a "
        "file with the opposite amounts of the others, or take back the loads whose rows they "
        "correct."
    ),
)


LOAD_ROWS_MISSING = Cause(
    "load_rows_missing",
    gettext_noop("Rows of this load are no longer in shop All: %(rows)s."),
    gettext_noop(
        "Nothing was changed. They were purged, or deleted by hand, so their values are lost. Load "
        "a file with the opposite amounts."
    ),
)


# The staging table has a unique index over values alone.
ROWS_NOT_REPEATABLE = Cause(
    "rows_not_repeatable",
    gettext_noop(
        "The staging table %(table)s takes no second row with the same values: its index "
        "%(index)s forbids it."
    ),
    gettext_noop(
        "Nothing was changed. With this index rejected rows can't be corrected, loads not taken "
        "back, and changed rows not sent again. Let the owner of the table drop the index, or make "
        "the column id a part of it."
    ),
)


CHANGES_MOVED = Cause(
    "changes_moved",
    gettext_noop("Some of these rows were changed again, or are decided by now: %(rows)s."),
    gettext_noop("Nothing was sent. Look at the list again, and decide on what it shows now."),
)


CHANGE_NOT_SENDABLE = Cause(
    "change_not_sendable",
    gettext_noop("The changed values of some of these rows can't be sent: %(rows)s."),
    gettext_noop(
        "Nothing was sent. The list says of each row why. Leave these out, or decide that the "
        "bonus servers keep what they have."
    ),
)

CORRECTION_UNCONFIRMED = Cause(
    "correction_unconfirmed",
    gettext_noop(
        "The connection to shop All broke while the correction was being saved. We do not know yet "
        "whether it was saved."
    ),
    gettext_noop(
        "So the rows are still open. If the correction was saved, the next run applies it and "
        "closes them. If they are open after that run, it was not saved: correct them again."
    ),
    maybe_done=True,
)
