"""What the commands about tasks share: how tasks are named."""

from argparse import ArgumentParser

from django.core.management.base import CommandError
from django.utils.translation import gettext

from transfer.engine.kinds import KINDS
from transfer.management.command import USAGE, servers_named
from transfer.models import MaintenanceTask, TransferTask
from transfer.models.schedules import ScheduledTask

MAINTENANCE = [str(kind) for kind in MaintenanceTask.Kind]


def add_task_arguments(parser: ArgumentParser) -> None:
    names = [*KINDS, "all", *MAINTENANCE]
    parser.add_argument("task", choices=names, metavar=" | ".join(names))
    parser.add_argument("--server", metavar="ID|NAME", help=gettext("default: every one"))


def tasks_named(name: str, server: str | None) -> list[ScheduledTask]:
    """The tasks of a kind, or all transfers. Raises CommandError when there is none."""
    if name in MAINTENANCE:
        if server is not None:
            raise CommandError(gettext("This task belongs to no server."), returncode=USAGE)
        return [MaintenanceTask.objects.get(kind=name)]
    tasks = TransferTask.objects.filter(server__in=servers_named(server)).select_related("server")
    return list(tasks if name == "all" else tasks.filter(kind=name))
