"""Carries the positions over when the database of shop All was restored from a copy. No Django.

Its rows then carry transactions that the cluster has not reached, or will use again. Every row
gets a transaction of its own time, and every position a snapshot that tells the same rows.

A logical restore (a dump) shows by the rows that it wrote: each was written by a transaction other
than the one it names. A physical one (a copy of the files, an older state of the machine, a replica
that lagged and took over) leaves no such trace, so somebody has to say when it was; also where a
dump of such a database was restored in its turn.
"""

from collections import defaultdict
from collections.abc import Iterator
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
from transfer.engine.kinds import KINDS, Kind
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
from transfer.engine.shop_all.staging import Staging

# Prepared transactions that hold a lock of a table: a lock without a process is one's, and each
# holds that of its own number (PostgreSQL, "pg_locks").
PREPARED = """
    select distinct prepared.gid
      from pg_locks as held join pg_locks as own using (virtualtransaction)
      join pg_prepared_xacts as prepared on prepared.transaction = own.transactionid
     where held.relation = to_regclass(quote_ident(%s)) and held.pid is null and own.pid is null
     order by gid
"""


@dataclass(frozen=True)
class Rebased:
    """One position carried over."""

    database: str
    kind: str
    moved: int
    waiting: int
    vanished: int  # rows that had been moved and are not in the restored table


def rebase(
    staging: Staging,
    targets: list[BonusDatabase],
    restored: Restored | None = None,
    *,
    doubtful_moved: bool | None = None,
    dry_run: bool = False,
) -> list[Rebased]:
    """Rebases all staging tables, with every position of `targets`, under a new origin.

    What a bonus server had received stays received; what was written since the restore waits.
    The new positions are committed first, under the new origin, and the staging database last:
    cut short in between, everything is as before. Returns nothing when nothing was wrong. With
    `dry_run` it only tells what it would do. Raises AlreadyRunning while a transfer holds a
    position; RestoreUnknown when the restore was physical and nothing is said of it; RowsPurged
    when a bonus server lacks rows that are gone, and nobody has accepted that; TransactionPrepared
    when one has written rows and not ended; RowsDoubtful when rows may have been moved after an
    earlier rebase, or their transaction may have been prepared before the copy, and
    `doubtful_moved` does not say.
    """
    with staging.transaction(commit=not dry_run):
        staging.limit_statements(None)
        staging.execute("set local row_security = off")
        staging.one("select pg_current_xact_id()")  # from here on age() counts from it
        for kind in KINDS.values():
            _lock_table(staging, kind)
        origin = staging.origin()
        held = [pair for target in _apart(targets) for pair in _lock_positions(target, origin)]
        # All are asked: a table that is not the one of before stops it, whatever else is wrong.
        is_broken = [kind for kind in KINDS.values() if _is_broken(staging, kind, origin, held)]
        if not is_broken and not any(target.rows_since(position) for target, position in held):
            return []
        for target, position in held:
            staging.check_purged(KINDS[position.kind], position, target.name)
        if restored is not None and restored.at is not None:
            _require_dates(staging)
        is_dump = not staging.is_origin_original()
        if is_dump:
            _require_dump(staging)
        if restored is None and not (is_dump and _has_one_past(staging, held)):
            raise RestoreUnknown
        fresh = str(uuid4())
        groups = {
            kind.name: regroup(staging, kind, held, restored, fresh, is_dump=is_dump)
            for kind in KINDS.values()
        }
        staging.execute(
            "update datatransfer.origin set origin = %s, xid = pg_current_xact_id()", [fresh]
        )
        now = staging.current_snapshot()
        report = []
        for place, (target, position) in _numbered(held):
            split = _split(target, position, groups[position.kind], place, doubtful_moved)
            line, after = _carried_over(staging, target, position, fresh, now, *split)
            report.append(line)
            if not dry_run:
                # By a transaction younger than all that the position tells of.
                with Staging(staging.dsn, "rebase") as other:
                    after = other.put_into_log(after, target.name)
                target.begin_position(after)
        for target in targets:
            target.roll_back() if dry_run else target.commit()
    return report


