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

LINK_UNKNOWN = Cause(
    "link_unknown",
    gettext_noop("This link is not one of ours, or it is cut off."),
    gettext_noop("Open the link of the message anew, or log in."),
    status=404,
)

LINK_EXPIRED = Cause(
    "link_expired",
    gettext_noop("This link has expired: it holds for an hour."),
    gettext_noop("Log in to take the problem."),
    status=410,
)

LINK_USED = Cause(
    "link_used",
    gettext_noop("This link has been used already: it works once."),
    gettext_noop("Log in to see who looks after the problem."),
    status=410,
)

LINK_OF_NOBODY = Cause(
    "link_of_nobody",
    gettext_noop("This link was sent to a recipient who is not notified any more."),
    gettext_noop("Log in to take the problem."),
    status=410,
)
