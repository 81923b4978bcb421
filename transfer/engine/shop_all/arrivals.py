"""Looks for committed rows that some positions have not seen: every second, and writing nothing.

A look goes on from the snapshot of the look before it, at which nothing waited. So it reads only
what transactions have written in between. Those that were open then and have ended since are asked
for by their numbers; those that are still open are left out. An idle writer costs nothing.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database

# Of several snapshots, given as the numbers where they end and the transactions that were open in
# them and have ended since: the places of those since which a row was committed. Leaves out what
# is open now. By the index on (xid, id).
ARRIVED = """
    select place
      from unnest(%(ends)s::xid8[], %(ended)s::text[]) with ordinality as seen (ends, ended, place)
     where exists (select from {table} where xid >= ends and xid < %(now)s::xid8
                                         and xid <> all (%(open)s::xid8[]))
        or exists (select from {table} where xid = any (ended::xid8[]))
"""


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Ends:
    """A snapshot in parts. PostgreSQL, "Snapshot Components": xmin:xmax:xip_list."""

    end: int  # no transaction from here on had begun
    open: frozenset[str]

    @classmethod
    def of(cls, snapshot: str) -> "Ends":
        _, end, open_ = snapshot.split(":")
        return cls(int(end), frozenset(filter(None, open_.split(","))))


class Arrivals:
    """Asks shop All, within a snapshot of the database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def since(self, kind: Kind, snapshots: Mapping[Key, str], now: str) -> set[Key]:
        """The keys of those snapshots since which a row of the kind was committed.

        `now` is the snapshot of the transaction. A snapshot that is ahead of it counts as well: the
        database has gone back, and a run has to find out why.
        """
        present = Ends.of(now)
        seen = {key: Ends.of(snapshot) for key, snapshot in snapshots.items()}
        ahead = {key for key, one in seen.items() if one.end > present.end}
        asked = [key for key, one in seen.items() if key not in ahead and one != present]
        if not asked:
            return ahead
        values = {
            "ends": [str(seen[key].end) for key in asked],
            "ended": ["{" + ",".join(seen[key].open - present.open) + "}" for key in asked],
            "now": str(present.end),
            "open": sorted(present.open),
        }
        query = sql.SQL(ARRIVED).format(table=kind.staging_table)
        rows = self.database.rows(query, values)
        return ahead | {asked[place - 1] for (place,) in rows}
