"""Names of changesets: nothing that a restore can give out twice.

Names of loads are made with the key of the origin, which every copy of shop All has: a repeated
load has its old name, and nobody can guess content from a name.
"""

import hashlib
import hmac
from collections.abc import Container, Sequence

from tests.chaos.ledger.rows import Row


def name_of_transaction(xid: int, started: int) -> str:
    """Return the name of what a writer's transaction staged. A restored shop All repeats xids."""
    return f"w{xid}.{started}"


def name_of_row(line: int, id: int) -> int:
    """Return the line of the file where there is one: a repeated load has other ids."""
    return line or id


def digest_of(rows: Sequence[Row]) -> str:
    """Return a digest of the content of a file or a call."""
    content = repr([(row.account, row.amount) for row in rows])
    return hashlib.sha256(content.encode()).hexdigest()


def sign(key: bytes, *parts: str) -> str:
    return hmac.new(key, "\n".join(parts).encode(), hashlib.sha256).hexdigest()[:12]


def name_of_file(key: bytes, digest: str, known: Container[str], refused: Container[str]) -> str:
    """Return the first name of a file that shop All does not have.

    `known`: the names in shop All's `load`. `refused`: names that our own history has taken back; a
    server that took such a name back would ignore it.
    """
    number = 0
    while (name := "f" + sign(key, "file", digest, str(number))) in known or name in refused:
        number += 1
    return name


def name_of_call(key: bytes, idempotency_key: str, digest: str) -> str:
    """Return the name of a call of the API."""
    return "c" + sign(key, "call", idempotency_key, digest)


def name_of_undo(key: bytes, load: str) -> str:
    """Return the name of the undo of a load: an undo that is repeated does nothing twice."""
    return "U" + sign(key, "undo", load)
