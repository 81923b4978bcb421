"""Changed rows of which it is not certain with which value a bonus server has read them.

The log of batches tells which changes a batch came before, but neither when the rows of the batch
were read, nor whether the server has lost them again. Three things are therefore noted, for kinds
whose rows add up; a typed amount does not land at a server for which its row is noted:

- A row that was changed since its batch began arrives with its new value.
- A server that was restored reads rows a second time; they may have been changed in between. It
  shows by the number of its next batch, which comes after those that the server has lost.
- After a rebase of shop All nothing is certain of the rows that were changed before.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, any_of, batch, waiting
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.batch_log import FLUSHED
from transfer.engine.shop_all.rights import grant_as_on_batches

SCHEMA = """
-- Changed rows that a reader may have read with the values before the change or after it.
create table if not exists datatransfer.uncertain_change (
    kind text not null,
    id bigint not null,
    reader uuid not null,  -- or ANY: all readers
    primary key (kind, id, reader)
);
""" + grant_as_on_batches("change_decision", "uncertain_change")

# Whether shop All has the table, and notes changes. By the catalogue.
CAN_NOTE = """
    select to_regclass('datatransfer.uncertain_change') is not null
       and exists (select from pg_attribute where attrelid = to_regclass(%s)
                      and attname = 'changed_xid' and not attisdropped)
"""
# The rows of a chunk with a change that its batch does not see. By the index on changed rows, or
# that on (xid, id): then it reads the chunk.
CHANGED_SINCE = """
    select id from {table}
     where changed_xid is not null and ({ranges}) and (xid, id) <= ({xid}::xid8, {id})
       and not pg_visible_in_snapshot(changed_xid, {reading}::pg_snapshot)
"""
# By the primary key.
ADD = """
    insert into datatransfer.uncertain_change (kind, id, reader)
    select %s, unnest(%s::bigint[]), %s on conflict do nothing
"""
# Changed rows, decided or not. By the index on changed rows.
ADD_CHANGED = """
    insert into datatransfer.uncertain_change (kind, id, reader)
    select {kind}, id, {reader}::uuid from {table}
     where changed_xid is not null and ({condition}) on conflict do nothing
"""
# What is noted of some readers holds for another one as well. Reads the notes, which are few.
HAND_ON = """
    insert into datatransfer.uncertain_change (kind, id, reader)
    select distinct kind, id, %s::uuid from datatransfer.uncertain_change
     where kind = %s and reader = any(%s::uuid[]) on conflict do nothing
"""
# Removes those whose rows are purged. Reads the staging table.
FORGET = """
    delete from datatransfer.uncertain_change as noted
     where kind = {kind} and not exists (select from {table} as row where row.id = noted.id)
"""


ANY = "00000000-0000-0000-0000-000000000000"  # means all readers


class UncertainChanges:
    """Finds and notes them. What is noted is flushed before a bonus server commits."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def in_chunk(
        self, kind: Kind, before: Position, reading: str, last: tuple[int, int]
    ) -> list[int]:
        """The numbers of the rows after the position `before`, up to `last`, that were changed
        since the batch with the snapshot `reading` began.
        """
        if not self._can_note(kind):
            return []
        query = sql.SQL(CHANGED_SINCE).format(
            table=kind.staging_table,
            ranges=any_of(batch(before, reading)),
            xid=sql.Literal(str(last[0])),
            id=sql.Literal(last[1]),
            reading=sql.Literal(reading),
        )
        return [number for (number,) in self.database.rows(query, most=LONG_LIST)]

    def add(self, kind: Kind, numbers: list[int], reader: str | None) -> None:
        """Notes these rows for the reader."""
        with self._flushed():
            self.database.execute(ADD, [kind.name, numbers, reader])

    def add_unread(self, kind: Kind, position: Position) -> None:
        """Notes all changed rows that wait for the position, for its reader."""
        with self._flushed():
            if self._can_note(kind):
                self._add_changed(kind, position.reader, any_of(waiting(position)))

    def add_all(self, kind: Kind) -> None:
        """Notes all changed rows for all readers; the caller commits."""
        if self._can_note(kind):
            self._add_changed(kind, ANY, sql.SQL("true"))

    def hand_on(self, kind: Kind, readers: Collection[str], to: str | None) -> None:
        """Another reader goes on from what these have read."""
        with self._flushed():
            if readers and self._can_note(kind):
                self.database.execute(HAND_ON, [to, kind.name, [*readers]])

    def forget(self, kind: Kind) -> None:
        """Forgets rows that are purged; the caller commits."""
        if self._can_note(kind):
            names = {"kind": sql.Literal(kind.name), "table": kind.staging_table}
            self.database.execute(sql.SQL(FORGET).format(**names))

    @contextmanager
    def _flushed(self) -> Iterator[None]:
        """A transaction that writes, and whose commit is flushed."""
        with self.database.explained():
            self.database.connection.set_session(isolation_level="READ COMMITTED", readonly=False)
        with self.database.transaction():
            self.database.execute(FLUSHED)
            yield

    def _add_changed(self, kind: Kind, reader: str | None, condition: sql.Composable) -> None:
        statement = sql.SQL(ADD_CHANGED).format(
            kind=sql.Literal(kind.name),
            reader=sql.Literal(reader),
            table=kind.staging_table,
            condition=condition,
        )
        self.database.execute(statement)

    def _can_note(self, kind: Kind) -> bool:
        return bool(self.database.value(CAN_NOTE, [kind.staging_table]))
