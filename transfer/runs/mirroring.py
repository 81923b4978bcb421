"""Rejects that no run has mirrored, since it died or our own database was lost: the tick's part."""

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q, QuerySet

from transfer.errors import TransferError
from transfer.models import TransferRun, TransferTask
from transfer.rejects.mirror import mirror
from transfer.runs.execute import doors

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
AT_MOST = 20  # tasks a tick: a server that does not answer takes its time


def overdue(now: datetime) -> QuerySet[TransferTask]:
    """Tasks whose rejects were not looked at for long. A run that began well has looked."""
    late = TransferTask.objects.filter(Q(mirrored_at=None) | Q(mirrored_at__lt=now - EVERY))
    return late.order_by(F("mirrored_at").asc(nulls_first=True))


def mirror_overdue(now: datetime) -> None:
    """Mirrors the rejects of the tasks that are overdue. Never raises."""
    tasks = list(overdue(now).select_related("server")[:AT_MOST])
    TransferTask.objects.filter(pk__in=[task.pk for task in tasks]).update(mirrored_at=now)
    busy = set(TransferRun.objects.running().filter(task__in=tasks).values_list("task", flat=True))
    silent: set[int] = set()
    for task in tasks:
        if task.server_id in silent or task.pk in busy:
            continue
        try:
            _mirror(task)
        except TransferError as error:
            silent.add(task.server_id)
            logger.info("rejects of %s: %s", task, error)


def _mirror(task: TransferTask) -> None:
    with doors(task, "mirror") as (source, target):
        with source.snapshot():
            origin = source.origin()
        position = target.existing_position(origin, task.moves)
        if position is None or position.reader is None:
            return
        if (last := task.runs.begun().first()) is not None:
            last.settle(position)
        with target.transaction(commit=False):
            mirror(task, target, position)
