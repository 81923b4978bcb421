"""Errors of PostgreSQL and psycopg2 as our own."""

import psycopg2
from psycopg2 import errors

from transfer.causes.connections import (
    ANSWER_OVERDUE,
    ANSWER_TOO_LARGE,
    CONNECTION_LOST,
    QUERY_FAILED,
    TOO_SLOW,
)
from transfer.engine.postgres.answer_size import ANSWER_BYTES, AnswerTooBig
from transfer.engine.postgres.connect import first_line
from transfer.engine.postgres.deadline import Overdue
from transfer.errors import ConnectionLost, QueryFailed, TooSlow, TransferError
from transfer.parties import Party

# psycopg2's words when a COPY breaks with its connection; none of them is a class of its own.
BROKEN_COPY = ("invalid socket", "no COPY in progress", "PGRES_COPY", "unexpected message")


def in_our_words(error: psycopg2.Error, party: Party, *, secret: bool) -> TransferError:
    """A ConnectionLost, ANSWER_OVERDUE, ANSWER_TOO_LARGE, TooSlow or QueryFailed of the database
    `party`.

    PostgreSQL quotes values in the details, which are never taken over; with `secret`, not even
    the message is.
    """
    condition = type(error).__name__
    message = "" if secret else error.diag.message_primary or first_line(error)
    technical = " ".join(filter(None, [error.pgcode, condition, message]))
    if isinstance(error, AnswerTooBig):
        return ConnectionLost(
            ANSWER_TOO_LARGE, technical, party=party, megabytes=f"{ANSWER_BYTES >> 20}"
        )
    if isinstance(error, Overdue):
        return ConnectionLost(
            ANSWER_OVERDUE, technical, party=party, seconds=f"{error.seconds:.3g}"
        )
    if isinstance(error, errors.QueryCanceled | errors.LockNotAvailable):
        return TooSlow(TOO_SLOW, technical, party=party, reason=message or condition)
    if is_broken(error):
        return ConnectionLost(CONNECTION_LOST, technical, party=party)
    return QueryFailed(QUERY_FAILED, technical, party=party, reason=message or condition)


def is_broken(error: psycopg2.Error) -> bool:
    """Whether the connection is gone, not merely the statement refused."""
    if error.pgcode is None:
        return isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError) or any(
            words in str(error) for words in BROKEN_COPY
        )
    # Class 08: connection exceptions. 57P0x: shut down by an administrator or a crash.
    return error.pgcode.startswith(("08", "57P0"))
