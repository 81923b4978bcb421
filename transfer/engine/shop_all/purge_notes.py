"""Notes of each purge: which rows are gone, so that a server that still needs them is noticed.

Most notes say no more than the latest transaction, since every docked server had the rows: by them
the rows are counted that a restored server lacks at most. A purge that leaves a server behind also
lists the transactions and the numbers of its rows. Then the count is exact.
"""

from dataclasses import dataclass
from typing import Any

from transfer.engine.errors import RowsMissing, RowsPurged
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.rights import grant_as_on_batches

SCHEMA = """
-- Purges, and by which transactions the rows were written that they removed: the latest of them,
-- and those that were still running in some snapshot of the log.
create table if not exists datatransfer.purge_note (
    origin uuid not null,
    kind text not null,
    number bigint not null,
    rows bigint not null,
    latest xid8 not null,
    late xid8[] not null,
    at timestamptz not null default now(),
    primary key (origin, kind, number)
);
-- The rows that a purge removed, if it left a bonus server behind: `number` is that of the purge,
-- `ids` are the numbers of the rows, by the transaction that wrote them.
create table if not exists datatransfer.purged_transaction (
    origin uuid not null,
    kind text not null,
    number bigint not null,
    xid xid8 not null,
    rows bigint not null,
    ids int8multirange not null,
    primary key (origin, kind, number, xid)
);
""" + grant_as_on_batches("purged_transaction")

# Notes a purge, with the latest transaction whose rows it removed, and those that some batch saw
# running; returns its number. Purges are numbered by the time: a database that goes back gives no
# number twice. Reads the log of batches and all notes.
ADD = """
    insert into datatransfer.purge_note (origin, kind, number, rows, latest, late)
    select (select origin from datatransfer.origin), %(kind)s,
           greatest(extract(epoch from clock_timestamp()) * 1000000,
                    (select max(number) + 1 from datatransfer.purge_note)),
           %(rows)s, max(xid::text::bigint)::text::xid8,
           array(select distinct running
                   from datatransfer.batch, pg_snapshot_xip(snapshot) as running
                  where kind = %(kind)s and running in (select xid from pg_temp.gone))
      from pg_temp.gone
 returning number
"""
# Lists the rows of that purge.
LIST = """
    insert into datatransfer.purged_transaction (origin, kind, number, xid, rows, ids)
    select (select origin from datatransfer.origin), %s, %s, xid, rows, ids from pg_temp.gone
"""
# Forgets all lists of a kind. By the primary key, or reads them.
FORGET_LISTS = "delete from datatransfer.purged_transaction where kind = %s"

# SQL over the numbers of rows of one transaction that are in a multirange: those that a position
# has moved. `xid` is the transaction in the numbers of the position; `seen`, `reading`, `last_xid`
# and `last_id` are the position's.
MOVED = """
    case when pg_visible_in_snapshot({xid}, %(seen)s::pg_snapshot) then {ids}
         when pg_visible_in_snapshot({xid}, %(reading)s::pg_snapshot) then
              case when {xid} < %(last_xid)s::text::xid8 then {ids}
                   when {xid} = %(last_xid)s::text::xid8
                   then {ids} * int8multirange(int8range(null, %(last_id)s::bigint, '[]')) end
     end
"""
# SQL over a multirange: how many numbers are in it.
SIZE = "(select coalesce(sum(upper(part) - lower(part)), 0) from unnest({ids}) as part)"
# SQL over a purge's list: how many of the rows the position has not moved. By `rows` where it is
# all of them: a writer may have used a number twice.
MISSING = f"""
    case when {MOVED.format(xid="xid", ids="ids")} is null then rows
         else {SIZE.format(ids=f"(ids - {MOVED.format(xid='xid', ids='ids')})")} end
"""

# How many removed rows the position has not moved, and whether that is exact: where a note has a
# list, by the list. Purges up to the accepted one do not count; if this database has no note of
# that one, none is accepted: the administrator accepted it in another history of the database. By
# the primary keys: reads the notes of the kind, and the lists of those that concern the position.
COUNT_LOST = f"""
    select coalesce(sum(coalesce(missing, rows)), 0), coalesce(bool_and(missing is not null), true)
      from datatransfer.purge_note as note
      left join lateral (
          select sum({MISSING}) as missing from datatransfer.purged_transaction as listed
           where (listed.origin, listed.kind, listed.number)
               = (note.origin, note.kind, note.number)) as list on true
     where origin = %(origin)s and kind = %(kind)s
       and (latest >= pg_snapshot_xmax(%(seen)s) or late && array(select pg_snapshot_xip(%(seen)s)))
       and number > coalesce((select number from datatransfer.purge_note
                               where origin = %(origin)s and kind = %(kind)s
                                 and number = %(accepted)s), 0)
"""

# The number of the latest purge of a kind, or 0. By the primary key.
LATEST = """
    select coalesce(max(number), 0) from datatransfer.purge_note where origin = %s and kind = %s
"""


@dataclass(frozen=True)
class Lost:
    """How many purged rows a bonus server has not received: exactly, or at most."""

    rows: int
    is_exact: bool = True

    def __add__(self, other: "Lost") -> "Lost":
        return Lost(self.rows + other.rows, self.is_exact and other.is_exact)

    def refuse(self, position: Position, server: str, option: str = "") -> None:
        """Raises RowsMissing or RowsPurged if there are any.

        `option` is what `set_position` needs besides, if these rows are to be given up.
        """
        if self.rows:
            error = RowsMissing if self.is_exact else RowsPurged
            raise error(
                rows=self.rows,
                number=position.number,
                server=server,
                kind=position.kind,
                options=f"{option} --accept-purged".strip(),
            )


NOTHING_LOST = Lost(0)


class PurgeNotes:
    """Writes and reads the notes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, rows: int, *, with_list: bool) -> None:
        """Notes a purge of `rows` rows, whose transactions are in the temporary table `gone`."""
        number = self.database.value(ADD, {"kind": kind.name, "rows": rows})
        if with_list:
            self.database.execute(LIST, [kind.name, number])

    def forget_lists(self, kind: Kind) -> None:
        """Forgets which rows purges have removed: no server is left behind any more."""
        self.database.execute(FORGET_LISTS, [kind.name])

    def lost(self, position: Position) -> Lost:
        """How many rows the position's bonus server has not received and a purge has removed."""
        values = {
            "origin": position.origin,
            "kind": position.kind,
            "accepted": position.purge_accepted,
            **place_of(position),
        }
        rows, is_exact = self.database.one(COUNT_LOST, values)
        return Lost(int(rows), is_exact)

    def latest(self, origin: str, kind: Kind) -> int:
        """The number of the latest purge of the kind's rows, or 0."""
        return int(self.database.value(LATEST, [origin, kind.name]))


def place_of(position: Position) -> dict[str, Any]:
    """The parameters of MOVED for a position. The highest bigint has no successor."""
    last_id = position.last_id
    return {
        "seen": position.read_through,
        "reading": position.reading,
        "last_xid": None if position.last_xid is None else str(position.last_xid),
        "last_id": None if last_id is None else min(last_id, 2**63 - 2),
    }
