"""What can go wrong, each with a stable code, one sentence and one hint.

The sentences are message ids of the translation catalogue: `words.explain` says them in the
user's language, from the code and the parameters that a run keeps.
"""

import re
from functools import partial
from typing import Any, ClassVar


def gettext_noop(text: str) -> str:
    """Marks `text` for the translation catalogue."""
    return text


LONGEST = 10_000  # characters of a text that a database or a server has written

# What a terminal would obey, or a reader would not see: control characters but the line break,
# marks without a width or that turn the direction of text, half characters.
UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""The text with each unprintable character as its number: "\u001b". Line breaks stay."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """The same, with line breaks as their number: a name can't begin a line of its own."""
    return printable(text).replace("\n", "\\u000a")


class TransferError(Exception):
    """A transfer, or a command beside it, can't go on."""

    code: ClassVar[str] = "unexpected"
    sentence: ClassVar[str] = gettext_noop("An unexpected error stopped the transfer.")
    hint: ClassVar[str] = gettext_noop(
        "Nothing was half done: the step was rolled back. Run it again; if it fails again, pass "
        "the technical text on."
    )
    by_code: ClassVar[dict[str, type["TransferError"]]] = {}

    def __init_subclass__(cls) -> None:
        TransferError.by_code[cls.code] = cls

    def __init__(self, technical: str = "", **params: object) -> None:
        """`params` fill the sentence and the hint; `technical` is for the folded text.

        Both are cut off at LONGEST and made printable: they quote what a database outside says.
        """
        self.technical = printable(technical[:LONGEST])
        self.params = {name: printable(str(value)[:LONGEST]) for name, value in params.items()}
        super().__init__(self.sentence % self.params)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that one process can tell another: BaseException knows the sentence alone."""
        return partial(type(self), self.technical, **self.params), ()


class Unreachable(TransferError):
    code = "unreachable"
    sentence = gettext_noop("%(database)s does not answer: %(reason)s.")
    hint = gettext_noop(
        "Check that the server is up and that this machine may connect. Nothing is lost: the rows "
        "wait, and the next run moves them."
    )


class DatabaseHostUnknown(Unreachable):
    code = "database_host_unknown"
    sentence = gettext_noop(
        "%(database)s does not answer: the name %(host)s is not known in this network."
    )
    hint = gettext_noop(
        "Check the spelling of the host, or enter its IP address. Is the name server of this "
        "machine reachable?"
    )


class DatabasePortClosed(Unreachable):
    code = "database_port_closed"
    sentence = gettext_noop(
        "%(database)s does not answer: nothing listens at %(host)s, port %(port)s."
    )
    hint = gettext_noop(
        "Is PostgreSQL started there, does it listen for other machines (listen_addresses), and "
        "is this the right port? Nothing is lost: the rows wait."
    )


class DatabaseSilent(Unreachable):
    code = "database_silent"
    sentence = gettext_noop(
        "%(database)s does not answer: no connection to %(host)s, port %(port)s, within "
        "%(seconds)s s."
    )
    hint = gettext_noop(
        "Is the machine up, and does no firewall stand between? Nothing is lost: the rows wait."
    )


class DatabaseMissing(Unreachable):
    code = "database_missing"
    sentence = gettext_noop("%(database)s: there is no database %(name)s on %(host)s.")
    hint = gettext_noop(
        "Check the name of the database; capital letters count. Nothing is lost: the rows wait."
    )


class LoginRefused(Unreachable):
    code = "login_refused"
    sentence = gettext_noop("%(database)s refuses the log-in of the user %(user)s.")
    hint = gettext_noop(
        "Check user and password. The database's pg_hba.conf also has to let this machine in. "
        "Nothing is lost: the rows wait."
    )


class WeakLogin(Unreachable):
    code = "weak_login"
    sentence = gettext_noop(
        "%(database)s at %(host)s asks for the password in a way in which it could be read or "
        "guessed, so it was not sent."
    )
    hint = gettext_noop(
        "Have its administrator set password_encryption = scram-sha-256, set the password of "
        "%(user)s anew and enter scram-sha-256 in pg_hba.conf. Or allow the weaker way: in the "
        "settings of the bonus server, or by ?require_auth=md5 in the URL of the database."
    )


class ConnectionLost(TransferError):
    code = "connection_lost"
    sentence = gettext_noop("The connection to %(database)s broke off.")
    hint = gettext_noop(
        "The step under way was rolled back. The next run goes on where this one stopped."
    )


class AnswerOverdue(ConnectionLost):
    code = "answer_overdue"
    sentence = gettext_noop(
        "%(database)s stopped answering: it let us log in, and then gave no answer within "
        "%(seconds)s s."
    )
    hint = gettext_noop(
        "The connection was closed, and the step rolled back. Check the server, and the firewall "
        "or proxy before it. The next run goes on where this one stopped."
    )


class QueryFailed(TransferError):
    code = "query_failed"
    sentence = gettext_noop("%(database)s refused a statement: %(reason)s.")
    hint = gettext_noop(
        "The step was rolled back. Often a right is missing, or somebody changed a table; the "
        "technical text names it."
    )


class TooSlow(TransferError):
    code = "too_slow"
    sentence = gettext_noop("%(database)s did not finish a statement in time: %(reason)s.")
    hint = gettext_noop(
        "The step was rolled back. Look for a lock held for long, a slow trigger or an overloaded "
        "server. A transfer tries smaller steps by itself, down to one row."
    )


class AnswerInvalid(TransferError):
    code = "answer_invalid"
    sentence = gettext_noop(
        "The answer of %(database)s cannot be right: %(what)s. Data Transfer has never written "
        "this there."
    )
    hint = gettext_noop(
        "Nothing was moved. Somebody has changed a table of the schema datatransfer in that "
        "database, or its triggers, rules or types: ask its administrator. Servers that do not "
        "need this table go on."
    )


class AlreadyRunning(TransferError):
    code = "already_running"
    sentence = gettext_noop("This transfer is already running: %(holder)s.")
    hint = gettext_noop("Wait for it to finish. Two at once would not move anything twice.")


class Difference(TransferError):
    code = "difference"
    sentence = gettext_noop("What was staged is not what was moved: %(tasks)s.")
    hint = gettext_noop(
        "Rows are missing, or there are too many. The server's page says how many and by what sum; "
        "somebody may have removed staged rows, or changed the position. Look before the next run."
    )


class OwnDatabaseFailed(TransferError):
    code = "own_database_failed"
    sentence = gettext_noop("Data Transfer's own database broke off.")
    hint = gettext_noop(
        "What was under way was rolled back. The next attempt goes on where this one stopped."
    )


class RunTakenOver(TransferError):
    code = "run_taken_over"
    sentence = gettext_noop("The run was closed from outside while it went on.")
    hint = gettext_noop(
        "Its connection to the own database had broken, so it was taken for dead. What it moved "
        "is counted; the next run goes on from there."
    )


class StillQueued(TransferError):
    code = "still_queued"
    sentence = gettext_noop("The run before it still waits in the queue, since %(since)s.")
    hint = gettext_noop(
        "Nothing is lost: the run that waits moves all rows. If this happens often, start more "
        "workers (manage.py db_worker) or run this task less often."
    )


class FileRefused(TransferError):
    """The file can't be read. Nothing of it is loaded."""

    code = "file_refused"
    sentence = gettext_noop("The file can't be read.")
    hint = gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again.")


class QueueStuck(TransferError):
    code = "queue_stuck"
    sentence = gettext_noop("Jobs have waited in the queue since %(since)s.")
    hint = gettext_noop("No worker takes them, or all are busy. Start one: manage.py db_worker")
