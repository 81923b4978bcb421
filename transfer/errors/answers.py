"""A program or database that was reached, and then failed or refused."""

from typing import ClassVar

from transfer.errors.base import TransferError
from transfer.parties import Kind, gettext_noop


class ConnectionLost(TransferError):
    code = "connection_lost"
    sentence = gettext_noop("%(party)s: the connection was lost.")
    hint = gettext_noop(
        "The current step was rolled back. The next run continues where this one stopped."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "It closed the connection before it answered: it was restarted, or it crashed. Try "
            "again. If it happens again, look at its log. Does it expect HTTPS on this port?"
        ),
    }
    maybe_done = True


class AnswerOverdue(ConnectionLost):
    code = "answer_overdue"
    sentence = gettext_noop(
        "%(party)s stopped answering: it accepted our log-in, and then gave no answer within "
        "%(seconds)s s."
    )
    hint = gettext_noop(
        "The connection was closed, and the step rolled back. Check the server, and the firewall "
        "or proxy before it. The next run continues where this one stopped."
    )
    hints: ClassVar[dict[Kind, str]] = {}


class AnswerTooLarge(ConnectionLost):
    code = "answer_too_large"
    former: ClassVar[dict[str, Kind]] = {}
    sentence = gettext_noop(
        "%(party)s answered one question with more than %(megabytes)s MB, messages included."
    )
    hint = gettext_noop(
        "The connection was closed, and the step rolled back. Ask its administrator who replaced "
        "a table of the schema datatransfer by a view, stored a huge value, or wrote a trigger "
        "that sends messages."
    )
    hints: ClassVar[dict[Kind, str]] = {}


class QueryFailed(TransferError):
    code = "query_failed"
    sentence = gettext_noop("%(party)s refused a statement.")
    hint = gettext_noop(
        "The step was rolled back. Often a right is missing, or somebody changed a table; the "
        "technical text names it."
    )


class TooSlow(TransferError):
    code = "too_slow"
    sentence = gettext_noop("%(party)s did not answer in time.")
    hint = gettext_noop(
        "The step was rolled back. Look for a lock held for long, a slow trigger or an overloaded "
        "server. A transfer tries smaller steps automatically, down to one row."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "It accepts connections, but it is overloaded, hangs, or is not a bonus server. Look "
            "at its log, or restart it."
        ),
        Kind.CHECK: gettext_noop(
            "Something in between accepts the connection and does not pass it on: a firewall, a "
            "proxy, or an overloaded server."
        ),
    }
    maybe_done = True


class AnswerInvalid(TransferError):
    code = "answer_invalid"
    sentence = gettext_noop(
        "%(party)s gave an impossible answer: %(what)s. Data Transfer has never written this there."
    )
    hint = gettext_noop(
        "Nothing was moved. A table of the schema datatransfer in that database, or its triggers, "
        "rules or types, were changed: ask its administrator. Servers that do not need this table "
        "continue."
    )


class TooManyRows(TransferError):
    code = "too_many_rows"
    sentence = gettext_noop(
        "%(party)s answered one question with more than %(rows)s rows. Data Transfer has never "
        "written so many there."
    )
    hint = gettext_noop(
        "Nothing was moved. Ask its administrator who changed a table of the schema datatransfer "
        "in that database, or replaced it by a view. Servers that do not need this table continue."
    )


class IsReplica(TransferError):
    code = "standby_as_source"
    sentence = gettext_noop("%(party)s is a replica, which can only be read.")
    hint = gettext_noop("Name the primary server instead.")
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SHOP_ALL: gettext_noop(
            "A replica shows commits in another order and may lag, so rows could be lost. Let "
            "SHOP_ALL_DATABASE_URL name the primary server."
        ),
    }
