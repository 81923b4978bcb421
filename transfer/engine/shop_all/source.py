"""Shop All as a transfer sees it: one connection, and the objects that each know one part."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import psycopg2
from psycopg2 import errors, sql

from transfer.causes.tables import NOT_INITIALISED
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.counts import Counts
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.installations import Installations
from transfer.engine.shop_all.loads import Loads, Names
from transfer.engine.shop_all.log import Log
from transfer.engine.shop_all.log_writer import LogWriter
from transfer.engine.shop_all.rows import Rows
from transfer.errors import TransferError
from transfer.parties import SHOP_ALL

# Keeps tables from being rewritten or emptied at once. Takes no snapshot. Writers go on.
LOCK_TABLES = "lock table {tables} in access share mode"


class ShopAll:
    """The source of transfers. The parameters are those of `Database`."""

    def __init__(
        self, dsn: str, purpose: str, *, secret: bool, seconds: float | None = None
    ) -> None:
        self.database = Database(
            dsn, SHOP_ALL, purpose, secret=secret, seconds=seconds, explain=not_initialised
        )
        self.identity = Identity(self.database)
        self.log = Log(self.database)
        self.log_writer = LogWriter(self.database, self.log)
        self.rows = Rows(self.database)
        self.counts = Counts(self.database, self.log, self.log_writer)
        self.installations = Installations(self.database)
        self.names = Names(self.database)
        self.loads = Loads(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def another(self) -> "ShopAll":
        """Return another connection to the same database, opened at first use."""
        mine = self.database
        return ShopAll(mine.dsn, mine.purpose, secret=mine.secret, seconds=mine.seconds)

    @contextmanager
    def snapshot(self, *kinds: Kind) -> Iterator[None]:
        """See `Database.snapshot`. To read staged rows within, name their kinds.

        Their tables are locked before the snapshot is taken. Nothing can then empty or rewrite
        them: neither TRUNCATE, nor ALTER TABLE, nor REPACK (CONCURRENTLY) of PostgreSQL 19, after
        which an older snapshot sees no rows at all. Writers go on.
        """
        if not kinds:
            with self.database.snapshot():
                yield
            return
        # In a transaction of its own: to look up the schemas of the tables takes a snapshot.
        with self.database.transaction(commit=False):
            tables = sql.SQL(", ").join(kind.staging_table for kind in kinds)
            lock = sql.SQL(LOCK_TABLES).format(tables=tables)
            statement = lock.as_string(self.database.connection)
        with self.database.snapshot(statement):
            yield


def not_initialised(error: psycopg2.Error) -> TransferError | None:
    """Return what says that `init_shop_all` has to run, if a table or column of ours is missing."""
    if not isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return None
    quoted = re.search('["«](.+)["»]', error.diag.message_primary or "")
    return TransferError(NOT_INITIALISED, missing=f'"{quoted[1]}"' if quoted else "datatransfer")
