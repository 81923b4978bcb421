"""Adds lines to the log of shop All.

An **append** is one transaction that gives the next numbers to changesets that are visible and not
in the log yet, and stamps its lines with one random mark.

An append looks for rows, not for notes about them. Where to look is a hint, kept in `head`: `seen`
is a snapshot of which every visible row is in the log. A wrong hint delays rows; it never loses or
doubles one, since what is found is compared with the log itself.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from uuid import uuid4

from psycopg2 import errors, sql

from transfer.causes.connections import STANDBY_AS_SOURCE
from transfer.causes.ledger import LOG_BUSY
from transfer.engine import events
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.received import NO_MARK, Place
from transfer.engine.shop_all.identity import check_staging
from transfer.engine.shop_all.log import BY_INDEX, Line, Log, invalid
from transfer.engine.shop_all.schema.tables import packed
from transfer.errors import TransferError

# How many lines one append adds at most: a longer one would hold the lock of `head` for seconds.
LINES_OF_AN_APPEND = 100_000
LOCK_SECONDS = 2
LOOK_AT_ALL_EVERY = "1 day"
ATTEMPTS = 15
"""Each takes LOCK_SECONDS where another process holds `head`."""
# Keeps the staging table from being rewritten. Comes before the snapshot: a statement that waits
# for it sees what was committed meanwhile.
LOCK_TABLE = "lock table {table} in access share mode"
LOCK_HEAD = "select number from datatransfer.head where kind = %s for update"
# Whether the log ends where `head` says. By the primary keys.
ENDS_AT_HEAD = """
    select number = coalesce((select max(number) from datatransfer.log
                               where log.kind = head.kind), 0)
      from datatransfer.head where kind = %s
"""
# Makes the commit wait for the flush of the write-ahead log, which flushes all commits before it.
# With weaker settings a crash could lose rows after servers have received them, or after we have
# reported them as staged.
FLUSHED = """
    select set_config('synchronous_commit', 'on', true)
     where current_setting('synchronous_commit') in ('off', 'local')
"""
LIMIT_LOCKS = f"set local lock_timeout = '{LOCK_SECONDS} s'"
# The hint, and where it was taken: one run of one database server, one database, one table.
# Elsewhere snapshots and the xids of rows can't be compared. One of the future is none: somebody
# has written it.
HINT = f"""
    select seen::text,
           coalesce(seen_in = here.name
                    and pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot()), false),
           here.name,
           coalesce(looked_at not between now() - interval '{LOOK_AT_ALL_EVERY}'
                                      and now() + interval '{LOOK_AT_ALL_EVERY}', true),
           pg_is_in_recovery()
      from datatransfer.head, (
           select concat_ws(' ', oid, pg_postmaster_start_time(), to_regclass(%s)::oid) as name
             from pg_database where datname = current_database()) as here
     where kind = %s limit 2
"""
# The first changeset of a range that is not in the log, and the snapshot of this very statement.
# Walks the index on (xid, started, row) up to there; looks each changeset up by the log's unique
# key.
LOOK = """
    select {place}, pg_current_snapshot()::text, found.xid::text, found.started::text
      from (select 1) as one left join (
           select staged.xid, staged.started
             from (select xid, started from {table} where {range}
                    group by xid, started order by xid, started) as staged
            where not exists (select from datatransfer.log
                               where kind = {kind} and log.xid = staged.xid
                                 and log.started = staged.started)
            limit 1) as found on true
"""
# The changesets of a range of the index, in its order.
STAGED = """
    (select xid, started, min(staged_by) as staged_by, count(*) as rows,
            coalesce(sum({amount}), 0) as amount
       from {rows} where {range} group by xid, started order by xid, started)
