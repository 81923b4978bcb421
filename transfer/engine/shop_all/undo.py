"""Takes the rows of a load back: a row of the opposite amount for each that was not withdrawn.

Everything is one transaction of shop All, with a note of the undo as a load of its own. Its token
is made of the load's token alone, and is the primary key of the notes: a second undo of the load
can't commit, in any process and even if our own database is lost.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid5

from psycopg2 import sql

from transfer.engine.errors import LoadUnknown, NotInitialised, RowsGone
from transfer.engine.kind import Kind
from transfer.engine.position import Position, moved
from transfer.engine.shop_all.batch_log import FLUSHED
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import LOAD_SECONDS, next_id

# The namespace of the tokens of undos, which derive from the tokens of the loads.
NAMESPACE = UUID("0e6f4f0a-7a0b-4a9e-9b55-1f0a6f6c2d31")

# Which rows a load has staged: kind, number of rows, today's origin, whether it was loaded under
# that, and their transaction of today; null where that was not noted, or they are purged, or two
# transactions have had the number. By the primary keys.
LOAD = """
    select kind, rows, today.origin::text, loaded.origin = today.origin,
           case when loaded.origin = today.origin then loaded.xid::text::bigint
                else (select case when count(*) = 1 then max(new_xid::text::bigint) end
                        from datatransfer.renumbered_transaction as known
                       where known.origin = loaded.origin and known.kind = loaded.kind
                         and known.old_xid = loaded.xid) end
      from datatransfer.loaded, datatransfer.origin as today where token = %s
"""
# What an undo has done, if it has committed. By the primary key.
DONE = """
    select rows, origin::text, xid::text::bigint, coalesce(withdrawn, 0)
      from datatransfer.loaded where token = %s
"""

# Lets one undo of a load wait for another.
LOCK_LOAD = "select pg_advisory_xact_lock(hashtextextended(%s, 0))"
# Keeps a rebase away. Comes first: a rebase locks this table before those of notes.
LOCK_STAGING = "lock table {table} in row exclusive mode"
# Waits for those who are sending rejected rows again, and keeps others from it: what was sent in
# place of a row of the load is then known. Takes no transaction number, so ours is higher than that
# of any row that is taken back.
LOCK_CORRECTIONS = "lock table datatransfer.resent in share mode"

# The rows to take back.
CREATE = """
    create temporary table undoing (
        xid xid8 not null, id bigint not null, is_withdrawn boolean not null default false,
        primary key (xid, id)
    ) on commit drop
"""
# The rows of the load. By the index on (xid, id).
ADD_LOADED = """
    insert into pg_temp.undoing (xid, id)
    select xid, id from {table} where xid = {xid}::xid8
"""
# Their replacements, and the replacements of those. By the primary key of the notes.
ADD_REPLACEMENTS = """
    with recursive replacing as (
        select xid, id from pg_temp.undoing
         union
        select new_xid, new_id from replacing
          join datatransfer.resent
            on kind = %(kind)s and origin = %(origin)s and old_id = id and new_xid > xid
    )
    insert into pg_temp.undoing (xid, id)
    select xid, id from replacing on conflict do nothing
"""
# How many of them are not staged any more. By the index on (xid, id).
COUNT_GONE = """
    select count(*) from pg_temp.undoing as undoing
     where not exists (select from {table} as row
                        where row.xid = undoing.xid and row.id = undoing.id)
