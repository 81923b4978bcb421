"""Staged rows that were changed after a bonus server had begun to read them.

A trigger notes in `changed_xid` which transaction has changed a value of the row (`guards`). A
server has read the row before the change if one of its batches saw the row, and not the change.
That may be wrong in one direction: a row that was changed while its batch was being read may have
arrived with the new value (`uncertain_changes`). No such row is sent again by itself: an operator
decides (`change_decisions`).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, moved
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.change_decisions import are_noted

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

# Notes decisions; those that another user has just made are left out.
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


class Changed(NamedTuple):
    """A staged row that was changed after these servers had begun to read it."""

    id: int
    xid: str
    changed_xid: str
    payload: dict[str, str | None]  # as it is now, secrets masked
    servers: list[str]


class Changes:
    """Lists rows that were changed after they had been read, and notes what is decided of them."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def count(self, kind: Kind) -> int:
        """How many rows of the kind wait for a decision."""
        if not are_noted(self.database, kind):
            return 0
        return int(self.database.value(self._changed(kind, sql.SQL("count(*)"), sql.SQL(""))))

    def count_decided(self, kind: Kind, position: Position) -> int:
        """How many decisions are about rows that the position has read; 0 while a change of the
        kind waits for one.
        """
        if not are_noted(self.database, kind) or self.count(kind):
            return 0
        query = sql.SQL(COUNT_DECIDED).format(
            kind=sql.Literal(kind.name), table=kind.staging_table, condition=moved(position)
        )
        return int(self.database.value(query))

    def numbers(self, kind: Kind) -> list[int]:
        """The numbers of the rows of the kind that wait for a decision."""
        if not are_noted(self.database, kind):
            return []
        query = self._changed(kind, sql.SQL("id"), sql.SQL(""))
        rows = self.database.rows(query, most=LONG_LIST)
        return [number for (number,) in rows]

    def rows(self, kind: Kind, most: int, ids: Sequence[int] | None = None) -> list[Changed]:
        """Rows of the kind that wait for a decision, oldest first; or those of these numbers."""
        if not are_noted(self.database, kind):
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
