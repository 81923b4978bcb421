"""Rows that need a second person."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

SECOND_PERSON_NEEDS_NAME = Cause(
    "second_person_needs_name",
    gettext_noop("These rows need a second person, so the first one has to have a name."),
    gettext_noop(
        "Nothing was loaded. Name the user who loads them: --by NAME. They then wait until another "
        "user approves them on the pages."
    ),
)


APPROVED_ROWS_DIFFER = Cause(
    "approved_rows_differ",
    gettext_noop("The rows are not those that were approved: something has changed since."),
    gettext_noop(
        "Nothing was loaded. The same rows may have been loaded or corrected meanwhile. Look where "
        "they are, and enter them once more if they still lack."
    ),
    status=409,
)


LOADER_MAY_NOT = Cause(
    "loader_may_not",
    gettext_noop("%(who)s may not load such rows any more."),
    gettext_noop("Nothing was loaded. Somebody who may load them has to enter them."),
    status=409,
)


PERSON_BUSY = Cause(
    "person_busy",
    gettext_noop("Other rows of %(who)s are being loaded at this moment."),
    gettext_noop(
        "Nothing was loaded. There is a limit of a day, so one load after the other is counted. "
        "Try again."
    ),
)


CALL_NOT_APPROVED = Cause(
    "call_not_approved",
    gettext_noop("A second person has not approved these rows."),
    gettext_noop(
        "Nothing was loaded, and nothing is if the call is repeated. GET loads/ID says why. To ask "
        "once more, use another Idempotency-Key."
    ),
    status=409,
)
