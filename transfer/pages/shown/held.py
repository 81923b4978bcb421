"""What each bonus server holds of an account or a card, in words; servers that differ first."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _, gettext_lazy

from transfer.installed import installed_kinds
from transfer.models import BonusServer
from transfer.models.tasks import KindChoices
from transfer.pages.shown.traced import cell, which
from transfer.text import formats
from transfer.text.columns import status_words
from transfer.text.explain import Explanation, explain
from transfer.trace.coming import Coming
from transfer.trace.compared import Compared, known_of
from transfer.trace.holding import shown_of
from transfer.trace.servers import Answer


@dataclass(frozen=True)
class ShownHolding:
    """What a server holds: lines of a label and a value; or why that is not known.

    `unread`: why a table of it could not be read, and what to do; the rest is known.
    """

    server: BonusServer
    facts: list[tuple[str, str]] = field(default_factory=list)
    assets: list[tuple[Any, ...]] = field(default_factory=list)
    more_assets: int = 0
    cards: list[tuple[str, str, str, datetime | None]] = field(default_factory=list)
    knows_cards: bool = False
    unread: list[Explanation] = field(default_factory=list)
    error: str = ""
    differs: str = ""  # in what it differs from most servers, in words


@dataclass(frozen=True)
class SameHolding:
    """What some of the servers hold alike, or why it is not known."""

    servers: str  # in words
    holding: ShownHolding


def holding(
    answer: Answer,
    column: str,
    coming: Coming | None = None,
    *,
    with_times: bool = True,
    is_part: bool = False,
    differs: str = "",
) -> ShownHolding:
    """What a server holds, and what of it is `coming`, in words.

    Without times if it summarises several servers. `is_part`: the changes go on on another page.
    """
    if answer.error is not None:
        return ShownHolding(answer.server, error=explain(answer.error).sentence)
    held = answer.holding
    cards = [
        (card, account or "", status_words(status), at if with_times else None)
        for card, account, status, at in held.cards
    ]
    facts = _balance_and_pin(answer, with_times=with_times) if column == "account" else []
    facts += _others(answer, column, with_times=with_times)
    if coming is not None:
        label = _("On its way, of the changes below") if is_part else _("On its way")
        facts.append((label, coming_words(coming)))
    return ShownHolding(
        answer.server,
        facts,
        held.last_assets,
        held.assets - len(held.last_assets),
        cards,
        knows_cards="cards" not in held.unread,
        unread=[explain(error) for error in held.unread.values()],
        differs=differs,
    )


def _balance_and_pin(answer: Answer, *, with_times: bool) -> list[tuple[str, str]]:
    """Labels and values, as far as they could be read."""
    held, facts = answer.holding, []
    if "balances" not in held.unread:
        facts.append((_("Balance now"), formats.amount(held.balance, signed=False)))
        if held.total != held.balance:
            with_others = formats.amount(held.total, signed=False)
            facts.append((_("Including amounts that are not valid now"), with_others))
    if "pincodes" not in held.unread:
        pin = _("set") if held.has_pin else _("not set")
        if held.has_pin and held.pin_set_at and with_times:
            pin = _("set %(when)s") % {"when": formats.moment(held.pin_set_at)}
        facts.append((_("PIN code"), pin))
    return facts


def _others(answer: Answer, column: str, *, with_times: bool) -> list[tuple[str, str]]:
    """The title of each other kind, and what its rows say: "SPRING, set 5 May"."""
    facts = []
    for name, rows in answer.holding.others.items():
        names, said = shown_of(installed_kinds()[name], column), []
        for *values, at in rows:
            named = zip(names, values, strict=True)
            words = [cell(one, str(value)) for one, value in named if value is not None]
            if at and with_times:
                words.append(_("set %(when)s") % {"when": formats.moment(at)})
            said.append(", ".join(words) or _("set"))
        facts.append((title_of(name), "; ".join(said) or _("not set")))
    return facts


def coming_words(coming: Coming) -> str:
    """What waits for a server: "1 PIN code; 2 changes of the balance, +199.50"."""
    amount = formats.amount(coming.amount)
    parts = [
        kind.counted(count) % {"n": formats.number(count), "amount": amount}
        for kind in KindChoices
        if (count := coming.changes.get(kind))
    ]
    return "; ".join(parts) or _("nothing")


def holdings(
    servers: Sequence[Compared], column: str, *, is_part: bool = False
) -> list[ShownHolding]:
    """What each server holds, in the order of `servers`."""
    return [
        holding(one.answer, column, one.coming, is_part=is_part, differs=differs_words(one))
        for one in servers
    ]


def same_holdings(
    servers: Sequence[Compared], column: str, *, is_part: bool = False
) -> list[SameHolding]:
    """What the servers hold, once for all that hold the same.

    Those that differ first, then those that are not wholly known; what most of them hold comes
    last. Times differ everywhere: only what a single server holds has them.
    """
    alike: dict[Hashable, list[Compared]] = {}
    for one in servers:
        unread = [str(explain(error)) for error in one.answer.holding.unread.values()]
        error = one.answer.error and explain(one.answer.error).sentence
        known = tuple(known_of(one.answer, one.coming).items())
        alike.setdefault((error, *unread, known), []).append(one)
    return [
        SameHolding(
            which([one.answer.server.name for one in some], len(servers)),
            holding(
                some[0].answer,
                column,
                some[0].coming,
                with_times=len(some) == 1,
                is_part=is_part,
                differs=differs_words(some[0]),
            ),
        )
        for some in sorted(alike.values(), key=lambda some: (some[0].order, len(some)))
    ]


DIFFERS = {
    "balance": gettext_lazy("balance"),
    "pin": gettext_lazy("the PIN code"),
    "cards": gettext_lazy("cards"),
    "on_its_way": gettext_lazy("what is on its way"),
}


def differs_words(one: Compared) -> str:
    """In what a server differs from most of them; "" if in nothing."""
    return ", ".join(str(DIFFERS.get(name) or title_of(name)) for name in one.differs)


def title_of(kind: str) -> str:
    return _(installed_kinds()[kind].title)
