"""Repairs the positions after the database of shop All was restored from a copy.

The restored rows carry transactions that the cluster has not reached, or will use again. Every row
gets a transaction of its own time, and every position a snapshot that tells the same rows.

A logical restore (a dump) shows by the rows that it wrote: each was written by a transaction other
than the one it names. A physical one (a copy of the files, an older state of the machine, a replica
that lagged and took over) leaves no such trace, so the administrator has to say when it was; also
where a dump of such a database was restored in its turn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from secrets import randbits
from uuid import uuid4

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    HistoryChanged,
    RestoreUnknown,
    RowsDoubtful,
    RowsPrepared,
    RowsRewritten,
    RowsUndated,
    TransactionPrepared,
)
from transfer.engine.kinds import Kind
from transfer.engine.position import Position, moved
from transfer.engine.restore.groups import (
    Group,
    Held,
    Restored,
    is_new_since_dump,
    known_at,
    regroup,
)
from transfer.engine.shop_all.batch_log import ORIGINAL
from transfer.engine.shop_all.source import ShopAll

# Prepared transactions that hold a lock of a table: a lock without a process is one's, and each
# holds that of its own number (PostgreSQL, "pg_locks").
PREPARED = """
    select distinct prepared.gid
      from pg_locks as held join pg_locks as own using (virtualtransaction)
      join pg_prepared_xacts as prepared on prepared.transaction = own.transactionid
     where held.relation = to_regclass(%s) and held.pid is null and own.pid is null
     order by gid
