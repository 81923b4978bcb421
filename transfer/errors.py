"""The errors that code raises: each has a cause of the catalogue and its parameters.

A class of its own has only what some caller catches by type. Docstrings name what a function raises
by class, or by cause, in capitals.
"""

import re
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from transfer.causes.cause import Cause
from transfer.causes.connections import HOST_SILENT, HOST_UNKNOWN, PORT_CLOSED, UNREACHABLE
from transfer.parties import Party, as_subject

# What a terminal would obey, or a reader would not see: control characters but the line break,
# marks without a width or that turn the direction of text, half characters.
UNPRINTABLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
LONGEST = 10_000  # characters of a text that a database or a server has written


def printable(text: str) -> str:
    r"""The text with each unprintable character as its number: "\u001b". Line breaks stay."""
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """Likewise, with line breaks escaped: a name can't begin a new line."""
    return printable(text).replace("\n", "\\u000a")


class Params(dict[str, str]):
    """Parameters of a sentence; one that was not saved is a dash."""

    def __missing__(self, name: str) -> str:
        return "—"


class TransferError(Exception):
    """A transfer, or a command beside it, can't go on.

    `party` is the program or database that failed: `%(party)s` in the sentence. What to do may
    depend on its kind.
    """

    def __init__(
        self, cause: Cause, technical: str = "", *, party: Party | None = None, **params: object
    ):
        """`params` fill the sentence and the hint; `technical` is for the folded text.

        Both are cut off at LONGEST and made printable: they quote what a database outside says.
        """
        self.cause = cause
        self.technical = printable(technical[:LONGEST])
        self.party = party
        self.params = {name: printable(str(value)[:LONGEST]) for name, value in params.items()}
        named = Params(self.params)
        if party is not None:
            named["party"] = as_subject(party.phrase, printable(party.name), cause.sentence)
            self.params["party"] = printable(party.saved)
        super().__init__(cause.sentence % named)

    @property
    def code(self) -> str:
        return self.cause.code

    def __reduce__(self) -> tuple[Any, ...]:
        """Return how pickle makes it again: the cache, which all web processes share, has some."""
        return _made_again, (type(self), self.cause, self.technical, self.party, self.params)


def _made_again(
    kind: type[TransferError],
    cause: Cause,
    technical: str,
    party: Party | None,
    params: Mapping[str, str],
) -> TransferError:
    others = {name: value for name, value in params.items() if name != "party"}
    return kind(cause, technical, party=party, **others)


# Of connections.


class Unreachable(TransferError):
    """No connection to a program or database could be opened."""


class ConnectionLost(TransferError):
    """A connection ended before the answer came, or was closed for what came."""


class QueryFailed(TransferError):
    """A database refused a statement."""


class TooSlow(TransferError):
    """A program or database did not answer in time."""


def from_socket(
    error: OSError | UnicodeError, party: Party, host: str, port: int, seconds: float
) -> Unreachable:
    """Return why no connection to the port could be opened within `seconds`."""
    reason = getattr(error, "strerror", None) or str(error)
    where = {"host": host, "port": port, "seconds": f"{seconds:g}", "reason": reason}
    if isinstance(error, socket.gaierror | UnicodeError):
        return Unreachable(HOST_UNKNOWN, str(error), party=party, **where)
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(PORT_CLOSED, str(error), party=party, **where)
    cause = HOST_SILENT if isinstance(error, TimeoutError) else UNREACHABLE
    return Unreachable(cause, str(error), party=party, **where)


# Of messages.


class NoApprise(TransferError):
    """Apprise is not installed."""


# Of the ledger. Some name the changesets that they are about.


class ShopAllWentBack(TransferError):
    """The log of shop All lacks what our own history, or a bonus server, knows of it.

    `changesets` are those that a bonus server has received and the log lacks; empty if our own
    history asked.
    """

    changesets: tuple[str, ...] = ()


class ServerUndecided(TransferError):
    """An administrator has to say something about a bonus server, or to answer a question anew.

    `changesets` are those whose purged rows the server needs; empty where that is not the question.
    """

    changesets: tuple[str, ...] = ()


class RowsDiffer(TransferError):
    """`changesets` are those that have lost rows in shop All."""

    changesets: tuple[str, ...] = ()


class PositionKnown(TransferError):
    """The server has a position of this transfer already."""


class PurgeWaits(TransferError):
    """What a purge may remove is not known."""


# Of tables.


class TargetTableMissing(TransferError):
    """The bonus server lacks the vendor's table."""


class WrongColumns(TransferError):
    """A table has other columns than the transfer needs."""


class GuardsOutdated(TransferError):
    """Triggers or functions of the staging tables are not those of this version."""


class GuardsOfAnother(GuardsOutdated):
    """Our role may not change them. The parameter `script` is SQL."""


class OwnEncoding(TransferError):
    """Our own database is not in UTF-8."""


# Of runs, loads and files.


class AlreadyRunning(TransferError):
    """Another process does this."""


class LoadNotUndoable(TransferError):
    """The load can't be taken back."""


class FileRefused(TransferError):
    """The file, or the body of a call, can't be read. Nothing of it is loaded."""


class WorkbooksBusy(FileRefused):
    """Other workbooks are being read."""


class TooManyColumns(FileRefused):
    """A separator may be wrong."""


class BadRows(FileRefused):
    """Some rows fail the checks of a file. `lines` are the first of them, of the model BadLine."""

    lines: Sequence[Any] = ()


class FieldsWrong(TransferError):
    """A call has wrong fields. `fields` say of each its name, a code and a message."""

    fields: Sequence[Mapping[str, Any]] = ()


class UnexpectedlyDifferent(FileRefused):
    """The check of a file has another result than its preview."""


class ApprovalVoid(TransferError):
    """What a second person has approved can't be loaded as it was approved."""
