"""Copies the rejects that a bonus server's database holds into ours, where people look at them.

They are pulled by number after each chunk, and by a recurring job. Doing it again changes nothing;
lost or restored, our database pulls them again.

No lock is held while a bonus server or shop All is asked. `mirrored_number` moves on last, so that
a process that dies half-way leaves everything to be done again.
"""

from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.reject_reading import Reject
from transfer.engine.position import Position
from transfer.engine.shop_all.source import ShopAll
from transfer.models import RejectedRow, TransferRun, TransferTask
from transfer.queue.locks import Space, wait_for_lock
from transfer.rejects.closing import close_noted, close_undone

AT_ONCE = 1000
MOST = 1_000_000  # rejects that one call pulls: a server could invent any number

# What is taken over of a row that was rejected before: its state is ours.
TAKEN_OVER = ["xid", "reader", "number", "token", "code", "sqlstate", "constraint", "payload"]


def mirror(
    task: TransferTask, target: BonusDatabase, position: Position, run: TransferRun | None = None
) -> None:
    """Pulls the rejects that we lack. They are `run`'s, or those of the runs that counted them.

    Raises TransferError.
    """
    task.remember_reader(position.reader)
    if position.reader is None:
        return
    if _is_same_history(task, target, position.reader):
        _pull(task, target, position.reader, run)
    else:
        _pull_all(task, target, position.reader)


def _is_same_history(task: TransferTask, target: BonusDatabase, reader: str) -> bool:
    """Whether the server still has the last reject that we know: it may have been restored."""
    return not task.mirrored_number or target.rejects.has(
        reader, task.mirrored_number, str(task.mirrored_token)
    )


def _pull_all(task: TransferTask, target: BonusDatabase, reader: str) -> None:
    """Reads all rejects again, and deletes open ones that the server no longer has.

    The task is saved with the deletion, and not before.
    """
    task.mirrored_number, task.mirrored_token = 0, None
    known: set[str] = set()
    for rejects in _pages(task, target, reader):
        known.update(reject.token for reject in rejects)
        _take_over(task, reader, rejects, None)
    with transaction.atomic():
        wait_for_lock(Space.REJECTS, 0)
        _delete_gone(task, reader, known)
        _save_progress(task)


def _delete_gone(task: TransferTask, reader: str, known: set[str]) -> None:
    gone = RejectedRow.objects.open().filter(server=task.server_id, reader=reader)
    tokens = dict(gone.values_list("pk", "token"))
    gone = gone.filter(pk__in=[pk for pk, token in tokens.items() if str(token) not in known])
    rows = [*gone.values_list("staging_id", flat=True)]
    gone.delete()
    RejectedRow.objects.filter(kind=task.kind, staging_id__in=rows).note_following()


def _pull(task: TransferTask, target: BonusDatabase, reader: str, run: TransferRun | None) -> None:
    """Pulls the rejects after those that we know."""
    for rejects in _pages(task, target, reader):
        _take_over(task, reader, rejects, run)
        _save_progress(task)


def _pages(task: TransferTask, target: BonusDatabase, reader: str) -> Iterator[list[Reject]]:
    """Yields the rejects after those that we know, MOST at most, in pages of AT_ONCE.

    Each page is behind us once the next is read.
    """
    for _page in range(MOST // AT_ONCE):
        rejects = target.rejects.after(task.kind_spec, reader, task.mirrored_number, AT_ONCE)
        if not rejects:
            return
        task.mirrored_number, task.mirrored_token = rejects[-1].number, UUID(rejects[-1].token)
        yield rejects


def _take_over(
    task: TransferTask, reader: str, rejects: list[Reject], run: TransferRun | None
) -> None:
    """Saves these rejects, and closes those whose rows were resent.

    Shop All is asked after they are committed: a resend that begins later sees and closes them
    itself.
    """
    with transaction.atomic():
        # Two servers that reject the same rows at once see each other's rejects.
        wait_for_lock(Space.REJECTS, 0)
        _forget_namesakes(task, rejects)
        _save(task, reader, rejects, run)
        mine = RejectedRow.objects.filter(server=task.server_id, kind=task.kind)
        mine.filter(staging_id__in=[one.staging_id for one in rejects]).note_following()
    _close_what_was_sent(task, rejects)


def _save_progress(task: TransferTask) -> None:
    task.save(update_fields=["mirrored_number", "mirrored_token"])


def _save(task: TransferTask, reader: str, rejects: list[Reject], run: TransferRun | None) -> None:
    run_of = _run_of(task, reader, run)
    # One statement can't save a row twice; a server can forge two rejects of one row.
    last = {(reject.origin, reject.staging_id): reject for reject in rejects}
    RejectedRow.objects.bulk_create(
        (
            RejectedRow(
                run_id=run_of(reject.number),
                server=task.server,
                server_name=task.server.name,
                kind=task.kind,
                origin=reject.origin,
                xid=reject.xid,
                staging_id=reject.staging_id,
                reader=reader,
                number=reject.number,
                token=reject.token,
                code=reject.code,
                sqlstate=reject.sqlstate,
                constraint=reject.constraint,
                payload=reject.payload,
                created_at=reject.at or timezone.now(),
            )
            for reject in last.values()
        ),
        update_conflicts=True,
        unique_fields=["server", "kind", "origin", "staging_id"],
        update_fields=TAKEN_OVER,
    )


def _forget_namesakes(task: TransferTask, rejects: list[Reject]) -> None:
    """Deletes copies of rejects of other rows with the same ids: their decisions don't count."""
    xids = {(one.origin, one.staging_id): one.xid for one in rejects}
    known = RejectedRow.objects.filter(
        server=task.server, kind=task.kind, staging_id__in=[one.staging_id for one in rejects]
    ).exclude(xid=None)
    rows = known.values_list("pk", "origin", "staging_id", "xid")
    others = [pk for pk, origin, id_, xid in rows if xids.get((str(origin), id_), xid) != xid]
    known.filter(pk__in=others).delete()


def _run_of(
    task: TransferTask, reader: str, run: TransferRun | None
) -> Callable[[int], int | None]:
    """Tells which run has written a reject, by its number: positions count them."""
    if run is not None:
        return lambda number: run.pk
    begun = task.runs.begun().filter(position_to__reader=reader, rejected__gt=0)
    ends = [
        (pk, *(int(place["totals"]["rejected"]) for place in both))
        for pk, *both in begun.values_list("pk", "position_from", "position_to")
    ]
    return lambda number: next((pk for pk, before, to in ends if before < number <= to), None)


def _close_what_was_sent(task: TransferTask, rejects: Iterable[Reject]) -> None:
    """Closes rejects whose rows were corrected or taken back before: for another server that had
    rejected them, or by an own database that is lost.
    """
    origins: dict[str, list[int]] = {}
    for reject in rejects:
        origins.setdefault(reject.origin, []).append(reject.staging_id)
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "mirror", secret=True) as shop_all,
        shop_all.database.transaction(),
    ):
        for origin, numbers in origins.items():
            close_noted(shop_all, task.kind_spec, origin, numbers)
        if task.kind_spec.appends:
            close_undone(shop_all, task.kind_spec, [one.staging_id for one in rejects])
