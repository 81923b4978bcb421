"""A staged change and its way to each server: in words, for one server and for many."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _, gettext_lazy, ngettext

from transfer.causes.rows import reason_named
from transfer.models import BonusServer, RejectedRow, TransferRun, Upload
from transfer.pages.html import Html, format_words, joined, link
from transfer.runs.backlog import why
from transfer.text import formats
from transfer.text.columns import amount_words, heading, status_words
from transfer.text.explain import explain
from transfer.trace.complete import COLUMNS
from transfer.trace.delivery import Delivery, StagedRow
from transfer.trace.sources import Other, Source

UNDECIDED = gettext_lazy("Nobody has decided on it yet.")


@dataclass(frozen=True)
class ShownDelivery:
    """The delivery of a row to one server."""

    server: BonusServer
    run: TransferRun | None
    reject: RejectedRow | None
    detail: str
    state: str


@dataclass(frozen=True)
class ShownRow:
    title: str
    number: int
    created_at: datetime | None
    amount: str  # of a change of a balance
    cells: list[tuple[str, str, str]]  # heading, value, and what it can be traced by, if at all
    deliveries: list[ShownDelivery]
    source: Html | str


def shown_row(row: StagedRow, reject_days: int, subject: str = "") -> ShownRow:
    """A row as it is shown, without the cell of the page's `subject`.

    `reject_days`: for how long closed rejects are kept.
    """
    cells = [
        (
            heading(column.name),
            cell(column.name, row.payload.get(column.name)),
            column.name if column.name in COLUMNS else "",
        )
        for column in row.kind.columns
        if column.name != "amount" and row.payload.get(column.name) not in (None, "", subject)
    ]
    amount = cell("amount", row.payload.get("amount"))
    deliveries = [
        ShownDelivery(one.server, one.run, one.reject, _detail(row, one, reject_days), one.state)
        for one in row.deliveries
    ]
    title = _(row.kind.title)
    source = source_words(row.source)
    return ShownRow(title, row.id, row.created_at, amount, cells, deliveries, source)


def source_words(source: Source) -> Html | str:
    """The source of a row; empty if it was not recorded."""
    sentences = [_loaded(source)] if source.load else []
    if source.corrects is not None:
        about = {"number": _number(source.corrects), "who": source.sent_by or "—"}
        sentences.append(
            _("in place of the rejected row № %(number)s, sent again by %(who)s") % about
        )
    for other, words in (
        (source.sets, _("brings the changed amount of row № %(number)s")),
        (source.undoes, _("takes back row № %(number)s")),
        (source.undone_by, _("taken back by row № %(number)s")),
    ):
        if other is not None:
            sentences.append(words % {"number": _number(other)})
    if not sentences and source.name:
        sentences = [_("written by the database user %(name)s") % {"name": source.name}]
    return joined(sentences, "; ")


def _number(other: Other) -> str:
    """The number of another row in its table, or that it is gone from there."""
    return _("(purged)") if other.id is None else formats.number(other.id)


def _loaded(source: Source) -> Html | str:
    upload = source.upload
    if upload is None:
        return _("from a file that is no longer in the list of loads")
    if upload.input_method == Upload.InputMethod.HAND:
        return _("entered by hand by %(who)s") % {"who": upload.confirmed_by}
    if upload.is_undo:
        words = _("%(file)s, by %(who)s")
    elif upload.input_method == Upload.InputMethod.API:
        words = _("from the call %(file)s of the API by %(who)s")
    else:
        words = _("from the file %(file)s, loaded by %(who)s")
    file = link(upload.get_absolute_url(), upload)
    return format_words(words, file=file, who=upload.confirmed_by)


def cell(column: str, value: str | None) -> str:
    """A value of a staged row as people read it."""
    if value is None:
        return ""
    if column == "amount":
        return amount_words(value)
    if column in ("validfrom", "validto"):
        return _moment(value)
    if column == "status" and value.isdigit():
        return status_words(int(value))
    return value


def _moment(value: str) -> str:
    """A moment in words; the text as received if it is outside of the years of Python."""
    if value.endswith("infinity"):
        return formats.NEVER_BEGAN if value.startswith("-") else formats.NEVER_ENDS
    try:
        return formats.moment(datetime.fromisoformat(value))
    except ValueError:
        return value


def _detail(row: StagedRow, delivery: Delivery, reject_days: int) -> str:
    if delivery.state == "moved" and delivery.error is not None:
        silence = {"why": explain(delivery.error).sentence}
        return _("By our history, since the server can't be asked now. %(why)s") % silence
    if delivery.state == "moved":
        return "" if delivery.run else _("By a run that is no longer in the history.")
    if delivery.state == "waiting":
        return why(delivery.task) if delivery.task else ""
    if delivery.state == "unknown":
        return explain(delivery.error).sentence if delivery.error else ""
    if delivery.state == "skipped":
        return _("It was purged, and somebody has agreed that this server does without it.")
    if delivery.state == "counted":
        about = {"who": delivery.said_by or "—", "when": formats.moment(delivery.said_at)}
        return _("Counted as received: %(who)s said so %(when)s.") % about
    reason = explain(reason_named(delivery.code)).sentence
    if delivery.state == "without_effect":
        return " ".join([reason, *_sent_again(row)])
    if delivery.reject:
        again = row.sent_again[0] if row.sent_again else None
        return f"{reason} {decided(delivery.reject, again)}"
    if delivery.is_open:
        return f"{reason} {UNDECIDED}"
    gone = ngettext(
        "It was closed, and its record was purged: closed rejects are kept for %(n)d day.",
        "It was closed, and its record was purged: closed rejects are kept for %(n)d days.",
        reject_days,
    ) % {"n": reject_days}
    return " ".join([reason, gone, *_sent_again(row)])


def decided(reject: RejectedRow, again: Other | None = None) -> str:
    """The decision on a rejected row, in words; `again` is the row in its place, if it is known."""
    at = {"when": formats.moment(reject.closed_at), "who": reject.closed_by or "—"}
    if reject.state == RejectedRow.State.RESENT:
        number = formats.number(reject.resent_row) if again is None else _number(again)
        return _("Sent again %(when)s by %(who)s, as row № %(number)s.") % {**at, "number": number}
    if reject.state == RejectedRow.State.DISCARDED:
        sentence = _("Closed without sending %(when)s by %(who)s.") % at
        return f"{sentence} {reject.close_reason}".strip()
    if reject.state == RejectedRow.State.SETTLED:
        return _("Closed %(when)s: the row was taken back.") % at
    return str(UNDECIDED)


def _sent_again(row: StagedRow) -> list[str]:
    if row.sent_again is None:
        return []
    other, at = row.sent_again
    about = {"when": formats.moment(at), "number": _number(other)}
    return [_("Sent again %(when)s, as row № %(number)s.") % about]


NAMED_AT_MOST = 3  # servers
# The states of a delivery that did not arrive, or of which it is not known; the worst first.
NOT_ARRIVED = {
    "rejected": gettext_lazy("rejected: %(servers)s"),
    "waiting": gettext_lazy("not arrived yet: %(servers)s"),
    "unknown": gettext_lazy("not known: %(servers)s, no answer"),
    "skipped": gettext_lazy("not sent: %(servers)s"),
    "without_effect": gettext_lazy("without effect: %(servers)s"),
    "counted": gettext_lazy("counted as received: %(servers)s"),
}


def which(names: Sequence[str], servers: int) -> str:
    """Some of so many servers: their names, or how many."""
    if len(names) <= NAMED_AT_MOST:
        return ", ".join(names)
    words = {"n": formats.number(len(names)), "all": formats.number(servers)}
    return _("%(n)s of %(all)s servers") % words


def arrival(deliveries: Sequence[ShownDelivery]) -> Iterator[tuple[str, str]]:
    """In one line: on how many servers a change has arrived, and its state elsewhere.

    Yields a delivery's state and words.
    """
    arrived = sum(one.state == "moved" for one in deliveries)
    words = {"n": formats.number(arrived), "all": formats.number(len(deliveries))}
    yield "moved" if arrived else "waiting", _("arrived on %(n)s of %(all)s") % words
    for state, text in NOT_ARRIVED.items():
        names = [one.server.name for one in deliveries if one.state == state]
        if names:
            yield state, str(text) % {"servers": _named(names)}


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    shown = ", ".join(names[:NAMED_AT_MOST])
    if more <= 0:
        return shown
    words = {"servers": shown, "n": formats.number(more)}
    return ngettext("%(servers)s and %(n)s more", "%(servers)s and %(n)s more", more) % words
