"""The trace in words: what a row says, what became of it at each server, what is held there."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from transfer.models import BonusServer, RejectedRow, TransferRun
from transfer.runs.backlog import why
from transfer.trace.fates import Fate, Row
from transfer.trace.search import COLUMNS, SECONDS, Stop
from transfer.trace.servers import Answer
from transfer.words import formats
from transfer.words.columns import heading
from transfer.words.explain import explain_error, explain_reject

STATUSES = {
    0: gettext_lazy("0 – earn only"),
    1: gettext_lazy("1 – earn and pay"),
    2: gettext_lazy("2 – no operations (blocked)"),
    3: gettext_lazy("3 – pay only"),
}


@dataclass(frozen=True)
class FateWords:
    """What became of a row at one server."""

    server: BonusServer
    tone: str
    icon: str
    word: str
    detail: str = ""
    run: TransferRun | None = None
    reject: RejectedRow | None = None


@dataclass(frozen=True)
class RowWords:
    title: str
    number: int
    created_at: datetime | None
    cells: list[tuple[str, str, str]]  # heading, value, and what it can be traced by, if at all
    fates: list[FateWords]


@dataclass(frozen=True)
class HoldingWords:
    """What a server holds: lines of a label and a value; or why that is not known."""

    server: BonusServer
    facts: list[tuple[str, str]] = field(default_factory=list)
    assets: list[tuple[Any, ...]] = field(default_factory=list)
    more_assets: int = 0
    cards: list[tuple[str, str, str, datetime | None]] = field(default_factory=list)
    error: str = ""


def row_words(row: Row, kept_days: int, subject: str = "") -> RowWords:
    """Without the cell that says whom all of the page is about.

    `kept_days`: for how long closed rejects are kept.
    """
    cells = [
        (
            heading(column.name),
            _cell(column.name, row.payload.get(column.name)),
            column.name if column.name in COLUMNS else "",
        )
        for column in row.kind.columns
        if row.payload.get(column.name) not in (None, "", subject)
    ]
    fates = [fate_words(row, fate, kept_days) for fate in row.fates]
    return RowWords(_(row.kind.title), row.id, row.created_at, cells, fates)


def _cell(column: str, value: str | None) -> str:
    if value is None:
        return ""
    if column == "amount":
        return _amount(value)
    if column in ("validfrom", "validto"):
        return formats.moment(datetime.fromisoformat(value))
    if column == "status" and value.isdigit():
        return str(STATUSES.get(int(value), value))
    return value


def _amount(value: str) -> str:
    """As it came, where two decimals would not say the whole truth."""
    has_more = len(value.partition(".")[2].rstrip("0")) > 2
    return value if has_more or not Decimal(value).is_finite() else formats.amount(Decimal(value))


def fate_words(row: Row, fate: Fate, kept_days: int) -> FateWords:
    if fate.state == "moved":
        return _moved(fate)
    if fate.state == "read":
        return FateWords(
            fate.server,
            "idle",
            "circle",
            _("Moved or rejected"),
            " ".join([_maybe_rejected(kept_days), *_sent_again(row)]),
            fate.run,
        )
    if fate.state == "rejected":
        return _rejected(row, fate, kept_days)
    if fate.state == "waiting":
        return FateWords(
            fate.server, "warn", "clock", pgettext("one row", "Waiting"), why_waiting(fate.task)
        )
    error = fate.error
    words = explain_error(error.code, error.params).sentence if error else ""
    return FateWords(fate.server, "idle", "offline", _("Not known"), words)


def _rejected(row: Row, fate: Fate, kept_days: int) -> FateWords:
    sentences = [explain_reject(fate.code).sentence]
    if fate.reject is None:
        sentences += [_gone(kept_days), *_sent_again(row)]
    else:
        sentences.append(decided(fate.reject))
    return FateWords(
        fate.server, "bad", "cross", _("Rejected"), " ".join(sentences), fate.run, fate.reject
    )


def decided(reject: RejectedRow) -> str:
    """What somebody has decided on a rejected row."""
    at = {"when": formats.moment(reject.closed_at), "who": reject.closed_by or "—"}
    if reject.state == RejectedRow.State.RESENT:
        return _("Sent again %(when)s by %(who)s, as row № %(number)s.") % {
            **at,
            "number": formats.number(reject.resent_id),
        }
    if reject.state == RejectedRow.State.DISCARDED:
        sentence = _("Closed without sending %(when)s by %(who)s.") % at
        return f"{sentence} {reject.close_reason}".strip()
    return _("Nobody has decided on it yet.")


def _gone(kept_days: int) -> str:
    return ngettext(
        "It was closed, and what was noted of it purged: closed rejects are kept for %(n)d day.",
        "It was closed, and what was noted of it purged: closed rejects are kept for %(n)d days.",
        kept_days,
    ) % {"n": kept_days}


def _maybe_rejected(kept_days: int) -> str:
    return ngettext(
        "Rejected if the server did not know the card then, else moved. Nothing more is known: "
        "closed rejects are kept for %(n)d day.",
        "Rejected if the server did not know the card then, else moved. Nothing more is known: "
        "closed rejects are kept for %(n)d days.",
        kept_days,
    ) % {"n": kept_days}


def _sent_again(row: Row) -> list[str]:
    if row.sent_again is None:
        return []
    number, at = row.sent_again
    return [
        _("Sent again %(when)s, as row № %(number)s.")
        % {"when": formats.moment(at), "number": formats.number(number)}
    ]


def _moved(fate: Fate) -> FateWords:
    if fate.run is None:
        detail = _("By a run that is no longer in the history.")
        return FateWords(fate.server, "ok", "check", _("Moved"), detail)
    return FateWords(fate.server, "ok", "check", _("Moved"), "", fate.run)


def why_waiting(task: Any) -> str:
    """Why the row has not been moved: who switched the task off, when it runs next."""
    if task is None:
        return ""
    reason = why(task)
    if reason.code == "disabled" and task.changed_at is not None:
        names = {"since": formats.moment(task.changed_at), "who": task.changed_by or "—"}
        sentence = _("The task is off since %(since)s, by %(who)s.") % names
        return f"{sentence} {task.change_reason}".strip()
    if reason.code == "paused":
        names = {"until": formats.moment(task.paused_until), "who": task.paused_by or "—"}
        return _("The task is paused until %(until)s, by %(who)s.") % names
    params = {
        name: formats.moment(value) if isinstance(value, datetime) else value
        for name, value in reason.params.items()
    }
    return _(reason.sentence) % params


def holding(answer: Answer, column: str) -> HoldingWords:
    if answer.error is not None:
        error = explain_error(answer.error.code, answer.error.params)
        return HoldingWords(answer.server, error=error.sentence)
    held = answer.holding
    cards = [
        (card, account or "", str(STATUSES.get(status, status)), at)
        for card, account, status, at in held.cards
    ]
    if column == "card":
        return HoldingWords(answer.server, cards=cards)
    facts = [(_("Balance now"), formats.amount(held.balance, signed=False))]
    if held.total != held.balance:
        facts.append((_("With what is not valid now"), formats.amount(held.total, signed=False)))
    facts.append((_("PIN code"), _pin(held.has_pin, held.pin_set_at)))
    return HoldingWords(
        answer.server, facts, held.last_assets, held.assets - len(held.last_assets), cards
    )


def _pin(is_set: bool, at: datetime | None) -> str:
    if not is_set:
        return _("not set")
    return _("set %(when)s") % {"when": formats.moment(at)} if at else _("set")


def stopped_words(stop: Stop) -> str:
    """What a search inside numbers has looked at when its time ran out, and what helps."""
    done = {
        ("account", True): _("accounts up to %(value)s have been looked at, cards have not"),
        ("account", False): _("nothing has been looked at yet"),
        ("card", True): _("all accounts and cards up to %(value)s have been looked at"),
        ("card", False): _("all accounts have been looked at, cards have not"),
    }[stop.column, bool(stop.value)] % {"value": stop.value}
    return _(
        "The search inside numbers was stopped after %(seconds)d s: %(done)s. How a number "
        "begins or ends is found at once."
    ) % {"seconds": SECONDS, "done": done}
