"""Rows that were deleted from a staging table by hand; how the table differs from the log.

A chunk that needs such rows refuses (`rows_differ`); so does the daily comparison find them. The
answer is shop All's, once for all bonus servers: nobody waits for these rows any more. A server
that passes them afterwards notes those whose names are known, so that nothing that depends on them
applies there.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll

MOST = 1000  # differences that are listed

# The sum of the amounts of a line's rows, as an append adds them up: without rows that set an
# amount or take one back. By the index on (xid, started, row), and the primary key of `dependent`.
FOUND = """
    (select count(*) as held, coalesce(sum({amount}), 0) as held_amount
       from {rows}
      where ours.xid = log.xid and ours.started = log.started) as found
"""
AMOUNT_FOUND = """
    case when not depends then held_amount
         else (select coalesce(sum({amount}), 0) from {rows}
                where ours.xid = log.xid and ours.started = log.started
                  and not exists (select from datatransfer.dependent
                                   where dependent.kind = log.kind
                                     and dependent.changeset = log.changeset
                                     and dependent."row" = ours."row" and effect <> 'replaces'))
    end
"""
# Lines that have lost rows which nobody has agreed to do without. By the index `log_unpurged`.
MISSING = f"""
    select number, changeset::text, staged_by, started, rows - gone - held,
           amount - gone_amount - ({AMOUNT_FOUND})
      from datatransfer.log cross join lateral {FOUND}
     where kind = {{kind}} and number >= {{needs_from}} and xid is not null
       and purged + gone < rows and purged = 0 and not withdrawn and held < rows - gone
     order by number
"""
# Notes what is missing of these changesets as gone. By the unique key.
ACCEPT = f"""
    update datatransfer.log
       set gone = rows - counted.found_rows, gone_amount = amount - counted.found_amount
      from (select number, held as found_rows, ({AMOUNT_FOUND}) as found_amount
              from datatransfer.log cross join lateral {FOUND}
             where kind = {{kind}} and changeset = any({{changesets}}::uuid[]) and xid is not null
               and purged = 0 and held < rows - gone) as counted
     where kind = {{kind}} and log.number = counted.number
    returning log.number
"""
# Lines whose rows are not as the log says, with the rows that they should have in the table and
# those that they have: of the rows in the table by their names, and of lines that have none. Lines
# whose rows were moved before us have them until a purge. Reads the whole table.
COMPARE = f"""
    select number, changeset::text, staged_by, log.started, rows - gone - purged, found_rows,
           case when purged = 0 then amount - gone_amount end,
           case when purged = 0 then found_amount end
      from (
        select log.*, held.rows as found_rows,
               ({AMOUNT_FOUND}) as found_amount
          from (select xid, started, count(*) as rows, coalesce(sum({{amount}}), 0) as held_amount
                  from {{rows}} group by xid, started) as held
          join datatransfer.log
            on kind = {{kind}} and log.xid = held.xid and log.started = held.started
         where gone = 0 or gone < log.rows
        union all
        select log.*, 0, 0
          from datatransfer.log
         where kind = {{kind}} and xid is not null and purged + gone < rows
           and not exists (select from {{table}} as held
                            where held.xid = log.xid and held.started = log.started)) as log
     where rows - gone - purged <> found_rows
        or purged = 0 and amount - gone_amount <> found_amount
     order by number limit {{most}}
"""


@dataclass(frozen=True)
class Missing:
    """A changeset that has lost rows: how many, and the sum of their amounts."""

    number: int
    changeset: str
    staged_by: str
    started: datetime
    rows: int
    amount: Decimal


@dataclass(frozen=True)
class Difference:
    """A changeset whose rows are not as the log says; sums are None where some are purged."""

    number: int
    changeset: str
    staged_by: str
    started: datetime
    rows: int
    found: int
    amount: Decimal | None
    amount_found: Decimal | None


def missing(kind: Kind, source: ShopAll, needs_from: int) -> list[Missing]:
    """Return the changesets that have lost rows, of the lines from `needs_from` on.

    That is the first line of which a docked server needs a row (`purge.needs_from`): nobody has to
    decide about others. The caller has a snapshot of shop All.
    """
    query = sql.SQL(MISSING).format(needs_from=sql.Literal(needs_from), **_names(kind))
    return [Missing(*row) for row in source.database.rows(query)]


def accept(kind: Kind, source: ShopAll, changesets: Collection[str]) -> int:
    """Note that nobody waits for the missing rows of these changesets, for good; commit.

    Returns of how many changesets that is. Those that have lost nothing stay as they are.
    """
    with source.database.transaction():
        source.database.limit_statements(None)
        source.log_writer.lock(kind)
        query = sql.SQL(ACCEPT).format(changesets=sql.Literal([*changesets]), **_names(kind))
        return len(source.database.rows(query))


def compare(kind: Kind, source: ShopAll) -> list[Difference]:
    """Return the changesets whose rows are not as the log says, the first MOST.

    Fewer rows were deleted; more have appeared; another sum with as many rows was changed in a way
    that our triggers did not see. The caller has a snapshot of shop All. Reads the whole table, so
    once a day is enough.
    """
    query = sql.SQL(COMPARE).format(
        most=sql.Literal(MOST), table=kind.staging_table, **_names(kind)
    )
    return [Difference(*row) for row in source.database.rows(query)]


def _names(kind: Kind) -> dict[str, sql.Composable]:
    return {"kind": sql.Literal(kind.name), "rows": kind.sums, "amount": sql.SQL(kind.amount)}
