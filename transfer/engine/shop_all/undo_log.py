"""Which staged row takes back which other one, as shop All itself knows it.

A row of the opposite amount and its note are written in one transaction, so no process can take a
row back twice. Each server applies it only if it has accepted the original (see
`move/replacements`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, any_of, batch
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.renumbering import carry_notes
from transfer.engine.shop_all.rights import grant_as_on_batches

SCHEMA = """
-- Rows that were taken back: `new` names the row of the opposite amount. Under each identity of
-- shop All that the original has had, with its transaction of that time.
create table if not exists datatransfer.undone_row (
    origin uuid not null,
    kind text not null,
    old_id bigint not null,
    old_xid xid8 not null,
    new_id bigint not null,
    new_xid xid8 not null,
    at timestamptz not null default now(),
    primary key (origin, kind, old_id, old_xid)
);
create index if not exists undone_row_by on datatransfer.undone_row (kind, new_xid, new_id);
-- Of a load that takes back another: that one's token, and how many of its rows were withdrawn,
-- which no server had read.
alter table datatransfer.loaded
    add column if not exists undoes uuid,
    add column if not exists withdrawn bigint;
""" + grant_as_on_batches("undone_row")

# Whether shop All has the table: not yet where a former version made our tables. By the catalogue.
EXISTS = "select to_regclass('datatransfer.undone_row') is not null"

# The notes of rows of a chunk that take back others, once for each origin; whether the original is
# staged; which transaction has changed it since it was taken back; and whether it may be a purged
# row that the server has given up since then. Purges are numbered by the time. By the indexes.
IN_CHUNK = """
    select note.xid::text, note.id, note.origin::text, note.old_xid::text, note.old_id,
           original.xid is not null, original.changed_xid::text,
           original.xid is null and extract(epoch from at) * 1000000 <= {accepted}
      from (select * from (select new_xid as xid, new_id as id, origin, old_xid, old_id, at
                             from datatransfer.undone_row where kind = {kind}) as note
             where ({ranges}) and (xid, id) <= ({xid}::xid8, {id})) as note
      left join {table} as original
        on note.origin = {origin} and original.xid = note.old_xid and original.id = note.old_id
"""

# For `carry_notes`: copies the notes of today's origin to the new one, with the new transactions,
# and gives the old notes the new transactions of the opposite rows. Reads the table and the notes.
# An original that is purged has no new transaction: of it the note under the old origin tells.
CARRY = """
    carried as (
        insert into datatransfer.undone_row (origin, kind, old_id, old_xid, new_id, new_xid, at)
        select {origin}, kind, old_id, old.fresh, new_id, new.fresh, at
          from datatransfer.undone_row as note
          join numbered as old on old.id = old_id and old.xid = old_xid
          join numbered as new on new.id = new_id and new.xid = new_xid
         where kind = {kind} and origin = (select origin from datatransfer.origin)
            on conflict do nothing
    )
    update datatransfer.undone_row set new_xid = fresh
      from numbered where kind = {kind} and new_id = id and new_xid = xid
"""

# Removes notes whose opposite rows are purged: every server has read them. By the index on
# (xid, id).
FORGET = """
    delete from datatransfer.undone_row as note
     where kind = {kind}
       and not exists (select from {table} as row where row.xid = new_xid and row.id = new_id)
"""

# Which of these rows of an origin are taken back, as (id, xid). By the primary key.
UNDONE = """
    select old_id, old_xid::text::bigint from datatransfer.undone_row
     where origin = %s and kind = %s and old_id = any(%s)
"""

# Which of these rows, as (id, xid), take back others. By the index.
OPPOSITE = """
    select new_id, new_xid::text::bigint from datatransfer.undone_row
     where kind = %s and new_xid = any(%s::text[]::xid8[]) and new_id = any(%s)
"""

# The notes that name one of these rows as the original or as the opposite: the numbers and
# transactions of both. By the primary key and the index.
PAIRS = """
    select old_id, old_xid::text::bigint, new_id, new_xid::text::bigint from datatransfer.undone_row
     where origin = %(origin)s and kind = %(kind)s
       and (old_id = any(%(ids)s) or (new_xid = any(%(xids)s::text[]::xid8[])
                                      and new_id = any(%(ids)s)))
