"""Rejects that no run has mirrored, since it died or our own database was lost: the tick's part."""

import logging
from datetime import datetime, timedelta

from django.db.models import F, Q

from transfer.errors import TransferError
from transfer.models import TransferTask
from transfer.rejects.mirror import mirror
from transfer.runs.execute import doors

logger = logging.getLogger(__name__)

EVERY = timedelta(minutes=15)
AT_MOST = 20  # tasks a tick: a server that does not answer takes its time


def mirror_overdue(now: datetime) -> None:
    """Mirrors the rejects of those tasks that were not looked at for long. Never raises."""
    overdue = TransferTask.objects.filter(Q(mirrored_at=None) | Q(mirrored_at__lt=now - EVERY))
    silent: set[int] = set()
    oldest = F("mirrored_at").asc(nulls_first=True)
    for task in overdue.select_related("server").order_by(oldest)[:AT_MOST]:
        TransferTask.objects.filter(pk=task.pk).update(mirrored_at=now)
        if task.server_id in silent or task.runs.running().exists():
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
