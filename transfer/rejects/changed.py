"""Staged rows that were changed after their transfer, and what an operator decides. Audited.

A decision and the row that it stages are one transaction of shop All. The audit entry is committed
just before it: a crash in between leaves an entry about rows that are still undecided.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from django.conf import settings
from django.db import transaction

from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, AuditEntry, RejectedRow

AT_ONCE = 10_000  # rows that one decision takes
SHOWN = 100  # rows of a kind on the page
SECONDS = 5.0  # that shop All has to answer a page


class Decision(StrEnum):
    SEND = "send"
    LEAVE = "leave"


@dataclass(frozen=True)
class Undecided:
    """The changed rows of a kind: the oldest of them, and how many there are."""

    kind: Kind
    rows: list[Changed]
    total: int


def undecided(most: int = SHOWN, seconds: float | None = SECONDS) -> Iterator[Undecided]:
    """The kinds that have changed rows without a decision. Raises TransferError."""
    kinds = settings.KINDS.values()
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "changed", seconds=seconds) as shop_all,
        shop_all.snapshot(*kinds),
    ):
        for kind in kinds:
            if rows := shop_all.changes.rows(kind, most):
                total = shop_all.changes.count(kind) if len(rows) == most else len(rows)
                yield Undecided(kind, rows, total)


def decide(
    kind: Kind,
    decision: Decision,
    actor: Actor,
    *,
    key: str | None = None,
    amount: Decimal | None = None,
) -> int:
    """Decides on one row (see `key_of`), or on all of the kind; returns of how many.

    A row is sent again with its present values, to every bonus server. A balance change needs
    `key` and `amount`: it goes to the servers that had read the row before the change. Nothing is
    staged for a row that was decided on, or changed again, meanwhile. Raises TransferError.
    """
    secret = bool(kind.secrets)
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "changed", secret=secret) as shop_all:
        changes = shop_all.changes
        with transaction.atomic(), shop_all.database.transaction(commit=False):
            numbers = None if key is None else [int(key.partition(".")[0])]
            rows = [
                row for row in changes.rows(kind, AT_ONCE, numbers) if key in (None, key_of(row))
            ]
            if decision == Decision.LEAVE:
                done = changes.leave(kind, rows, actor.name)
            elif kind.appends and amount is not None:
                done = sum(changes.send_amount(kind, row, amount, actor.name) for row in rows[:1])
            else:
                done = changes.send_again(kind, rows, actor.name)
            if done:
                new: dict[str, object] = {"decision": decision.value, "rows": done}
                if key is not None:
                    new["id"] = rows[0].id
                if amount is not None:
                    new["amount"] = str(amount)
                subject = RejectedRow(kind=kind.name)
                AuditEntry.record(actor, AuditEntry.Action.CHANGED, subject, new=new)
            shop_all.database.commit()
    return done


def key_of(row: Changed) -> str:
    """Names a row together with its change: another change of it is another decision."""
    return f"{row.id}.{row.xid}.{row.changed_xid}"
