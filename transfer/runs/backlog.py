"""Asks shop All and the bonus servers what waits, and why, in parallel and for a short time."""

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import TypeVar

from django.core.cache import cache
from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.causes.connections import TOO_SLOW
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.in_log import in_log, lasts
from transfer.engine.kind import Kind
from transfer.engine.received import Place, Position, Recorded
from transfer.engine.shop_all.counts import Passed, Waiting
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TooSlow, TransferError
from transfer.installed import installed_kinds
from transfer.models import BonusServer, TaskBacklog, TransferRun, TransferTask
from transfer.models.failing import FAILURE, failure
from transfer.models.outage_parts import OutagePart, Part, Seen
from transfer.models.run_base import State
from transfer.models.schedules import ScheduledTask
from transfer.parties import SHOP_ALL, Party
from transfer.servers.ask import ask_all, bonus_db, shop_all
from transfer.text import formats

# How long a page waits for the servers before it is shown; its parts, which come later, may wait.
AT_FIRST_SIGHT, PATIENTLY = 0.7, 3.0
LEAST = 0.5  # seconds for one question more to shop All, where servers took the whole time
LATE = timedelta(minutes=1)
FRESH = timedelta(seconds=5)
# Who does not answer is not asked at each look: that takes the whole time allowed.
FRESH_FAILURE = timedelta(seconds=30)
HEARD = "backlogs"  # in the cache
# The exceptions of a server that is counted together with others.
FEW_EXCEPTIONS = 1000
# The job that stores them comes every minute. Older answers may be wrong.
STORED_FOR = timedelta(minutes=5)

# Who writes to the table and has not committed: such rows can't be seen, let alone moved.
# Without the right to see others' sessions `xact_start` is null.
WRITERS = """
    select number, min(a.xact_start)
      from unnest(%s) with ordinality as tables (name, number)
      join pg_locks l on l.relation = to_regclass(name)
      join pg_stat_activity a using (pid)
     where l.locktype = 'relation' and l.granted
       and l.mode = 'RowExclusiveLock' and l.pid <> pg_backend_pid()
       and l.database = (select oid from pg_database where datname = current_database())
     group by number having min(a.xact_start) is not null
"""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Backlog:
    """The rows that a task had still to move when the databases were asked."""

    rows: int | None = None  # None: not known
    oldest: datetime | None = None  # when the oldest of them was staged
    writing_since: datetime | None = None  # the oldest transaction that may hold unseen rows
    error: TransferError | None = None  # why it is not known
    at_least: int | None = None  # then: the rows above the last line that history knows it passed
    asked_at: datetime = field(default_factory=lambda: timezone.now())

    @property
    def least(self) -> int | None:
        """The rows that wait, or that wait at least while they can't be counted; None: unknown."""
        return self.at_least if self.rows is None else self.rows

    @property
    def is_fresh(self) -> bool:
        return timezone.now() - self.asked_at < (FRESH_FAILURE if self.error else FRESH)


def backlogs(tasks: Iterable[TransferTask], seconds: float = PATIENTLY) -> dict[int, Backlog]:
    """The backlog of each task, by its number. Takes about `seconds` at most; never raises.

    The tasks' servers should have been selected with them. Shop All is asked as often for many
    servers as for one:

    1. Asks shop All for its identity.
    2. Asks all servers at once for their positions.
    3. Asks shop All, in one snapshot, what waits for each of them: after their positions, so that
       what comes meanwhile counts as waiting. Of a server that does not answer, counts the rows
       above the last line that our own history knows it passed.
    4. Asks both databases for each server on its own whose position the log lacks: from a restore
       of shop All until the server's next run.
    """
    listed, ends = list(tasks), monotonic() + seconds

    def left() -> float:
        return max(ends - monotonic(), LEAST)

    if not listed:
        return {}
    try:
        origin = _of_shop_all(_identity, left())
        answers = _ask_servers(listed, origin, left())
        errors = {pk: one for pk, one in answers.items() if isinstance(one, TransferError)}
        passed = {pk: one for pk, one in answers.items() if not isinstance(one, TransferError)}
        passed |= _by_history(errors, origin)
        kinds = {task.pk: task.kind for task in listed}
        counted = _of_shop_all(partial(_count, kinds, passed), left())
    except TransferError as error:
        return {task.pk: Backlog(error=error) for task in listed}
    lacking = [task for task in listed if task.pk not in {**counted, **errors}]
    at_least = {pk: counted[pk].rows for pk in errors if pk in counted}
    return {
        **counted,
        **_on_their_own(lacking, origin, left()),
        **{pk: Backlog(error=one, at_least=at_least.get(pk)) for pk, one in errors.items()},
    }


