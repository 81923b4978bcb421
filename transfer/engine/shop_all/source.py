"""Shop All as a transfer sees it: one connection, and the objects that each know one part."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Self

import psycopg2
from psycopg2 import errors

from transfer.engine.errors import NotInitialised
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.arrivals import Arrivals
from transfer.engine.shop_all.batch_log import BatchLog
from transfer.engine.shop_all.change_decisions import ChangeDecisions
from transfer.engine.shop_all.changes import Changes
from transfer.engine.shop_all.correction_log import CorrectionLog
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.purge_lock import PurgeLock
from transfer.engine.shop_all.purge_notes import PurgeNotes
from transfer.engine.shop_all.reader import Reader
from transfer.engine.shop_all.rebase_log import RebaseLog
from transfer.engine.shop_all.records import Records
from transfer.engine.shop_all.restore_notes import RestoreNotes
from transfer.engine.shop_all.uncertain_changes import UncertainChanges
from transfer.engine.shop_all.undo_log import UndoLog
from transfer.errors import TransferError
from transfer.parties import SHOP_ALL


class ShopAll:
    """The source of transfers. The parameters are those of `Database`."""

    def __init__(
        self, dsn: str, purpose: str, *, secret: bool = False, seconds: float | None = None
    ) -> None:
        self.database = Database(
            dsn, SHOP_ALL, purpose, secret=secret, seconds=seconds, explain=not_initialised
        )
        self.log = BatchLog(self.database)
        self.restore_notes = RestoreNotes(self.database)
        self.purge_notes = PurgeNotes(self.database)
        self.rebase_log = RebaseLog(self.database)
        self.identity = Identity(self.database, self.log, self.purge_notes, self.restore_notes)
        self.reader = Reader(self.database)
        self.arrivals = Arrivals(self.database)
        self.corrections = CorrectionLog(self.database)
        self.changes = Changes(self.database)
        self.change_decisions = ChangeDecisions(self.database)
        self.uncertain_changes = UncertainChanges(self.database)
        self.undo_log = UndoLog(self.database)
        self.records = Records(self.database)
        self.purge_lock = PurgeLock(self.database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def another(self) -> "ShopAll":
        """Another connection to the same database, opened at first use."""
        mine = self.database
        return ShopAll(mine.dsn, mine.purpose, secret=mine.secret, seconds=mine.seconds)

    def count_anew(self, kind: Kind, position: Position) -> Position:
        """The position from which the reconciliation counts: what is missing so far is settled."""
        staged, totals = self.reader.staged(kind, position), position.totals
        counted = totals.amount_applied + totals.amount_rejected
        return replace(
            position,
            purge_accepted=self.purge_notes.latest(position.origin, kind),
            purged_rows=position.purged_rows + staged.rows + staged.purged_rows - totals.read,
            purged_amount=(position.purged_amount + staged.amount + staged.purged_amount - counted),
        )

    @contextmanager
    def snapshot(self, *kinds: Kind) -> Iterator[None]:
        """See `Database.snapshot`. To read staged rows within, name their kinds.

        Their tables are locked before the snapshot is taken. Nothing can then empty or rewrite
        them: neither a rebase, nor TRUNCATE, nor ALTER TABLE, nor REPACK (CONCURRENTLY) of
        PostgreSQL 19, after which an older snapshot sees no rows at all. Writers go on.
        """
        if not kinds:
            with self.database.snapshot():
                yield
            return
        # In a transaction of its own: to look up the schemas of the tables takes a snapshot.
        with self.database.transaction(commit=False):
            lock = self.reader.lock_statement(kinds)
        with self.database.snapshot(lock):
            yield


def not_initialised(error: psycopg2.Error) -> TransferError | None:
    """If one of our tables or columns is missing, `init_shop_all` has to run: says so."""
    if not isinstance(error, errors.UndefinedTable | errors.UndefinedColumn):
        return None
    quoted = re.search('["«](.+)["»]', error.diag.message_primary or "")
    return NotInitialised(missing=f'"{quoted[1]}"' if quoted else "datatransfer")
