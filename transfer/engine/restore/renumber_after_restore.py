"""Repairs the positions after the database of shop All was restored from a copy.

The restored rows carry transactions that the cluster has not reached, or will use again. Every row
gets a transaction of its own time, and every position a snapshot that tells the same rows.

A logical restore (a dump) shows by the rows that it wrote: each was written by a transaction other
than the one it names. A physical one (a copy of the files, an older state of the machine, a replica
that lagged and took over) leaves no such trace, so the administrator has to say when it was; also
where a dump of such a database was restored in its turn.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from secrets import randbits
from uuid import uuid4

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    PositionLost,
    RestoredTooEarly,
    RowsDoubtful,
    TransactionPrepared,
)
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.database import ALL_ROWS
from transfer.engine.restore.answers import NO_ANSWERS, Answers
from transfer.engine.restore.diagnosis import Held, check_knowledge, is_anything_wrong
from transfer.engine.restore.new_numbers import Restored, renumber
from transfer.engine.restore.translate import Renumbered, is_lost, translate
from transfer.engine.shop_all.rebase_log import Rebase
from transfer.engine.shop_all.records import NOTHING_RECORDED, Recorded, RecordedBatch
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo_log import Withdrawal
from transfer.errors import Unreachable

# Prepared transactions that hold a lock of a table: a lock without a process is one's, and each
# holds that of its own number (PostgreSQL, "pg_locks").
PREPARED = """
    select distinct prepared.gid
      from pg_locks as held join pg_locks as own using (virtualtransaction)
      join pg_prepared_xacts as prepared on prepared.transaction = own.transactionid
     where held.relation = to_regclass(%s) and held.pid is null and own.pid is null
     order by gid
"""
# Whether the server can prepare transactions.
CAN_PREPARE = "select current_setting('max_prepared_transactions') <> '0'"
# Keeps all others from a table, until the transaction ends.
LOCK = "lock table {table} in access exclusive mode"
# Whether this session got a lock, which it keeps until its transaction ends.
TRY_LOCK = "select pg_try_advisory_xact_lock(%s)"
# The transaction's own number.
OWN_NUMBER = "select pg_current_xact_id()"
# Gives shop All a new identity. Writes its one row.
NEW_ORIGIN = "update datatransfer.origin set origin = %s, xid = pg_current_xact_id()"
# Whether a row has a transaction that the cluster has yet to reach. By the index on (xid, id).
IS_AHEAD = """
    select exists (select from {table} where xid >= pg_snapshot_xmax(pg_current_snapshot()))
