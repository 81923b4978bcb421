"""Staged rows that were changed after a bonus server had begun to read them, and what was decided.

A trigger notes in `changed_xid` which transaction has changed a value of the row (`guards`). A
server has read the row before the change if one of its batches saw the row, and not the change.
That may be wrong in one direction: a row that was changed while its batch was being read may have
arrived with the new value (`uncertain_changes`). No such row is sent again by itself: an operator
decides.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, moved, sees
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.uncertain_changes import ANY

SCHEMA = """
-- What was decided of rows that were changed after they had been read: `new_id` and `new_xid` name
-- the row that was staged for it, if it is only for the servers that had read the old values.
create table if not exists datatransfer.change_decision (
    kind text not null,
    id bigint not null,
    xid xid8 not null,
    changed_xid xid8 not null,
    new_id bigint,
    new_xid xid8,
    decided_by text not null,
    decided_at timestamptz not null default now(),
    is_renumbered boolean not null default false,  -- a rebase has ended what the numbers tell
    primary key (kind, id, xid, changed_xid)
);
create index if not exists change_decision_new on datatransfer.change_decision (kind, new_xid);
"""

# Whether this shop All notes changes of the table. By the catalogue.
NOTES_CHANGES = """
    select to_regclass('datatransfer.change_decision') is not null
       and exists (select from pg_attribute where attrelid = to_regclass(%s)
                      and attname = 'changed_xid' and not attisdropped)
"""

# Changed rows of which nothing is decided, and the servers that had read them before: by the index
# on changed rows. Few transactions write and change many rows, so the log is asked once for each.
CHANGED = """
    with changed as materialized (
        select ours.* from {rows}
         where changed_xid is not null
           and not exists (select from datatransfer.change_decision as decided
                            where decided.kind = {kind} and decided.id = ours.id
                              and decided.xid = ours.xid and decided.changed_xid = ours.changed_xid
                              and not is_renumbered)
    ), read_before as materialized (
        select pair.xid, pair.changed_xid, array_agg(distinct server order by server) as servers
          from (select distinct xid, changed_xid from changed) as pair
          join datatransfer.batch
            on batch.kind = {kind} and batch.origin = (select origin from datatransfer.origin)
           and pg_visible_in_snapshot(pair.xid, snapshot)
           and not pg_visible_in_snapshot(pair.changed_xid, snapshot)
         group by pair.xid, pair.changed_xid
    )
    select {columns} from changed join read_before using (xid, changed_xid) {rest}
"""

# Notes decisions; those that somebody else has just made are left out.
DECIDE = """
    insert into datatransfer.change_decision (kind, id, xid, changed_xid, decided_by)
    select %(kind)s, id, xid::xid8, changed::xid8, %(by)s
      from unnest(%(ids)s::bigint[], %(xids)s::text[], %(changed)s::text[])
           as row (id, xid, changed)
        on conflict do nothing
 returning id, xid::text
"""
# Stages copies of rows, in their order; and one with another amount.
COPY = """
    insert into {table} ({columns})
    select {values} from {table} as row
      join unnest({ids}::bigint[], {xids}::text[]::xid8[]) as chosen (number, of)
        on row.id = number and row.xid = of
     order by row.xid, row.id
"""
NAME_NEW = """
    update datatransfer.change_decision set new_id = %s, new_xid = pg_current_xact_id()
     where kind = %s and id = %s and xid = %s::text::xid8 and changed_xid = %s::text::xid8
"""

# How many decisions are about rows that fulfil a condition. Reads the decisions, which are few, and
# the staging table.
COUNT_DECIDED = """
    select count(*) from datatransfer.change_decision as decided
     where kind = {kind}
       and decided.id in (select id from {table} where {condition})
"""

HAS_DECISIONS = "select to_regclass('datatransfer.change_decision') is not null"
# Rows that were staged for servers which had read another before it was changed: (xid, id), and the
# number of that one with the transactions that wrote and changed it. By the index.
STAGED_FOR = """
    select new_xid::text, new_id, id, xid::text, changed_xid::text, is_renumbered
      from datatransfer.change_decision
     where kind = %s and new_xid between %s and %s
"""
# Whether a batch of the reader saw a row, and not its change, and this is certain. By the primary
# keys.
READ_BEFORE = """
    select exists (
        select from datatransfer.batch
         where reader = %s and number <= %s
           and origin = (select origin from datatransfer.origin)
           and pg_visible_in_snapshot(%s::xid8, snapshot)
           and not pg_visible_in_snapshot(%s::xid8, snapshot))
       and not exists (select from datatransfer.uncertain_change
                        where kind = %s and id = %s and reader in (%s, %s))
"""

# Ends decided changes, before a rebase renumbers the rows. By the index on changed rows.
END_DECIDED = """
    update {table} as row set changed_xid = null
      from datatransfer.change_decision as decided
     where decided.kind = {kind} and not is_renumbered and decided.id = row.id
       and decided.xid = row.xid and decided.changed_xid = row.changed_xid
