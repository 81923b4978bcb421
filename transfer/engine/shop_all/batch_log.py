"""The log of batches in shop All: by it a position knows that its past is still there.

A batch is committed and flushed before one row of it is read. All rows visible in its snapshot had
committed before, so a database that still has the batch, as it was written, has all of them too;
one that went back in time, or took over too early, lacks the batch (docs/EXACTLY-ONCE.md).
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from psycopg2 import errors

from transfer.engine.errors import (
    BatchForgotten,
    HistoryChanged,
    NotInitialised,
)
from transfer.engine.kind import Kind
from transfer.engine.position import NOTHING_READ, Position
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.batch_schema import IS_READY, TABLES
from transfer.engine.shop_all.batches import Batch, LoggedBatch
from transfer.errors import AnswerInvalid, IsReplica
from transfer.parties import SHOP_ALL

# A row that came from a dump was written by another transaction than the one that it names
# (PostgreSQL, "System Columns": xmin).
ORIGINAL = "xmin::text::bigint = xid::text::bigint & 4294967295"

# Whether a batch of the log counts. Those from before a rebase tell rows by numbers that they no
# longer have. In a dump that was restored all batches came with it, as the rows did: a lost
# position may be put there, and then rebased. Of a batch that was missed: by the primary key.
IS_VALID = f"""
    ({ORIGINAL} or not (select {ORIGINAL} from datatransfer.origin))
     and (select coalesce(batch.origin = now.origin, batch.xid > now.xid)
                      from datatransfer.origin as now)
     and not exists (select from datatransfer.missed where missed.token = batch.token)
"""

# Writes the reader's next batch and returns it, and whether it is the row that was meant: a trigger
# may have changed it. No row if another session took its number. By the primary key.
ADD = """
    insert into datatransfer.batch (reader, number, token, kind, server, origin, staging, snapshot)
    select %(reader)s, greatest(coalesce(max(number), 0), %(number)s) + 1, %(token)s, %(kind)s,
           %(server)s, %(origin)s, %(staging)s,
           coalesce(%(snapshot)s::pg_snapshot, pg_current_snapshot())
      from datatransfer.batch where reader = %(reader)s
        on conflict do nothing
 returning number, token::text, snapshot::text,
           token = %(token)s and xid = pg_current_xact_id()
               and snapshot::text = coalesce(%(snapshot)s::pg_snapshot,
                                             pg_current_snapshot())::text
"""

# Makes the commit wait for the flush of the log. Weaker settings would let the database forget a
# batch whose rows a bonus server has.
FLUSHED = """
    select set_config('synchronous_commit', 'on', true)
     where current_setting('synchronous_commit') in ('off', 'local')
"""

# One batch, if it counts. By the primary key.
FIND = f"""
    select number, token::text, snapshot::text from datatransfer.batch
     where reader = %s and number = %s and {IS_VALID}
"""

# The number of the reader's first batch that counts, or null. Finds the reader's batches by the
# primary key, and reads all of them: only a transfer that refuses asks.
OLDEST = f"select min(number) from datatransfer.batch where reader = %s and {IS_VALID}"

# When a batch was begun. Reads the log.
BEGUN_AT = "select at from datatransfer.batch where token = %s"

# The snapshot of the latest batch that counts, was begun before a time, and came before one of
# these batches of the same reader. Reads the log.
LAST_BEFORE = f"""
    select snapshot::text from datatransfer.batch
     where {IS_VALID} and at < coalesce(%(before)s::timestamptz, 'infinity')
       and exists (select from unnest(%(readers)s::uuid[], %(numbers)s::bigint[])
                            as lost (reader, number)
                    where lost.reader = batch.reader and lost.number >= batch.number)
     order by xid desc limit 1
"""

# The latest batch that came with the copy of which shop All was restored: it was in a dump, or
# comes before one of these batches of the same reader. Reads the log.
CAME_WITH_COPY = f"""
    select number, server, at from datatransfer.batch
     where not ({ORIGINAL})
        or exists (select from unnest(%(readers)s::uuid[], %(numbers)s::bigint[])
                            as lost (reader, number)
                    where lost.reader = batch.reader and lost.number >= batch.number)
     order by at desc limit 1
"""

# Keeps a batch from ever counting again. By the primary key.
MISS = "insert into datatransfer.missed values (%s) on conflict do nothing"

# The readers that have begun a batch of a kind. Reads the log.
READERS = "select distinct reader::text from datatransfer.batch where kind = %s"

# The readers of a kind that read now, but for those that are known or retired: reader, server, and
# when it last began a batch, within some days. Reads the log.
OTHER_READERS = f"""
    select * from (
        select distinct on (reader) reader::text, server, at from datatransfer.batch
         where kind = %(kind)s and {IS_VALID} and reader <> all (%(known)s::uuid[])
         order by reader, number desc) as last
     where at >= now() - make_interval(days => %(days)s)
       and not exists (select from datatransfer.retired_reader as retired
                        where retired.reader::text = last.reader and retired.at >= last.at)
"""
# By the primary key.
RETIRE = """
    insert into datatransfer.retired_reader (reader) values (%s)
        on conflict (reader) do update set at = now()
"""

# The latest batches of some readers, for a person. Finds them by the primary key, and sorts them.
LATEST = f"""
    select reader::text, number, server, at, {IS_VALID} from datatransfer.batch
     where reader = any(%s::uuid[]) order by at desc, number desc limit %s
