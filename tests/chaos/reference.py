"""What a transfer must come to, row by row in plain Python: the tests' only truth."""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

UNPRINTABLE = re.compile(
    "[\0-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u3000\ufeff]"
)


def account_fault(account: str) -> str | None:
    if len(account) > 100:
        return "account_too_long"
    return "account_has_spaces" if UNPRINTABLE.search(account) else None


def amount_fault(amount: Decimal | None) -> str | None:
    if amount is None:
        return "amount_missing"
    if not amount.is_finite():
        return "amount_not_finite"
    if amount == 0:
        return "amount_zero"
    if amount * 100 != (amount * 100).to_integral_value():
        return "amount_decimals"
    return "amount_out_of_range" if abs(amount) >= 10**13 else None


@dataclass
class Pincodes:
    """account → PIN: the last one wins."""

    held: dict[str, str] = field(default_factory=dict)

    def take(self, account: str | None, pincode: str | None) -> str | None:
        """Applies a row, or returns the code of its reject."""
        fault = account_fault(account) if account else "account_missing"
        fault = fault or (None if pincode else "pin_missing")
        fault = fault or ("pin_too_long" if len(pincode) > 100 else None)
        if fault is None:
            self.held[account] = pincode
        return fault

    def rows(self) -> list[tuple[Any, ...]]:
        return list(self.held.items())


@dataclass
class Balances:
    """Every good row fires once."""

    held: list[tuple[Any, ...]] = field(default_factory=list)

    def take(self, account, amount, validfrom=None, validto=None, comment=None) -> str | None:
        fault = account_fault(account) if account else "account_missing"
        fault = fault or amount_fault(amount)
        if fault is None and validfrom and validto and validto < validfrom:
            fault = "validity_reversed"
        if fault is None:
            self.held.append((account, amount, validfrom, validto, comment))
        return fault

    def rows(self) -> list[tuple[Any, ...]]:
        return self.held


@dataclass
class Cards:
    """card → account and status: the last of each wins; a null leaves it as it is."""

    held: dict[str, tuple[str, int]] = field(default_factory=dict)

    def take(self, card: str | None, account: str | None, status: int | None) -> str | None:
        if not card:
            return "card_missing"
        if len(card) > 100 or UNPRINTABLE.search(card):
            return "card_malformed"
        if account == "":
            return "account_empty"
        if account is not None and (fault := account_fault(account)):
            return fault
        if status is not None and status not in range(4):
            return "status_unknown"
        if account is None and status is None:
            return "nothing_to_change"
        if account is None and card not in self.held:
            return "card_unknown"
        before = self.held.get(card, (None, 0))
        self.held[card] = (
            before[0] if account is None else account,
            before[1] if status is None else status,
        )
        return None

    def rows(self) -> list[tuple[Any, ...]]:
        return [(card, *rest) for card, rest in self.held.items()]


REFERENCES = {"pincodes": Pincodes, "balances": Balances, "cards": Cards}
