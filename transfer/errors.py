"""What can go wrong, each with a stable code, one sentence and one hint.

The sentences are message ids of the translation catalogue. `text.explain` translates them; a run
saves the code and the parameters.
"""

import re
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from transfer.parties import SHOP_ALL, Kind, Party, as_subject, gettext_noop

MAIL_HINT = gettext_noop(
    "Ask the administrator to check EMAIL_HOST and EMAIL_PORT. The message is sent again "
    "automatically."
)
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


class Params(dict[str, str]):
    """Parameters of a sentence; one that an earlier version did not save is a dash."""

    def __missing__(self, name: str) -> str:
        return "—"


class TransferError(Exception):
    """A transfer, or a command beside it, can't go on.

    `party` is the program or database that failed: `%(party)s` in the sentence. What to do may
    depend on its kind (`hints`). `former` are the codes that earlier versions saved for the same
    cause, each with the kind of its party.
    """

    code: ClassVar[str] = "unexpected"
    sentence: ClassVar[str] = gettext_noop("An unexpected error stopped the transfer.")
    hint: str = gettext_noop(
        "Nothing was half done: the step was rolled back. Run it again. If it fails again, send "
        "the technical text to your support."
    )
    hints: ClassVar[dict[Kind, str]] = {}
    former: ClassVar[dict[str, Kind]] = {}
    # The request may have been carried out, though no good answer came.
    maybe_done: ClassVar[bool] = False
    # The next request to the same party would fail, too.
    concerns_all: ClassVar[bool] = True
    by_code: ClassVar[dict[str, type["TransferError"]]] = {}

    def __init_subclass__(cls) -> None:
        for code in (cls.code, *cls.__dict__.get("former", {})):
            TransferError.by_code[code] = cls

    def __init__(self, technical: str = "", *, party: Party | None = None, **params: object):
        """`params` fill the sentence and the hint; `technical` is for the folded text.

        Both are cut off at LONGEST and made printable: they quote what a database outside says.
        """
        self.technical = printable(technical[:LONGEST])
        self.party = party
        self.params = {name: printable(str(value)[:LONGEST]) for name, value in params.items()}
        named = Params(self.params)
        if party is not None:
            self.hint = self.hints.get(party.kind, self.hint)
            named["party"] = as_subject(party.phrase, printable(party.name), self.sentence)
            self.params["party"] = printable(party.saved)
        super().__init__(self.sentence % named)

    @classmethod
    def saved(cls, code: str, params: Mapping[str, str]) -> "TransferError":
        """An error that was saved, also by an earlier version. An unknown code is unexpected."""
        error = TransferError.by_code.get(code, TransferError)
        others = {name: value for name, value in params.items() if name != "party"}
        return error(party=_party_saved(error, code, params), **others)

    def __reduce__(self) -> tuple[Any, ...]:
        """So that one process can pass it to another: BaseException knows the sentence alone."""
        others = {name: value for name, value in self.params.items() if name != "party"}
        return partial(type(self), self.technical, party=self.party, **others), ()


def _party_saved(error: type[TransferError], code: str, params: Mapping[str, str]) -> Party | None:
    """The party of a saved error. Earlier versions saved its name under other names."""
    if "party" in params:
        try:
            return Party.read(params["party"])
        except ValueError:  # a newer version saved it
            return None
    if "%(party)s" not in error.sentence:
        return None
    if params.get("database") == "shop All":
        return SHOP_ALL
    name = next((params[one] for one in ("database", "server", "host") if one in params), "")
    kind = error.former.get(code, Kind.SERVER if "server" in params else Kind.DATABASE)
    if kind == Kind.DATABASE and not name:
        kind = Kind.SOME_DATABASE
    return Party(kind, name)


class Unreachable(TransferError):
    code = "unreachable"
    former: ClassVar[dict[str, Kind]] = {"api_no_route": Kind.SERVER}
    sentence = gettext_noop("%(party)s does not answer: %(reason)s.")
    hint = gettext_noop(
        "Check that the server is up and that this machine may connect. Nothing is lost: the rows "
        "wait, and the next run moves them."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop("Check the host, the network in between, and its firewall."),
        Kind.MAIL: MAIL_HINT,
    }


class HostUnknown(Unreachable):
    code = "host_unknown"
    former: ClassVar[dict[str, Kind]] = {
        "database_host_unknown": Kind.DATABASE,
        "api_host_unknown": Kind.SERVER,
    }
    sentence = gettext_noop(
        "%(party)s does not answer: the name %(host)s is not known in this network."
    )
    hint = gettext_noop(
        "Check the spelling of the host, or enter its IP address. Is the name server of this "
        "machine reachable?"
    )
    hints: ClassVar[dict[Kind, str]] = {Kind.MAIL: MAIL_HINT}


class PortClosed(Unreachable):
    code = "port_closed"
    former: ClassVar[dict[str, Kind]] = {
        "database_port_closed": Kind.DATABASE,
        "api_port_closed": Kind.SERVER,
    }
    sentence = gettext_noop(
        "%(party)s does not answer: nothing listens at %(host)s, port %(port)s."
    )
    hint = gettext_noop(
        "Is PostgreSQL started there, does it listen for other machines (listen_addresses), and "
        "is this the right port? Nothing is lost: the rows wait."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "The machine is up. Is the bonus server started, and is this the right port?"
        ),
        Kind.MAIL: MAIL_HINT,
    }


