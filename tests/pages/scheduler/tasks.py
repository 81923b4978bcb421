"""Tasks as a page shows them, and what is known to wait for them, without asking a server."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from transfer.models import BonusServer, TransferTask
from transfer.runs import backlog
from transfer.runs.backlog import Backlog


def wait_for(
    task: TransferTask, rows: int = 412, minutes: float = 3, error: Any = None, **fields: Any
) -> None:
    """As if the servers had just been asked."""
    oldest = timezone.now() - timedelta(minutes=minutes) if rows else None
    asked = Backlog(error=error) if error else Backlog(rows, oldest, **fields)
    backlog.latest[task.pk] = asked


def once_more(response: Any) -> dict[str, list[Any]]:
    """What the button of the page posts that asks whether to do it all the same."""
    data: dict[str, list[Any]] = {}
    for name, value in [*response.context["hidden"].items(), *response.context["sent"]]:
        data.setdefault(name, []).append(value)
    return data


def many_tasks(count: int) -> None:
    """Enabled tasks of servers that nobody asks; nothing waits for them."""
    start = BonusServer.objects.count()
    servers = BonusServer.objects.bulk_create(
        BonusServer(name=f"server {start + number}", host="h", db_name="d")
        for number in range(-(-count // 3))
    )
    tasks = [
        TransferTask(server=one, kind=kind, enabled=True, next_run_at=timezone.now())
        for one in servers
        for kind in ("pincodes", "balances", "cards")
    ]
    for task in TransferTask.objects.bulk_create(tasks[:count]):
        wait_for(task, 0)
