"""What an administrator says of a bonus server that has no position, or lacks rows. Audited.

The questions are those of the engine: what a server has received (`BEGINNING_UNDECIDED`), whether
it is a copy of another one (`COPY_OF`), whether it does without rows that were purged
(`ROWS_PURGED`). Nothing is decided by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext as _

from transfer.causes.ledger import (
    BEGINNING_UNDECIDED,
    COPY_OF,
    HISTORY_TOO_OLD,
    POSITION_KNOWN,
    POSITION_MOVED,
    ROWS_PURGED,
    SERVER_HAS_MOVED,
    TABLE_NOT_EMPTY,
)
from transfer.causes.runs import COPIED_SERVER_IS_ON
from transfer.engine.begin import Answer as Begin, begin as begin_position, begin_as, take_own_name
from transfer.engine.bonus_server.database import BonusDatabase, is_same_database
from transfer.engine.move.transfer import prepare
from transfer.engine.received import Place, Position
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.skip import Lacking, lacking, skip
from transfer.errors import PositionKnown, ServerUndecided, TransferError
from transfer.models import Actor, AuditEntry, BonusServer, ServerDay, TransferRun, TransferTask
from transfer.runs.execute import open_databases
from transfer.runs.knowledge import knowledge_of, take_name
from transfer.runs.left_behind import has_come_back
from transfer.runs.needed import this_installation
from transfer.runs.start import go_on
from transfer.statements.copies import take_back_server, write_server_days
from transfer.text import formats

CODES = {cause.code for cause in (BEGINNING_UNDECIDED, HISTORY_TOO_OLD, COPY_OF, ROWS_PURGED)}
"""Of the questions about a bonus server (`ServerUndecided`)."""
UNASKED = "unasked"
"""In the audit, in place of an answer: the position began, or was there, without a question."""
LACKING = {ROWS_PURGED.code}
COPIES = {COPY_OF.code}


class Answer(StrEnum):
    """What an administrator says of a server."""

    NOTHING = "nothing"  # it has received none of the staged rows
    EVERYTHING = "everything"  # all that is staged until now
    AS_SERVER = "as"  # what another server has: its tables are a copy of that one's
    OWN = "own"  # its whole database is a copy: it goes on from where the copy was made
    WITHOUT = "without"  # it does without the purged rows, for good


@dataclass(frozen=True)
class Decision:
    """An answer.

    Of AS_SERVER, `server` is the other server, and `version` that of its position when somebody was
    shown what the answer means; empty: as it is now. Of NOTHING, `is_empty`: somebody was shown
    that the vendor's table is empty, so the answer counts only if it still is.
    """

    answer: Answer
    server: BonusServer | None = None
    version: str = ""
    is_empty: bool = False


@dataclass(frozen=True)
class Skipped:
    """Rows that a server does without for good, and its position then."""

    position: Position
    count: Count


@dataclass(frozen=True)
class Outcome:
    """What a decision means: how many rows the next run sends, and how many it never sends.

    Of NOTHING: whether the vendor's table is certain to be empty. Of AS_SERVER: the version of the
    other position, and when that server has last received rows. A copy of its tables has to be
    younger. `skipped_now`: what statements count of the rows that are never sent.
    """

    sent: int
    skipped: int = 0
    is_empty: bool = False
    version: str = ""
    copied_after: datetime | None = None
    skipped_now: Skipped | None = None


@dataclass(frozen=True)
class Question:
    """What is asked about a task, with the counts of the answers.

    `rows`: what it would be sent if it had received nothing; `purged`: rows that are gone from shop
    All. `lacking`: the changesets with purged rows that it needs, where it is asked about them.

    Of a server that never had a position, `is_empty`: the vendor's table is certain to hold no row.
    Of a copied database, `copied_from` is the server whose position it has, and `is_copy` says
    whether it is certain to be another database than that one's; None where we can't know.
    """

    task: TransferTask
    error: TransferError
    rows: int
    purged: int
    lacking: Sequence[Lacking] = field(default_factory=list)
    copied_from: str = ""
    is_empty: bool = False
    is_copy: bool | None = None

    @property
    def proposal(self) -> Answer | None:
        """The answer that what we found in the server's database speaks for, if it is certain.

        It is shown as chosen. Nothing is carried out before somebody gives it.
        """
        if self.is_empty:
            return Answer.NOTHING
        return Answer.OWN if self.is_copy else None

    @property
    def is_harmless(self) -> bool:
        """Whether the proposal, given as the answer, can neither lose nor double a row."""
        return self.proposal is not None and not (self.is_empty and self.purged)


def begin(task: TransferTask, actor: Actor, *, seconds: float | None = None) -> None:
    """Begin the position of a docked server where every answer is the same. Audited once.

    With `seconds` a page waits: see `open_databases`. Raises ServerUndecided where somebody has to
    say something; other TransferErrors.
    """
    with task.lock(), open_databases(task, "dock", seconds) as (source, target):
        position = prepare(task.kind_spec, source, target, knowledge_of(task.server), dry_run=False)
        take_name(task.server, position)
        check_purged(target, task, lacking_rows(task, source, target, position))
        if not decisions_of(task).exists() and not task.runs.exists():
            new = {"answer": UNASKED}
            AuditEntry.record(actor, AuditEntry.Action.POSITION, task, new=new)
        has_come_back(task, actor)


def decisions_of(task: TransferTask) -> Any:
    """The audit's entries about how the position of a task began."""
    return AuditEntry.objects.about(task).filter(action=AuditEntry.Action.POSITION)