"""

# How often a batch is tried: a clone of the bonus server, which shares our reader's numbers, may be
# faster. A trigger or a rule that keeps batches out looks the same, and never ends.
TRIES = 20
# By how much a batch may follow the position's: one a second, for thirty years. A forged batch with
# a higher number would leave no numbers for those after it.
MOST_AHEAD = 10**9


class BatchLog:
    """Reads and writes the log of batches."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(
        self, kind: Kind, position: Position, server: str, snapshot: str | None = None
    ) -> Batch:
        """Writes the position's next batch, in a transaction of its own, and flushes it.

        Its snapshot is that of the moment unless one is given. Never under a savepoint: the row's
        xmin would be another than its xid. Raises IsReplica; AnswerInvalid where the table does
        not take the batch as it is.
        """
        values = {
            "reader": position.reader,
            "number": position.number,
            "token": str(uuid4()),
            "kind": position.kind,
            "server": server,
            "origin": position.origin,
            "staging": kind.staging,
            "snapshot": snapshot,
        }
        for _ in range(TRIES):
            if (batch := self._add(values)) is not None:
                return batch
        raise self._invalid("number")

    def add_position(self, kind: Kind, position: Position, server: str) -> Position:
        """Writes a batch of what the position has moved, and returns the position that names it."""
        batch = self.add(kind, position, server, position.snapshot)
        return replace(position, number=batch.number, token=batch.token)

    def _add(self, values: dict[str, str | int | None]) -> Batch | None:
        with self.database.explained():
            self.database.connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        with self.database.transaction(), self.database.connection.cursor() as cursor:
            cursor.execute(FLUSHED)
            try:
                cursor.execute(ADD, values)
            except errors.ReadOnlySqlTransaction:
                raise IsReplica(party=SHOP_ALL) from None
            row = cursor.fetchone()
            return self._added(row, values["number"]) if row else None

    def _added(self, row: tuple[Any, ...], before: Any) -> Batch:
        """The row of ADD, checked before it is committed. Raises AnswerInvalid."""
        *fields, is_as_meant = row
        if not 0 < fields[0] - before <= MOST_AHEAD:
            raise self._invalid("number")
        if not is_as_meant:
            raise self._invalid("token, xid, snapshot")
        return Batch(*fields)

    def _invalid(self, columns: str) -> AnswerInvalid:
        return AnswerInvalid(party=self.database.party, what=f"datatransfer.batch: {columns}")

    def find(self, reader: str, number: int) -> Batch | None:
        """The batch, if it is there as it was written."""
        rows = self.database.rows(FIND, [reader, number])
        return Batch(*rows[0]) if rows else None

    def begun_at(self, position: Position) -> datetime | None:
        """When the position's batch was begun, where the log has it."""
        rows = self.database.rows(BEGUN_AT, [position.token])
        return rows[0][0] if rows else None

    def last_snapshot_before(self, lost: list[tuple[str, int]], before: datetime | None) -> str:
        """What had ended when the latest batch was begun that came before one of `lost`, of the
        same reader, and before the time `before`.
        """
        values = {
            "readers": [reader for reader, _ in lost],
            "numbers": [number for _, number in lost],
            "before": before,
        }
        rows = self.database.rows(LAST_BEFORE, values)
        return rows[0][0] if rows else NOTHING_READ

    def last_of_copy(self, lost: list[tuple[str, int]]) -> tuple[int, str, datetime] | None:
        """The number, server and time of the latest batch that came with the copy of shop All.

        The batches `lost`, of a reader and with a number, are missing, so their flows have refused
        since: what the log has of their readers came with the copy.
        """
        values = {
            "readers": [reader for reader, _ in lost],
            "numbers": [number for _, number in lost],
        }
        return next(iter(self.database.rows(CAME_WITH_COPY, values)), None)

    def check(self, position: Position, server: str = "SERVER") -> None:
        """Whether the batch that the position, `server`'s, names is there as it was written.

        Raises HistoryChanged; BatchForgotten when a purge has removed it.
        """
        if position.reader is None or position.number == 0:
            return
        named = Batch(position.number, position.token or "", position.snapshot)
        if self.find(position.reader, position.number) == named:
            return
        if self.has_forgotten(position):
            raise BatchForgotten(number=position.number, server=server, kind=position.kind)
        raise HistoryChanged(number=position.number)

    def note_missed(self, token: str) -> None:
        """The batch is never believed again in this database; in a transaction of its own."""
        with self.database.explained():
            self.database.connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        with self.database.transaction():
            self.database.execute(MISS, [token])

    def has_forgotten(self, position: Position) -> bool:
        """Whether a purge has removed the position's batch: only later ones are there."""
        oldest = self.database.value(OLDEST, [position.reader])
        return oldest is not None and 0 < position.number < oldest

    def readers(self, kind: Kind) -> set[str]:
        """All readers that have begun a batch of the kind."""
        return {reader for (reader,) in self.database.rows(READERS, [kind.name])}

    def other_readers(
        self, kind: Kind, known: Collection[str], days: int
    ) -> list[tuple[str, str, datetime]]:
        """The readers of another installation: reader, server, and when it last began a batch.

        One that has begun none for `days` counts no more.
        """
        values = {"kind": kind.name, "known": [*known], "days": days}
        return [*map(tuple, self.database.rows(OTHER_READERS, values))]

    def retire(self, reader: str) -> None:
        """Notes that the reader's server is gone; the caller commits."""
        self.database.execute(RETIRE, [reader])

    def logged(self, readers: list[str], most: int = 50) -> list[LoggedBatch]:
        """The latest batches of these readers, the latest first."""
        return [LoggedBatch(*row) for row in self.database.rows(LATEST, [readers, most])]

    def require(self) -> None:
        """Raises NotInitialised, or IsReplica: a replica can't promise what it will have."""
        missing, is_standby = self.database.one(IS_READY, [TABLES])
        if is_standby:
            raise IsReplica(party=SHOP_ALL)
        if missing:
            raise NotInitialised(missing=missing)
