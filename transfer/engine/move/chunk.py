"""Moves one chunk: one transaction of the bonus server, one way for every kind.

The rows arrive in the temporary table `incoming`, each with the code of the check that it fails.
From there one statement of the kind applies the good rows to the vendor's table. If that table
refuses a row, halving the chunk finds it, and it becomes a reject.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import psycopg2
from psycopg2 import sql

from transfer.causes.connections import ANSWER_INVALID
from transfer.causes.ledger import COMMIT_UNCONFIRMED, POSITION_MOVED, ROWS_DIFFER
from transfer.causes.rows import REASONS
from transfer.engine import events
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.dependents import (
    COLUMNS as DEPENDENT_COLUMNS,
    KNOWN,
    NOT_HERE,
    NOTHING_TO_DO,
    Dependents,
    mark_known,
    record_changed,
)
from transfer.engine.move.plan import ChunkPlan
from transfer.engine.move.read_ahead import ReadAhead
from transfer.engine.move.refused_rows import Bisection, Statement
from transfer.engine.move.stream import (
    Sending,
    SourceFailed,
    TextUnreadable,
    as_source_failure,
    create_tables,
    empty_tables,
    receive_as_bytes,
    receive_rows,
    stream_rows,
)
from transfer.engine.postgres.database import array, is_broken
from transfer.engine.received import NOTHING, WHOLE, Position, Totals
from transfer.engine.shop_all.log import Line, receipts_of
from transfer.engine.shop_all.rows import Reading
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import RowsDiffer, TransferError

IS_GOOD = "fault is null"
# All statements over the temporary table `incoming` read it once, from end to end; those of a
# Bisection use the index that it creates.

# The changesets of the chunk's lines.
CREATE_LINES = """
    create temporary table line (number bigint primary key, changeset uuid) on commit drop;
    insert into pg_temp.line
    select * from unnest(%s::bigint[], %s::uuid[]) as line (number, changeset)
"""
# What the statements of a kind see of `incoming`, with the values as the vendor's table has them.
GOOD = """
    with good as not materialized (
        select number, "row", {good}, ctid as line from pg_temp.incoming where {rows}
    )
"""
# The last row, of a chunk with rows of one changeset.
LAST = 'select max("row") from pg_temp.incoming'

# What became of the rows: applied or already there, without effect here, rejected; how many of the
# first were changed before they were read; and the sums of the amounts as they were staged, of
# those that count and those that do not.
COUNT = f"""
    select count(*) filter (where {IS_GOOD}),
           count(*) filter (where fault in ('{NOTHING_TO_DO}', '{NOT_HERE}', '{KNOWN}')),
           count(*) filter (where fault not in ('{NOTHING_TO_DO}', '{NOT_HERE}', '{KNOWN}')),
           count({{changed}}) filter (where {IS_GOOD}),
           coalesce(sum({{amount}}) filter (where fault is null or fault = '{NOTHING_TO_DO}'), 0),
           coalesce(sum({{amount}}) filter (where fault <> '{NOTHING_TO_DO}'), 0)
      from {{rows}}
"""
AMOUNTS = """
    (select fault, first, coalesce(first, amount) as amount from pg_temp.incoming) as counted
"""
# The same where some rows set an amount or take one back: these are differences.
AMOUNTS_WITHOUT_DIFFERENCES = """
    (select fault, incoming.first,
            case when effect is null or effect = 'replaces'
                 then coalesce(incoming.first, amount) end as amount
       from pg_temp.incoming left join pg_temp.dependent using (number, "row")) as counted
"""
# How many rows each check rejects.
COUNT_REASONS = f"""
    select fault, count(*) from pg_temp.incoming
     where fault not in ('{NOTHING_TO_DO}', '{NOT_HERE}', '{KNOWN}') group by fault
"""
# Marks one row as refused by the vendor's table.
REFUSE = """
    update pg_temp.incoming
       set fault = 'refused_by_server', sqlstate = %s, constraint_name = %s where {row}
"""
# Rows are looked up by index, so stale statistics cannot make the planner choose another way.
PLANS = """
    set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off;
    set local work_mem = '64MB'