def _of_shop_all(question: Callable[[ShopAll], Answer], seconds: float) -> Answer:
    """Return what shop All answers. In a thread, since it may not answer. Raises TransferError."""

    def ask(_party: Party, within: float) -> Answer:
        with shop_all(within, secret=False) as source:
            return question(source)

    def late(_party: Party, seconds: float) -> TransferError:
        return TooSlow(TOO_SLOW, party=SHOP_ALL, reason=f"> {seconds:.1f} s")

    ((_party, answer),) = ask_all([SHOP_ALL], ask, seconds, late)
    if isinstance(answer, TransferError):
        raise answer
    return answer


def _identity(source: ShopAll) -> str:
    with source.snapshot():
        return source.identity.origin()


def _ask_servers(
    tasks: Iterable[TransferTask], origin: str, seconds: float
) -> dict[int, Passed | TransferError]:
    """Return how far the server of each task has passed the log of its kind."""
    by_server = _by_server(tasks)

    def ask(server: BonusServer, within: float) -> dict[int, Passed]:
        with bonus_db(server, within, secret=False) as target, target.database.snapshot():
            found = target.positions.of_all_kinds(origin)
            positions = {task.pk: found.get(task.kind) for task in by_server[server]}
            return {
                pk: Passed(position.place, target.positions.lasts(position))
                if position
                else Passed()
                for pk, position in positions.items()
            }

    answers: dict[int, Passed | TransferError] = {}
    for server, answer in ask_all(by_server, ask, seconds):
        pks = [task.pk for task in by_server[server]]
        answers |= dict.fromkeys(pks, answer) if isinstance(answer, TransferError) else answer
    return answers


def _by_server(tasks: Iterable[TransferTask]) -> dict[BonusServer, list[TransferTask]]:
    by_server: dict[BonusServer, list[TransferTask]] = {}
    for task in tasks:
        by_server.setdefault(task.server, []).append(task)
    return by_server


def _by_history(pks: Collection[int], origin: str) -> dict[int, Passed]:
    """Return how far the servers of these tasks had passed the log by our own history."""
    if not pks:
        return {}
    moved = TransferRun.objects.filter(task=OuterRef("pk")).exclude(position_to=None)
    last = Subquery(moved.order_by("-id").values("position_to")[:1])
    tasks = TransferTask.objects.filter(pk__in=pks).annotate(last=last)
    known = {task.pk: Recorded.from_json(task.last) for task in tasks if task.last}
    return {pk: Passed(one.place) for pk, one in known.items() if one.origin == origin}


def _count(
    kinds: Mapping[int, str], passed: Mapping[int, Passed], source: ShopAll
) -> dict[int, Backlog]:
    """Return what waits for each of these tasks, in one snapshot of shop All.

    Leaves out those whose place the log lacks, and those with more than FEW_EXCEPTIONS: a server
    that has written any number of them must not make the others wait.
    """
    of_kinds = [one for name, one in installed_kinds().items() if name in kinds.values()]
    counted: dict[int, Backlog] = {}
    with source.snapshot(*of_kinds):
        since = writing_since(source, of_kinds)
        lacking = source.log.lacks_places({(kinds[pk], one.place) for pk, one in passed.items()})
        for kind in of_kinds:
            pks = [
                pk
                for pk, one in passed.items()
                if kinds[pk] == kind.name
                and (kind.name, one.place) not in lacking
                and len(one.exceptions) <= FEW_EXCEPTIONS
            ]
            waiting = source.counts.waiting_of_each(kind, [passed[pk] for pk in pks])
            counted |= {
                pk: Backlog(one.rows, one.oldest, since.get(kind.name))
                for pk, one in zip(pks, waiting, strict=True)
            }
    return counted


