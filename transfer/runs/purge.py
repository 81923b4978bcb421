"""Removes staged rows that are old enough and that no bonus server needs any more."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.utils import timezone

from transfer.engine.kind import Kind
from transfer.engine.shop_all.purge import KnownServer, purge as purge_rows
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import PurgeWaits, TransferError
from transfer.installed import installed_kinds
from transfer.models import LeftBehind, RejectedRow, Settings, TransferTask
from transfer.runs.knowledge import knowledge_of
from transfer.runs.left_behind import note_missing
from transfer.runs.lifetimes import shorten_log, trim_servers
from transfer.runs.needed import ask_servers, last_known, this_installation
from transfer.statements.copies import write_days
from transfer.statements.log_days import keep_log_days

SECONDS = 60.0
"""That all bonus servers are waited for."""


@dataclass
class Purge:
    """What a purge of one staging table removed, or what kept it from that.

    `lines`: of the log, whose lifetime had ended. `waits`: why all rows stay. `left_behind`: tasks
    that an administrator has left behind, and whose position can't be read. `unread`: other tasks
    whose position can't be read, and why.
    """

    kind: Kind
    rows: int = 0
    lines: int = 0
    waits: TransferError | None = None
    left_behind: list[LeftBehind] = field(default_factory=list)
    unread: list[tuple[TransferTask, TransferError]] = field(default_factory=list)


def purge(kind: Kind, tasks: Iterable[TransferTask], days: int, *, dry_run: bool) -> Purge:
    """Remove rows of the kind older than `days` that no docked server needs, of any installation.

    Then shorten the log, and what the servers note of it: see `lifetimes`.

    A server that can't be reached keeps back what it needs by what our own history knows of it,
    unless it is left behind (see `left_behind`). A disabled task counts as any other: switched on,
    it goes on from where it was. Nothing is removed where shop All is not the one that our own
    history knows. Raises TransferError.
    """
    result, tasks, installation = Purge(kind), list(tasks), this_installation()
    left = {
        one.task_id: one
        for one in LeftBehind.objects.filter(task__in=tasks).select_related("task__server")
    }
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "purge", secret=False) as shop_all:
        with shop_all.snapshot():
            origin = shop_all.identity.origin()
            knowledge_of(None).check_shop_all(shop_all, origin)
            known = shop_all.installations.own(kind, installation)
        servers = [*_servers(result, tasks, left, origin)]
        if not servers:
            return result
        try:
            done = purge_rows(
                kind,
                shop_all,
                servers,
                installation,
                known,
                days,
                _open_rejects(kind),
                dry_run=dry_run,
            )
        except PurgeWaits as error:
            result.waits = error
            return result
        result.rows = done.rows
        if dry_run:
            return result
        if result.left_behind:
            note_missing(result.left_behind, shop_all)
        with shop_all.snapshot():
            keep_log_days(shop_all, kind, timezone.now())
        write_days(shop_all)  # before the lines go of which these are the sums
        behind = [last_known(one.task, origin) for one in result.left_behind]
        result.lines = shorten_log(kind, shop_all, [*servers, *behind])
        # The tasks whose positions can't be read:
        silent = {task.pk for task, _error in result.unread}
        silent |= {one.task.pk for one in result.left_behind}
        trim_servers(kind, shop_all, [task for task in tasks if task.pk not in silent], origin)
    return result


def _open_rejects(kind: Kind) -> set[str]:
    """Return the changesets with open rejects whose values are masked: only the rows have them."""
    if not kind.secrets:
        return set()
    rejects = RejectedRow.objects.open().filter(kind=kind.name).order_by()
    return {str(name) for name in rejects.values_list("changeset", flat=True).distinct()}


def _servers(
    result: Purge, tasks: Iterable[TransferTask], left: dict[int, LeftBehind], origin: str
) -> Iterator[KnownServer]:
    """Yield what is known of each task's server: read now, or by our own history."""
    for task, answer in ask_servers(tasks, origin, SECONDS):
        if not isinstance(answer, TransferError):
            yield answer
        elif task.pk in left:
            result.left_behind.append(left[task.pk])
        else:
            result.unread.append((task, answer))
            yield last_known(task, origin)


def purge_all(days: int | None = None, *, dry_run: bool) -> Iterator[Purge]:
    """Purge the tables of all kinds; without `days` by the settings. Raises TransferError."""
    chosen = Settings.load()
    tasks = list(TransferTask.objects.select_related("server"))
    for name in dict.fromkeys(task.kind for task in tasks):
        kind = installed_kinds()[name]
        of_kind = [task for task in tasks if task.kind == name]
        by_settings = chosen.pin_days if kind.secrets else chosen.staging_days
        yield purge(kind, of_kind, days or by_settings, dry_run=dry_run)


def purge_staging(*, dry_run: bool = False) -> Iterator[dict[str, Any]]:
    """Remove staged rows that nobody needs, by the settings, and shorten the log of shop All.

    Yields table → rows removed, or why they stay. A dry run counts, and removes nothing. Raises
    TransferError.
    """
    for result in purge_all(dry_run=dry_run):
        about: dict[str, Any] = {"rows": result.rows}
        if result.lines:
            about["lines"] = result.lines
        if result.waits is not None:
            about["waits_for"] = result.waits.params["server"]
        if result.unread:
            about["unread"] = [task.audit_params() for task, _error in result.unread]
        if result.left_behind:
            about["left_behind"] = [one.task.audit_params() for one in result.left_behind]
        yield {result.kind.staging: about}


def forget_installation(name: str) -> int:
    """Remove an installation that is gone from shop All's list; return how many rows that were.

    Purges do not wait for its servers any more. Raises TransferError.
    """
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "purge", secret=False) as shop_all,
        shop_all.database.transaction(),
    ):
        return shop_all.installations.remove(name)