def check_purged(target: BonusDatabase, task: TransferTask, purged: Sequence[Lacking]) -> None:
    """Raise ROWS_PURGED where the server needs rows that were purged."""
    if purged:
        rows = sum(one.rows for one in purged)
        error = ServerUndecided(ROWS_PURGED, database=target.name, kind=task.kind, rows=rows)
        error.changesets = tuple(one.changeset for one in purged)
        raise error


def lacking_rows(
    task: TransferTask, source: ShopAll, target: BonusDatabase, position: Position
) -> list[Lacking]:
    """Return the changesets with purged rows that the server needs; none where the log has forked:
    its next run finds out.
    """
    with target.database.transaction(commit=False), source.snapshot():
        if not source.log.has(task.kind_spec, position.place):
            return []
        return [*lacking(task.kind_spec, source, target, position)]


def question(task: TransferTask, seconds: float | None = None) -> Question:
    """Return what is asked about a task, with the counts of each answer.

    With `seconds` a page waits. It changes nothing. Raises TransferError where the databases do not
    answer, or the transfer would refuse for another reason; PositionKnown where nothing is asked.
    """
    kind = task.kind_spec
    with open_databases(task, "question", seconds) as (source, target):
        purged: list[Lacking] = []
        try:
            position = prepare(kind, source, target, knowledge_of(task.server), dry_run=True)
            purged = lacking_rows(task, source, target, position)
            check_purged(target, task, purged)
        except ServerUndecided as error:
            target.database.roll_back()
            with source.snapshot(kind):
                gone = source.counts.purged_above(kind, Place())
                rows = source.counts.waiting(kind, Place(), {}).rows - gone
            if error.cause is ROWS_PURGED:
                gone = sum(one.rows for one in purged)
            asked = Question(task, error, rows, gone, purged)
            # What the server's own database says of the answer:
            if error.cause is BEGINNING_UNDECIDED:
                with target.database.transaction(commit=False):
                    asked = replace(asked, is_empty=target.tables.is_empty(kind))
            if error.cause is COPY_OF:
                other = str(error.params["other"])
                is_copy = _is_copy(other, target, seconds)
                asked = replace(asked, copied_from=other, is_copy=is_copy)
            return asked
        raise PositionKnown(POSITION_KNOWN, database=target.name, kind=kind.name)


def copied_from(params: Mapping[str, str]) -> str:
    """Return the server whose database was copied, and after which time, where we know it.

    `params` of COPY_OF. By the run of our own history that has moved the last rows of the copy.
    """
    runs = TransferRun.objects.filter(
        task__server__name=params["other"],
        kind=params["kind"],
        read__gt=0,
        position_to__version=params.get("version", ""),
    )
    run = runs.first()
    if run is None or run.finished_at is None:
        return params["other"]
    at = formats.bound(run.finished_at, zone=True)
    return _("%(server)s, made after %(at)s") % {"server": params["other"], "at": at}


def _is_copy(other: str, target: BonusDatabase, seconds: float | None) -> bool | None:
    """Return whether the database is not that of the server `other`; None where it is silent."""
    server = BonusServer.objects.filter(name=other).first()
    if server is None:
        return None
    original = BonusDatabase(server.dsn, server.name, "question", secret=True, seconds=seconds)
    try:
        with original:
            return not is_same_database(original.database, target.database)
    except TransferError:
        return None


def decide(task: TransferTask, decision: Decision, actor: Actor, *, dry_run: bool) -> Outcome:
    """Carry out what an administrator has said of a task; return what it means. Audited.

    The task is tried again within a minute. Raises PositionKnown where the position has begun
    meanwhile, TABLE_NOT_EMPTY, SERVER_HAS_MOVED, COPIED_SERVER_IS_ON, AlreadyRunning, other
    TransferErrors.
    """
    with task.lock(), open_databases(task, "begin") as (source, target):
        outcome = DECIDE[decision.answer](_Case(task, source, target, decision, actor, dry_run))
        if dry_run:
            target.database.roll_back()
            return outcome
        target.database.commit()
        new = {"answer": decision.answer.value, "waiting": outcome.sent}
        if decision.server:
            new["server"] = decision.server.name
        if decision.is_empty:
            new["table_empty"] = True
        if outcome.skipped:
            new["given_up"] = outcome.skipped
        AuditEntry.record(actor, AuditEntry.Action.POSITION, task, new=new)
        if (skipped := outcome.skipped_now) and skipped.count.rows:
            _note_skipped(source, task.server, skipped)
        has_come_back(task, actor)
    go_on([task])
    return outcome


