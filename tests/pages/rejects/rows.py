"""Rejects as a run leaves them, and pages of them."""

from typing import Any

from django.http import HttpResponse

from tests.pages.history.runs import POSITION
from transfer.models import BonusServer, RejectedRow

NUMBERS = iter(range(1, 10**9))
PAYLOADS = {
    "balances": {"account": "4100", "amount": "0", "validfrom": None, "validto": None,
                 "comment": None},
    "cards": {"card": "7001", "account": None, "status": "2"},
    "pincodes": {"account": "", "pincode": "••••"},
}  # fmt: skip
CODES = {"balances": "amount_zero", "cards": "card_unknown", "pincodes": "account_missing"}


def a_reject(of: BonusServer, kind: str = "balances", **fields: Any) -> RejectedRow:
    """A reject as a run leaves it, made without a transfer."""
    run = fields.pop("run", None)
    values = {
        "run": run,
        "server": of,
        "server_name": of.name,
        "kind": kind,
        "origin": POSITION["origin"],
        "staging_id": next(NUMBERS),
        "code": CODES[kind],
        "payload": PAYLOADS[kind],
    }
    return RejectedRow.objects.create(**values | fields)


def words(response: HttpResponse) -> str:
    """The page without the line breaks of its source."""
    return " ".join(response.content.decode().split())