"""

# Which of these numbers a row has that is taken back by a staged one. By the indexes.
NEEDED = """
    select distinct old_id from datatransfer.undone_row as note
      join {table} as row on row.xid = note.new_xid and row.id = note.new_id
     where note.origin = %s and note.kind = %s and note.old_id = any(%s)
"""


@dataclass(frozen=True)
class Withdrawal:
    """Rows of a load that an undo has removed before any server had read them, as our own database
    remembers it. `load` and `undo` are their tokens, `ids` is a multirange.
    """

    kind: str
    origin: str
    xid: int
    ids: str
    load: str
    undo: str


class UndoneRow(NamedTuple):
    """A staged row (`xid`, `id`), and the one that it takes back, under one of its origins."""

    xid: str
    id: int
    origin: str
    old_xid: str
    old_id: int
    is_staged: bool  # the original, under this origin
    changed_xid: str | None  # which transaction has changed it since
    is_given_up: bool  # it is purged, and it was accepted since that the server lacks purged rows


class Pair(NamedTuple):
    """A row that was taken back, and the row of the opposite amount."""

    old_id: int
    old_xid: int
    new_id: int
    new_xid: int


class UndoLog:
    """Reads which staged rows take back which others, and keeps the notes through a rebase."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def exists(self) -> bool:
        """Whether this shop All notes them."""
        return bool(self.database.value(EXISTS))

    def in_chunk(
        self, kind: Kind, before: Position, reading: str, last: tuple[int, int]
    ) -> list[UndoneRow]:
        """The rows after the position `before`, up to `last`, that take back others."""
        if not self.exists():
            return []
        query = sql.SQL(IN_CHUNK).format(
            kind=sql.Literal(kind.name),
            ranges=any_of(batch(before, reading)),
            xid=sql.Literal(str(last[0])),
            id=sql.Literal(last[1]),
            origin=sql.SQL("{}::uuid").format(sql.Literal(before.origin)),
            accepted=sql.Literal(before.purge_accepted),
            table=kind.staging_table,
        )
        return [UndoneRow(*row) for row in self.database.rows(query, most=LONG_LIST)]

    def undone(self, kind: Kind, origin: str, numbers: list[int]) -> list[tuple[int, int]]:
        """The rows with these ids that are taken back, as (id, xid)."""
        return self.database.rows(UNDONE, [origin, kind.name, numbers]) if self.exists() else []

    def opposite(self, kind: Kind, rows: Collection[tuple[int, int]]) -> list[tuple[int, int]]:
        """Which of these rows take back others; a row is (id, xid)."""
        if not rows or not self.exists():
            return []
        ids, xids = [id_ for id_, _ in rows], [str(xid) for _, xid in rows]
        return self.database.rows(OPPOSITE, [kind.name, xids, ids])

    def pairs(self, kind: Kind, origin: str, rows: Collection[tuple[int, int]]) -> list[Pair]:
        """What takes back which, where one of both is among these rows, as (xid, id)."""
        if not rows or not self.exists():
            return []
        values = {
            "origin": origin,
            "kind": kind.name,
            "ids": [id_ for _, id_ in rows],
            "xids": [str(xid) for xid, _ in rows],
        }
        return [Pair(*row) for row in self.database.rows(PAIRS, values)]

    def needed(self, kind: Kind, origin: str, numbers: list[int]) -> list[int]:
        """The ids of rows that rows which are still staged take back."""
        if not self.exists():
            return []
        query = sql.SQL(NEEDED).format(table=kind.staging_table)
        rows = self.database.rows(query, [origin, kind.name, numbers], most=LONG_LIST)
        return [number for (number,) in rows]

    def renumber(self, kind: Kind, origin: str, is_new: sql.Composable) -> None:
        """Renumbers the notes: see `carry_notes`."""
        if self.exists():
            carry_notes(self.database, CARRY, kind, origin, is_new)

    def forget(self, kind: Kind) -> None:
        """Removes notes that no server needs any more; the caller commits."""
        if self.exists():
            names = {"kind": sql.Literal(kind.name), "table": kind.staging_table}
            self.database.execute(sql.SQL(FORGET).format(**names))