"""


class PlanOutdated(Exception):
    """A line of the plan was withdrawn or lost after it was read. Nothing was done; plan again."""


@dataclass(frozen=True)
class Chunk:
    """What one transaction of the bonus server did.

    `incomplete`: see `Exceptions`, after the chunk. `oldest` is the time (ISO) when the first of
    its changesets was staged; None without rows.
    """

    before: Position
    after: Position
    incomplete: Mapping[str, int]
    oldest: str | None = None
    reasons: dict[str, int] = field(default_factory=dict)  # check code → rows rejected

    @property
    def totals(self) -> Totals:
        return self.after.totals - self.before.totals


@dataclass(frozen=True)
class Received:
    """How many rows a chunk has received, and the last one if they are of one changeset."""

    rows: int = 0
    last: int | None = None


def move_chunk(
    plan: ChunkPlan, ahead: ReadAhead, source: ShopAll, target: BonusDatabase, *, dry_run: bool
) -> Chunk:
    """Move the rows of the plan. The caller has locked the position, and rolls back on errors.

    1. Receives the rows, and what they depend on; compares their numbers with the log.
    2. Begins to move the rows of the next chunk, if there is one.
    3. Applies the good rows, and records what became of those that depend on others.
    4. Writes the rejects, exceptions and receipts.
    5. Moves the position, if it is still where it was, and commits (not in a dry run).

    Raises PlanOutdated, RowsDiffer, POSITION_MOVED, ROWS_SWALLOWED, TOO_MANY_REFUSED,
    ANSWER_INVALID.
    """
    database, watch = target.database.party.saved, events.Stopwatch()
    events.tell(
        events.CHUNK_BEGINS,
        kind=plan.kind.name,
        database=database,
        after_line=plan.before.position.place.number,
        to_line=plan.after(0, None).position.place.number,
    )
    received = receive(plan, plan.reading, ahead, target) if plan.reading else Received()
    if not dry_run:
        if not plan.is_last:
            ahead.begin_next(plan.after(received.rows, received.last), plan.rows)
        _check_not_withdrawn(plan, source)
    totals, reasons = Totals(), {}
    if received.rows:
        totals, changed = apply(plan, target)
        reasons = record(plan, totals, source, target, has_changed=changed > 0)
    after, incomplete = _note_received(plan, received, totals, target)
    if not dry_run:
        commit(plan.kind, target, after.origin, after.version)
    lines = plan.reading.lines if plan.reading else ()
    oldest = min((line.started for line in lines if line.started), default=None)
    chunk = Chunk(plan.before.position, after, incomplete, oldest, reasons)
    events.tell(
        events.CHUNK_ENDS,
        kind=plan.kind.name,
        database=database,
        to_line=after.place.number,
        applied=chunk.totals.applied,
        unchanged=chunk.totals.unchanged,
        rejected=chunk.totals.rejected,
        seconds=watch.seconds,
    )
    return chunk


def receive(plan: ChunkPlan, reading: Reading, ahead: ReadAhead, target: BonusDatabase) -> Received:
    """Fill `incoming` with the rows of the chunk, and `dependent` with what they depend on.

    The rows may be there already: see `ReadAhead`. Reads them again, as bytes, if the bonus
    server's encoding lacks a character. Raises ANSWER_INVALID where even then a text is none;
    RowsDiffer; PlanOutdated, also where shop All fails to say what belongs to rows that were read
    ahead.
    """
    kind, receive_into = plan.kind, receive_rows
    arrived = ahead.arrived(plan)
    if arrived is None:
        create_tables(kind, target)
    while True:
        with ahead.rows(plan, reading) as sending:
            try:
                if arrived is None:
                    arrived = receive_into(kind, reading, sending, target)
                last = target.database.value(LAST) if plan.may_be_cut() else None
                received = Received(arrived.rows, last)
                _receive_dependents(plan, reading, received, sending.source, target)
                _check_counts(plan, reading, received, arrived.of_lines, sending.source, target)
                return received
            except TextUnreadable as unreadable:
                if receive_into is receive_as_bytes:  # its columns take any bytes of a text
                    raise answer_invalid(sending.source, "copy") from unreadable
                receive_into = receive_as_bytes
            except SourceFailed as failed:
                if failed.__cause__ is None or sending.source is not ahead.source:
                    raise PlanOutdated from None
                raise failed.__cause__ from None
        arrived = None
        empty_tables(target)


def _receive_dependents(
    plan: ChunkPlan, reading: Reading, received: Received, source: ShopAll, target: BonusDatabase
) -> None:
    """Fill `dependent`, within the snapshot in which the rows were read."""
    if not reading.depends or not received.rows:
        return
    last = WHOLE if received.last is None else received.last
    query = source.rows.dependents_query(plan.kind, reading, last)
    into = sql.SQL(f"pg_temp.dependent ({DEPENDENT_COLUMNS})")
    stream_rows(Sending(source, query), target, into)


def _check_counts(
    plan: ChunkPlan,
    reading: Reading,
    received: Received,
    of_lines: Mapping[int, int],
    source: ShopAll,
    target: BonusDatabase,
) -> None:
    """Raises RowsDiffer unless as many rows of each line have come as the log says.

    `of_lines`: the number of a line → how many of its rows have come.

    Where the log itself says something else by now, it raises PlanOutdated: the rows may have been
    read again, after shop All was restored in between.

    A changeset that is read in parts is counted when its last part is read. Of a load the names of
    the rows are known: they are 1, 2, 3 … So a row that is missing is found by the part that would
    have it, before the server has passed it.
    """
    found = of_lines
    if len(reading.lines) == 1:
        (line,) = reading.lines
        is_cut = plan.read(received.rows, received.last)[line.changeset] != WHOLE
        if is_cut and not _lacks_rows_of_load(plan, reading, received, source):
            return
        if is_cut or reading.last != NOTHING:
            found = {line.number: _count(plan.kind, line, source)}
    differ = [line for line in reading.lines if found.get(line.number, 0) != line.awaited]
    if differ:
        _check_still_in_log(plan, differ, source)
        raise rows_differ(plan.kind, target, differ, found)


def _check_still_in_log(plan: ChunkPlan, lines: list[Line], source: ShopAll) -> None:
    """Raise PlanOutdated unless the log has these lines as they were when the chunk was planned.

    Lines that a dry run only expects there are in no log.
    """
    appended = [line for line in lines if line.is_appended]
    with as_source_failure():
        found = source.log.lines_of(plan.kind, [line.changeset for line in appended])
    if found != appended:
        raise PlanOutdated


def _count(kind: Kind, line: Line, source: ShopAll) -> int:
    with as_source_failure():
        return source.rows.count(kind, line)


def _lacks_rows_of_load(
    plan: ChunkPlan, reading: Reading, received: Received, source: ShopAll
) -> bool:
    """Return whether a part of a load lacks rows which nobody has agreed to do without."""
    (line,) = reading.lines
    if received.last is None:
        return False
    with as_source_failure():
        load = source.loads.get(line.changeset)
    if load is None:
        return False
    gone = plan.gone_up_to(received.rows, received.last)
    return received.rows + len(gone) != received.last - max(reading.last, 0)


def rows_differ(
    kind: Kind, target: BonusDatabase, lines: list[Line], found: Mapping[int, int]
) -> RowsDiffer:
    missing = sum(line.awaited - found.get(line.number, 0) for line in lines)
    error = RowsDiffer(
        ROWS_DIFFER, database=target.name, rows=missing, table=kind.quoted_staging, kind=kind.name
    )
    error.changesets = tuple(line.changeset for line in lines)
    return error


def _check_not_withdrawn(plan: ChunkPlan, source: ShopAll) -> None:
    """Raises PlanOutdated if a line was withdrawn since it was read, perhaps long ago."""
    if plan.reading is None:
        return
    with source.snapshot():
        if source.rows.are_withdrawn(plan.kind, plan.reading.lines):
            raise PlanOutdated


def answer_invalid(source: ShopAll, what: str) -> TransferError:
    return TransferError(ANSWER_INVALID, party=source.database.party, what=what)


def apply(plan: ChunkPlan, target: BonusDatabase) -> tuple[Totals, int]:
    """Apply the good rows of `incoming`.

    Returns what became of all rows, and how many good ones were changed before they were read.

    Rows of which the server has a reject already are left out. Dependent rows are decided first,
    from what the server has received before the chunk. Rows that the vendor's table refuses are
    marked as rejects. Raises ROWS_SWALLOWED if a row did not land and no error says why,
    TOO_MANY_REFUSED.
    """
    kind, position = plan.kind, plan.before.position
    depends = plan.reading is not None and plan.reading.depends
    lines = plan.reading.lines if plan.reading else ()
    target.database.execute(PLANS)
    target.database.execute(
        CREATE_LINES,
        [array(line.number for line in lines), array(line.changeset for line in lines)],
    )
    mark_known(kind, position, target)
    dependents = Dependents(kind, position, plan.version, target)
    if depends and kind.appends:
        dependents.decide()
    statements = [_over_good(kind, text) for text in (*kind.refuse, *kind.apply)]
    quick = [_over_good(kind, text) for text in (*kind.refuse, *kind.quick)] if kind.quick else []

    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        target.database.execute(REFUSE.format(row=row), [sqlstate, constraint])

    with target.database.vendors_path():
        applied = Bisection(target, "pg_temp.incoming", statements, refuse, quick).run(IS_GOOD)
    if depends and kind.appends:
        dependents.settle()
    amounts = AMOUNTS_WITHOUT_DIFFERENCES if depends else AMOUNTS
    rows = amounts if kind.appends else "pg_temp.incoming"
    count = COUNT.format(
        amount=kind.amount, rows=rows, changed="first" if kind.appends else "null::numeric"
    )
    good, without_effect, rejected, changed, *sums = target.database.only_row(count)
    if applied.swallowed or (kind.appends and applied.changed != good):
        raise target.tables.swallowed(kind)
    unchanged = good - applied.changed + without_effect
    return Totals(applied.changed, unchanged, rejected, *sums), changed


def record(
    plan: ChunkPlan, totals: Totals, source: ShopAll, target: BonusDatabase, *, has_changed: bool
) -> dict[str, int]:
    """Write the rejects of the chunk, and what became of dependent and changed rows.

    `has_changed`: good rows of it were changed before they were read.
    Returns check code → rows rejected. Raises ANSWER_INVALID.
    """
    kind, position = plan.kind, plan.before.position
    reasons: dict[str, int] = dict(target.database.rows(COUNT_REASONS)) if totals.rejected else {}
    if reasons.keys() - REASONS.keys():  # any text, from a program in place of PostgreSQL
        raise answer_invalid(source, "fault")
    depends = plan.reading is not None and plan.reading.depends
    dependents = Dependents(kind, position, plan.version, target)
    if has_changed:
        record_changed(kind, position, target, has_dependents=depends)
    if depends and kind.appends:
        dependents.record()
    elif depends:
        dependents.close_replaced()
    if totals.rejected:
        target.rejects.add(kind, position, plan.version)
    return reasons


def _note_received(
    plan: ChunkPlan, received: Received, totals: Totals, target: BonusDatabase
) -> tuple[Position, Mapping[str, int]]:
    """Write exceptions and receipts, and move the position.

    Returns it, and the exceptions that are incomplete then. Raises POSITION_MOVED.
    """
    before = plan.before.position
    lasts = plan.lasts(received.rows, received.last)
    incomplete = {name: last for name, last in lasts.items() if last != WHOLE}
    whole = [name for name, last in lasts.items() if last == WHOLE]
    if plan.before.exceptions.others or plan.before.exceptions.incomplete:
        target.positions.delete_exceptions(before, [*plan.said_rightly, *whole])
    target.positions.set_exceptions(before, incomplete)
    for name in plan.read(received.rows, received.last).keys() & incomplete.keys():
        amount = totals.amount_applied + totals.amount_rejected
        target.positions.add_received(before, name, totals.read, amount)
    gone = plan.gone_up_to(received.rows, received.last)
    target.rejects.add_gone(before, plan.version, gone)
    target.positions.add_receipts(before, receipts_of(plan.passed))
    totals += plan.gone_totals(received.rows, received.last)
    state = plan.after(received.rows, received.last)
    after = state.position
    if not target.positions.advance(before, after.place, after.version, totals):
        raise TransferError(POSITION_MOVED)
    moved = replace(after, totals=before.totals + totals)
    return moved, state.exceptions.incomplete


def _over_good(kind: Kind, text: str) -> Statement:
    statement, names = sql.SQL(GOOD + text), kind.target_names
    return lambda rows: statement.format(rows=sql.SQL(rows), **names)


def commit(kind: Kind, target: BonusDatabase, origin: str, version: str) -> None:
    """Commit the transaction that gives the position this version.

    If the answer is lost, the position tells whether it landed. Raises COMMIT_UNCONFIRMED if it did
    not, or if that can't be known now: the next run reads the position first, so nothing is retried
    blindly.
    """
    try:
        target.database.connection.commit()
    except psycopg2.Error as error:
        if not is_broken(error):
            raise
        target.database.close()
        try:
            with target.database.transaction(commit=False):
                held = target.positions.version_once_settled(origin, kind)
        except TransferError as failure:
            raise TransferError(
                COMMIT_UNCONFIRMED, failure.technical, database=target.name
            ) from failure
        if held != version:
            raise TransferError(COMMIT_UNCONFIRMED, database=target.name) from error