"""


@dataclass(frozen=True)
class Report:
    """What a rebase did, or would do: the positions that it carried over, and the rest."""

    silent: list[str]  # names of servers that do not answer: their next run carries them over
    # Kinds and servers of transfers whose server lacks purged rows: their next run refuses.
    lacking: list[tuple[str, str]] = field(default_factory=list)
    carried: list[Renumbered] = field(default_factory=list)
    doubts: list[RowsDoubtful] = field(default_factory=list)  # what a dry run has no answer for


def renumber_after_restore(
    shop_all: ShopAll,
    targets: Sequence[BonusDatabase],
    kinds: Collection[Kind],
    restored: Restored | None = None,
    *,
    answers: Answers = NO_ANSWERS,
    recorded: Callable[[str], Recorded] = lambda origin: NOTHING_RECORDED,
    begun: Collection[tuple[str, str]] = (),
    withdrawals: Callable[[str], Collection[Withdrawal]] = lambda origin: (),
    dry_run: bool = False,
) -> Report | None:
    """Renumbers all staged rows, with every position of `targets`, under a new origin.

    What a bonus server has received stays received; what was written since the restore waits, and
    so do rows that an undo had withdrawn and that are back with the restore, at a position whose
    batch is lost: no transfer has read them since. `recorded` and `withdrawals` ask our own
    history, under an identity of shop All: see `records`. `begun` are the kinds and servers of
    flows that have moved rows, as it knows.

    1. Locks the staging tables, and the positions of the bonus servers that answer. One that has
       lost its position has to get it back first: no batch says afterwards what it has.
    2. Looks what is wrong; returns None if nothing is.
    3. Checks that what is known of the restore suffices.
    4. Renumbers the rows, and keeps all that a position of before needs to be carried over. Which
       batches of our own history are gone is settled by that.
    5. Writes each new position under the new origin, with a batch in the log.
    6. Commits the bonus servers, then shop All.

    If it dies before shop All has committed, everything is as before: the old origin still counts.
    A bonus server that does not answer is carried over by its next run (see `carry_over`). So is a
    transfer whose server lacks purged rows: only that transfer refuses, until it is settled.
    With `dry_run` it only says what it would do. It may take any time: a bonus server's session
    waits in its transaction while shop All renumbers, and shop All's while bonus servers answer, so
    neither has a limit there. A statement of shop All has none either, but for locks.

    Raises AlreadyRunning while a transfer holds a position; PositionLost; RestoreUnknown if the
    restore was physical and `restored` is not given; RestoredTooEarly; TransactionPrepared if one
    has written rows and not ended; RowsDoubtful or RowsPrepared if rows may or may not have been
    moved and there is no answer for them; a dry run reports those of all transfers instead.
    """
    with shop_all.database.transaction(commit=not dry_run):
        shop_all.database.limit_statements(None)
        shop_all.database.may_wait()
        shop_all.database.execute(ALL_ROWS)
        shop_all.database.one(OWN_NUMBER)  # from here on age() counts from it
        for kind in kinds:
            _lock_table(shop_all, kind)
        held, silent = _lock_all_positions(shop_all, targets, kinds, begun)
        origin = shop_all.identity.origin()
        known = recorded(origin)
        if not is_anything_wrong(shop_all, kinds, held, known):
            return None
        is_dump = check_knowledge(shop_all, kinds, held, restored)
        back = shop_all.records.back_again(withdrawals(origin))
        gone = shop_all.records.missing_batches(known)
        shop_all.records.settle(known)
        rebases = _renumber(shop_all, kinds, held, gone, restored, back, is_dump=is_dump)
        lacking = [one for one in held if shop_all.purge_notes.lost(one.position).rows]
        report = Report([target.name for target in silent], lacking=[*map(Held.flow, lacking)])
        for one in held:
            if one in lacking:
                continue
            rebase = rebases[one.kind.name]
            try:
                line, after = translate(
                    one.kind, shop_all, one.target, one.position, rebase, answers
                )
            except RowsDoubtful as doubt:
                if not dry_run:
                    raise
                report.doubts.append(doubt)
                continue
            report.carried.append(line)
            if not dry_run:
                _write(shop_all, one, after)
        for target in {one.target for one in held}:
            target.database.roll_back() if dry_run else target.database.commit()
    return report


def _renumber(
    shop_all: ShopAll,
    kinds: Collection[Kind],
    held: list[Held],
    gone: list[RecordedBatch],
    restored: Restored | None,
    back: Collection[Withdrawal],
    *,
    is_dump: bool,
) -> dict[str, Rebase]:
    """Renumbers the rows of all kinds, gives shop All its new identity, and returns the rebases."""
    origin, following = shop_all.identity.origin(), str(uuid4())
    at = restored.at if restored else None
    if not is_dump:
        for kind in kinds:
            if not _is_ahead(shop_all, kind):
                shop_all.rebase_log.keep_batches(kind)
    lost = _lost(shop_all, held) + [(one.reader, one.number) for one in gone]
    _check_time(shop_all, lost, at)
    sure = None if is_dump else _sure(shop_all, lost, at)
    rebases = {kind.name: Rebase(origin, at, is_dump, sure) for kind in kinds}
    for kind in kinds:
        shop_all.rebase_log.add(kind, rebases[kind.name], following)
        renumber(shop_all, kind, rebases[kind.name], following, back)
    shop_all.database.execute(NEW_ORIGIN, [following])
    return rebases


def _is_ahead(shop_all: ShopAll, kind: Kind) -> bool:
    """Whether staged rows have transactions that the cluster has yet to reach: no batch counts."""
    return bool(shop_all.database.value(sql.SQL(IS_AHEAD).format(table=kind.staging_table)))


def _check_time(shop_all: ShopAll, lost: list[tuple[str, int]], at: datetime | None) -> None:
    """Raises RestoredTooEarly where the copy has a batch that was begun at that time or later."""
    last = shop_all.log.last_of_copy(lost) if at else None
    if at and last and at <= last[2]:
        number, server, begun = last
        local = begun.astimezone(at.tzinfo).isoformat(" ")
        raise RestoredTooEarly(number=number, server=server, at=local)


def _sure(shop_all: ShopAll, lost: list[tuple[str, int]], before: datetime | None) -> str | None:
    """A snapshot of transactions that had ended when the files were copied; None if all had.

    A transaction that was prepared then may end twice, in two ways; the position knows the first.

    Transactions that a batch in the copy saw had ended when it was made. A batch written since the
    restore proves nothing, and its time does not show that: the time of the restore may be unknown
    or wrong. But after a restore only positions whose batch exists go on. Lost positions have
    refused since, so all batches of their readers came with the copy: only these count. If there
    are none, the command asks about every row.
    """
    if not shop_all.database.value(CAN_PREPARE):
        return None
    return shop_all.log.last_snapshot_before(lost, before)


def _lost(shop_all: ShopAll, held: list[Held]) -> list[tuple[str, int]]:
    """Reader and number of the batches that are known to be missing: a position names them, or a
    note, where their server is silent.
    """
    positions = [one.position for one in held if is_lost(shop_all, one.target, one.position)]
    named = [(one.reader, one.number) for one in positions if one.reader is not None]
    return named + shop_all.restore_notes.missing(shop_all.identity.origin())


def _lock_table(shop_all: ShopAll, kind: Kind) -> None:
    """Locks a staging table for this transaction alone. Raises TransactionPrepared.

    A prepared transaction holds its lock without a session: waiting for it would not end.
    """
    if held := shop_all.database.rows(PREPARED, [kind.staging_table]):
        table = kind.quoted_staging
        raise TransactionPrepared(table=table, names=", ".join(gid for (gid,) in held))
    shop_all.database.execute(sql.SQL(LOCK).format(table=kind.staging_table))


def _lock_all_positions(
    shop_all: ShopAll,
    targets: Sequence[BonusDatabase],
    kinds: Collection[Kind],
    begun: Collection[tuple[str, str]],
) -> tuple[list[Held], list[BonusDatabase]]:
    """The positions of the bonus servers that answer, locked, and those servers that do not.

    Raises PositionLost.
    """
    origin = shop_all.identity.origin()
    held, silent, key = [], [], randbits(63)
    for target in targets:
        try:
            # One database that is docked twice would lock itself out.
            if not target.database.value(TRY_LOCK, [key]):
                continue
        except Unreachable:
            silent.append(target)
            continue
        target.database.may_wait()
        target.ensure_schema()
        for kind in kinds:
            if target.positions.get(origin, kind) is not None:
                held.append(Held(target, kind, target.positions.lock(origin, kind)))
            elif (kind.name, target.name) in begun and not target.positions.exist(kind):
                raise PositionLost(database=target.name, kind=kind.name)
    return held, silent


def _write(shop_all: ShopAll, one: Held, after: Position) -> None:
    """Writes the new position, with a batch by a younger transaction than any that it tells of."""
    with shop_all.another() as other:
        after = other.log.add_position(one.kind, after, one.target.name)
    one.target.positions.begin(after)
