"""Which changesets are loads of ours: written in the transactions that stage their rows.

Whether something was loaded before is answered by this table alone: a restore of shop All takes the
load and its rows together.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from transfer.causes.loads import LOAD_KNOWN
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.errors import TransferError

LOAD_SECONDS = 3600
"""For each statement of a load, without the time in which it reads the file."""

# Writes a load, unless another process has written it: it waits for that one to end.
ADD = """
    insert into datatransfer.load (changeset, kind, rows, call, undoes, staged_for)
    values (%s, %s, %s, %s, %s, %s) on conflict do nothing
"""
# Loads, each with what the log says of it. By the primary keys and the unique key of the log.
READ = """ select load.changeset::text, load.kind, load.rows, load.call::text, load.undoes::text,
left(load.staged_for, 1000), load.started, log.number, coalesce(log.gone + log.purged, 0),
coalesce(log.withdrawn, false), log.withdrawn_by::text from datatransfer.load left join
datatransfer.log on log.kind = load.kind and log.changeset = load.changeset
"""
NAMED = READ + " where load.changeset = any(%s::uuid[])"
# By the unique key on `call`.
OF_CALL = READ + " where load.call = %s::uuid"


@dataclass(frozen=True)
class Load:
    """A load as shop All knows it.

    `call` is made of the key of a call of the API, None for another load. `undoes`: the load that
    this one takes back. `number`: of its line in the log; None until a transfer has appended it,
    and of a load without rows. `lacking`: rows that are not in the staging table any more.
    """

    changeset: str
    kind: str
    rows: int
    call: str | None
    undoes: str | None
    staged_for: str
    started: datetime
    number: int | None
    lacking: int
    withdrawn: bool
    withdrawn_by: str | None


class Loads:
    """Reads and writes the loads of shop All."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, changeset: str) -> Load | None:
        """Return the load of this name, or None where shop All lacks it."""
        return self.named([changeset]).get(changeset)

    def named(self, changesets: Collection[str]) -> dict[str, Load]:
        """Return name → load, of those that shop All has."""
        rows = self.database.rows(NAMED, [[*changesets]])
        return {load.changeset: load for load in (Load(*row) for row in rows)}

    def of_call(self, call: str) -> Load | None:
        """Return the load of a call of the API (see `Names.call`), or None."""
        for row in self.database.rows(OF_CALL, [call]):
            return Load(*row)
        return None

    def add(
        self,
        kind: Kind,
        changeset: str,
        rows: int,
        staged_for: str,
        *,
        call: str | None = None,
        undoes: str | None = None,
    ) -> None:
        """Write a load, in the transaction that stages its rows.

        Raises LOAD_KNOWN where shop All has this load, or this call, by now.
        """
        values = [changeset, kind.name, rows, call, undoes, staged_for]
        if not self.database.execute(ADD, values):
            raise TransferError(LOAD_KNOWN)
