"""Staged rows that were changed after their transfer, and what an operator decides. Audited.

A decision and the row that it stages are one transaction of shop All; "By hand" and the audit are
one of our own database. The two commit in the order of `resend`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from transfer.approvals.gate import NeedsSecondPerson, entering
from transfer.approvals.parked import actor_of, name_of, note_staged_before, park, request_of
from transfer.approvals.rows import of_differences
from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed, Changes
from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, RejectedRow, TransferTask, Upload

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


class Decided(NamedTuple):
    """How many rows were decided on, and how many need a second person first."""

    rows: int
    waiting: int = 0


def decide(kind: Kind, decision: Decision, actor: Actor, *, key: str | None = None) -> Decided:
    """Decide on one row (see `key_of`), or on all of the kind that can be sent.

    The present values of a row are sent to every bonus server; of a balance change, each server
    applies the difference to the amount that is in effect there. Nothing is staged for a row that
    was decided on, or changed again, meanwhile. Raises TransferError.
    """
    with _shop_all(kind) as shop_all:
        changes = Changes(shop_all)
        with shop_all.snapshot(kind):
            rows = [row for row in changes.rows(kind, AT_ONCE) if key in (None, key_of(row))]
        if decision == Decision.LEAVE:
            with _both_committed(shop_all, kind):
                done = changes.leave(kind, rows)
                _note(kind, decision, actor, rows[:1] if key else [], done)
            return Decided(done)
        if key is None:
            rows = [row for row in rows if not row.reason]
        try:
            return Decided(_send(shop_all, kind, rows, actor, is_one=key is not None))
        except NeedsSecondPerson as needed:
            request = {"keys": [key_of(row) for row in rows], "is_one": key is not None}
            park(kind, Upload.InputMethod.CHANGE, actor, request, needed)
            return Decided(0, needed.rows.count)


def send_approved(upload: Upload) -> None:
    """Send what a second person has approved, once. Raises ApprovalVoid, TransferError."""
    request, kind = request_of(upload), upload.kind_spec
    keys = {*request["keys"]}
    with _shop_all(kind) as shop_all:
        if note_staged_before(upload, shop_all):
            return
        with shop_all.snapshot(kind):
            rows = [row for row in Changes(shop_all).rows(kind, AT_ONCE) if key_of(row) in keys]
        actor = actor_of(upload)
        _send(shop_all, kind, rows, actor, is_one=request["is_one"], approved=upload)


def _shop_all(kind: Kind) -> ShopAll:
    return ShopAll(settings.SHOP_ALL_DATABASE_URL, "changed", secret=bool(kind.secrets))


@contextmanager
def _both_committed(shop_all: ShopAll, kind: Kind) -> Iterator[None]:
    """Make the block a transaction of both databases, which holds the log of shop All.

    Our own database commits first.
    """
    with shop_all.log_writer.held(kind), transaction.atomic():
        yield


def _send(
    shop_all: ShopAll,
    kind: Kind,
    rows: list[Changed],
    actor: Actor,
    *,
    is_one: bool,
    approved: Upload | None = None,
) -> int:
    """Stage the present values of the rows; return of how many.

    `approved`: the upload in which they have waited. Raises NeedsSecondPerson, TransferError.
    """
    name = None if approved is None else name_of(approved, shop_all)
    sendable = [] if any(row.reason for row in rows) else rows  # the engine refuses the others
    entered = of_differences(kind, map(_difference, sendable), " ".join(map(key_of, rows)))
    with (
        _both_committed(shop_all, kind),
        entering(actor.name, Upload.InputMethod.CHANGE, entered, approved),
    ):
        done = Changes(shop_all).send(kind, rows, name=name, by=actor.name)
        _note(kind, Decision.SEND, actor, rows[:1] if is_one else [], done)
        if approved is not None and name is not None:
            shop_all.database.commit()
            approved.note_loaded(done, name)
    return done


def _difference(row: Changed) -> tuple[str, str, Decimal | None]:
    """Return the numbers of a row, and the difference of its amount."""
    values = row.payload
    first, other = values.get("card") or values.get("account"), values.get("account")
    if "amount" not in values:
        return first or "", other or "", None
    return first or "", "", Decimal(values["amount"] or 0) - Decimal(row.before or 0)


def _note(kind: Kind, decision: Decision, actor: Actor, one: list[Changed], done: int) -> None:
    """Write the audit; `one`: the row, if the decision was about a single one."""
    if done:
        new: dict[str, object] = {"decision": decision.value, "rows": done}
        if one:
            new["id"] = one[0].row
        subject = RejectedRow(kind=kind.name)
        AuditEntry.record(actor, AuditEntry.Action.CHANGED, subject, new=new)


def key_of(row: Changed) -> str:
    """Return the name of a row together with its change: another change is another decision."""
    return f"{row.changeset}.{row.row}.{row.at}"