"""


@dataclass(frozen=True)
class Renumbered:
    """One position carried over."""

    database: str
    kind: str
    moved: int
    waiting: int
    vanished: int  # rows that had been moved and are not in the restored table


def renumber_after_restore(
    shop_all: ShopAll,
    targets: Sequence[BonusDatabase],
    kinds: Collection[Kind],
    restored: Restored | None = None,
    *,
    doubtful_moved: bool | None = None,
    dry_run: bool = False,
) -> list[Renumbered]:
    """Renumbers all staged rows, with every position of `targets`, under a new origin.

    What a bonus server has received stays received; what was written since the restore waits.

    1. Locks the staging tables and the positions.
    2. Looks what is wrong; returns nothing if nothing is.
    3. Checks that what is known of the restore suffices.
    4. Gives each group of rows (see `Group`) a new transaction.
    5. Writes each new position under the new origin, with a batch in the log.
    6. Commits the bonus servers, then shop All.

    If it dies before shop All has committed, everything is as before: the old origin still counts.
    With `dry_run` it only tells what it would do. It may take any time: a bonus server's session
    waits in its transaction while shop All renumbers, and shop All's while bonus servers answer, so
    neither has a limit there. A statement of shop All has none either, but for locks.

    Raises AlreadyRunning while a transfer holds a position; RestoreUnknown if the restore was
    physical and `restored` is not given; RowsPurged if a bonus server lacks rows that are gone;
    TransactionPrepared if one has written rows and not ended; RowsDoubtful or RowsPrepared if rows
    may or may not have been moved and `doubtful_moved` is not given.
    """
    with shop_all.database.transaction(commit=not dry_run):
        shop_all.database.limit_statements(None)
        shop_all.database.may_wait()
        shop_all.database.execute("set local row_security = off")
        shop_all.database.one("select pg_current_xact_id()")  # from here on age() counts from it
        for kind in kinds:
            _lock_table(shop_all, kind)
        held = _lock_all_positions(shop_all, targets, kinds)
        if not _is_anything_wrong(shop_all, kinds, held):
            return []
        is_dump = _check_knowledge(shop_all, kinds, held, restored)
        origin = str(uuid4())
        groups = {
            kind.name: regroup(shop_all, kind, held, restored, origin, is_dump=is_dump)
            for kind in kinds
        }
        shop_all.database.execute(
            "update datatransfer.origin set origin = %s, xid = pg_current_xact_id()", [origin]
        )
        now = shop_all.reader.current_snapshot()
        report = []
        for place, one in _numbered(held):
            split = _split(one, groups[one.kind.name], place, doubtful_moved)
            line, after = _carried_over(shop_all, one, origin, now, *split)
            report.append(line)
            if not dry_run:
                _write(shop_all, one, after)
        for target in targets:
            target.database.roll_back() if dry_run else target.database.commit()
    return report


def _lock_table(shop_all: ShopAll, kind: Kind) -> None:
    """Locks a staging table for this transaction alone. Raises TransactionPrepared.

    A prepared transaction holds its lock without a session: waiting for it would not end.
    """
    if held := shop_all.database.rows(PREPARED, [kind.staging_table]):
        table = f'"{kind.staging}"'
        raise TransactionPrepared(table=table, names=", ".join(gid for (gid,) in held))
    lock = sql.SQL("lock table {} in access exclusive mode")
    shop_all.database.execute(lock.format(kind.staging_table))


def _lock_all_positions(
    shop_all: ShopAll, targets: Sequence[BonusDatabase], kinds: Collection[Kind]
) -> list[Held]:
    origin = shop_all.identity.origin()
    held = []
    for target in _apart(targets):
        target.database.may_wait()
        target.ensure_schema()
        for kind in kinds:
            if target.positions.get(origin, kind) is not None:
                held.append(Held(target, kind, target.positions.lock(origin, kind)))
    return held


def _apart(targets: Sequence[BonusDatabase]) -> list[BonusDatabase]:
    """Without those that lead to the database of another: they would lock each other out."""
    key = randbits(63)
    lock = "select pg_try_advisory_xact_lock(%s)"
    return [target for target in targets if target.database.value(lock, [key])]


def _is_anything_wrong(shop_all: ShopAll, kinds: Collection[Kind], held: list[Held]) -> bool:
    """Whether a flow would refuse. All are asked: another staging table stops everything."""
    is_broken = [_is_broken(shop_all, kind, held) for kind in kinds]
    is_broken.append(shop_all.restore_notes.exist(shop_all.identity.origin()))
    return any(is_broken) or any(one.target.positions.rows_since(one.position) for one in held)


def _is_broken(shop_all: ShopAll, kind: Kind, held: list[Held]) -> bool:
    positions = [one.position for one in held if one.kind == kind]
    is_broken = False
    for position in positions or [Position(shop_all.identity.origin(), kind.name)]:
        try:
            shop_all.identity.check_past(kind, position)
        except HistoryChanged:
            is_broken = True
    return is_broken


def _check_knowledge(
    shop_all: ShopAll, kinds: Collection[Kind], held: list[Held], restored: Restored | None
) -> bool:
    """Whether shop All came from a dump. Raises if too little is known of the restore."""
    for one in held:
        shop_all.identity.check_purged(one.kind, one.position, one.target.name)
    if restored is not None and restored.at is not None:
        _require_dates(shop_all, kinds)
    is_dump = not shop_all.identity.is_origin_original()
    if is_dump:
        _require_dump(shop_all, kinds)
    if restored is None and not (is_dump and _has_one_past(shop_all, held)):
        raise RestoreUnknown
    return is_dump


def _require_dates(shop_all: ShopAll, kinds: Collection[Kind]) -> None:
    """A row without a time may be either, new or moved. Raises RowsUndated."""
    query = sql.SQL("select count(*) from {} where created_at is null")
    for kind in kinds:
        if undated := shop_all.database.value(query.format(kind.staging_table)):
            raise RowsUndated(rows=undated, table=f'"{kind.staging}"')


def _require_dump(shop_all: ShopAll, kinds: Collection[Kind]) -> None:
    """A row that the dump did not bring is younger than the last batch that it brought.

    Raises RowsRewritten.
    """
    for kind in kinds:
        query = sql.SQL(
            "select count(*) from {} where {} and created_at < (select max(at) from "
            "datatransfer.batch where not ({}))"
        ).format(kind.staging_table, is_new_since_dump(shop_all, kind), sql.SQL(ORIGINAL))
        if rewritten := shop_all.database.value(query):
            raise RowsRewritten(rows=rewritten, table=f'"{kind.staging}"')


def _has_one_past(shop_all: ShopAll, held: list[Held]) -> bool:
    """Whether no row that the dump brought is younger than a position that claims to have moved it.

    Such a row has the number of another one: the files had gone back before they were dumped.
    """
    query = sql.SQL("select exists (select from {} where created_at > {} and {} and not {})")
    for one in held:
        at = sql.Literal(known_at(shop_all, one))
        is_new = is_new_since_dump(shop_all, one.kind)
        values = (one.kind.staging_table, at, moved(one.position), is_new)
        if shop_all.database.value(query.format(*values)):
            return False
    return True


def _numbered(held: list[Held]) -> list[tuple[int, Held]]:
    """Each position with its place among those of its kind: its place in the signatures."""
    places: defaultdict[str, Iterator[int]] = defaultdict(count)
    return [(next(places[one.kind.name]), one) for one in held]


def _write(shop_all: ShopAll, one: Held, after: Position) -> None:
    """Writes the new position, with a batch by a younger transaction than any that it tells of."""
    with shop_all.another() as other:
        after = other.log.add_position(one.kind, after, one.target.name)
    one.target.positions.begin(after)


def _split(
    one: Held,
    groups: list[Group],
    place: int,
    doubtful_moved: bool | None,
) -> tuple[list[Group], list[Group]]:
    """The groups that the position has moved, and those that wait for it.

    What waits by a position whose reader has gone on since is in doubt. Raises RowsDoubtful or
    RowsPrepared.
    """
    target, position = one.target, one.position
    done: list[Group] = []
    left: list[Group] = []
    doubtful: list[Group] = []
    is_overtaken = target.positions.rows_since(position) > 0
    for group in groups:
        what = group.signature[place]
        if what in "23" or (what == "0" and is_overtaken and not group.is_new):
            doubtful.append(group)
        else:
            (done if what == "1" else left).append(group)
    if doubtful and doubtful_moved is None:
        prepared = all(group.signature[place] == "2" for group in doubtful)
        error = RowsPrepared if prepared else RowsDoubtful
        rows = sum(group.rows for group in doubtful)
        raise error(rows=rows, kind=position.kind, database=target.name)
    return (done + doubtful, left) if doubtful_moved else (done, left + doubtful)


def _carried_over(
    shop_all: ShopAll,
    one: Held,
    origin: str,
    now: str,
    done: list[Group],
    left: list[Group],
) -> tuple[Renumbered, Position]:
    """The report of one position, and what it is under the new `origin` in the snapshot `now`."""
    target, position = one.target, one.position
    rows = sum(group.rows for group in done)
    amount = sum((group.amount for group in done), Decimal(0))
    totals = target.positions.furthest(position)
    purged_rows, purged_amount = shop_all.reader.purged(one.kind)
    after = replace(
        position,
        origin=origin,
        totals=totals,
        read_through=snapshot_without(now, [group.xid for group in left]),
        reading=None,
        last_xid=None,
        last_id=None,
        reader=position.reader or str(uuid4()),
        # What vanished with the restore counts as removed from now on.
        purged_rows=rows + purged_rows - totals.read,
        purged_amount=amount + purged_amount - totals.amount_applied - totals.amount_rejected,
    )
    vanished = totals.read - rows - (purged_rows - position.purged_rows)
    waiting = sum(group.rows for group in left)
    return Renumbered(target.name, position.kind, rows, waiting, vanished), after


def snapshot_without(snapshot: str, hidden: list[int]) -> str:
    """The snapshot in which the transactions `hidden` are not visible either.

    The text form is xmin:xmax:xip_list (PostgreSQL, "Snapshot Components").
    """
    _, end, running = snapshot.split(":")
    invisible = sorted({int(xid) for xid in running.split(",") if xid} | set(hidden))
    begin = invisible[0] if invisible else int(end)
    return f"{begin}:{end}:{','.join(map(str, invisible))}"
