"""Notes of each purge: which rows are gone, so that a server that still needs them is noticed."""

from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.database import Database

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
"""

# Notes a purge, with the latest transaction whose rows it removed, and those that some batch saw
# running. Purges are numbered by the time: a database that goes back gives no number twice. Reads
# the log of batches and all notes.
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
"""

# How many removed rows the snapshot `seen` does not see. Purges up to the accepted one do not
# count; if this database has no note of that one, none is accepted: the administrator accepted it
# in another history of the database. By the primary key: reads the notes of the kind.
COUNT_LOST = """
    select coalesce(sum(rows), 0) from datatransfer.purge_note
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


class PurgeNotes:
    """Writes and reads the notes."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, rows: int) -> None:
        """Notes a purge of `rows` rows, whose transactions are in the temporary table `gone`."""
        self.database.execute(ADD, {"kind": kind.name, "rows": rows})

    def count_lost(self, position: Position) -> int:
        """How many rows at most the position's bonus server needs that a purge has removed."""
        values = {
            "origin": position.origin,
            "kind": position.kind,
            "seen": position.read_through,
            "accepted": position.purge_accepted,
        }
        return int(self.database.value(COUNT_LOST, values))

    def latest(self, origin: str, kind: Kind) -> int:
        """The number of the latest purge of the kind's rows, or 0."""
        return int(self.database.value(LATEST, [origin, kind.name]))
