"""Copies the rejects that a bonus server's database holds into ours, where people look at them.

The server's table says which rows are rejected, and which of these rejects are open. Ours adds who
decided, and why. After a chunk, what the chunk has changed is pulled. Where our copy is not of the
version before, as after a restore of either database, all open rejects are compared. Doing it again
changes nothing; lost or restored, our database pulls them again.

No lock is held while a bonus server or shop All is asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from transfer.causes.ledger import REJECTS_UNREADABLE
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.rejects import Reject, RowName
from transfer.engine.kind import Kind
from transfer.engine.move.chunk import Chunk
from transfer.engine.received import DISCARDED, Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import RejectedRow, TransferRun, TransferTask
from transfer.models.rejects import RejectedRowQuerySet
from transfer.queue.locks import Space, wait_for_lock

AT_ONCE = 1000
MOST = 1_000_000  # rejects that are pulled at once: a server could invent any number

State = RejectedRow.State
Name = tuple[str, int]

# What is taken over of a row that was rejected before: how it was decided is ours.
TAKEN_OVER = [
    *("code", "sqlstate", "constraint", "payload"),
    *("effect", "root_changeset", "root_row"),
]
OPENED: dict[str, Any] = {
    "state": State.OPEN,
    "closed_at": None,
    "closed_by": "",
    "close_reason": "",
    "resent_changeset": None,
    "resent_row": None,
    "is_written": True,
}


def mirror_chunk(
    task: TransferTask, source: ShopAll, target: BonusDatabase, chunk: Chunk, run: TransferRun
) -> None:
    """Pull what a chunk has changed of the rejects. Raises TransferError."""
    with target.database.transaction(commit=False):
        changed = target.rejects.changed_in(task.kind_spec, chunk.after, chunk.after.version)
        for rejects in _parts(changed, target):
            _take_over(task, source, rejects, run)
    if str(task.mirrored_version) == chunk.before.version:
        note_version(task, chunk.after.version)


def mirror(task: TransferTask, source: ShopAll, target: BonusDatabase, position: Position) -> None:
    """Make our rejects those of the server.

    1. Opens those again whose correction is lost: shop All was restored before the server got it.
    2. Unless ours are of this version of the position: pulls the open ones, and closes or deletes
       those of ours that are not open there.

    Raises TransferError.
    """
    _open_lost(task, source)
    if str(task.mirrored_version) == position.version:
        return
    open_there: set[Name] = set()
    with target.database.transaction(commit=False):
        for rejects in _parts(target.rejects.open(task.kind_spec, position.origin), target):
            open_there |= {_name_of(one) for one in rejects}
            _take_over(task, source, rejects, None)
    _close_others(task, target, position, open_there)
    note_version(task, position.version)


def note_version(task: TransferTask, version: str) -> None:
    """Note that our rejects are those of the server at this version of the position."""
    task.mirrored_version = UUID(version)
    TransferTask.objects.filter(pk=task.pk).update(mirrored_version=version)


def _parts(rejects: Iterator[Reject], target: BonusDatabase) -> Iterator[list[Reject]]:
    """Yield the rejects in parts. Raises REJECTS_UNREADABLE after MOST of them."""
    pulled = 0
    while some := [*islice(rejects, AT_ONCE)]:
        pulled += len(some)
        if pulled > MOST:
            raise TransferError(REJECTS_UNREADABLE, database=target.name)
        yield some


def _name_of(reject: Reject) -> Name:
    return reject.changeset, reject.row


def _rejects_of(task: TransferTask) -> RejectedRowQuerySet:
    return RejectedRow.objects.filter(server=task.server_id, kind=task.kind)


def _named(names: Iterable[Name]) -> Q:
    """Return the condition that a reject is that of one of these rows."""
    rows: dict[str, list[int]] = {}
    for changeset, row in names:
        rows.setdefault(changeset, []).append(row)
    condition = Q(pk__in=[])
    for changeset, numbers in rows.items():
        condition |= Q(changeset=changeset, row__in=numbers)
    return condition


@contextmanager
def _changing(kind: str, names: Sequence[Name]) -> Iterator[None]:
    """Change rejects of these rows in one transaction, and note which of them follow another."""
    with transaction.atomic():
        # Two servers that reject the same rows at once see each other's rejects.
        wait_for_lock(Space.REJECTS, 0)
        yield
        rejects = RejectedRow.objects.filter(_named(names), kind=kind)
        rejects.note_following()


def _take_over(
    task: TransferTask, source: ShopAll, rejects: list[Reject], run: TransferRun | None
) -> None:
    """Save the open ones of these rejects, and close those of ours that are closed there.

    One that is closed here, and open there, is opened again if the reason is gone.
    """
    opened = [one for one in rejects if one.resolved_by is None]
    closed_here = _rejects_of(task).filter(_named(map(_name_of, opened)))
    lost = _lost_corrections(task, source, closed_here)
    with _changing(task.kind, [*map(_name_of, rejects)]):
        _save(task, opened, run)
        _open_again(closed_here, lost)
        _close(task, [one for one in rejects if one.resolved_by is not None])


def _save(task: TransferTask, rejects: list[Reject], run: TransferRun | None) -> None:
    # One statement can't save a row twice; a server can forge two rejects of one row.
    last = {_name_of(reject): reject for reject in rejects}
    RejectedRow.objects.bulk_create(
        (
            RejectedRow(
                run=run,
                server=task.server,
                server_name=task.server.name,
                kind=task.kind,
                changeset=reject.changeset,
                row=reject.row,
                code=reject.code,
                sqlstate=reject.sqlstate,
                constraint=reject.constraint,
                payload=reject.payload,
                effect=reject.effect,
                root_changeset=reject.root_changeset,
                root_row=reject.root_row,
                created_at=reject.at or timezone.now(),
            )
            for reject in last.values()
        ),
        update_conflicts=True,
        unique_fields=["server", "kind", "changeset", "row"],
        update_fields=TAKEN_OVER,
    )


def _lost_corrections(
    task: TransferTask, source: ShopAll, rejects: RejectedRowQuerySet
) -> list[str]:
    """Return the changesets that shop All lacks of those which were sent in place of these rejects.

    No lock is held: shop All is asked.
    """
    resent = rejects.filter(state=State.RESENT).exclude(resent_changeset=None).order_by()
    changesets = [*resent.values_list("resent_changeset", flat=True).distinct()]
    if not changesets:
        return []
    with source.snapshot():
        return source.log.lacks(task.kind_spec, [str(one) for one in changesets])


def _open_lost(task: TransferTask, source: ShopAll) -> None:
    """Open rejects again whose correction shop All has lost before the server had it."""
    waiting = _rejects_of(task).filter(is_written=False)
    if lost := _lost_corrections(task, source, waiting):
        _open_waiting(task.kind, waiting, lost)


def open_unsent(kind: Kind, changeset: str) -> None:
    """Open the rejects again whose correction is this changeset, unless the server has got it."""
    waiting = RejectedRow.objects.filter(kind=kind.name, is_written=False)
    _open_waiting(kind.name, waiting, [changeset])


def _open_waiting(kind: str, waiting: RejectedRowQuerySet, corrections: list[str]) -> None:
    """Open those of these rejects again whose correction is one of these changesets."""
    again = waiting.filter(state=State.RESENT, resent_changeset__in=corrections)
    names = [(str(changeset), row) for changeset, row in again.values_list("changeset", "row")]
    with _changing(kind, names):
        again.update(**OPENED)


def _open_again(rejects: RejectedRowQuerySet, lost: list[str]) -> None:
    """Open those of these rejects, which are open on the server, that are closed here.

    One that was sent again waits for the row in its place, unless shop All has lost that. One that
    was discarded is discarded there once more.
    """
    rejects.filter(state=State.DISCARDED).update(is_written=False)
    rejects.filter(state=State.SETTLED).update(**OPENED)
    rejects.filter(state=State.RESENT, resent_changeset__in=lost).update(**OPENED)
    rejects.filter(state=State.RESENT).update(is_written=False)


def _close(task: TransferTask, rejects: Iterable[Reject]) -> None:
    """Close ours as the server has closed them, also where we have decided otherwise meanwhile.

    Which row of a changeset has closed it, the server does not say.
    """
    outcomes: dict[tuple[str, str, str], list[int]] = {}
    for reject in rejects:
        state, by = str(State.RESENT), reject.resolved_by or ""
        if reject.resolved_by == DISCARDED:
            state, by = str(State.DISCARDED), ""
        elif reject.code == "taken_back":
            state, by = str(State.SETTLED), ""
        outcomes.setdefault((state, by, reject.changeset), []).append(reject.row)
    for (state, by, changeset), rows in outcomes.items():
        ours = _rejects_of(task).filter(changeset=changeset, row__in=rows)
        closing = ours.filter(Q(state=State.OPEN) | Q(is_written=False))
        closing.filter(Q(resent_changeset=by or None), state=state).update(is_written=True)
        closing.filter(Q(state=State.OPEN) | Q(is_written=False)).update(
            state=state,
            is_written=True,
            closed_at=Coalesce("closed_at", timezone.now()),
            closed_by="",
            close_reason="",
            resent_changeset=by or None,
            resent_row=None,
        )


def _close_others(
    task: TransferTask, target: BonusDatabase, position: Position, open_there: set[Name]
) -> None:
    """Close or delete rejects that are not closed for good here, and not open on the server.

    Those of a row that the server has not received, since it was restored, are deleted: it is
    received and judged once more.
    """
    mine = _rejects_of(task).filter(Q(state=State.OPEN) | Q(is_written=False))
    listed = mine.values_list("changeset", "row").iterator(AT_ONCE)
    others = [
        (str(changeset), row)
        for changeset, row in listed
        if (str(changeset), row) not in open_there
    ]
    for first in range(0, len(others), AT_ONCE):
        names = others[first : first + AT_ONCE]
        with target.database.transaction(commit=False):
            rows = [RowName(*name) for name in names]
            there = [*target.rejects.named(task.kind_spec, position.origin, rows)]
        known = {*map(_name_of, there)}
        gone = [name for name in names if name not in known]
        with _changing(task.kind, names):
            _close(task, [one for one in there if one.resolved_by is not None])
            mine.filter(_named(gone), state=State.OPEN).delete()
