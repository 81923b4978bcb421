"""In what bonus servers differ: what each holds of an account or a card, and what is on its way."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from transfer.trace.coming import Coming
from transfer.trace.servers import Answer


@dataclass(frozen=True)
class Compared:
    """The answer of a server, what is on its way to it, and in what it differs: see `known_of`."""

    answer: Answer
    coming: Coming | None
    differs: tuple[str, ...]

    @property
    def order(self) -> tuple[bool, bool]:
        """What servers are sorted by: first those that differ, then those not wholly known."""
        is_known = self.answer.error is None and not self.answer.holding.unread
        return not self.differs, is_known


def compared(answers: Sequence[Answer], coming: Sequence[Coming | None]) -> list[Compared]:
    """Compare each server with what most of them have; those that differ first.

    Where no value is that of more servers than any other, each of them differs. What is not known
    is no difference.
    """
    known = [known_of(answer, waits) for answer, waits in zip(answers, coming, strict=True)]
    usual: dict[str, Hashable] = {}
    for name in dict.fromkeys(name for one in known for name in one):
        counts = Counter(one[name] for one in known if name in one).most_common(2)
        is_tie = len(counts) == 2 and counts[0][1] == counts[1][1]
        if counts and not is_tie:
            usual[name] = counts[0][0]
    servers = [
        Compared(
            answer,
            waits,
            tuple(name for name, value in one.items() if name not in usual or value != usual[name]),
        )
        for answer, waits, one in zip(answers, coming, known, strict=True)
    ]
    return sorted(servers, key=lambda one: one.order)


def known_of(answer: Answer, coming: Coming | None) -> dict[str, Hashable]:
    """What is known of a server; without times, which differ everywhere.

    By part: balance, pin, cards, on_its_way, or the name of another kind.
    """
    if answer.error is not None:
        return {}
    held = answer.holding
    known: dict[str, Hashable] = {}
    if "balances" not in held.unread:
        known["balance"] = held.balance, held.total
    if "pincodes" not in held.unread:
        known["pin"] = held.has_pin
    if "cards" not in held.unread:
        known["cards"] = tuple(tuple(card[:3]) for card in held.cards)
    for name, rows in held.others.items():
        known[name] = tuple(row[:-1] for row in rows)
    if coming is not None:
        known["on_its_way"] = coming.amount, tuple(sorted(coming.changes.items()))
    return known