def _lock_table(staging: Staging, kind: Kind) -> None:
    """No session holds what a prepared transaction locks, so nobody would find out by waiting."""
    if held := staging.rows(PREPARED, [kind.staging]):
        table = f'"{kind.staging}"'
        raise TransactionPrepared(table=table, names=", ".join(gid for (gid,) in held))
    staging.execute(sql.SQL("lock table {} in access exclusive mode").format(kind.staging_table))


def _require_dates(staging: Staging) -> None:
    """A row that does not say when it was written may be either, new or moved."""
    query = sql.SQL("select count(*) from {} where created_at is null")
    for kind in KINDS.values():
        if undated := staging.value(query.format(kind.staging_table)):
            raise RowsUndated(rows=undated, table=f'"{kind.staging}"')


def _require_dump(staging: Staging) -> None:
    """A row that a dump did not bring was written after the last batch that it brought."""
    for kind in KINDS.values():
        query = sql.SQL(
            "select count(*) from {} where {} and created_at < (select max(at) from "
            "datatransfer.batch where not ({}))"
        ).format(kind.staging_table, is_new_since_dump(staging, kind), sql.SQL(ORIGINAL))
        if rewritten := staging.value(query):
            raise RowsRewritten(rows=rewritten, table=f'"{kind.staging}"')


def _has_one_past(staging: Staging, held: Held) -> bool:
    """Whether no row that the dump brought is younger than a position that says it has moved it.

    Such a row has the number of another one: the files had gone back before they were dumped.
    """
    query = sql.SQL("select exists (select from {} where created_at > {} and {} and not {})")
    for target, position in held:
        at = known_at(staging, target, position)
        kind = KINDS[position.kind]
        is_new = is_new_since_dump(staging, kind)
        values = (kind.staging_table, sql.Literal(at), moved(position), is_new)
        if staging.value(query.format(*values)):
            return False
    return True


def _numbered(held: Held) -> list[tuple[int, tuple[BonusDatabase, Position]]]:
    """Each position with its place among those of its kind: its place in the signatures."""
    places: defaultdict[str, Iterator[int]] = defaultdict(count)
    return [(next(places[pair[1].kind]), pair) for pair in held]


def _apart(targets: list[BonusDatabase]) -> list[BonusDatabase]:
    """Without those that lead to a database which another does: they would lock each other out."""
    key = randbits(63)
    lock = "select pg_try_advisory_xact_lock(%s)"
    return [target for target in targets if target.value(lock, [key])]


def _lock_positions(target: BonusDatabase, origin: str) -> Held:
    target.ensure_schema()
    return [
        (target, target.lock_position(origin, kind))
        for kind in KINDS.values()
        if target.position(origin, kind) is not None
    ]


def _is_broken(staging: Staging, kind: Kind, origin: str, held: Held) -> bool:
    positions = [position for _, position in held if position.kind == kind.name]
    is_broken = False
    for position in positions or [Position(origin, kind.name)]:
        try:
            staging.check_past(kind, position)
        except HistoryChanged:
            is_broken = True
    return is_broken


def _split(
    target: BonusDatabase,
    position: Position,
    groups: list[Group],
    place: int,
    doubtful_moved: bool | None,
) -> tuple[list[Group], list[Group]]:
    """The groups that the position has moved, and those that wait for it.

    What waits by a position whose reader has gone on since is in doubt. Raises RowsDoubtful.
    """
    done: list[Group] = []
    left: list[Group] = []
    doubtful: list[Group] = []
    is_overtaken = target.rows_since(position) > 0
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
    staging: Staging,
    target: BonusDatabase,
    position: Position,
    origin: str,
    now: str,
    done: list[Group],
    left: list[Group],
) -> tuple[Rebased, Position]:
    rows = sum(group.rows for group in done)
    amount = sum((group.amount for group in done), Decimal(0))
    totals = target.furthest(position)
    purged_rows, purged_amount = staging.purged(KINDS[position.kind])
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
    return Rebased(target.name, position.kind, rows, waiting, vanished), after


def snapshot_without(snapshot: str, hidden: list[int]) -> str:
    """The snapshot in which the transactions `hidden` are not visible either.

    The text form is xmin:xmax:xip_list (PostgreSQL, "Snapshot Components").
    """
    _, end, running = snapshot.split(":")
    invisible = sorted({int(xid) for xid in running.split(",") if xid} | set(hidden))
    begin = invisible[0] if invisible else int(end)
    return f"{begin}:{end}:{','.join(map(str, invisible))}"
