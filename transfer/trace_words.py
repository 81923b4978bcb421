"""The trace in words: what a row says, what became of it at each server, what is held there."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext

from transfer import formats
from transfer.backlog import why
from transfer.loading.words import heading
from transfer.models import BonusServer, RejectedRow, TransferRun
from transfer.trace import Answer, Fate, Row
from transfer.trace_inside import SECONDS, Stop
from transfer.wording import explain_error, explain_reject

STATUSES = {
    0: gettext_lazy("0 – earn only"),
    1: gettext_lazy("1 – earn and pay"),
    2: gettext_lazy("2 – no operations (blocked)"),
    3: gettext_lazy("3 – pay only"),
}


@dataclass(frozen=True)
class Told:
    """What became of a row at one server."""

    server: BonusServer
    tone: str
    icon: str
    word: str
    detail: str = ""
    run: TransferRun | None = None
    reject: RejectedRow | None = None


@dataclass(frozen=True)
class ToldRow:
    title: str
    number: int
    created_at: datetime | None
    cells: list[tuple[str, str]]
    fates: list[Told]


@dataclass(frozen=True)
class ToldHolding:
    """What a server holds: lines of a label and a value; or why that is not known."""

    server: BonusServer
    facts: list[tuple[str, str]] = field(default_factory=list)
    assets: list[tuple[Any, ...]] = field(default_factory=list)
    more_assets: int = 0
    cards: list[tuple[str, str, str, datetime | None]] = field(default_factory=list)
    error: str = ""


def told_row(row: Row, subject: str = "") -> ToldRow:
    """Without the cell that says whom all of the page is about."""
    cells = [
        (heading(column.name), _cell(column.name, row.payload.get(column.name)))
        for column in row.kind.columns
        if row.payload.get(column.name) not in (None, "", subject)
    ]
    return ToldRow(
        _(row.kind.title), row.id, row.created_at, cells, [told(fate) for fate in row.fates]
    )


def _cell(column: str, value: str | None) -> str:
    if value is None:
        return ""
    if column == "amount":
        return formats.amount(Decimal(value)) if Decimal(value).is_finite() else value
    if column in ("validfrom", "validto"):
        return formats.moment(datetime.fromisoformat(value))
    if column == "status" and value.isdigit():
        return str(STATUSES.get(int(value), value))
    return value


def told(fate: Fate) -> Told:
    if fate.state == "moved":
        return _moved(fate)
    if fate.state == "read":
        detail = _("The run rejected rows, and which ones is no longer kept.")
        return Told(fate.server, "idle", "circle", _("Moved or rejected"), detail, fate.run)
    if fate.state == "rejected" and fate.reject is not None:
        sentence = explain_reject(fate.reject.code).sentence
        return Told(fate.server, "bad", "cross", _("Rejected"), sentence, fate.run, fate.reject)
    if fate.state == "waiting":
        return Told(
            fate.server, "warn", "clock", pgettext("one row", "Waiting"), why_waiting(fate.task)
        )
    error = fate.error
    words = explain_error(error.code, error.params).sentence if error else ""
    return Told(fate.server, "idle", "offline", _("Not known"), words)


def _moved(fate: Fate) -> Told:
    if fate.run is None:
        detail = _("By a run that is no longer in the history.")
        return Told(fate.server, "ok", "check", _("Moved"), detail)
    return Told(fate.server, "ok", "check", _("Moved"), "", fate.run)


def why_waiting(task: Any) -> str:
    """Why the row has not been moved: who switched the task off, when it runs next."""
    if task is None:
        return ""
    reason = why(task)
    if reason.code == "disabled" and task.changed_at is not None:
        told = {"since": formats.moment(task.changed_at), "who": task.changed_by or "—"}
        sentence = _("The task is off since %(since)s, by %(who)s.") % told
        return f"{sentence} {task.change_reason}".strip()
    if reason.code == "paused":
        told = {"until": formats.moment(task.paused_until), "who": task.paused_by or "—"}
        return _("The task is paused until %(until)s, by %(who)s.") % told
    params = {
        name: formats.moment(value) if isinstance(value, datetime) else value
        for name, value in reason.params.items()
    }
    return _(reason.sentence) % params


def holding(answer: Answer, column: str) -> ToldHolding:
    if answer.error is not None:
        error = explain_error(answer.error.code, answer.error.params)
        return ToldHolding(answer.server, error=error.sentence)
    held = answer.holding
    cards = [
        (card, account or "", str(STATUSES.get(status, status)), at)
        for card, account, status, at in held.cards
    ]
    if column == "card":
        return ToldHolding(answer.server, cards=cards)
    facts = [(_("Balance now"), formats.amount(held.balance, signed=False))]
    if held.total != held.balance:
        facts.append((_("With what is not valid now"), formats.amount(held.total, signed=False)))
    facts.append((_("PIN code"), _pin(held.has_pin, held.pin_set_at)))
    return ToldHolding(
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
