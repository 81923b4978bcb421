"""Refusals of the API that do not depend on the operation: of the key, the address, the body."""

from transfer.causes.cause import Cause
from transfer.parties import gettext_noop

NOT_FOUND = Cause(
    "not_found",
    gettext_noop("There is nothing at this address."),
    status=404,
)

ROW_NOT_FOUND = Cause(
    "row_not_found",
    gettext_noop("Shop All has no such row: it was never staged, or is purged."),
    status=404,
)

RUN_IS_OPEN = Cause(
    "run_is_open", gettext_noop("The task has an open run already: № %(run)s."), status=409
)

CHANGED_MEANWHILE = Cause(
    "changed_meanwhile",
    gettext_noop("The task has been changed since: its version is %(version)s."),
    gettext_noop("Read the task again, and decide again."),
    status=409,
)

# Says the same of a missing, unknown, expired and revoked key.
NO_KEY = Cause(
    "no_key",
    gettext_noop("The call has no valid API key."),
    gettext_noop(
        "Send the header “Authorization: Bearer KEY”. An administrator makes keys, and sees there "
        "whether a key is expired or revoked."
    ),
    status=401,
)

TOO_MANY_CALLS = Cause(
    "too_many_calls",
    gettext_noop("The key has used up its %(limit)s calls for this minute."),
    gettext_noop("Wait until the minute ends: the header Retry-After says how many seconds."),
    status=429,
)

SCOPE_MISSING = Cause(
    "scope_missing",
    gettext_noop("The key does not allow this: “%(scope)s”."),
    gettext_noop("Use a key that allows it; an administrator can make one."),
    status=403,
)

METHOD = Cause("method", gettext_noop("This address takes %(methods)s only."), status=405)

NO_LENGTH = Cause(
    "no_length",
    gettext_noop("The call does not say how long its body is."),
    gettext_noop("Send the header Content-Length, and the body in one piece instead of in chunks."),
    status=411,
)

CONTENT_TYPE = Cause(
    "content_type",
    gettext_noop("The body must be application/json or text/csv."),
    gettext_noop("Set the header Content-Type."),
    status=415,
)

CHARSET = Cause(
    "charset",
    gettext_noop("The charset of the header Content-Type is not known."),
    gettext_noop(
        "Use utf-8, windows-1251, cp866 or utf-16; without one, the encoding is detected."
    ),
    status=415,
)

IDEMPOTENCY_KEY = Cause(
    "idempotency_key",
    gettext_noop("The header Idempotency-Key must be 8 to 200 visible ASCII characters long."),
    gettext_noop("Make one for each load, best a UUID, and repeat a call with the same one."),
    status=400,
)

BODY_TOO_LARGE = Cause(
    "body_too_large",
    gettext_noop("The body is larger than %(most)s MB."),
    gettext_noop("Split it into several calls."),
    status=413,
)

TOO_LARGE = Cause("too_large", gettext_noop("The call is too large."), status=413)

BUSY_READING = Cause(
    "busy_reading",
    gettext_noop("Too many calls are being received at this moment: of all programs, or of yours."),
    gettext_noop(
        "Make the same call again later: the header Retry-After says in how many seconds."
    ),
    status=503,
)

CUT_OFF = Cause(
    "cut_off",
    gettext_noop("The body ended before its length was reached, so nothing was loaded."),
    gettext_noop("Make the same call again."),
    status=400,
)

BODY_TOO_SLOW = Cause(
    "body_too_slow",
    gettext_noop("The body came too slowly, so nothing was done."),
    gettext_noop("Make the same call again, over a faster connection or in smaller parts."),
    status=408,
)

UNREADABLE = Cause(
    "unreadable", gettext_noop("The body of the call is not valid JSON."), status=400
)

INVALID = Cause("invalid", gettext_noop("Fields of the call are missing or wrong."), status=422)

OWN_DATABASE = Cause(
    "own_database",
    gettext_noop("The database of Data Transfer does not answer."),
    gettext_noop("Make the same call again later."),
    status=503,
)

# An error that is logged under the number of the request.
UNEXPECTED_ERROR = Cause(
    "unexpected_error",
    gettext_noop("An unexpected error."),
    gettext_noop("The header X-Request-ID has the number under which the log names it."),
    status=500,
)
