"""Puts a position where an administrator knows the data of a bonus server to be."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import uuid4

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    HistoryChanged,
    LaterBatchKnown,
    RestoredFromDump,
    ShopAllRestored,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.restore.requested_position import (
    Plan,
    Request,
    Situation,
    requested_position,
)
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.purge_notes import NOTHING_LOST, Lost
from transfer.engine.shop_all.records import NOTHING_RECORDED, Recorded
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError

PutBack = Callable[[Position], int]


@dataclass(frozen=True)
class Outcome:
    """Where the position is now, and what the next run will send."""

    position: Position
    sent: int
    lost: Lost  # rows that a purge has removed, and the server can't get any more
    doubt: TransferError | None = None  # what the next run refuses all the same


def set_position(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    request: Request,
    readers: Readers,
    put_back: PutBack = lambda position: 0,
    *,
    recorded: Recorded = NOTHING_RECORDED,
    dry_run: bool = False,
) -> Outcome:
    """Writes the position, and returns what that means; a dry run writes nothing on any side.

    1. Locks the position, if the server has one.
    2. Finds the position that is asked for.
    3. Checks that this sends no row twice, and which rows it can't send any more.
    4. Settles which missing batches stop no transfer any more.
    5. Writes the position.

    `put_back` writes rejects that the bonus server has lost, in the same transaction, and returns
    the number of the reader's last one. `recorded` is what our own history knows of shop All: which
    batches that lacks is settled where it is whole, or where the server's data went back as well.

    Raises BatchUnknown, PositionStillKnown, PositionBeforeRebase, LaterBatchKnown, ReaderUnknown,
    ReaderShared, PositionMissing, AlreadyRunning, StagingTableChanged; HistoryChanged or
    ShopAllRestored when shop All has gone back in time, which has to be settled first; RowsPurged
    when rows are gone that it would need, and that was not accepted.
    """
    given_up = NOTHING_LOST
    if request.stays:
        # A copy shares the reader of another server until it gets its own.
        shared = readers if request.keeps_reader else Readers()
        carried = carry_over(
            kind,
            source,
            target,
            shared,
            answers=request.answers,
            accept_purged=request.accept_purged,
            dry_run=dry_run,
        )
        given_up = carried.given_up if carried else NOTHING_LOST
    target.ensure_schema()
    with source.purge_lock.held_off():
        with source.snapshot(kind):
            now = _look(kind, source, target, request, readers)
            plan = requested_position(now)
            if plan.needs_batch:
                plan = replace(plan, needs_batch=_takes_batch(now))
            _check_later(now, plan.position)
            lost = _check_lost(now, plan.position)
            after = source.count_anew(kind, plan.position)
            sent = source.reader.count_waiting(kind, after)
            doubt = _doubt(now, plan)
        if dry_run:
            target.database.roll_back()
        else:
            _settle(now, recorded)
            after = _write(now, replace(plan, position=after), put_back)
    return Outcome(after, sent, given_up + lost, doubt)


def _look(
    kind: Kind, source: ShopAll, target: BonusDatabase, request: Request, readers: Readers
) -> Situation:
    """Checks shop All, and locks the position. Raises ReaderShared, AlreadyRunning and others."""
    source.log.require()
    source.identity.check_columns(kind)
    source.identity.check_table(kind)
    origin = source.identity.origin()
    held = target.positions.get(origin, kind)
    if held is not None:
        held = target.positions.lock(origin, kind)
        if request.keeps_reader:
            readers.check_shared(held, target.name)
    return Situation(kind, source, target, request, readers, origin, held)


def _takes_batch(now: Situation) -> bool:
    """Whether shop All takes a batch now. It takes none until a rebase, which writes one, if it is
    known to be restored, or came from a dump: the dump's numbers can't be of a cluster that has yet
    to reach them.

    A lost position can be written without its batch. Any other has to wait for the rebase: raises
    ShopAllRestored.
    """
    if not now.source.identity.is_origin_original():
        return False
    if not _is_restored(now):
        return True
    if now.request.batch is None:
        now.source.restore_notes.check(now.origin)
    return False


def _is_restored(now: Situation) -> bool:
    """Whether shop All is known to be restored, apart from what the request settles."""
    if now.request.shop_all_is_whole:
        return False
    noted = {reader for reader, _ in now.source.restore_notes.missing(now.origin)}
    return bool(noted - now.readers.mine if now.request.data_went_back else noted)


def _check_lost(now: Situation, position: Position) -> Lost:
    """How many rows the server needs that a purge has removed.

    Raises RowsPurged if that was not accepted. A server that has received nothing lacks every
    row that was ever removed.
    """
    if now.request.start:
        rows, _ = now.source.reader.purged(now.kind)
        lost = Lost(rows, is_exact=False)
    else:
        lost = now.source.purge_notes.lost(position)
    if not now.request.accept_purged:
        if now.request.as_of_clone and now.held is not None:
            lost.refuse(now.held, now.target.name, "--as-of-clone")
        lost.refuse(position, now.target.name)
    return lost


def _check_later(now: Situation, position: Position) -> None:
    """Raises LaterBatchKnown where rows that were moved would be sent again, unless the server's
    data were put back as well: the log lacks a batch that the server has received.
    """
    request, log, known = now.request, now.source.log, now.readers.batches
    if (
        request.stays
        or request.data_went_back
        or not known
        or known[0].batch.token == position.token
    ):
        return
    reader, batch = known[0].reader, known[0].batch
    if log.find(reader, batch.number) == batch:
        return
    if not log.has_forgotten(replace(position, reader=reader, number=batch.number)):
        raise LaterBatchKnown(database=now.target.name, number=batch.number, reader=reader)


def _doubt(now: Situation, plan: Plan) -> TransferError | None:
    """The error with which the next run will refuse, if any."""
    position = plan.position
    if not now.source.identity.is_origin_original():
        return RestoredFromDump()
    if plan.at is not None:
        return HistoryChanged(number=position.number)
    try:
        if not plan.needs_batch:
            now.source.log.check(position, now.target.name)
        if _is_restored(now):
            now.source.restore_notes.check(position.origin)
    except (HistoryChanged, ShopAllRestored) as doubt:
        return doubt
    return None


def _settle(now: Situation, recorded: Recorded) -> None:
    """Ends the stop of all transfers, and keeps batches that are missing from causing the next: all
    of them if shop All is whole; those of this server if its data, too, were put back to before.
    """
    request, source = now.request, now.source
    if not (request.shop_all_is_whole or request.data_went_back):
        return
    with source.snapshot():
        missing = source.records.missing_batches(recorded)
    for batch in missing:
        if request.shop_all_is_whole or batch.reader in now.readers.mine:
            source.log.note_missed(batch.token)
    if request.shop_all_is_whole:
        source.restore_notes.remove(now.origin)
    else:
        source.restore_notes.remove_of(now.origin, now.readers.mine)


def _write(now: Situation, plan: Plan, put_back: PutBack) -> Position:
    """Writes the position and commits.

    A lost position comes back under a reader of its own: the old one's rejects are not its. So
    does one at the batch of another server that still reads.

    A batch that the log lacks is not written there again, so that the next run refuses: what shop
    All has is of another history.
    """
    position = plan.position
    if position.number and (now.held is None or position.reader in now.readers.in_use):
        number = 0 if plan.needs_batch else position.number
        position = replace(position, reader=str(uuid4()), number=number)
    if plan.needs_batch:
        before = {now.held.reader if now.held else None, plan.position.reader, now.request.reader}
        now.source.uncertain_changes.hand_on(
            now.kind, [one for one in before if one not in (None, position.reader)], position.reader
        )
        position = now.source.log.add_position(now.kind, position, now.target.name)
    positions = now.target.positions
    write = positions.begin if now.held is None else positions.replace
    write(position, plan.at)
    last = put_back(position)
    if last > position.totals.rejected:
        position = _counting(position, last)
        positions.replace(position, plan.at)
    now.target.database.commit()
    return position


def _counting(position: Position, rejected: int) -> Position:
    """The position after it has counted more rejects: the next one gets the next number.

    Its rows were moved before, so the reconciliation counts as many rows less as removed.
    """
    totals = replace(position.totals, rejected=rejected)
    purged = position.purged_rows - (rejected - position.totals.rejected)
    return replace(position, totals=totals, purged_rows=purged)
