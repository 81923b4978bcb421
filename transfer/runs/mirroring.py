"""Rejects that no run has mirrored, since it died or our own database was lost."""

from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from transfer.errors import AlreadyRunning, ShopAllWentBack
from transfer.models import BonusServer, TransferRun, TransferTask
from transfer.rejects.mirror import mirror
from transfer.runs.execute import open_databases
from transfer.runs.knowledge import knowledge_of

# A run that began well has mirrored its task's rejects.
RECENT = timedelta(minutes=10)


def overdue(server: BonusServer, now: datetime) -> QuerySet[TransferTask]:
    """Tasks of the server whose rejects were not mirrored lately, and that do not run now."""
    late = server.tasks.filter(Q(mirrored_at=None) | Q(mirrored_at__lt=now - RECENT))
    running = TransferRun.objects.running().filter(task__server=server).values("task")
    return late.exclude(pk__in=running).order_by(F("mirrored_at").asc(nulls_first=True))


def mirror_overdue(server: BonusServer, now: datetime) -> None:
    """Mirrors the rejects of the server's overdue tasks. Raises TransferError at the first failure.

    Waits for the bonus server and for shop All, so it runs as a job.
    """
    for task in overdue(server, now).select_related("server"):
        TransferTask.objects.filter(pk=task.pk).update(mirrored_at=now)
        _mirror(task)


def _mirror(task: TransferTask) -> None:
    """Mirror the rejects of one task.

    Does nothing while a run of the task is under way, which does it itself; nor before somebody has
    said that shop All, which went back in time, is the right one: a test copy lacks corrections.
    """
    leave = suppress(AlreadyRunning, ShopAllWentBack)
    with leave, task.lock(), open_databases(task, "mirror") as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
            knowledge_of(task.server).check_shop_all(source, origin)
        with target.database.transaction(commit=False):
            position = target.positions.get(origin, task.kind_spec)
        if position is None:
            return
        if (last := task.runs.begun().that_may_have_moved().first()) is not None:
            last.settle(position)
        mirror(task, source, target, position)
