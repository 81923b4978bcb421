"""Commits a chunk, and finds out what happened if the answer is lost."""

import psycopg2

from transfer.causes.ledger import COMMIT_UNCONFIRMED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.postgres.postgres_errors import is_broken
from transfer.errors import TransferError


def commit(kind: Kind, target: BonusDatabase, origin: str, version: str) -> None:
    """Commit the transaction that gives the position this version.

    If the answer is lost, the position tells whether it landed. Raises COMMIT_UNCONFIRMED if it did
    not, or if that can't be known now: the next run reads the position first, so nothing is retried
    blindly.
    """
    try:
        target.database.connection.commit()
    except psycopg2.Error as error:
        if not is_broken(error):
            raise
        target.database.close()
        try:
            with target.database.transaction(commit=False):
                held = target.positions.version_once_settled(origin, kind)
        except TransferError as failure:
            raise TransferError(
                COMMIT_UNCONFIRMED, failure.technical, database=target.name
            ) from failure
        if held != version:
            raise TransferError(COMMIT_UNCONFIRMED, database=target.name) from error
