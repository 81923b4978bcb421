"""Gives the staged rows of a kind new transactions after a restore, and keeps which.

Each transaction gets a number of its own that no other row will ever carry, in the order of the old
numbers; rows written since the restore come last.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.shop_all import renumbering
from transfer.engine.shop_all.rebase_log import Rebase
from transfer.engine.shop_all.renumbering import LOWEST, burn
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo_log import Withdrawal

# The triggers of a table that are on, and how. By the catalogue.
TRIGGERS = """
    select tgname, tgenabled from pg_trigger
     where tgrelid = to_regclass(%s) and not tgisinternal and tgenabled <> 'D'
"""
# Turns off all triggers of a table.
TRIGGERS_OFF = "alter table {table} disable trigger user"
# Turns one on.
TRIGGER_ON = "alter table {table} {enable} trigger {name}"
# pg_trigger.tgenabled (PostgreSQL, "pg_trigger") and what turns a trigger on that way.
ENABLE = {"O": "enable", "A": "enable always", "R": "enable replica"}

# SQL over a row: the transaction that wrote its version, with all 64 bits.
WRITTEN = "(pg_current_xact_id()::text::bigint - age(xmin))"
# The last transaction by which the restore of a dump wrote rows. Reads the table.
RESTORED = f"""
    select max({WRITTEN})
      from (select xmin from datatransfer.origin
             union all
            select xmin from {{table}} where xid::text::bigint > {WRITTEN}) as restored
"""
# SQL over a row: it was written after that one.
IS_NEW_SINCE = f"""
    (xid > {{restored}}::xid8 and xid < pg_current_xact_id() and xid::text::bigint <= {WRITTEN})
"""


@dataclass(frozen=True)
class Restored:
    """The administrator's word on a physical restore: since when rows are new, or that none is."""

    at: datetime | None = None


def renumber(
    shop_all: ShopAll,
    kind: Kind,
    rebase: Rebase,
    following: str,
    back: Collection[Withdrawal] = (),
) -> None:
    """Renumbers the rows of a kind, and the notes of those that were sent again or taken back.

    Withdrawn rows that are `back` with the restore count as written since. The caller has locked
    the table, and gives shop All the identity `following` afterwards.
    """
    is_new = _is_new(rebase.restored_at)
    if rebase.is_dump:
        is_new = sql.SQL("({} or {})").format(is_new, is_new_since_dump(shop_all, kind))
    for one in back:
        if one.kind == kind.name:
            is_new = sql.SQL("({} or {})").format(is_new, _is_one_of(one))
    needed = renumbering.count_transactions(shop_all.database, kind, is_new)
    snapshot = _with_free_numbers(shop_all, needed, is_dump=rebase.is_dump)
    renumbering.number(shop_all.database, kind, is_new, snapshot, needed)
    shop_all.corrections.renumber(kind, following, is_new)
    shop_all.undo_log.renumber(kind, following, is_new)
    with _triggers_off(shop_all, kind):
        shop_all.change_decisions.close(kind, is_new)
        renumbering.renumber(shop_all.database, kind, is_new)
        with shop_all.another() as other, other.database.transaction():
            later = str(other.database.value("select pg_current_xact_id()"))
        shop_all.change_decisions.renew(kind, later)
        shop_all.uncertain_changes.add_all(kind)


def _with_free_numbers(shop_all: ShopAll, needed: int, *, is_dump: bool) -> str:
    """A snapshot that has ended so many transactions: a new cluster has used few up.

    After a dump, they are younger than the restore: in a next dump, low numbers would look like
    those that its restore uses up (see `is_new_since_dump`).
    """
    with shop_all.another() as other:
        if is_dump and needed:
            burn(other.database, needed)
        while True:
            snapshot = shop_all.reader.current_snapshot()
            _, end, running = snapshot.split(":")
            lacking = needed + LOWEST + len(running.split(",")) - int(end)
            if lacking <= 0:
                return snapshot
            burn(other.database, lacking)


@contextmanager
def _triggers_off(shop_all: ShopAll, kind: Kind) -> Iterator[None]:
    """Neither ours nor head office's own fire within; after, each is on as it was."""
    table = kind.staging_table
    on = shop_all.database.rows(TRIGGERS, [table])
    shop_all.database.execute(sql.SQL(TRIGGERS_OFF).format(table=table))
    yield
    for name, enabled in on:
        enable = sql.SQL(TRIGGER_ON).format(
            table=table, enable=sql.SQL(ENABLE[enabled]), name=sql.Identifier(name)
        )
        shop_all.database.execute(enable)


def _is_new(restored_at: datetime | None) -> sql.Composable:
    """SQL over a row: it was written since a physical restore."""
    if restored_at is None:
        return sql.SQL("false")
    return sql.SQL("(created_at >= {})").format(sql.Literal(restored_at))


def _is_one_of(withdrawn: Withdrawal) -> sql.Composable:
    """SQL over a row: it was withdrawn by this undo."""
    return sql.SQL("(xid = {}::xid8 and id <@ {}::int8multirange)").format(
        sql.Literal(str(withdrawn.xid)), sql.Literal(withdrawn.ids)
    )


def is_new_since_dump(shop_all: ShopAll, kind: Kind) -> sql.Composable:
    """SQL over a row: it was written since a dump was restored.

    The restore wrote its rows in transactions of this cluster, so a restored row's version
    (`xmin`) is older than the transaction that it carries, or its transaction is older than the
    restore. A new row carries a transaction after the restore, and it or a later one (an update,
    a savepoint) wrote the version. PostgreSQL, "System Columns" and "Transaction ID functions".
    """
    restored = shop_all.database.value(sql.SQL(RESTORED).format(table=kind.staging_table))
    return sql.SQL(IS_NEW_SINCE).format(restored=sql.Literal(str(restored)))
