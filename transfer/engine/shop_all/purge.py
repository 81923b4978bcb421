"""Removes staged rows that every bonus server has received, and notes what it removed."""

from collections.abc import Collection
from decimal import Decimal

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, visible
from transfer.engine.postgres.relations import COLUMNS
from transfer.engine.shop_all.indexes import Indexes
from transfer.engine.shop_all.records import NOTHING_RECORDED, Recorded
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.writers import WriterLog

# A staged row that no reject needs. PostgreSQL 14 compares each row with each number of `<> all`;
# this is a join by hash.
NOT_SPARED = """
    not exists (select from pg_catalog.unnest({spared}::bigint[]) as spared (number)
                 where spared.number = id)
"""

# The staged rows that a purge removes: those older than some days that all positions have moved,
# and no reject needs. No index serves it: a purge reads the table once.
OLD = f"""
    {{table}} where created_at < now() - pg_catalog.make_interval(days => {{days}}) and {{moved}}
        and {NOT_SPARED}
"""
# Their columns.
COUNT_OLD = f"select {{columns}} from {OLD}"
# Removes them, and returns their columns.
DELETE_OLD = f"delete from {OLD} returning {{columns}}"

# The transactions of the rows that a purge removes, each with its number of rows and their numbers,
# until it commits.
CREATE_GONE = """
    create temporary table gone (xid xid8, rows bigint, ids int8multirange) on commit drop
"""
# How many rows a statement yields, and the sum of their finite amounts.
COUNT = "with gone_rows as ({gone}) select count(*), coalesce(sum({amount}), 0) from gone_rows"
# The same, and keeps the transactions that wrote them.
COUNT_AND_KEEP = """
    with gone_rows as ({gone}), noted as (
        insert into pg_temp.gone
        select xid, count(*), pg_catalog.range_agg(pg_catalog.int8range(id, id, '[]'))
          from gone_rows group by xid
    )
    select count(*), coalesce(sum({amount}), 0) from gone_rows
"""

# Adds to what purges have removed of a kind. By the primary key.
ADD_PURGED = """
    insert into datatransfer.purged as held values (%s, %s, %s)
        on conflict (kind) do update set rows = held.rows + excluded.rows,
                                         amount = held.amount + excluded.amount
"""

# Rows whose secret can be emptied: all positions have moved them, and no reject needs it.
BLANKABLE = f"{{column}}::text <> '' and {{moved}} and {NOT_SPARED}"
# How many they are. Reads the table.
COUNT_SECRETS = f"select count(*) from {{table}} where {BLANKABLE}"
# Empties them. Reads the table.
BLANK = f"update {{table}} set {{column}} = {{empty}} where {BLANKABLE}"

# Removes batches that no bonus server has named within these days: of each reader those before the
# last one that is so old. Reads the log twice.
FORGET_BATCHES = """
    with last as materialized (
        select reader, max(number) as number from datatransfer.batch
         where kind = %(kind)s and at < now() - make_interval(days => %(days)s) group by reader
    )
    delete from datatransfer.batch as old using last
     where kind = %(kind)s and last.reader = old.reader and old.number < last.number
       and not exists (select from unnest(%(readers)s::uuid[], %(numbers)s::bigint[])
                                as named (reader, number)
                        where named.reader = old.reader and named.number <= old.number)
       and (not %(only_these)s or old.reader = any(%(readers)s::uuid[]))
"""


