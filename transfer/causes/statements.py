"""Statements for accountants."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

KEY_NOT_NAMED = Cause(
    "key_not_named",
    gettext_noop("No key is named that signs statements."),
    gettext_noop(
        "Nothing was made. Make one with manage.py statement --new-key FILE, and name the file in "
        "the env file: STATEMENT_KEY=FILE"
    ),
    status=409,
)


KEY_OPEN = Cause(
    "key_open",
    gettext_noop(
        "Others may read the key that signs statements: %(file)s has the rights %(mode)s."
    ),
    gettext_noop(
        "Nothing was made. Who has the key can sign in your name. Make a new one with manage.py "
        "statement --new-key FILE, unless only you were on this machine; then chmod 600 is enough."
    ),
    status=409,
)


KEY_INVALID = Cause(
    "key_invalid",
    gettext_noop("%(file)s can’t be read as an Ed25519 key in a PEM file."),
    gettext_noop("Nothing was made. Make one with manage.py statement --new-key FILE"),
    status=409,
)


PERIOD_TURNED_ROUND = Cause(
    "period_turned_round",
    gettext_noop("The period ends on %(last)s, before it begins on %(first)s."),
    gettext_noop("Exchange the two days."),
    status=409,
)


PERIOD_NOT_OVER = Cause(
    "period_not_over",
    gettext_noop("The period is not over: its last day is %(last)s."),
    gettext_noop("End it on %(day)s at the latest."),
    status=409,
)


PERIOD_BEFORE_FIRST_LINE = Cause(
    "period_before_first_line",
    gettext_noop("Nothing was staged before %(day)s, when the log of shop All begins."),
    gettext_noop("Nothing was made. Choose a period that ends on that day, or later."),
    status=409,
)


STATEMENT_OF_ANOTHER = Cause(
    "statement_of_another",
    gettext_noop("The statement was made by another installation: %(installation)s."),
    gettext_noop(
        "Compare it with the databases where it was made. Without --against it is checked here."
    ),
    status=409,
)


STATEMENT_UNREADABLE = Cause(
    "statement_unreadable",
    gettext_noop("%(file)s can’t be read."),
    gettext_noop("Name the JSON file of a statement, as it was downloaded."),
    status=409,
)
