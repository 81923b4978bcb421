"""A bonus server's database: one connection, and the objects that each know one part of it."""

from typing import Self

from transfer.engine.bonus_server import schema
from transfer.engine.bonus_server.positions import Positions
from transfer.engine.bonus_server.receipts import Receipts
from transfer.engine.bonus_server.rejects import Rejects
from transfer.engine.bonus_server.vendor_tables import VendorTables
from transfer.engine.postgres.database import Database
from transfer.parties import database_of


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