"""
# One append: adds the lines of the next changesets of some ranges, one range after the other.
# Returns how many, whether the log has them all now, with these numbers, the snapshot that it has
# seen, and the last of them in the order of the index. All by that index and the primary keys:
# look-ups with a limit are made for each line, and never read all loads or dependent rows of the
# kind. No sum counts rows that set an amount or take one back, since these are differences. The
# product never stages them in one changeset with other rows.
APPEND = f"""
    with staged as (
        {{ranges}}
    ), fresh as materialized (
        select * from staged
         where not exists (select from datatransfer.log
                            where kind = {{kind}} and log.xid = staged.xid
                              and log.started = staged.started)
         limit {{most}}
    ), named as materialized (
        select fresh.*, coalesce(load.changeset, {packed("fresh")}) as changeset
          from fresh
          left join lateral (
               select changeset from datatransfer.load
                where load.kind = {{kind}} and load.xid = fresh.xid
                  and load.started = fresh.started
                limit 1) as load on true
    ), counted as materialized (
        select named.*, coalesce((select true from datatransfer.dependent
                                   where dependent.kind = {{kind}}
                                     and dependent.changeset = named.changeset
                                   limit 1), false) as depends
          from named
    ), lines as materialized (
        select xid, started, staged_by, changeset, rows, depends,
               case when depends and coalesce((
                        select true from datatransfer.dependent
                         where dependent.kind = {{kind}}
                           and dependent.changeset = counted.changeset and effect <> 'replaces'
                         limit 1), false)
                    then 0
               else amount end as amount
          from counted
    ), end_before as (
        select head.number, coalesce(rows_to, 0) as rows_to, coalesce(amount_to, 0) as amount_to
          from datatransfer.head left join datatransfer.log using (kind, number)
         where head.kind = {{kind}}
    ), added as (
        insert into datatransfer.log (kind, number, mark, changeset, xid, started, staged_by, rows,
                                      amount, rows_to, amount_to, depends)
        select {{kind}}, number + row_number() over in_order, {{mark}}, changeset, xid, started,
               staged_by, rows, amount, rows_to + sum(rows) over in_order,
               amount_to + sum(amount) over in_order, depends
          from lines, end_before window in_order as (order by started, xid)
        returning number, xid, started
    ), moved as (
        update datatransfer.head set number = number + (select count(*) from added)
         where kind = {{kind}}
    )
    select count(*),
           count(*) = (select count(*) from fresh)
           and coalesce(min(number) = (select number from end_before) + 1
                        and max(number) = (select number from end_before) + count(*), true),
           pg_current_snapshot()::text,
           (array_agg(xid::text order by xid desc, started desc))[1],
           (array_agg(started::text order by xid desc, started desc))[1]
      from added
"""
# The changesets of a range that the log lacks, as an append would add them. By the same indexes.
NOT_APPENDED = f"""
    select fresh.xid::text, fresh.started::text, fresh.rows,
           coalesce(load.changeset, {packed("fresh")})::text
      from (select xid, started, count(*) as rows from {{table}} where {{range}}
             group by xid, started order by xid, started) as fresh
      left join datatransfer.load
        on load.kind = {{kind}} and load.xid = fresh.xid and load.started = fresh.started
     where not exists (select from datatransfer.log
                        where log.kind = {{kind}} and log.xid = fresh.xid
                          and log.started = fresh.started)
"""
# Notes that every row which a snapshot sees is in the log.
NOTE_SEEN = """
    update datatransfer.head
       set seen = %s::pg_snapshot, seen_in = %s,
           looked_at = case when %s then now() else looked_at end
     where kind = %s
"""
# Adds a line without rows. By the primary keys.
ADD_EMPTY = """
    with head as (
        update datatransfer.head set number = number + 1 where kind = %(kind)s
        returning kind, number
    )
    insert into datatransfer.log (kind, number, mark, changeset, rows, amount, rows_to, amount_to,
                                  confirmed_by)
    select head.kind, head.number, %(mark)s, gen_random_uuid(), 0, 0, coalesce(before.rows_to, 0),
           coalesce(before.amount_to, 0), %(by)s
      from head left join datatransfer.log as before
        on before.kind = head.kind and before.number = head.number - 1
    returning number
