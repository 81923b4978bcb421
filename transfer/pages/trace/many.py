"""The trace on many bonus servers: which of them agree, and where a change has arrived."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _, gettext_lazy, ngettext

from transfer.pages.trace.words import ShownDelivery, ShownHolding, holding
from transfer.text import formats
from transfer.text.explain import explain
from transfer.trace.servers import Answer

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


@dataclass(frozen=True)
class SameHolding:
    """What some of the servers hold alike, or why it is not known."""

    servers: str  # in words
    is_usual: bool  # whether no other servers agree on more than these do
    holding: ShownHolding


def same_holdings(answers: Sequence[Answer], column: str) -> list[SameHolding]:
    """What the servers hold, once for all that hold the same; what most of them hold first."""
    alike: dict[Hashable, list[Answer]] = {}
    for answer in answers:
        alike.setdefault(_held(answer), []).append(answer)
    usual_first = sorted(alike.values(), key=lambda some: (some[0].error is not None, -len(some)))
    return [
        SameHolding(
            which([one.server.name for one in some], len(answers)),
            number == 0 and some[0].error is None,
            holding(some[0], column, with_times=False),
        )
        for number, some in enumerate(usual_first)
    ]


def _held(answer: Answer) -> Hashable:
    """What a server holds, without the times, which differ everywhere."""
    if answer.error is not None:
        return explain(answer.error).sentence
    held = answer.holding
    cards = tuple(tuple(card[:3]) for card in held.cards)
    return held.balance, held.total, held.has_pin, cards


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
