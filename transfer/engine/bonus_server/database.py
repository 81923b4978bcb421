"""A bonus server's database: one connection, and the objects that each know one part of it."""

from secrets import randbits
from typing import Self

from transfer.engine.bonus_server import schema
from transfer.engine.bonus_server.positions import Positions
from transfer.engine.bonus_server.receipts import Receipts
from transfer.engine.bonus_server.rejects import Rejects
from transfer.engine.bonus_server.vendor_tables import VendorTables
from transfer.engine.postgres.database import Database
from transfer.parties import database_of

# Locks a number until the transaction ends.
LOCK = "select pg_advisory_xact_lock(%s)"
# Whether somebody has locked this number in the database that is asked.
IS_LOCKED = """
    select exists (
        select from pg_locks
         where locktype = 'advisory' and objsubid = 1
           and database = (select oid from pg_database where datname = current_database())
           and (classid::bigint << 32) | objid::bigint = %s)
"""
BITS = 62  # of the number: positive as a bigint, and never drawn twice


class BonusDatabase:
    """The target of transfers. The parameters are those of `Database`."""

    def __init__(
        self,
        dsn: str,
        name: str,
        purpose: str,
        *,
        secret: bool,
        seconds: float | None = None,
    ) -> None:
        self.database = Database(dsn, database_of(name), purpose, secret=secret, seconds=seconds)
        self.tables = VendorTables(self.database)
        self.positions = Positions(self.database)
        self.receipts = Receipts(self.database)
        self.rejects = Rejects(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def another(self) -> "BonusDatabase":
        """Return another connection to the same database, opened at first use."""
        mine = self.database
        other = BonusDatabase(
            mine.dsn, mine.name, mine.purpose, secret=mine.secret, seconds=mine.seconds
        )
        other.positions.has_tables = self.positions.has_tables
        return other

    @property
    def name(self) -> str:
        """The name of the server in sentences."""
        return self.database.name

    def has_schema(self) -> bool:
        """Return whether all of our tables exist."""
        return schema.is_complete(self.database)

    def ensure_schema(self) -> None:
        """Create our schema where it is missing; the caller commits. Raises NO_RIGHT_FOR_SCHEMA."""
        schema.ensure(self.database)
        self.positions.has_tables = True


def is_same_database(one: Database, other: Database) -> bool:
    """Return whether both connections are to one database, whatever their addresses.

    One of them locks a number that is drawn for this, and the other one looks for the lock. Raises
    TransferError where one does not answer.
    """
    number = randbits(BITS)
    with one.transaction(commit=False):
        one.execute(LOCK, [number])
        with other.transaction(commit=False):
            return bool(other.value(IS_LOCKED, [number]))
