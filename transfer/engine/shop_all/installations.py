"""Which installations of Data Transfer read from this shop All, and from which line on.

A purge of one installation must not remove what a server of another one still needs. So each of
them keeps a row for each kind: the first line of which any of its docked servers needs a row.
Docking and beginnings lower it, purges of that installation raise it.
"""

from dataclasses import dataclass
from datetime import datetime

from transfer.causes.connections import ANSWER_INVALID
from transfer.causes.ledger import PURGE_OVERTAKEN
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.received import NO_MARK, Place, is_count, is_uuid
from transfer.errors import TransferError, one_line

FIELDS = "id::text, left(name, 200), kind, needs_from, mark::text, at"
# The table has a row for each installation and kind: statements read all of it, or one row by its
# primary key.
ALL = f"select {FIELDS} from datatransfer.installation order by name, id, kind"
OF_KIND = f"select {FIELDS} from datatransfer.installation where kind = %s order by needs_from"
OWN = f"select {FIELDS} from datatransfer.installation where kind = %s and id = %s"
# Waits for the purge under way, and lets none begin before this transaction ends.
LOCK = "lock table datatransfer.installation in share mode"
# Writes that an installation needs rows from this line on, if it did not need earlier ones.
LOWER = """
    insert into datatransfer.installation as held (id, kind, name, needs_from, mark, at)
    values (%s, %s, %s, %s, %s, clock_timestamp())
        on conflict (id, kind) do update
       set name = excluded.name, at = excluded.at,
           needs_from = least(held.needs_from, excluded.needs_from),
           mark = case when excluded.needs_from <= held.needs_from then excluded.mark
                       else held.mark end
"""
# Writes it in place of what is there, if that is still what was read.
REPLACE = """
    update datatransfer.installation
       set name = %s, needs_from = %s, mark = %s, at = clock_timestamp()
     where id = %s and kind = %s and at = %s
"""
REMOVE = "delete from datatransfer.installation where name = %s"


@dataclass(frozen=True)
class Installation:
    """Who reads from a shop All. The id is drawn once, the name is for people."""

    id: str
    name: str


@dataclass(frozen=True)
class Registered:
    """What an installation has said of a kind.

    `needs_from`: the first line of which any docked server needs a row; `before`: the place before
    it, by which we know that this is still the log that was meant. `at`: when it said so.
    """

    installation: Installation
    kind: str
    needs_from: int
    before: Place
    at: datetime


class Installations:
    """Reads and writes who reads from this shop All."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def all(self) -> list[Registered]:
        """Return the rows of all installations and kinds, by name."""
        return [self._registered(row) for row in self.database.rows(ALL)]

    def of(self, kind: Kind) -> list[Registered]:
        """Return the rows of a kind, the one first that needs the oldest line."""
        return [self._registered(row) for row in self.database.rows(OF_KIND, [kind.name])]

    def own(self, kind: Kind, installation: Installation) -> Registered | None:
        """Return what this installation has said of a kind, or None."""
        for row in self.database.rows(OWN, [kind.name, installation.id]):
            return self._registered(row)
        return None

    def lock(self) -> None:
        """Keep all rows as they are until the transaction ends."""
        self.database.execute(LOCK)

    def lower(self, kind: Kind, installation: Installation, before: Place) -> None:
        """Write that a server of this installation needs rows above a place; the caller commits.

        It waits for a purge under way, and no later purge removes what is above. What the
        installation has needed so far it goes on to need.
        """
        values = [installation.id, kind.name, installation.name, before.number + 1, before.mark]
        self.database.execute(LOWER, values)

    def replace(
        self,
        kind: Kind,
        installation: Installation,
        before: Place,
        known: Registered | None,
    ) -> None:
        """Write that this installation needs nothing up to a place; the caller commits.

        `known` is what it had said before its servers were asked. Raises PURGE_OVERTAKEN where it
        has said something else since: a server has begun, and was not asked.
        """
        if known is None:
            if self.own(kind, installation) is not None:
                raise TransferError(PURGE_OVERTAKEN)
            self.lower(kind, installation, before)
            return
        where = [installation.id, kind.name, known.at]
        values = [installation.name, before.number + 1, before.mark, *where]
        if self.database.execute(REPLACE, values) != 1:
            raise TransferError(PURGE_OVERTAKEN)

    def remove(self, name: str) -> int:
        """Remove an installation that is gone, by its name; return how many rows that were.

        Nothing is kept for its servers any more. The caller commits.
        """
        return self.database.execute(REMOVE, [name])

    def _registered(self, row: tuple[str, str, str, int, str, datetime]) -> Registered:
        """Return what a row says. Raises ANSWER_INVALID where no installation has written it."""
        id_, name, kind, needs_from, mark, at = row
        if not (is_uuid(id_) and is_uuid(mark) and is_count(needs_from) and needs_from):
            what = f"datatransfer.installation, {one_line(name)}, {one_line(kind)[:100]}"
            raise TransferError(ANSWER_INVALID, party=self.database.party, what=what)
        before = Place(needs_from - 1, mark) if needs_from > 1 else Place(0, NO_MARK)
        return Registered(Installation(id_, name), kind, needs_from, before, at)
