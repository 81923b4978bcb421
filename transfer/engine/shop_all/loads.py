"""Our loads in shop All: which changesets are loads, and how their names are made.

A load is written in the transaction that stages its rows. Whether something was loaded before is
answered by this table alone: a restore of shop All takes the load and its rows together.

The name of a load is made of what it contains, so that no restore gives one out twice. A load that
is repeated after a restore has the same name, and bonus servers that have received it do not
receive it again. The key of the names is in every copy of shop All and in no bonus server's
database: no administrator of one can guess a PIN code from a name.
"""

import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import count
from uuid import UUID

from transfer.causes.loads import LOAD_KNOWN
from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.errors import TransferError

# The key of the names. One row.
KEY = "select name_key from datatransfer.origin"
# Which of these names are loads of shop All. By the primary key.
ARE_LOADED = "select changeset::text from datatransfer.load where changeset = any(%s::uuid[])"
AT_ONCE = 20
"""Names of a file that are looked up together: as a rule the first is free."""

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


@dataclass
class FileNames:
    """The names of a file with the same rows.

    `free`: the one that it has if it is loaded now. `loaded`: those that shop All has, in the order
    in which they were given. `left_out`: those that are free, and that are not used (see
    `of_file`).
    """

    free: str = ""
    loaded: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


class Names:
    """Makes the names of loads, with the key of one shop All."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def of_file(self, kind: Kind, digest: bytes, taken_back: Collection[str]) -> FileNames:
        """Return the names of a file with these rows (see `StagingImport.digest`).

        The first time that these rows are loaded they have the first name, the second time the next
        one, and so on. `taken_back`: names of loads that were taken back, and that shop All has
        lost with their undo since. A server may have received that undo, so such a name loads
        nothing there: it is left out.
        """
        found, key = FileNames(), self.key()
        for first in count(step=AT_ONCE):
            numbers = range(first, first + AT_ONCE)
            names = [_name(key, "file", kind.name, digest.hex(), number) for number in numbers]
            loaded = {name for (name,) in self.database.rows(ARE_LOADED, [names])}
            for name in names:
                if name in loaded:
                    found.loaded.append(name)
                elif name in taken_back:
                    found.left_out.append(name)
                else:
                    found.free = name
                    return found
        raise AssertionError("unreachable")

    def of_call(self, kind: Kind, key: str, digest: bytes) -> str:
        """Return the name of the load of a call of the API with this key and these rows."""
        return self._made_of("call", kind.name, key, digest.hex())

    def call(self, key: str) -> str:
        """Return the name of the call itself, made of its key alone: see the column `call`."""
        return self._made_of("key", key)

    def of_undo(self, load: str) -> str:
        """Return the name of the undo of a load: there is one, however often it is repeated."""
        return self._made_of("undo", load)

    def key(self) -> bytes:
        """Return the key. It never leaves this process."""
        return bytes(self.database.value(KEY))

    def _made_of(self, *parts: str | int) -> str:
        return _name(self.key(), *parts)


def _name(key: bytes, *parts: str | int) -> str:
    """Return HMAC-SHA-256 of the parts, cut to the length of a uuid."""
    text = json.dumps(parts).encode()
    return str(UUID(bytes=hmac.digest(key, text, sha256)[:16]))


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