def _on_their_own(tasks: Iterable[TransferTask], origin: str, seconds: float) -> dict[int, Backlog]:
    """Return what waits for each of these tasks, from snapshots of both databases: see `in_log`."""
    by_server = _by_server(tasks)

    def ask(server: BonusServer, within: float) -> dict[int, Backlog]:
        with (
            shop_all(within, secret=False) as source,
            bonus_db(server, within, secret=False) as target,
            target.database.snapshot(),
        ):
            positions = target.positions.of_all_kinds(origin)
            specs = {task.pk: task.kind_spec for task in by_server[server]}
            with source.snapshot(*specs.values()):
                since = writing_since(source, specs.values())
                backlogs = {}
                for pk, kind in specs.items():
                    position = positions.get(kind.name)
                    if position is None:
                        waiting = source.counts.waiting(kind, Place(), {})
                    else:
                        waiting = waiting_at(kind, source, target, position)
                    backlogs[pk] = Backlog(waiting.rows, waiting.oldest, since.get(kind.name))
                return backlogs

    backlogs: dict[int, Backlog] = {}
    for server, answer in ask_all(by_server, ask, seconds):
        if isinstance(answer, TransferError):
            backlogs |= {task.pk: Backlog(error=answer) for task in by_server[server]}
        else:
            backlogs |= answer
    return backlogs


