"""Moves one chunk: one transaction of the bonus server, one way for every kind.

The rows arrive in the temporary table `incoming`, each with the code of the check that it fails.
From there one statement of the kind applies the good rows to the vendor's table. If that table
refuses a row, halving the chunk finds it, and it becomes a reject.
"""

from dataclasses import dataclass, field

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import PositionMoved
from transfer.engine.kind import Kind
from transfer.engine.kinds import CHECKS
from transfer.engine.move.commit import commit
from transfer.engine.move.plan import ChunkPlan, Last
from transfer.engine.move.read_ahead import ReadAhead
from transfer.engine.move.receive import receive_as_bytes, receive_rows
from transfer.engine.move.refusals import Applied, Bisection, Refuse, Statement
from transfer.engine.move.replacements import hold_back, release
from transfer.engine.move.stream import SourceFailed, TextUnreadable, as_source_failure
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import AnswerInvalid

IS_GOOD = "fault is null"
IS_BAD = "fault is not null"
# All statements over the temporary table `incoming` read it once, from end to end; RELEASE and
# those of a Bisection use indexes that they create.

# Makes `incoming` new and empty.
EMPTY = """
    drop table if exists pg_temp.incoming, pg_temp.datatransfer_original;
    {create}; savepoint empty
"""
# Empties it again.
EMPTY_AGAIN = "rollback to savepoint empty"
# What the statements of a kind see of `incoming`, with the values as the vendor's table has them.
GOOD = """
    with good as not materialized (
        select xid, id, {good}, ctid as line from pg_temp.incoming where {rows}
    )
"""
# (xid, id) of the last row of the chunk, in the order of staging.
LAST = "select xid::text::bigint, id from pg_temp.incoming order by xid desc, id desc limit 1"

# How many rows are good, how many are not, and both sums.
COUNT = "select {counts} from pg_temp.incoming"
# How many rows each check rejects.
COUNT_REASONS = f"select fault, count(*) from pg_temp.incoming where {IS_BAD} group by fault"
# Marks one row as refused by the vendor's table.
REFUSE = """
    update pg_temp.incoming
       set fault = 'refused_by_server', sqlstate = %s, constraint_name = %s where {row}
"""

# Rows are looked up by index, so stale statistics cannot make the planner choose another way.
PLANS = "set local enable_seqscan = off; set local jit = off; set local work_mem = '64MB'"


@dataclass(frozen=True)
class Chunk:
    """What one transaction of the bonus server did."""

    before: Position
    after: Position
    reasons: dict[str, int] = field(default_factory=dict)  # check code → rows rejected

    @property
    def totals(self) -> Totals:
        return self.after.totals - self.before.totals


def move_chunk(
    plan: ChunkPlan, ahead: ReadAhead, source: ShopAll, target: BonusDatabase, origin: str
) -> Chunk:
    """Moves the rows of the plan. The caller has locked the position, and rolls back on errors.

    1. Receives the rows in `incoming`, and begins to read the next chunk.
    2. Applies the good ones, and marks those that the vendor's table refuses; rows that replace
       rejected ones, or take others back, come last (see `replacements`).
    3. Writes the rejects.
    4. Moves the position, if it is still where it was, and commits (not in a dry run).
    """
    read, last = receive(plan, ahead, target)
    ahead.begin_next(plan, read, last)
    totals = apply(plan.kind, plan.before.origin, target) if last else Totals()
    reasons = count_reasons(target) if totals.rejected else {}
    if reasons.keys() - CHECKS.keys():  # any text, from a program in place of PostgreSQL
        raise answer_invalid(source, "fault")
    if totals.rejected:
        numbers = target.rejects.add(plan.kind, plan.before)
        if source.corrections.has_notes(plan.kind, origin, *numbers):  # of older rows, as a rule
            source.corrections.check_numbers(plan.kind, origin, target.rejects.of_chunk())
    after = plan.after(totals, last)
    if not target.positions.advance(plan.before, after):
        raise PositionMoved
    if not plan.dry_run:
        commit(plan.kind, target, plan.before, after)
    return Chunk(plan.before, after, reasons)


def receive(plan: ChunkPlan, ahead: ReadAhead, target: BonusDatabase) -> tuple[int, Last | None]:
    """Fills `incoming` with the rows of the chunk; returns how many they are, and the last.

    Reads them again if the stream that was begun ahead breaks, and as bytes if the bonus server's
    encoding lacks a character. Raises AnswerInvalid where even then a text is none.
    """
    kind, receive_into = plan.kind, receive_rows
    target.database.execute(EMPTY.format(create=kind.incoming))
    while True:
        with ahead.rows(plan) as sending:
            try:
                read = receive_into(kind, sending, target)
                last = next(iter(target.database.rows(LAST)), None)
                check_still_reads(sending.source)
                if last and kind.appends:
                    hold_back(plan, last, sending.source, target)
                return read, last
            except TextUnreadable as unreadable:
                if receive_into is receive_as_bytes:  # its columns take any bytes of a text
                    raise answer_invalid(sending.source, "copy") from unreadable
                receive_into = receive_as_bytes
            except SourceFailed as failed:
                if failed.__cause__ is not None and sending.source is ahead.source:
                    raise failed.__cause__ from None
        target.database.execute(EMPTY_AGAIN)


def check_still_reads(source: ShopAll) -> None:
    """Raises SourceFailed unless the session that has sent the rows still holds the staging table.

    A stream that was begun ahead may have been sent whole before shop All ended its session, while
    this process was suspended before it locked the position. A rebase may have carried the position
    over in between: then the rows belong to it, and another run may have moved them.
    """
    with as_source_failure():
        source.reader.current_snapshot()


def answer_invalid(source: ShopAll, what: str) -> AnswerInvalid:
    return AnswerInvalid(party=source.database.party, what=what)


def apply(kind: Kind, origin: str, target: BonusDatabase) -> Totals:
    """Applies the good rows of `incoming`, and returns what became of all of them.

    Rows that the vendor's table refuses are marked as rejects. Rows that replace others, or take
    them back, wait until the others are applied or rejected. Raises RowsSwallowed if a row did not
    land and no error says why, TooManyRefused.
    """
    target.database.execute(PLANS)
    statements = [_over_good(kind, text) for text in (*kind.refuse, *kind.apply)]

    def run(rows: str) -> Applied:
        with target.database.vendors_path():
            refuse = _refuse_in(target)
            return Bisection(target, "pg_temp.incoming", statements, refuse).run(rows)

    applied = run(IS_GOOD)
    if kind.appends:
        applied = sum(map(run, release(kind, origin, target)), applied)
    good, *others = target.database.one(COUNT.format(counts=kind.counts))
    if applied.swallowed or (kind.appends and applied.changed != good):
        raise target.tables.swallowed(kind)
    return Totals(applied.changed, good - applied.changed, *others)


def _over_good(kind: Kind, text: str) -> Statement:
    statement, names = sql.SQL(GOOD + text), kind.target_names
    return lambda rows: statement.format(rows=sql.SQL(rows), **names)


def _refuse_in(target: BonusDatabase) -> Refuse:
    def refuse(row: str, sqlstate: str, constraint: str | None) -> None:
        target.database.execute(REFUSE.format(row=row), [sqlstate, constraint])

    return refuse


def count_reasons(target: BonusDatabase) -> dict[str, int]:
    """How many rows of `incoming` each check rejects."""
    return dict(target.database.rows(COUNT_REASONS))