class Purge:
    """Removes staged rows, or empties their secrets.

    `kinds` are all that have rows in shop All: notes of writers stay as long as any of their rows.
    """

    def __init__(self, shop_all: ShopAll, kinds: Collection[Kind]) -> None:
        self.kinds = kinds
        self.database = shop_all.database
        self.identity = shop_all.identity
        self.lock = shop_all.purge_lock
        self.notes = shop_all.purge_notes
        self.restore_notes = shop_all.restore_notes
        self.records = shop_all.records
        self.rebase_log = shop_all.rebase_log
        self.change_decisions = shop_all.change_decisions
        self.uncertain_changes = shop_all.uncertain_changes
        self.undo_log = shop_all.undo_log
        self.indexes = Indexes(self.database)
        self.writers = WriterLog(self.database)

    def purge(
        self,
        kind: Kind,
        positions: list[Position],
        days: int,
        spared: Collection[int] = (),
        *,
        recorded: Recorded = NOTHING_RECORDED,
        leaves_behind: bool = False,
        returned: Collection[Position] = (),
        dry_run: bool = False,
    ) -> tuple[int, Decimal]:
        """Removes rows older than `days` that every one of `positions` has moved, but for those
        with the numbers `spared`, whose rejects are open: they may be sent again.

        They were read while no position could begin. Returns rows and finite amounts removed; they
        are noted for the reconciliation, and so that a bonus server which is restored to before
        them is noticed. Of a batch under way every row stays until it has been moved as a whole.

        `recorded` is what our own history knows of shop All: see `records`.
        `leaves_behind`: a bonus server's position is not among them. The rows are listed, so that
        its next run counts exactly which of them it lacks; what tells of its position is kept.
        `returned` are those of `positions` whose servers were left behind by an earlier purge: they
        may lack rows, and keep what they still have to read.
        """
        ours = [
            sql.SQL("xid"),
            sql.SQL("id"),
            *(one.named(kind.shop_all.read(one)) for one in kind.columns),
        ]
        names = {
            "table": kind.staging_table,
            "days": sql.Literal(days),
            "moved": _moved_by_all(positions),
            "spared": sql.Literal([*spared]),
            "columns": sql.SQL(", ").join(ours),
        }
        with self.database.transaction():
            self.database.limit_statements(None)
            self._check(kind, positions, recorded, returned)
            if dry_run:
                return self._count(COUNT, kind, sql.SQL(COUNT_OLD).format(**names))
            self.database.execute(CREATE_GONE)
            with self.database.vendors_path():
                delete = sql.SQL(DELETE_OLD).format(**names)
                rows, amount = self._count(COUNT_AND_KEEP, kind, delete)
            if rows:
                self._note_purge(kind, rows, amount, with_list=leaves_behind)
                self.writers.forget(self.kinds, days)
            self.uncertain_changes.forget(kind)
            self.undo_log.forget(kind)
            if self.change_decisions.forget(kind):
                self._forget_batches(kind, positions, days, only_these=leaves_behind)
            if not (leaves_behind or returned):
                self.notes.forget_lists(kind)
                self.rebase_log.forget(kind, days)
        if rows:
            self.indexes.vacuum(kind)
        return rows, amount

    def blank(
        self,
        kind: Kind,
        positions: list[Position],
        spared: list[int],
        *,
        recorded: Recorded = NOTHING_RECORDED,
        returned: Collection[Position] = (),
        dry_run: bool = False,
    ) -> int:
        """Empties the secrets of rows that every one of `positions` has moved, but for those with
        the numbers `spared`; returns of how many. The rows stay, and count as before.

        No server may be left behind: a row without its secret is of no use to it.
        """
        (column,) = kind.shop_all.names(one for one in kind.columns if one.secret).values()
        values = {
            "table": kind.staging_table,
            "column": sql.Identifier(column),
            "moved": _moved_by_all(positions),
            "spared": sql.Literal(spared),
        }
        with self.database.transaction():
            self.database.limit_statements(None)
            self._check(kind, positions, recorded, returned)
            if dry_run:
                return int(self.database.value(sql.SQL(COUNT_SECRETS).format(**values)))
            columns = self.database.rows(COLUMNS, [kind.staging_table])
            not_null = {name for name, _, is_not_null, *_ in columns if is_not_null}
            empty = "" if column in not_null else None
            with self.database.vendors_path():
                blank = sql.SQL(BLANK).format(empty=sql.Literal(empty), **values)
                return self.database.execute(blank)

    def _check(
        self,
        kind: Kind,
        positions: list[Position],
        recorded: Recorded,
        returned: Collection[Position],
    ) -> None:
        """Raises what `Identity.check_position` and `Records.check` raise; for `returned`, not that
        rows are gone.
        """
        self.records.check(recorded)
        for position in positions:
            if position not in returned:
                self.identity.check_purged(position, "SERVER")
            self.identity.check_past(kind, position)
            self.restore_notes.check(position.origin)

    def _count(self, statement: str, kind: Kind, gone: sql.Composed) -> tuple[int, Decimal]:
        """Runs COUNT or COUNT_AND_KEEP over the rows that `gone` yields."""
        query = sql.SQL(statement).format(gone=gone, amount=sql.SQL(kind.amount))
        rows, amount = self.database.one(query)
        return rows, amount

    def _note_purge(self, kind: Kind, rows: int, amount: Decimal, *, with_list: bool) -> None:
        self.database.execute(ADD_PURGED, [kind.name, rows, amount])
        self.notes.add(kind, rows, with_list=with_list)
        self.rebase_log.mark_purged(kind)

    def _forget_batches(
        self, kind: Kind, positions: list[Position], days: int, *, only_these: bool
    ) -> None:
        """Removes old batches; each reader's latest stays, and the one that its position names.

        With `only_these` it removes those of the readers of these positions alone: which batch a
        server names that can't be read is not known.
        """
        named = [(one.reader, one.number) for one in positions if one.reader is not None]
        readers, numbers = zip(*named, strict=True) if named else ((), ())
        self.database.execute(
            FORGET_BATCHES,
            {
                "kind": kind.name,
                "days": days,
                "readers": [*readers],
                "numbers": [*numbers],
                "only_these": only_these,
            },
        )


def _moved_by_all(positions: list[Position]) -> sql.Composed:
    """SQL over a row: every position has moved it, and not only as a part of a batch."""
    return sql.SQL(" and ").join(visible(position.read_through) for position in positions)