"""


class LogWriter:
    """Adds to the log of shop All."""

    def __init__(self, database: Database, log: Log) -> None:
        self.database = database
        self.log = log

    def append(self, kind: Kind) -> bool:
        """Add a line for each changeset that is visible and not in the log yet.

        Each append is a transaction of its own. Returns whether the log is up to date: False where
        another process holds `head` for seconds, and the lines that are there have to do.

        1. Looks, without a lock, for a changeset that the log lacks: see `find_unappended`.
        2. If there is one: locks `head`, and adds the lines in pieces. Of two transactions of which
           the second began after the first had committed, the first comes first: see `_Part`.
        3. Notes what the look has seen, once all pieces are done. What a process that dies in
           between has not noted is looked at again.
        """
        return self.add(kind, self.find_unappended(kind))

    def find_unappended(self, kind: Kind) -> "Unappended":
        """Look, without a lock, for changesets that the log lacks.

        Among the rows that `seen` does not see; once a day, and where `seen` says nothing of this
        database, among all rows. What was committed later is not found.
        """
        with self.database.transaction(commit=False):
            seen, is_here, here, is_old = self._hint(kind)
            is_whole = is_old or not is_here
            ranges = _ranges(None if is_whole else seen)
            lock = sql.SQL(LOCK_TABLE).format(table=kind.staging_table)
            self.database.execute(sql.SQL("; ").join([lock, sql.SQL(BY_INDEX)]))
            queries = [
                sql.SQL("({})").format(
                    sql.SQL(LOOK).format(
                        place=sql.Literal(place),
                        table=kind.staging_table,
                        kind=sql.Literal(kind.name),
                        range=range_,
                    )
                )
                for place, range_ in enumerate(ranges)
            ]
            rows = self.database.rows(sql.SQL(" union all ").join(queries))
        snapshot = rows[0][1]
        found = {place: (xid, started) for place, _, xid, started in rows if xid is not None}
        if not found:
            return Unappended(here, snapshot, None, is_whole)
        awaited = frozenset(_running(snapshot) if is_whole else _running(snapshot, seen))
        return Unappended(
            here, snapshot, _Part(found.get(0, (_end(snapshot), FIRST)), awaited), is_whole
        )

    def add(self, kind: Kind, found: "Unappended") -> bool:
        """Add the lines of what `find_unappended` has found: see `append`."""
        if found.lacking is None and not found.is_whole:
            return True
        try:
            if found.lacking is not None:
                self._append_pieces(kind, found.lacking)
            with self.database.transaction():
                self._lock(kind)
                values = [found.snapshot, found.here, found.is_whole, kind.name]
                self.database.execute(NOTE_SEEN, values)
        except _HeadLocked:
            return False
        return True

    def append_all(self, kind: Kind) -> None:
        """Append until everything is in the log that was committed when this began.

        Raises LOG_BUSY where another process holds `head` for too long.
        """
        for _attempt in range(ATTEMPTS):
            if self.append(kind):
                return
        raise TransferError(LOG_BUSY)

    def _hint(self, kind: Kind) -> tuple[str | None, bool, str, bool]:
        """Return where to look. Raises STANDBY_AS_SOURCE: a replica takes no lines."""
        seen, is_here, here, is_old, is_replica = self.database.only_row(
            HINT, [kind.staging_table, kind.name]
        )
        if is_replica:
            raise TransferError(STANDBY_AS_SOURCE, party=self.database.party)
        return seen, is_here, here, is_old

    def _append_pieces(self, kind: Kind, part: "_Part") -> None:
        """Add the lines of what the log lacks, from this part of the rows on."""
        events.tell(events.APPEND_BEGINS, kind=kind.name)
        watch, lines, added = events.Stopwatch(), 0, LINES_OF_AN_APPEND
        while added == LINES_OF_AN_APPEND:
            with self.database.transaction():
                self._lock(kind)
                added, snapshot, last = self._append(kind, part.ranges)
            lines += added
            if last is not None:
                part = _Part(last, frozenset(_running(snapshot)))
        events.tell(events.APPEND_ENDS, kind=kind.name, lines=lines, seconds=watch.seconds)

    def _append(
        self, kind: Kind, ranges: Sequence[sql.Composable]
    ) -> "tuple[int, str, Changeset | None]":
        """Add the lines of the next changesets of these ranges, in the caller's transaction.

        Returns how many, the snapshot that was seen, and the last changeset in the index's order.
        """
        self._check_head(kind)
        self.database.execute(BY_INDEX)
        parts = {"rows": kind.sums, "amount": sql.SQL(kind.amount)}
        statement = sql.SQL(APPEND).format(
            kind=sql.Literal(kind.name),
            ranges=sql.SQL(" union all ").join(
                sql.SQL(STAGED).format(range=range_, **parts) for range_ in ranges
            ),
            most=sql.Literal(LINES_OF_AN_APPEND),
            mark=sql.SQL("{}::uuid").format(sql.Literal(str(uuid4()))),
        )
        added, is_as_meant, snapshot, xid, started = self.database.only_row(statement)
        if not is_as_meant:
            raise invalid(self.database, "datatransfer.log: number")
        return int(added), snapshot, None if xid is None else (xid, started)

    def _check_head(self, kind: Kind) -> None:
        """Raise ANSWER_INVALID unless the log ends where `head` says, which the caller holds."""
        if not self.database.value(ENDS_AT_HEAD, [kind.name]):
            raise invalid(self.database, "datatransfer.head: number")

    def _lock(self, kind: Kind) -> None:
        """Lock `head` until the transaction ends. Raises _HeadLocked after LOCK_SECONDS.

        Raises STAGING_TABLE_CHANGED.
        """
        self.database.execute(sql.SQL(LOCK_TABLE).format(table=kind.staging_table))
        self.database.execute(LIMIT_LOCKS)
        with self.database.explained(), self.database.connection.cursor() as cursor:
            try:
                cursor.execute(LOCK_HEAD, [kind.name])
            except errors.LockNotAvailable:
                raise _HeadLocked from None
        self._locked(kind)

    @contextmanager
    def held(self, kind: Kind) -> Iterator[None]:
        """Hold `head` from here to the end of the block, which is one transaction, committed.

        For what stages rows that depend on others, or decides about some: nothing is added to the
        log meanwhile, so what the block reads of it stays true. After rows are staged, the block
        ends with `append_own`.
        """
        self.append_all(kind)
        with self.database.transaction():
            self.lock(kind)
            yield

    def lock(self, kind: Kind) -> None:
        """Wait for `head`, and hold it until the transaction under way ends.

        Raises STAGING_TABLE_CHANGED.
        """
        self.database.execute(LOCK_HEAD, [kind.name])
        self._locked(kind)

    def _locked(self, kind: Kind) -> None:
        check_staging(self.database, kind)
        self.database.execute(FLUSHED)

    def append_own(self, kind: Kind) -> None:
        """Add the line of the rows that the transaction under way has staged.

        The caller holds `head`. `seen` stays: it may call this transaction ended.
        """
        self.database.execute(BY_INDEX)
        self._append(kind, [sql.SQL("xid = pg_current_xact_id()")])

    def confirm(self, kind: Kind, installation: str) -> Place:
        """Add a line without rows by which an installation says that this is the right database.

        Returns its place. The caller commits.
        """
        return self.add_empty(kind, confirmed_by=installation)

    def add_empty(self, kind: Kind, *, confirmed_by: str | None) -> Place:
        """Add a line without rows, so that a restore which loses it is noticed; return its place.

        For a change of the log that stages no rows; or for what an installation says by it. The
        caller commits.
        """
        self.lock(kind)
        self._check_head(kind)
        mark = str(uuid4())
        values = {"kind": kind.name, "mark": mark, "by": confirmed_by}
        return Place(int(self.database.value(ADD_EMPTY, values)), mark)

    def not_appended(self, kind: Kind) -> list[Line]:
        """Return the lines that an append would add now, in the order of their numbers.

        For a dry run, which adds nothing. Their mark is NO_MARK.
        """
        seen, is_here, _here, _is_old = self._hint(kind)
        self.database.execute(BY_INDEX)
        queries = [
            sql.SQL("({})").format(
                sql.SQL(NOT_APPENDED).format(
                    table=kind.staging_table, kind=sql.Literal(kind.name), range=range_
                )
            )
            for range_ in _ranges(seen if is_here else None)
        ]
        found = self.database.rows(sql.SQL(" union all ").join(queries))
        if not found:
            return []
        found.sort(key=lambda row: (row[1], int(row[0])))
        after = self.log.end(kind).number
        return [
            Line(
                *(after + place, NO_MARK, name, xid, started, rows),
                *(Decimal(0), 0, Decimal(0), 0, False, False),
            )
            for place, (xid, started, rows, name) in enumerate(found, 1)
        ]


class _HeadLocked(Exception):
    """Another process holds the lock of `head`."""


@dataclass(frozen=True)
class Unappended:
    """What the log lacks, as one statement has seen it.

    `here` and `snapshot` are what `head` notes of that statement. `lacking`: where the changesets
    are that the log lacks, or None. `is_whole`: all rows were looked at.
    """

    here: str
    snapshot: str
    lacking: "_Part | None"
    is_whole: bool


@dataclass(frozen=True)
class _Part:
    """A part of the staging table that has all that the log lacks.

    These are changesets from `first` on in the order of the index, and those before it whose
    transactions were running when it was last looked at: `awaited`, their ids.

    A piece of an append sees everything that was committed before what it adds, and adds the
    awaited ones first. So of two transactions of which the second began after the first had
    committed, the first has the lower number, and where the last row wins (PIN codes, cards), it is
    the one that was written last.
    """

    first: "Changeset"
    awaited: frozenset[str]

    @property
    def ranges(self) -> list[sql.Composable]:
        """The conditions for its rows: two ranges of the index without a row in common."""
        xid, started = map(sql.Literal, self.first)
        first = sql.SQL("({}::xid8, {}::timestamptz)").format(xid, started)
        from_first = sql.SQL("(xid, started) >= {}").format(first)
        if not self.awaited:
            return [from_first]
        awaited = sql.SQL("xid = any({}::xid8[]) and (xid, started) < {}").format(
            sql.Literal("{" + ",".join(sorted(self.awaited)) + "}"), first
        )
        return [awaited, from_first]


Changeset = tuple[str, str]
"""The transaction that has staged it: its xid and start, as texts."""
FIRST = "-infinity"  # before the start of any transaction


def _end(snapshot: str) -> str:
    """Return the first transaction id that none had yet when the snapshot was taken.

    The text form of a snapshot is xmin:xmax:xip_list (PostgreSQL, "Snapshot Components").
    """
    return snapshot.split(":")[1]


def _running(*snapshots: str | None) -> list[str]:
    """Return the ids of the transactions that ran when these snapshots were taken."""
    lists = [snapshot.split(":")[2] for snapshot in snapshots if snapshot is not None]
    return [xid for running in lists if running for xid in running.split(",")]


def _ranges(seen: str | None) -> list[sql.Composable]:
    """Return conditions for the rows that a snapshot does not see, each a range of the index."""
    if seen is None:
        return [sql.SQL("true")]
    ranges: list[sql.Composable] = [sql.SQL("xid >= {}::xid8").format(sql.Literal(_end(seen)))]
    if running := _running(seen):
        held_back = sql.Literal("{" + ",".join(running) + "}")
        ranges.append(sql.SQL("xid = any({}::xid8[])").format(held_back))
    return ranges