"""
# Gives decisions the new transactions of the rows that were staged for them, likewise before. No
# batch of the new identity tells which values a server has read: see `staged_for`.
CLOSE = """
    update datatransfer.change_decision as decided
       set is_renumbered = true, new_xid = coalesce(
           (select known.new_xid from datatransfer.renumbered_transaction as known
              join (select id, xid, {is_new} as is_new from {staged}) as row
                on known.old_xid = row.xid and known.is_new = row.is_new
             where known.kind = {kind} and known.origin = (select origin from datatransfer.origin)
               and row.id = decided.new_id and row.xid = decided.new_xid), new_xid)
     where kind = {kind}
"""
# Says that undecided changes were made by a transaction, after a rebase has renumbered the rows.
RENEW = "update {table} set changed_xid = %s::text::xid8 where changed_xid is not null"

# Decisions whose old and new rows are purged. By the primary key and the indexes on (xid, id).
FORGET_DECISIONS = """
    delete from datatransfer.change_decision as decided
     where kind = %s
       and not exists (select from {table} as row
                        where (row.xid, row.id) in ((decided.xid, decided.id),
                                                    (decided.new_xid, decided.new_id)))
"""
NEEDS_LOG = """
    select exists (select from {table} where changed_xid is not null)
        or exists (select from datatransfer.change_decision where kind = %s)