"""
# Tells the planner how many they are.
ANALYZE = "analyze pg_temp.undoing"

# Stages a row of the opposite amount for each other row, with the note of it, under all identities
# of shop All that the row has had. A row that was changed is left out: servers may have read it
# with different amounts. The numbers of the new rows are drawn first, so that it is known which of
# them takes back which. Looks rows up by the index on (xid, id).
STAGE = """
    with numbered as materialized (
        select chosen.*, {next_id} as new_id
          from (select undoing.xid, undoing.id
                  from pg_temp.undoing as undoing
                  join {table} as row on row.xid = undoing.xid and row.id = undoing.id
                 where not is_withdrawn and row.changed_xid is null
                 order by undoing.xid, undoing.id) as chosen
    ), noted as (
        insert into datatransfer.undone_row (origin, kind, old_id, old_xid, new_id, new_xid)
        select {origin}, {kind}, id, xid, new_id, pg_current_xact_id()
          from numbered order by xid, id
            on conflict do nothing
        returning new_id
    ), noted_elsewhere as (
        insert into datatransfer.undone_row (origin, kind, old_id, old_xid, new_id, new_xid)
        select known.origin, {kind}, id, known.old_xid, new_id, pg_current_xact_id()
          from numbered
          join datatransfer.renumbered_transaction as known
            on known.kind = {kind} and known.new_xid = numbered.xid
         where new_id in (select new_id from noted)
         order by known.origin, id
            on conflict do nothing
    )
    insert into {table} (id, {columns}) overriding system value
    select new_id, {values}
      from numbered join {rows} on ours.xid = numbered.xid and ours.id = numbered.id
     where new_id in (select new_id from noted)
     order by new_id
"""
# The sum of the rows of a transaction. By the index on (xid, id).
SUM = "select sum({amount}) from {rows} where xid = {xid}::xid8"

# The rows of the load that are staged and not taken back. By the index on (xid, id) and the primary
# key of the notes.
REST = """
      from {staged}
     where xid = {xid}::xid8 and ({is_read})
       and not exists (select from datatransfer.undone_row
                        where origin = {origin}::uuid and kind = {kind}
                          and old_id = id and old_xid = xid)
"""

# The numbers of the rows that were withdrawn, as a multirange.
WITHDRAWN = """
    select coalesce(range_agg(int8range(id, id, '[]')), '{}')::text
      from pg_temp.undoing where is_withdrawn
"""

# Notes the undo as a load.
ADD_NOTE = """
    insert into datatransfer.loaded (token, kind, rows, origin, xid, undoes, withdrawn)
    select %s, %s, %s, origin, pg_current_xact_id(), %s, %s from datatransfer.origin
 returning rows, origin::text, xid::text::bigint, withdrawn
