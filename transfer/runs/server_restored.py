"""Tells people that a bonus server went back in time: it was restored from a backup.

The transfer goes on by itself, and sends again what the server has lost. What registers wrote there
in between is outside of it: the vendor has to compare that.
"""

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from transfer.engine.received import Position
from transfer.models import Bulletin, TransferRun, TransferTask


def tell_if_restored(task: TransferTask, run: TransferRun, position: Position) -> None:
    """Tell people if our own history knows a later position of this server than its own."""
    earlier = task.runs.exclude(pk=run.pk).begun().that_may_have_moved()
    last = earlier.first()
    recorded = last.counted_to if last else None
    if last is None or recorded is None or not recorded.is_of_same(position):
        return
    # Not what it has received by its name: the copy of another server may have all that it had.
    rows = recorded.totals.read - position.totals.read
    if rows <= 0:
        return
    ended = last.finished_at or last.queued_at
    began = position.beginning.at
    if began and datetime.fromisoformat(began) > ended:
        return  # an administrator has said what it has received, and it begins anew
    same = task.runs.filter(position_to__version=position.version).first()
    about = {
        "rows": rows,
        "from": same.finished_at if same else None,
        "to": ended,
        "number": position.place.number,
        "known": recorded.place.number,
    }
    _publish(task, about)


@transaction.atomic
def _publish(task: TransferTask, about: dict[str, Any]) -> None:
    """Write the bulletin of the server, or add this transfer to the one that is open."""
    code = Bulletin.Code.SERVER_RESTORED
    held = Bulletin.objects.open().select_for_update().filter(code=code, server=task.server)
    bulletin = held.first() or Bulletin(code=code, server=task.server)
    kinds = {**bulletin.params.get("kinds", {}), task.kind: about}
    bulletin.params = {"server": task.server.name, "kinds": kinds}
    bulletin.at = timezone.now()
    bulletin.save()
