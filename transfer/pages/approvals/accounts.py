"""The accounts of a load that waits: what it does to each, and what each holds now."""

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from transfer.errors import TransferError
from transfer.models import Approval
from transfer.servers.balances import ask_balances
from transfer.text import formats
from transfer.text.explain import explain

SHOWN = 100
"""Accounts on the page: those with the largest sums."""
SECONDS = 3.0
MOST_SERVERS = 10


@dataclass
class Account:
    """An account, or a card: the sum of its rows, and its balance on each server now and then."""

    number: str
    other: str
    rows: int
    amount: Decimal | None
    balances: list[str] = field(default_factory=list)
    is_own: bool = False
    goes_below_zero: bool = False


@dataclass(frozen=True)
class Accounts:
    shown: list[Account]
    total: int
    silent: list[str]  # servers that did not answer, with why

    @property
    def below_zero(self) -> list[Account]:
        return [one for one in self.shown if one.goes_below_zero]


def accounts_of(approval: Approval) -> Accounts:
    """Return the accounts; while the load waits, with the balances of now."""
    rows: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for number, other, amount in approval.listed():
        rows[number, other].append(amount)
    own = {*approval.own}
    found = [
        Account(number, other, len(amounts), _sum(amounts), is_own=bool(own & {number, other}))
        for (number, other), amounts in rows.items()
    ]
    found.sort(key=lambda one: (not one.is_own, -abs(one.amount or Decimal(0)), one.number))
    shown = found[:SHOWN]
    has_amounts = approval.upload.kind_spec.appends
    silent = _compare(shown) if approval.is_waiting and has_amounts else []
    return Accounts(shown, len(found), silent)


def _sum(amounts: list[Decimal | None]) -> Decimal | None:
    known = [one for one in amounts if one is not None]
    return sum(known, Decimal(0)) if known else None


def _compare(accounts: list[Account]) -> list[str]:
    """Ask every server what the accounts hold; return which ones did not answer, and why."""
    if not accounts:
        return []
    silent = []
    for server, answer in ask_balances({one.number for one in accounts}, SECONDS)[:MOST_SERVERS]:
        if isinstance(answer, TransferError):
            silent.append(f"{server.name}: {explain(answer).sentence}")
            continue
        for one in accounts:
            before = answer.get(one.number, Decimal(0))
            after = before + (one.amount or 0)
            now, then = (formats.amount(value, signed=False) for value in (before, after))
            one.balances.append(f"{server.name}: {now} → {then}")
            one.goes_below_zero |= after < 0 and (one.amount or 0) < 0
    return silent
