"""The steps by which a rebase gives staged rows, and the notes about them, new transactions.

What it has chosen is kept in the table `renumbered_transaction` (`rebase_log`).
"""

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database

# How many transactions with staged rows there are. Reads the table.
COUNT_TRANSACTIONS = """
    select count(distinct (xid, is_new))
      from (select xid, {is_new} as is_new from {table}) as rows
"""

# Gives each transaction of the table a new number, in the order of the old ones, those written
# since the restore last. The numbers are the highest that the cluster has used and no transaction
# under way has: no other row will ever carry them. Rows of a transaction before the first one
# (init_shop_all --existing-rows moved) keep it. Reads the table twice.
NUMBER = """
    with old as materialized (
        select xid, {is_new} as is_new from {staged} where xid >= '3' group by 1, 2
    ), placed as (
        select xid, is_new, row_number() over (order by is_new, xid) as place from old
    ), highest as (
        select number from generate_series({first}, {last}) as number
         where number <> all ({running}::bigint[])
         order by number desc limit (select count(*) from old)
    ), free as (
        select number, row_number() over (order by number) as place from highest
    )
    insert into datatransfer.renumbered_transaction (origin, kind, old_xid, is_new, new_xid)
    select (select origin from datatransfer.origin), {kind}, xid, is_new, number::text::xid8
      from placed join free using (place)
"""

# Lets what earlier rebases have kept name the new transactions. Reads all of it for the kind. A row
# that was written since the restore may have the number of one that came with the copy.
FOLLOW = """
    update datatransfer.renumbered_transaction as known
       set new_xid = (select now.new_xid from datatransfer.renumbered_transaction as now
                       where now.origin = today.origin and now.kind = known.kind
                         and now.old_xid = known.new_xid and not now.is_new)
      from datatransfer.origin as today
     where known.kind = %s and known.origin <> today.origin and known.new_xid is not null
"""

# Writes the new transactions into the rows. Reads the table.
RENUMBER = """
    update {table} set xid = known.new_xid
      from (select old_xid, is_new, new_xid from datatransfer.renumbered_transaction
             where kind = {kind} and origin = (select origin from datatransfer.origin)) as known
     where xid = known.old_xid and {is_new} = known.is_new
"""

# The staged rows that the rebase renumbers: id, xid, and the new transaction. Reads the table.
NUMBERED = """
    select row.id, row.xid, known.new_xid as fresh
      from (select id, xid, {is_new} as is_new from {staged}) as row
      join datatransfer.renumbered_transaction as known
        on known.old_xid = row.xid and known.is_new = row.is_new
     where known.kind = {kind} and known.origin = (select origin from datatransfer.origin)
"""

LOWEST = 4  # a snapshot that ends here differs from the one of a position that has read nothing
# Uses up transactions of the cluster.
BURN = "do $$ begin for n in 1..{} loop perform pg_current_xact_id(); commit; end loop; end $$"


def count_transactions(database: Database, kind: Kind, is_new: sql.Composable) -> int:
    """How many transactions with staged rows there are. `is_new`: see `number`."""
    query = sql.SQL(COUNT_TRANSACTIONS).format(table=kind.staged, is_new=is_new)
    return int(database.value(query))


def number(
    database: Database, kind: Kind, is_new: sql.Composable, snapshot: str, needed: int
) -> None:
    """Chooses a new number for each transaction of the table, and keeps which.

    `is_new` is SQL over a row: it was written since the restore. `snapshot` is younger than the
    lock of the table; it has ended at least `needed` + LOWEST numbers and those under way.
    """
    _, end, under_way = snapshot.split(":")
    running = [int(xid) for xid in under_way.split(",") if xid]
    names = {
        "kind": sql.Literal(kind.name),
        "staged": kind.staged,
        "is_new": is_new,
        "first": sql.Literal(max(LOWEST, int(end) - needed - len(running))),
        "last": sql.Literal(int(end) - 1),
        "running": sql.Literal(running),
    }
    database.execute(sql.SQL(NUMBER).format(**names))
    database.execute(FOLLOW, [kind.name])


def renumber(database: Database, kind: Kind, is_new: sql.Composable) -> None:
    """Writes the new numbers into the rows; no trigger may be on."""
    names = {
        "kind": sql.Literal(kind.name),
        "table": kind.staging_table,
        "is_new": is_new,
    }
    database.execute(sql.SQL(RENUMBER).format(**names))


def carry_notes(
    database: Database, statement: str, kind: Kind, origin: str, is_new: sql.Composable
) -> None:
    """Runs `statement`, once the rebase has chosen the new transactions, and before it writes them
    into the rows.

    The statement knows the renumbered rows as `numbered`. `is_new` is SQL over a row: it was
    written since the restore. `origin` is the new identity of shop All.
    """
    names = {
        "staged": kind.staged,
        "kind": sql.Literal(kind.name),
        "is_new": is_new,
        "origin": sql.SQL("{}::uuid").format(sql.Literal(origin)),
    }
    with_rows = f"with numbered as materialized ({NUMBERED}), {statement}"
    database.execute(sql.SQL(with_rows).format(**names))


def burn(database: Database, transactions: int) -> None:
    """Uses up transactions of the cluster, so that they can number rows."""
    with database.without_transaction():
        database.execute(BURN.format(transactions))