class HostSilent(Unreachable):
    code = "host_silent"
    former: ClassVar[dict[str, Kind]] = {
        "database_silent": Kind.DATABASE,
        "api_host_silent": Kind.SERVER,
    }
    sentence = gettext_noop(
        "%(party)s does not answer: no connection to %(host)s, port %(port)s, within %(seconds)s s."
    )
    hint = gettext_noop(
        "Is the machine up, and does a firewall drop the connection? Nothing is lost: the rows "
        "wait."
    )
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SERVER: gettext_noop(
            "The machine is switched off, or a firewall drops the connection. Check the host, and "
            "that this machine may connect to that port."
        ),
        Kind.MAIL: MAIL_HINT,
    }


def from_socket(
    error: OSError | UnicodeError, party: Party, host: str, port: int, seconds: float
) -> Unreachable:
    """Why no connection to the port could be opened within `seconds`."""
    kind: type[Unreachable] = Unreachable
    if isinstance(error, socket.gaierror | UnicodeError):
        kind = HostUnknown
    elif isinstance(error, ConnectionRefusedError):
        kind = PortClosed
    elif isinstance(error, TimeoutError):
        kind = HostSilent
    reason = getattr(error, "strerror", None) or str(error)
    where = {"host": host, "port": port, "seconds": f"{seconds:g}", "reason": reason}
    return kind(str(error), party=party, **where)


class DatabaseMissing(Unreachable):
    code = "database_missing"
    sentence = gettext_noop("%(party)s does not exist: %(host)s has no database %(name)s.")
    hint = gettext_noop(
        "Check the name of the database; capital letters count. Nothing is lost: the rows wait."
    )


class LoginRefused(Unreachable):
    code = "login_refused"
    sentence = gettext_noop("%(party)s refuses the log-in of the user %(user)s.")
    hint = gettext_noop(
        "Check user and password. The database's pg_hba.conf also has to let this machine in. "
        "Nothing is lost: the rows wait."
    )


class WeakLogin(Unreachable):
    code = "weak_login"
    sentence = gettext_noop(
        "%(party)s at %(host)s asks for the password in a way in which it could be read or "
        "guessed, so it was not sent."
    )
    hint = gettext_noop(
        "Have its administrator set password_encryption = scram-sha-256, set the password of "
        "%(user)s again and enter scram-sha-256 in pg_hba.conf. Or allow the weaker way: in the "
        "settings of the bonus server, or by ?require_auth=md5 in the URL of the database."
    )


class ConnectionLost(TransferError):
    code = "connection_lost"
    former: ClassVar[dict[str, Kind]] = {
        "api_cut_off": Kind.SERVER,
        "own_database_failed": Kind.OWN,
    }
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
    former: ClassVar[dict[str, Kind]] = {}
    sentence = gettext_noop(
        "%(party)s stopped answering: it accepted our log-in, and then gave no answer within "
        "%(seconds)s s."
    )
    hint = gettext_noop(
        "The connection was closed, and the step rolled back. Check the server, and the firewall "
        "or proxy before it. The next run continues where this one stopped."
    )
    hints: ClassVar[dict[Kind, str]] = {}


class QueryFailed(TransferError):
    code = "query_failed"
    sentence = gettext_noop("%(party)s refused a statement: %(reason)s.")
    hint = gettext_noop(
        "The step was rolled back. Often a right is missing, or somebody changed a table; the "
        "technical text names it."
    )


class TooSlow(TransferError):
    code = "too_slow"
    former: ClassVar[dict[str, Kind]] = {
        "api_too_slow": Kind.SERVER,
        "test_too_slow": Kind.CHECK,
    }
    sentence = gettext_noop("%(party)s did not answer in time: %(reason)s.")
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


class IsReplica(TransferError):
    code = "standby_as_source"
    former: ClassVar[dict[str, Kind]] = {"standby_as_source": Kind.SHOP_ALL}
    sentence = gettext_noop("%(party)s is a replica, which can only be read.")
    hint = gettext_noop("Name the primary server instead.")
    hints: ClassVar[dict[Kind, str]] = {
        Kind.SHOP_ALL: gettext_noop(
            "A replica shows commits in another order and may lag, so rows could be lost. Let "
            "SHOP_ALL_DATABASE_URL name the primary server."
        ),
    }


class FileRefused(TransferError):
    """The file can't be read. Nothing of it is loaded."""

    code = "file_refused"
    sentence = gettext_noop("The file can't be read.")
    hint = gettext_noop("Save it as XLSX, or as CSV in UTF-8, and upload it again.")


class QueueStuck(TransferError):
    code = "queue_stuck"
    sentence = gettext_noop("Jobs have waited in the queue since %(since)s.")
    hint = gettext_noop("No worker takes them, or all are busy. Start one: manage.py db_worker")