def waiting_at(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> Waiting:
    """Return what a server waits for, within snapshots of both databases: see `in_log`."""
    at = in_log(kind, source, target, position)
    return source.counts.waiting(kind, at.place, lasts(target, at))


def writing_since(source: ShopAll, kinds: Iterable[Kind]) -> dict[str, datetime]:
    """Kinds whose tables are being written to, each with the time when that transaction began."""
    asked = list(kinds)
    tables = [kind.staging_table for kind in asked]
    return {asked[n - 1].name: since for n, since in source.database.rows(WRITERS, [tables])}


def shop_all_error(seconds: float) -> TransferError | None:
    """Why rows can't be read from shop All, if they can't. Takes about `seconds` at most."""
    try:
        with shop_all(seconds, secret=False) as source, source.snapshot():
            source.identity.origin()
            for kind in installed_kinds().values():
                source.identity.check_columns(kind)
    except TransferError as error:
        return error
    return None


def is_overdue(task: ScheduledTask) -> bool:
    """Whether it should have run already: the tick, which comes every minute, is late.

    The task comes from `attach_runs`.
    """
    at = task.upcoming_at
    return at is not None and timezone.now() - at > LATE and task.open_run is None  # type: ignore[attr-defined]


def why(task: ScheduledTask) -> str:
    """A sentence: why the task's rows have not been moved yet. The task is from `attach_runs`."""
    run, at = task.open_run, formats.moment(task.upcoming_at)  # type: ignore[attr-defined]
    if run is not None:
        is_running = run.state == State.RUNNING
        return _("They are being moved now.") if is_running else _("A run waits in the queue.")
    if not task.enabled:
        if task.changed_at is None:
            return _("The task is switched off.")
        params = {
            "since": formats.bound(task.changed_at, zone=True),
            "who": task.changed_by or "—",
        }
        sentence = _("The task is off since %(since)s, by %(who)s.") % params
        return f"{sentence} {task.change_reason}".strip()
    if task.is_paused():
        params = {
            "until": formats.bound(task.paused_until, zone=True),
            "who": task.paused_by or "—",
        }
        sentence = _("The task is paused until %(until)s, by %(who)s.") % params
        return f"{sentence} {task.pause_reason}".strip()
    if task.upcoming_at is None:
        return _("The scheduler has not planned the task yet.")
    if is_overdue(task):
        since = formats.bound(task.upcoming_at)
        return formats.sentence(_("overdue since %(at)s") % {"at": since})
    if task.failures:
        return _("The last run failed. Next attempt: %(at)s.") % {"at": at}
    if task.as_rows_arrive:
        return _("The task runs as rows arrive: a run begins within seconds, or within a minute.")
    return _("Next run: %(at)s.") % {"at": at}


@transaction.atomic
def store(answers: Mapping[int, Backlog]) -> None:
    """Stores the answers in our own database, for pages that can't wait for other databases.

    Notes which databases fail, and which answer again. All rows are locked in one order, since
    pages and the job may store at the same time.
    """
    OutagePart.objects.lock()
    _note_parts(answers)
    TaskBacklog.objects.bulk_create(
        (
            TaskBacklog(
                task_id=pk,
                rows=one.rows,
                at_least=one.at_least,
                oldest=one.oldest,
                writing_since=one.writing_since,
                asked_at=one.asked_at,
                **failure(one.error),
            )
            for pk, one in sorted(answers.items())
        ),
        update_conflicts=True,
        unique_fields=["task"],
        update_fields=["rows", "at_least", "oldest", "writing_since", "asked_at", *FAILURE],
    )


def _note_parts(answers: Mapping[int, Backlog]) -> None:
    """A server whose database fails for one of its tasks has not answered for the others."""
    failed: dict[int | None, datetime] = {}
    answered: dict[int | None, datetime] = {}
    servers = TransferTask.objects.filter(pk__in=answers).values_list("pk", "server")
    for task, server in servers:
        one = answers[task]
        if one.error is None:
            for key in (server, None):  # it was asked what shop All has, too
                answered[key] = max(answered.get(key, one.asked_at), one.asked_at)
        else:
            key = None if one.error.party == SHOP_ALL else server
            failed[key] = min(failed.get(key, one.asked_at), one.asked_at)
    OutagePart.note_failures(Seen(key, Part.DATABASE, at) for key, at in failed.items())
    OutagePart.note_answers(
        Seen(key, Part.DATABASE, at) for key, at in answered.items() if key not in failed
    )


def stored() -> dict[int, Backlog]:
    """The stored answers of the last minutes for each task. One query; asks no other database."""
    lately = timezone.now() - STORED_FOR
    return {
        one.task_id: Backlog(
            one.rows,
            one.oldest,
            one.writing_since,
            one.error,
            at_least=one.at_least,
            asked_at=one.asked_at,
        )
        for one in TaskBacklog.objects.filter(asked_at__gt=lately)
    }


_asking = threading.Lock()


def store_backlogs(heard: Mapping[int, Backlog]) -> None:
    """What was heard of tasks, by their numbers: every process of the web server knows it then.

    A database that fails, or answers again, since the last answer was stored is news for all pages.
    """
    cache.set(HEARD, {**_fresh(), **heard})
    known = {one.task_id: one for one in TaskBacklog.objects.filter(task__in=heard)}
    news = {}
    for pk, one in heard.items():
        older = known.get(pk)
        if older is None or (
            older.asked_at < one.asked_at and _fails(older.error) != _fails(one.error)
        ):
            news[pk] = one
    if news:
        store(news)


def _fails(error: TransferError | None) -> tuple[bool, bool]:
    """Whether a database fails, and whether it is that of shop All."""
    return error is not None, error is not None and error.party == SHOP_ALL


def forget(pk: int) -> None:
    cache.set(HEARD, {other: backlog for other, backlog in _fresh().items() if other != pk})


def known(tasks: Iterable[TransferTask]) -> dict[int, Backlog]:
    """The answers of a moment ago for each task; older ones may be wrong by now. Asks no other
    database.
    """
    heard = _fresh()
    return {task.pk: heard[task.pk] for task in tasks if task.pk in heard}


def _fresh() -> dict[int, Backlog]:
    heard: dict[int, Backlog] = cache.get(HEARD, {})
    return {pk: backlog for pk, backlog in heard.items() if backlog.is_fresh}


def ask_databases(
    tasks: Iterable[TransferTask], seconds: float = PATIENTLY, *, again: int | None = None
) -> dict[int, Backlog]:
    """Like `known`, after asking about the other tasks, and about the task `again` in any case.

    Takes twice `seconds` at most.

    In each process one asks at a time: ten open tabs are no more to a bonus server than one. Who is
    only slow is not known yet, unless it was asked patiently.
    """
    listed = list(tasks)
    if _asking.acquire(timeout=seconds):
        try:
            if again is not None:
                forget(again)
            fresh = known(listed)
            heard = backlogs([task for task in listed if task.pk not in fresh], seconds)
            store_backlogs(
                {
                    pk: one
                    for pk, one in heard.items()
                    if seconds >= PATIENTLY or not isinstance(one.error, TooSlow)
                }
            )
        finally:
            _asking.release()
    return known(listed)
