"""Decisions about rows that were changed after they had been read (`changes`).

A transfer reads here which rows were staged for servers that had read another value. A rebase ends
what the numbers of the rows tell, and a purge removes what is about rows that are gone.
"""

from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import Position, sees
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


class StagedFor(NamedTuple):
    """A row staged for servers that had read the row `old_id` before it was changed."""

    xid: str
    id: int
    old_id: int
    had_read: bool  # whether it is certain that the server of a position had


class ChangeDecisions:
    """Says what decisions mean for a transfer, a rebase and a purge."""

    def __init__(self, database: Database) -> None:
        self.database = database

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
        if not are_noted(self.database, kind):
            return True
        table = kind.staging_table
        self.database.execute(sql.SQL(FORGET_DECISIONS).format(table=table), [kind.name])
        return not self.database.value(sql.SQL(NEEDS_LOG).format(table=table), [kind.name])

    def close(self, kind: Kind, is_new: sql.Composable) -> None:
        """Ends what decisions say of transactions, before a rebase renumbers the rows.

        `is_new` is SQL over a row: it was written since the restore.
        """
        if not are_noted(self.database, kind):
            return
        names = {"kind": sql.Literal(kind.name), "table": kind.staging_table}
        self.database.execute(sql.SQL(END_DECIDED).format(**names))
        close = sql.SQL(CLOSE).format(is_new=is_new, staged=kind.staged, **names)
        self.database.execute(close)

    def renew(self, kind: Kind, xid: str) -> None:
        """Says that undecided changes were made by this transaction, which no position has seen."""
        if are_noted(self.database, kind):
            statement = sql.SQL(RENEW).format(table=kind.staging_table)
            self.database.execute(statement, [xid])


def are_noted(database: Database, kind: Kind) -> bool:
    """Whether shop All notes changes: not yet where a former version made our tables."""
    return bool(database.value(NOTES_CHANGES, [kind.staging_table]))