"""


def token_of(load: UUID) -> UUID:
    """The token of the undo of a load."""
    return uuid5(NAMESPACE, str(load))


@dataclass(frozen=True)
class TakenBack:
    """What an undo has done: rows of the opposite amount, and rows withdrawn."""

    rows: int
    origin: str
    xid: int
    withdrawn: int


@dataclass(frozen=True)
class Load:
    """The rows of a load, as they are staged today. `xid` is their transaction."""

    rows: int
    origin: str
    is_of_today: bool  # loaded under today's identity of shop All
    xid: int


class Undo:
    """Takes the rows of one load back; the caller commits or rolls back."""

    def __init__(self, shop_all: ShopAll, kind: Kind, load: UUID) -> None:
        self.database = shop_all.database
        self.undo_log = shop_all.undo_log
        self.records = shop_all.records
        self.kind = kind
        self.load = load
        self.token = token_of(load)

    def done(self) -> TakenBack | None:
        """What the undo has done, if it has committed. Raises NotInitialised."""
        self.require()
        rows = self.database.rows(DONE, [str(self.token)])
        return TakenBack(*rows[0]) if rows else None

    def require(self) -> None:
        """Raises NotInitialised."""
        if not self.undo_log.exists():
            raise NotInitialised(missing="datatransfer.undone_row")

    def rows(self) -> Load:
        """The rows of the load. Raises LoadUnknown or RowsGone."""
        for kind, rows, origin, is_of_today, xid in self.database.rows(LOAD, [str(self.load)]):
            if kind != self.kind.name:
                break
            if xid is None:
                raise RowsGone(rows=rows)
            return Load(rows, origin, is_of_today, xid)
        raise LoadUnknown

    def lock(self) -> None:
        """Waits for another undo of the load; comes first in the transaction."""
        self.database.limit_statements(LOAD_SECONDS)
        self.database.execute(FLUSHED)
        self.database.one(LOCK_LOAD, [str(self.token)])

    def begin(self) -> Load:
        """Chooses the rows to take back. Raises LoadUnknown or RowsGone."""
        table = self.kind.staging_table
        self.database.execute(sql.SQL(LOCK_STAGING).format(table=table))
        self.database.execute(LOCK_CORRECTIONS)
        load = self.rows()
        self.database.execute(CREATE)
        add = sql.SQL(ADD_LOADED).format(table=table, xid=sql.Literal(str(load.xid)))
        lacking = load.rows - self.database.execute(add)
        if self.kind.appends:
            names = {"kind": self.kind.name, "origin": load.origin}
            self.database.execute(ADD_REPLACEMENTS, names)
            lacking += self.database.value(sql.SQL(COUNT_GONE).format(table=table))
        if lacking > 0:
            raise RowsGone(rows=lacking)
        self.database.execute(ANALYZE)
        return load

    def stage(self, comment: str) -> int:
        """Stages rows of the opposite amount for those that were not withdrawn; returns how many.

        For kinds whose rows add up. `comment` goes into each of them.
        """
        mapping = self.kind.shop_all
        names = mapping.names(self.kind.columns)
        ours = {"amount": sql.SQL("- ours.amount"), "comment": sql.Literal(comment)}
        values = [
            mapping.write(
                column,
                ours.get(column.name, sql.SQL("ours.{}").format(sql.Identifier(column.name))),
            )
            for column in names
        ]
        statement = sql.SQL(STAGE).format(
            table=self.kind.staging_table,
            rows=self.kind.staged,
            next_id=next_id(self.database, self.kind),
            kind=sql.Literal(self.kind.name),
            origin=sql.SQL("(select origin from datatransfer.origin)"),
            columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *mapping.fixed])),
            values=sql.SQL(", ").join([*values, *map(sql.Literal, mapping.fixed.values())]),
        )
        with self.database.vendors_path():
            return self.database.execute(statement)

    def amount(self, done: TakenBack) -> Decimal | None:
        """The sum of the rows that the undo has staged."""
        query = sql.SQL(SUM).format(
            amount=sql.SQL(self.kind.amount),
            rows=self.kind.staged,
            xid=sql.Literal(str(done.xid)),
        )
        amount: Decimal | None = self.database.value(query)
        return amount

    def count_rest(self) -> int:
        """How many rows of the load are staged, and not taken back."""
        return int(self.database.value(self._rest("select count(*)")))

    def rest(self, positions: Collection[Position] | None) -> Iterator[dict[str, str | None]]:
        """These rows, secrets masked, in their order: those that any of the positions has moved,
        or all of them.
        """
        query = self._rest("select " + self.kind.payload, positions) + sql.SQL(" order by id")
        return (row for (row,) in self.database.stream("rest", query))

    def _rest(self, columns: str, positions: Collection[Position] | None = None) -> sql.Composed:
        load, is_read = self.rows(), sql.Composed([sql.SQL("true")])
        if positions is not None:
            is_read = sql.SQL(" or ").join([*map(moved, positions), sql.SQL("false")])
        return sql.SQL(columns + REST).format(
            staged=self.kind.staged,
            xid=sql.Literal(str(load.xid)),
            is_read=is_read,
            origin=sql.Literal(load.origin),
            kind=sql.Literal(self.kind.name),
        )

    def withdrawn(self) -> str:
        """The numbers of the rows that were withdrawn in the transaction under way, as a
        multirange.
        """
        return str(self.database.value(WITHDRAWN))

    def note(self, rows: int, withdrawn: int) -> TakenBack:
        """Notes what was done, in the transaction under way."""
        values = [str(self.token), self.kind.name, rows, str(self.load), withdrawn]
        return TakenBack(*self.database.one(ADD_NOTE, values))
