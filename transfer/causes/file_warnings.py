"""What a preview of a file warns of. The lines can be loaded all the same."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

ZEROS_LOST = Cause(
    "zeros_lost",
    gettext_noop(
        "“%(column)s” has shorter numbers than usual, of %(shortest)s digits instead of "
        "%(usual)s. Lines: %(n)s. Has Excel taken leading zeros away?"
    ),
)

NUMBERS = Cause(
    "numbers",
    gettext_noop(
        "“%(column)s” is formatted as a number in the workbook: Excel takes leading zeros away "
        "there. Format the column as text."
    ),
)

REPEATED = Cause(
    "repeated",
    gettext_noop(
        "Lines that say exactly the same as another line of the file: %(n)s. They are loaded as "
        "well."
    ),
)

NEW_ROWS = Cause(
    "new_rows",
    gettext_noop(
        "Lines that name no rejected row: %(n)s. They are loaded as new rows, and close none."
    ),
)

IGNORED = Cause(
    "ignored",
    gettext_noop("Columns that are not loaded: %(columns)s."),
)

TOTALS_LEFT_OUT = Cause(
    "totals_left_out",
    gettext_noop("Lines with totals that are left out: %(n)s."),
)

TOTAL_DIFFERS = Cause(
    "total_differs",
    gettext_noop(
        "The total in the file is %(stated)s, but its lines that can be loaded add up to %(found)s."
    ),
)

BELOW_ZERO = Cause(
    "below_zero",
    gettext_noop(
        "Accounts whose balance would go below zero on %(server)s: %(n)s, for example %(accounts)s."
    ),
)

BALANCES_UNKNOWN = Cause(
    "balances_unknown",
    gettext_noop(
        "Whether balances would go below zero on %(server)s is not known: it did not answer."
    ),
)

BALANCES_NOT_COMPARED = Cause(
    "balances_not_compared",
    gettext_noop(
        "Whether balances would go below zero was not checked: that is done for up to %(lines)s "
        "lines and %(servers)s servers."
    ),
)

LARGE_AMOUNTS = Cause(
    "large_amounts",
    gettext_noop(
        "Lines with a larger amount than usual (above %(limit)s): %(n)s. See whether they are "
        "right."
    ),
)

TAKEN_BACK_AND_LOST = Cause(
    "taken_back_and_lost",
    gettext_noop(
        "A load of the same rows was taken back, and shop All has lost both by a restore. This one "
        "counts as a new load: each bonus server gets its rows."
    ),
)

LAST_WINS = Cause(
    "last_wins",
    gettext_noop("Some accounts or cards occur more than once: the last line wins."),
)

# Only mentioned: nobody has to look before the lines are loaded.
HARMLESS = frozenset(
    cause.code
    for cause in (IGNORED, TOTALS_LEFT_OUT, LAST_WINS, BALANCES_NOT_COMPARED, BALANCES_UNKNOWN)
)
