"""Puts the position of a task where an administrator says that it is; audited."""

from transfer.engine.placing import Place, Placed, place
from transfer.models import Actor, AuditEntry, TransferTask
from transfer.runs.execute import doors, task_lock


def put_position(task: TransferTask, where: Place, actor: Actor, *, dry_run: bool) -> Placed:
    """See `place`. Raises AlreadyRunning while the task runs, and other TransferErrors."""
    with task_lock(task), doors(task, "set_position") as (source, target):
        placed = place(task.moves, source, target, where, task.all_readers, dry_run=dry_run)
        if not dry_run:
            task.remember_reader(placed.position.reader)
            new = {
                "batch": placed.position.number,
                "waiting": placed.sent,
                "given_up": placed.lost,
            }
            AuditEntry.record(actor, AuditEntry.Action.POSITION, task, new=new)
    return placed