"""


class Changed(NamedTuple):
    """A staged row that was changed after these servers had begun to read it."""

    id: int
    xid: str
    changed_xid: str
    payload: dict[str, str | None]  # as it is now, secrets masked
    servers: list[str]


class StagedFor(NamedTuple):
    """A row staged for servers that had read the row `old_id` before it was changed."""

    xid: str
    id: int
    old_id: int
    had_read: bool  # whether it is certain that the server of a position had


class Changes:
    """Lists rows that were changed after they had been read, and notes what is decided of them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def are_noted(self, kind: Kind) -> bool:
        """Whether shop All notes them: not yet where a former version made our tables."""
        return bool(self.database.value(NOTES_CHANGES, [kind.staging_table]))

    def count(self, kind: Kind) -> int:
        """How many rows of the kind wait for a decision."""
        query = self._changed(kind, sql.SQL("count(*)"), sql.SQL(""))
        return int(self.database.value(query)) if self.are_noted(kind) else 0

    def count_decided(self, kind: Kind, position: Position) -> int:
        """How many decisions are about rows that the position has read; 0 while a change of the
        kind waits for one.
        """
        if not self.are_noted(kind) or self.count(kind):
            return 0
        query = sql.SQL(COUNT_DECIDED).format(
            kind=sql.Literal(kind.name), table=kind.staging_table, condition=moved(position)
        )
        return int(self.database.value(query))

    def numbers(self, kind: Kind) -> list[int]:
        """The numbers of the rows of the kind that wait for a decision."""
        query = self._changed(kind, sql.SQL("id"), sql.SQL(""))
        return [number for (number,) in self.database.rows(query)] if self.are_noted(kind) else []

    def rows(self, kind: Kind, most: int, ids: Sequence[int] | None = None) -> list[Changed]:
        """Rows of the kind that wait for a decision, oldest first; or those of these numbers."""
        if not self.are_noted(kind):
            return []
        columns = sql.SQL("id, xid::text, changed_xid::text, {}, servers")
        chosen = sql.SQL("") if ids is None else sql.SQL("where id = any({}::bigint[])")
        rest = sql.SQL("{} order by xid, id limit {}").format(
            chosen.format(sql.Literal([*(ids or [])])), sql.Literal(most)
        )
        query = self._changed(kind, columns.format(sql.SQL(kind.payload)), rest)
        return [Changed(*row) for row in self.database.rows(query)]

    def _changed(self, kind: Kind, columns: sql.Composable, rest: sql.Composable) -> sql.Composed:
        rows = kind.shop_all.rows(kind.columns, "xid", "id", "changed_xid")
        return sql.SQL(CHANGED).format(
            rows=rows, kind=sql.Literal(kind.name), columns=columns, rest=rest
        )

    def leave(self, kind: Kind, rows: Sequence[Changed], by: str) -> int:
        """Notes that these rows are not sent again; returns of how many that was still open."""
        return len(self._decide(kind, rows, by))

    def send_again(self, kind: Kind, rows: Sequence[Changed], by: str) -> int:
        """Stages copies with the present values, for every server; returns how many. The caller
        commits. For kinds whose last row wins.
        """
        chosen = self._decide(kind, rows, by)
        if chosen:
            self._copy(kind, chosen, {})
        return len(chosen)

    def send_amount(self, kind: Kind, row: Changed, amount: Decimal, by: str) -> int:
        """Stages a copy with this amount for the servers that had read the old one; returns how
        many. The caller commits.
        """
        chosen = self._decide(kind, [row], by)
        if chosen:
            new_id = self._copy(kind, chosen, {"amount": amount})
            self.database.execute(NAME_NEW, [new_id, kind.name, row.id, row.xid, row.changed_xid])
        return len(chosen)

    def _decide(self, kind: Kind, rows: Sequence[Changed], by: str) -> list[tuple[int, str]]:
        values = {
            "kind": kind.name,
            "by": by,
            "ids": [row.id for row in rows],
            "xids": [row.xid for row in rows],
            "changed": [row.changed_xid for row in rows],
        }
        return self.database.rows(DECIDE, values)

    def _copy(
        self, kind: Kind, chosen: list[tuple[int, str]], typed: dict[str, Decimal]
    ) -> int | None:
        """Stages copies of these rows; returns the number of the last."""
        side = kind.shop_all
        names = side.names(kind.columns)
        values = [
            side.write(one, sql.Literal(typed[one.name]))
            if one.name in typed
            else sql.SQL("row.{}").format(sql.Identifier(name))
            for one, name in names.items()
        ]
        statement = sql.SQL(COPY + " returning id").format(
            table=kind.staging_table,
            columns=sql.SQL(", ").join(map(sql.Identifier, [*names.values(), *side.fixed])),
            values=sql.SQL(", ").join([*values, *map(sql.Literal, side.fixed.values())]),
            ids=sql.Literal([number for number, _ in chosen]),
            xids=sql.Literal([xid for _, xid in chosen]),
        )
        with self.database.vendors_path():
            rows = self.database.rows(statement)
        return int(rows[-1][0]) if rows else None

    def staged_for(self, kind: Kind, position: Position, last: int) -> list[StagedFor]:
        """The rows up to the transaction `last` that were staged for servers which had read
        another row before it was changed. The position is that before the chunk.

        Its server had read that row before the change if this is certain: the row came with a
        batch before the present one, a batch of its reader saw the row and not the change, and the
        row is not noted as uncertain (`uncertain_changes`).
        """
        if not self.database.value(HAS_DECISIONS):
            return []
        rows = self.database.rows(STAGED_FOR, [kind.name, str(position.oldest_unread), str(last)])
        return [
            StagedFor(
                new_xid,
                new_id,
                old_id,
                not is_renumbered
                and sees(position.read_through, int(xid))
                and self.had_read(position, xid, changed_xid, old_id),
            )
            for new_xid, new_id, old_id, xid, changed_xid, is_renumbered in rows
        ]

    def had_read(self, position: Position, xid: str, changed_xid: str, id_: int) -> bool:
        """Whether it is certain that a batch of the position's reader came with the row as it was
        before the change.
        """
        values = [position.reader, position.number, xid, changed_xid]
        noted = [position.kind, id_, position.reader, ANY]
        return bool(self.database.value(READ_BEFORE, [*values, *noted]))

    def forget(self, kind: Kind) -> bool:
        """Removes decisions of rows that are gone; returns whether the log of batches may lose old
        ones: what they tell of changed rows is not needed any more. The caller commits.
        """
        if not self.are_noted(kind):
            return True
        table = kind.staging_table
        self.database.execute(sql.SQL(FORGET_DECISIONS).format(table=table), [kind.name])
        return not self.database.value(sql.SQL(NEEDS_LOG).format(table=table), [kind.name])

    def close_decisions(self, kind: Kind, is_new: sql.Composable) -> None:
        """Ends what decisions say of transactions, before a rebase renumbers the rows.

        `is_new` is SQL over a row: it was written since the restore.
        """
        if not self.are_noted(kind):
            return
        names = {"kind": sql.Literal(kind.name), "table": kind.staging_table}
        self.database.execute(sql.SQL(END_DECIDED).format(**names))
        close = sql.SQL(CLOSE).format(is_new=is_new, staged=kind.staged, **names)
        self.database.execute(close)

    def renew(self, kind: Kind, xid: str) -> None:
        """Says that undecided changes were made by this transaction, which no position has seen."""
        if self.are_noted(kind):
            statement = sql.SQL(RENEW).format(table=kind.staging_table)
            self.database.execute(statement, [xid])


def values_of(kind: Kind) -> tuple[str, ...]:
    """The arguments of a trigger: the columns of the values that a transfer reads.

    After an empty one come secrets. To empty a secret is no change: there is nothing to send, and
    blanking does so. A change of `changed_xid` itself counts, so a writer cannot hide one.
    """
    names = kind.shop_all.names(kind.columns)
    values = [name for column, name in names.items() if not column.secret]
    secrets = [name for column, name in names.items() if column.secret]
    return (*values, "changed_xid", "", *secrets)
