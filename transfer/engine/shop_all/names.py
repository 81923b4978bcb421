"""The names of loads: made of what a load contains, so that no restore gives one out twice.

A load that is repeated after a restore has the same name, and bonus servers that have received it
do not receive it again. The key is in every copy of shop All and in no bonus server's database:
nobody there can guess a PIN code from a name.
"""

import hmac
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from uuid import UUID

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database

# The key of the names. One row.
KEY = "select name_key from datatransfer.origin"
# Which of these names are loads of shop All. By the primary key.
ARE_LOADED = "select changeset::text from datatransfer.load where changeset = any(%s::uuid[])"
AT_ONCE = 20
"""Names of a file that are looked up together: as a rule the first is free."""


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
