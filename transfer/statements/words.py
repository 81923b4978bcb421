"""What a statement says, as plain values with words of the reader's language."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, Bulletin, RejectedRow
from transfer.models.alerts import Topic
from transfer.models.tasks import KindChoices
from transfer.text import formats

# The figures of the log, in the order in which people read them.
OF_LOG = {
    "staged": gettext_lazy("Staged"),
    "withdrawn": gettext_lazy("Of them withdrawn by an undo"),
    "deleted_by_hand": gettext_lazy("Of them deleted by hand"),
    "corrections": gettext_lazy("Of them corrections of rejected rows"),
    "taken_back": gettext_lazy("Of them rows that take others back"),
    "changed": gettext_lazy("Of them rows that change an amount"),
}
# The figures of a server.
OF_SERVER = {
    "received": gettext_lazy("Received"),
    "applied": gettext_lazy("Applied"),
    "unchanged": gettext_lazy("Unchanged"),
    "rejected": gettext_lazy("Rejected"),
    "lost_by_restore": gettext_lazy("Lost by a restore, and sent again"),
    "skipped": gettext_lazy("Skipped: purged before the server received them"),
    "waiting": gettext_lazy("Waiting at the end"),
}
OPEN = gettext_lazy("Rejected and open at the end")
OTHERS = {
    "log": gettext_lazy("log"),
    "rows": gettext_lazy("rows"),
    "amount": gettext_lazy("sum"),
    "opening": gettext_lazy("opening line"),
    "closing": gettext_lazy("closing line"),
    "unknown_days": gettext_lazy("days without sums"),
    "passed": gettext_lazy("line that the server has passed"),
    "lines": gettext_lazy("lines"),
    "number": gettext_lazy("number"),
    "mark": gettext_lazy("mark"),
    "decided": gettext_lazy("decided"),
    "open": OPEN,
    "shop_all": gettext_lazy("shop All"),
    "open_rejects": gettext_lazy("rejected rows that are open"),
    "differences": gettext_lazy("differences"),
    "outages": gettext_lazy("outages"),
    "approvals": gettext_lazy("approvals"),
    "restores": gettext_lazy("restores"),
    "answers": gettext_lazy("answers"),
    "installation_restored": gettext_lazy("restores of Data Transfer's own database"),
}
# What paper says also if there is none.
ALWAYS = {"staged", "received", "applied", "rejected", "open", "waiting"}
STATES = dict(RejectedRow.State.choices)
WORDS: dict[str, Any] = {**OTHERS, **OF_LOG, **OF_SERVER, **STATES, **dict(KindChoices.choices)}


@dataclass(frozen=True)
class Figure:
    """A line: its words, rows, and sum. `rows` is None where nothing is known.

    `is_shown`: paper has a line for it. It leaves out what has no rows, but for the main figures.
    """

    label: str
    rows: int | None
    amount: Decimal | None
    is_shown: bool


@dataclass(frozen=True)
class OfServer:
    name: str
    figures: list[Figure]


@dataclass(frozen=True)
class OfKind:
    title: str
    opening: int
    closing: int
    log: list[Figure]
    servers: list[OfServer]
    unknown_days: list[str]


@dataclass(frozen=True)
class Change:
    what: str
    before: str
    now: str


def kinds(content: dict[str, Any]) -> list[OfKind]:
    """Return the figures of a statement, kind by kind."""
    return [
        OfKind(
            str(KindChoices(one["kind"]).label),
            one["log"]["opening"]["number"],
            one["log"]["closing"]["number"],
            [_figure(name, str(label), one["log"][name], one) for name, label in OF_LOG.items()],
            [OfServer(of["server"]["name"], [*_of_server(of, one)]) for of in one["servers"]],
            [
                formats.day_in_numbers(date.fromisoformat(day))
                for day in one["log"].get("unknown_days", [])
            ],
        )
        for one in content["kinds"]
    ]


def _of_server(of: dict[str, Any], kind: dict[str, Any]) -> Iterator[Figure]:
    for name, label in OF_SERVER.items():
        # Statements are kept for ever: an old one may lack a figure of today.
        if name in of:
            yield _figure(name, str(label), of[name], kind)
        if name == "rejected":
            for state, count in of["decided"].items():
                words = _("Rejected before or now, decided: %(how)s")
                yield _figure(state, words % {"how": STATES[state]}, count, kind)
            yield _figure("open", str(OPEN), of["open"], kind)


def _figure(name: str, label: str, counted: dict[str, Any] | None, kind: dict[str, Any]) -> Figure:
    """Return a line. Only balance changes have sums."""
    if counted is None:
        return Figure(label, None, None, is_shown=True)
    amount = counted.get("amount") if KINDS[kind["kind"]].appends else None
    return Figure(
        label,
        counted["rows"],
        None if amount is None else Decimal(amount),
        is_shown=name in ALWAYS or counted["rows"] != 0,
    )


def changes(content: dict[str, Any]) -> list[Change]:
    """Return what differs from the statement of the same period that was kept before."""
    servers = {
        str(of["server"]["id"]): of["server"]["name"]
        for kind in content["kinds"]
        for of in kind["servers"]
    }

    def word(part: str) -> str:
        return str(WORDS.get(part) or servers.get(part, part))

    return [
        Change(
            " · ".join(word(part) for part in one["what"].split(" / ")),
            _text(one["before"]),
            _text(one["now"]),
        )
        for one in content["changes"]
    ]


def _text(value: Any) -> str:
    """Return a value of a change: of a list how many have gone or come."""
    if isinstance(value, list):
        return str(len(value))
    return "—" if value is None else str(value)


@dataclass(frozen=True)
class Outside:
    """A statement that is not in the chain: of this installation, or of another one."""

    number: int
    digest: str
    installation: str
    is_ours: bool


def outside(content: dict[str, Any]) -> list[Outside]:
    """Return the statements that shop All had and the chain did not contain."""
    return [
        Outside(
            one["number"],
            one["digest"],
            one["installation"],
            one["installation"] == content["installation"],
        )
        for one in content.get("not_in_chain", [])
    ]


def answer(one: dict[str, Any]) -> str:
    """Return the words of an answer, an undo or a restore."""
    code = str(one.get("action") or one.get("code"))
    known: dict[str, Any] = {
        **dict(AuditEntry.Action.choices),
        **dict(Bulletin.Code.choices),
        "undo": _("A load was taken back"),
    }
    return str(known.get(code, code))


def trouble(one: dict[str, Any]) -> str:
    return str(Topic(one["topic"]).label)