def _note_skipped(source: ShopAll, server: BonusServer, skipped: Skipped) -> None:
    """Count what a server does without, here and at once in shop All: no position says it."""
    at, count = skipped.position, skipped.count
    take_back_server(source, server, at)
    day = ServerDay.objects.skip(server, at, count.rows, count.amount)
    with source.database.transaction():
        write_server_days(source, [day])


@dataclass(frozen=True)
class _Case:
    """A task with both databases open, and what is said of it."""

    task: TransferTask
    source: ShopAll
    target: BonusDatabase
    decision: Decision
    actor: Actor
    dry_run: bool

    @property
    def server(self) -> str:
        """The name that the position gives its server."""
        return str(self.task.server.uid)

    def origin(self) -> str:
        with self.source.snapshot():
            return self.source.identity.origin()

    def position(self) -> Position:
        """Lock the position. Raises POSITION_MOVED where there is none."""
        position = self.target.positions.lock(self.origin(), self.task.kind_spec)
        if position is None:
            raise TransferError(POSITION_MOVED)
        return position

    def waiting(self, position: Position) -> int:
        """Return how many rows the server still has to be sent."""
        lasts = self.target.positions.lasts(position)
        with self.source.snapshot(self.task.kind_spec):
            counts = self.source.counts
            return counts.waiting(self.task.kind_spec, position.place, lasts).rows


def _begin(case: _Case) -> Outcome:
    known = ServerDay.objects.last_of(case.origin(), case.server, case.task.kind)
    begun = begin_position(
        case.task.kind_spec,
        case.source,
        case.target,
        Begin(case.decision.answer.value),
        case.actor.name,
        case.server,
        this_installation(),
        known.recorded.received if known else None,
    )
    is_empty = case.target.tables.is_empty(case.task.kind_spec)
    if case.decision.is_empty and not is_empty:
        raise TransferError(
            TABLE_NOT_EMPTY,
            database=case.target.name,
            kind=case.task.kind,
            table=case.task.kind_spec.quoted_target,
        )
    skipped = Skipped(begun.position, Count(begun.skipped, begun.amount_skipped))
    return Outcome(begun.sent, begun.skipped, is_empty, skipped_now=skipped)


def _begin_as(case: _Case) -> Outcome:
    """Begin where another server is, whose tables were copied while its task was switched off."""
    kind, other = case.task.kind_spec, case.decision.server
    if other is None:
        raise TransferError(SERVER_HAS_MOVED, database="", kind=kind.name)
    task = other.tasks.get(kind=kind.name)
    if task.enabled or task.runs.open().exists():
        raise TransferError(
            COPIED_SERVER_IS_ON, server=other.name, kind=str(task.get_kind_display())
        )
    run = task.runs.filter(read__gt=0).first()
    with BonusDatabase(other.dsn, other.name, "begin as", secret=True) as original:
        version = case.decision.version
        if not version:  # that of the other server's position as it is now
            with original.database.transaction(commit=False):
                held = original.positions.get(case.origin(), kind)
            if held is None:
                raise TransferError(SERVER_HAS_MOVED, database=original.name, kind=kind.name)
            version = held.version
        position = begin_as(
            kind, case.source, original, case.target, case.actor.name, case.server, version
        )
    sent = case.waiting(position)
    return Outcome(sent, version=version, copied_after=run.finished_at if run else None)


def _take_own_name(case: _Case) -> Outcome:
    """Go on from where the copy was made: of all kinds, since the whole database is a copy."""
    sent = case.waiting(case.position())
    case.target.database.roll_back()
    if not case.dry_run:
        take_own_name(case.origin(), case.target, case.server)
    return Outcome(sent)


def _skip(case: _Case) -> Outcome:
    """Go on without the purged rows, for good."""
    kind, position = case.task.kind_spec, case.position()
    with case.source.snapshot():
        purged = [*lacking(kind, case.source, case.target, position)]
    skipped = sum(one.rows for one in purged)
    sent = case.waiting(position) - skipped
    case.target.database.roll_back()
    if not case.dry_run and purged:
        names = [one.changeset for one in purged]
        skip(kind, case.source, case.target, position.origin, names)
    return Outcome(max(0, sent), skipped, skipped_now=_lacks(case, position, purged))


def _lacks(case: _Case, position: Position, purged: Sequence[Lacking]) -> Skipped:
    """Return what the server does without: of a changeset received in part, the rest."""
    known = case.target.positions.all_exceptions(position)
    case.target.database.roll_back()
    whole = sum((Count(one.rows, one.amount) for one in purged), Count())
    parts = [known[one.changeset] for one in purged if one.changeset in known]
    received = sum((Count(one.rows or 0, one.amount or Decimal(0)) for one in parts), Count())
    return Skipped(position, whole - received)


DECIDE = {
    Answer.NOTHING: _begin,
    Answer.EVERYTHING: _begin,
    Answer.AS_SERVER: _begin_as,
    Answer.OWN: _take_own_name,
    Answer.WITHOUT: _skip,
}
