"""What is still on its way to each bonus server: a sum of the staged rows that wait there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from transfer.trace.delivery import StagedRow
from transfer.trace.servers import Answer

LARGEST = Decimal(10) ** 13  # an amount from here on fails the checks, and is never applied


@dataclass(frozen=True)
class Coming:
    """The rows that wait for one server: kind → how many; `amount`: the sum of balance changes.

    The checks may still reject some of them.
    """

    changes: Mapping[str, int]
    amount: Decimal


def coming_to(rows: Sequence[StagedRow], answers: Sequence[Answer]) -> list[Coming | None]:
    """Return what of these rows waits for each server; None where a server does not answer."""
    found: list[Coming | None] = []
    for place, answer in enumerate(answers):
        waiting = [row for row in rows if row.deliveries[place].state == "waiting"]
        amounts = [_amount(row.payload.get("amount")) for row in waiting]
        coming = Coming(Counter(row.kind.name for row in waiting), sum(amounts, Decimal(0)))
        found.append(None if answer.error else coming)
    return found


def _amount(text: str | None) -> Decimal:
    """Return a staged amount; 0 where it is none that a server could apply."""
    try:
        amount = Decimal(text or "0")
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() and abs(amount) < LARGEST else Decimal(0)
