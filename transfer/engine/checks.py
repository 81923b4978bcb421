"""Why a row is rejected: the checks of each kind, as SQL."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from transfer.causes import rows as causes
from transfer.causes.cause import Cause
from transfer.parties import gettext_noop


class Repair(StrEnum):
    """A correction of a rejected row that needs no input."""

    SPACES = "spaces"  # removes spaces and control characters from account and card
    KOPECKS = "kopecks"  # rounds the amount to two decimals, half away from zero


@dataclass(frozen=True)
class Check:
    """A reason to reject a row. `fails` is SQL over the columns of the staging table.

    Of a late check it only says which rows can fail it: the target decides. `repair` corrects most
    rows that fail the check.
    """

    cause: Cause
    fails: str
    repair: Repair | None = None

    @property
    def code(self) -> str:
        return self.cause.code


class CardStatus(NamedTuple):
    name: str
    words: str


CARD_STATUSES = {
    0: CardStatus("EARN_ONLY", gettext_noop("0 – earn only")),
    1: CardStatus("EARN_PAY", gettext_noop("1 – earn and pay")),
    2: CardStatus("NO_OPERATION", gettext_noop("2 – no operations (blocked)")),
    3: CardStatus("PAY_ONLY", gettext_noop("3 – pay only")),
}

# Spaces of Unicode too: a no-break space from a spreadsheet looks like nothing at all.
UNPRINTABLE = r"[[:space:][:cntrl:]\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u3000\ufeff]"

ACCOUNT_FORM = (
    Check(causes.ACCOUNT_TOO_LONG, "length(account) > 100"),
    Check(causes.ACCOUNT_HAS_SPACES, f"account ~ '{UNPRINTABLE}'", Repair.SPACES),
)
ACCOUNT_MISSING = Check(causes.ACCOUNT_MISSING, "coalesce(account, '') = ''")

PINCODE_CHECKS = (
    ACCOUNT_MISSING,
    *ACCOUNT_FORM,
    Check(causes.PIN_MISSING, "coalesce(pincode, '') = ''"),
    Check(causes.PIN_TOO_LONG, "length(pincode) > 100"),
)

FINITE = "amount not in ('NaN', 'Infinity', '-Infinity')"

# Sums add up these amounts only: PostgreSQL fails if a sum reaches 131,072 digits, and then no row
# of the chunk could be moved, purged or counted. Larger ones are rejects in any case. Infinity and
# NaN are larger than any number.
ADDABLE = "abs(amount) < 1e131000"

BALANCE_CHECKS = (
    ACCOUNT_MISSING,
    *ACCOUNT_FORM,
    Check(causes.AMOUNT_MISSING, "amount is null"),
    Check(causes.AMOUNT_NOT_FINITE, f"not ({FINITE})"),
    Check(causes.AMOUNT_ZERO, "amount = 0"),
    Check(causes.AMOUNT_DECIMALS, "amount <> trunc(amount, 2)", Repair.KOPECKS),
    Check(causes.AMOUNT_OUT_OF_RANGE, "abs(amount) >= 10000000000000"),
    Check(causes.VALIDITY_REVERSED, "validto < validfrom"),
)

CARD_CHECKS = (
    Check(causes.CARD_MISSING, "coalesce(card, '') = ''"),
    Check(causes.CARD_MALFORMED, f"length(card) > 100 or card ~ '{UNPRINTABLE}'", Repair.SPACES),
    Check(causes.ACCOUNT_EMPTY, "account = ''"),
    *ACCOUNT_FORM,
    Check(
        causes.STATUS_UNKNOWN, f"status not between {min(CARD_STATUSES)} and {max(CARD_STATUSES)}"
    ),
    Check(causes.NOTHING_TO_CHANGE, "account is null and status is null"),
)

UNKNOWN_CARD = (Check(causes.CARD_UNKNOWN, "account is null"),)
