"""Why a problem can't be taken, given back or muted."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

PROBLEM_ENDED = Cause(
    "problem_ended",
    gettext_noop("This problem has ended, since %(since)s."),
    status=409,
)

PROBLEM_TAKEN = Cause(
    "problem_taken",
    gettext_noop("%(who)s has taken this problem, since %(since)s."),
    gettext_noop("Take it over if you look after it from now on."),
    status=409,
)

PROBLEM_NOT_TAKEN = Cause(
    "problem_not_taken",
    gettext_noop("Nobody has taken this problem, so it can’t be given back."),
    status=409,
)

PROBLEM_NOT_MUTED = Cause(
    "problem_not_muted",
    gettext_noop("This problem is not muted."),
    status=409,
)
