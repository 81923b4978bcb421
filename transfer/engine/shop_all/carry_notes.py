"""Carries notes about staged rows over a rebase, which gives the rows new transactions."""

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database

# The staged rows that the rebase renumbers: id, xid, and the new transaction. Reads the table.
NUMBERED = """
    select row.id, row.xid, known.new_xid as fresh
      from (select id, xid, {is_new} as is_new from {staged}) as row
      join datatransfer.renumbered_transaction as known
        on known.old_xid = row.xid and known.is_new = row.is_new
     where known.kind = {kind} and known.origin = (select origin from datatransfer.origin)
"""


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
