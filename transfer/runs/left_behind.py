"""Leaves a bonus server behind whose database can't be read: purges do not wait for it any more.

It holds only as long as a purge can't read the server's position. Its next run finds in the log of
shop All which rows it lacks, and refuses until somebody has decided. With that decision, or with a
run that lacks nothing, it is not left behind any more.
"""

from collections.abc import Iterable

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.causes.runs import PURGED_MEANWHILE, STILL_READ
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.received import Place
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, AuditEntry, BonusServer, LeftBehind, TransferTask

SECONDS = 5  # that shop All, and the server, are waited for


def consequences(server: BonusServer) -> list[str]:
    """What it means to leave the server behind, a sentence each."""
    points = [
        _("Purges remove rows that all other bonus servers have received."),
        _("When its database answers again, its next run says exactly how many rows it lacks."),
        _("A copy of another bonus server's database gives it these rows; or it goes on without."),
        _("You can take this back until rows are purged that it has not received."),
    ]
    if not BonusServer.objects.exclude(pk=server.pk).exists():
        points.append(_("It is the only bonus server: nothing is purged without it."))
    return points


def leave_behind(server: BonusServer, actor: Actor, reason: str) -> list[TransferTask]:
    """Let purges go on without the tasks whose positions can't be read; return them. Audited.

    Raises STILL_READ if all positions can be read; TransferError if shop All does not answer.
    """
    tasks = list(server.tasks.select_related("server"))
    with (
        ShopAll(
            settings.SHOP_ALL_DATABASE_URL, "leave behind", seconds=SECONDS, secret=False
        ) as source,
        source.snapshot(),
    ):
        origin = source.identity.origin()
    unread = [task for task in tasks if not can_be_read(task, origin, SECONDS)]
    if not unread:
        raise TransferError(STILL_READ, server=server.name)
    with transaction.atomic():
        for task in unread:
            about = {"at": timezone.now(), "by": actor.name, "reason": reason}
            LeftBehind.objects.get_or_create(task=task, defaults=about)
        _record(server, actor, is_left=True, reason=reason)
    return unread


def can_be_read(task: TransferTask, origin: str, seconds: float) -> bool:
    """Return whether a purge can find out what the task's bonus server has received."""
    try:
        with (
            BonusDatabase(
                task.server.dsn, task.server.name, "leave behind", seconds=seconds, secret=False
            ) as target,
            target.database.transaction(commit=False),
        ):
            target.positions.get(origin, task.kind_spec)
    except TransferError:
        return False
    return True


def take_back(server: BonusServer, actor: Actor) -> None:
    """Let purges wait for the server again. Audited.

    Raises PURGED_MEANWHILE if rows are gone that it has not received; TransferError if shop All
    does not answer.
    """
    left = list(LeftBehind.objects.filter(task__server=server).select_related("task__server"))
    with ShopAll(
        settings.SHOP_ALL_DATABASE_URL, "take back", seconds=SECONDS, secret=False
    ) as source:
        if missing := sum(count_missing(one, source) for one in left):
            raise TransferError(PURGED_MEANWHILE, server=server.name, rows=missing)
    with transaction.atomic():
        LeftBehind.objects.filter(task__server=server).delete()
        _record(server, actor, is_left=False)


def count_missing(left: LeftBehind, source: ShopAll) -> int:
    """Return how many rows the server has not received and purges have removed, as far as our own
    history knows what it has received.
    """
    run = left.task.runs.begun().that_may_have_moved().first()
    recorded = run.counted_to if run else None
    if recorded is None:  # its position has never begun: a new server is not sent these rows
        return 0
    kind = installed_kinds()[left.task.kind]
    with source.snapshot():
        place = recorded.place if source.log.has(kind, recorded.place) else Place()
        return source.counts.purged_above(kind, place)


def note_missing(left: Iterable[LeftBehind], source: ShopAll) -> None:
    """Note for the pages how many rows the servers lack after a purge."""
    for one in left:
        LeftBehind.objects.filter(pk=one.pk).update(missing=count_missing(one, source))


def has_come_back(task: TransferTask, actor: Actor) -> None:
    """Note that the position can be read, and lacks nothing, or it is decided. Audited."""
    left = LeftBehind.objects.filter(task=task)
    if left.exists():
        left.delete()
        _record(task, actor, is_left=False)


def _record(
    subject: BonusServer | TransferTask, actor: Actor, *, is_left: bool, reason: str = ""
) -> None:
    new = {"left_behind": is_left}
    AuditEntry.record(actor, AuditEntry.Action.CHANGE, subject, new=new, reason=reason)
