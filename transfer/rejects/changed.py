"""Staged rows that were changed after their transfer, and what an operator decides. Audited.

A decision and the row that it stages are one transaction of shop All.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from django.conf import settings
from django.utils.translation import gettext_noop

from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed, Changes
from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, RejectedRow, TransferTask

AT_ONCE = 10_000  # rows that one decision takes
SHOWN = 100  # rows of a kind on the page
SECONDS = 5.0  # that shop All has to answer a page

# Why the present values of a row can't be sent: see `Changed.reason`.
REASONS = {
    "account_changed": gettext_noop(
        "The account was changed, and an amount can't be moved from one account to another. Make "
        "two changes by hand: take the amount from the account before, and give it to the new one."
    ),
    "validity_changed": gettext_noop(
        "Only the time in which the amount counts was changed. Bonus servers keep the time that "
        "they have received: if it matters, change it in their own data."
    ),
    "dependent": gettext_noop(
        "The row corrects, changes or takes back another one. Change the amount of that one, or "
        "make a change by hand."
    ),
    "invalid": gettext_noop(
        "The present values fail a check, so every bonus server would reject them. Correct the row "
        "in shop All first."
    ),
}


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
    """Yield the kinds that have changed rows without a decision. Raises TransferError.

    Rows that no server has read yet are left out: they arrive as they are.
    """
    kinds = installed_kinds().values()
    with (
        ShopAll(
            settings.SHOP_ALL_DATABASE_URL, "changed", seconds=seconds, secret=False
        ) as shop_all,
        shop_all.snapshot(*kinds),
    ):
        changes = Changes(shop_all)
        for kind in kinds:
            up_to = read_up_to(kind)
            if rows := changes.rows(kind, most, up_to):
                total = changes.count(kind, up_to) if len(rows) == most else len(rows)
                yield Undecided(kind, rows, total)


def read_up_to(kind: Kind) -> int | None:
    """Return the number of the last line that any server has read, by our own history.

    None where it knows of none: it may be lost.
    """
    tasks = TransferTask.objects.filter(kind=kind.name)
    latest = [task.runs.begun().first() for task in tasks]
    places = [run.counted_to.place for run in latest if run is not None and run.counted_to]
    return max((place.number for place in places), default=None)


def decide(kind: Kind, decision: Decision, actor: Actor, *, key: str | None = None) -> int:
    """Decide on one row (see `key_of`), or on all of the kind that can be sent; return of how many.

    The present values of a row are sent to every bonus server; of a balance change, each server
    applies the difference to the amount that is in effect there. Nothing is staged for a row that
    was decided on, or changed again, meanwhile. Raises TransferError.
    """
    secret = bool(kind.secrets)
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "changed", secret=secret) as shop_all:
        changes = Changes(shop_all)
        with shop_all.snapshot(kind):
            rows = [row for row in changes.rows(kind, AT_ONCE) if key in (None, key_of(row))]
        if key is None and decision == Decision.SEND:
            rows = [row for row in rows if not row.reason]
        done = changes.leave(kind, rows) if decision == Decision.LEAVE else changes.send(kind, rows)
    if done:
        new: dict[str, object] = {"decision": decision.value, "rows": done}
        if key is not None:
            new["id"] = rows[0].row
        subject = RejectedRow(kind=kind.name)
        AuditEntry.record(actor, AuditEntry.Action.CHANGED, subject, new=new)
    return done


def key_of(row: Changed) -> str:
    """Return the name of a row together with its change: another change is another decision."""
    return f"{row.changeset}.{row.row}.{row.at}"
