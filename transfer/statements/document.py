"""The signed file of a statement. Knows no database: anybody can check it.

The file is JSON in one form only: sorted keys, one space a level, letters as they are. So a file of
which one byte was changed is no statement, even where JSON would say the same. The signature is
made over the text of `statement`; its digest is SHA-256 of that text, and the next statement of the
chain names it as `previous`.
"""

import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from transfer.causes.statements import KEY_INVALID, KEY_NOT_NAMED, KEY_OPEN
from transfer.errors import TransferError

FORMAT = "datatransfer-statement-1"
# Before the text that is signed, so that no signature of another program is one of ours.
SIGNED = f"{FORMAT}\n".encode()
OTHERS = stat.S_IRWXG | stat.S_IRWXO
LARGEST = 64 << 20
"""Bytes of a file that `verify` reads."""


def as_text(content: Any) -> str:
    """Return the only form of some JSON."""
    return json.dumps(content, ensure_ascii=False, sort_keys=True, indent=1, allow_nan=False)


def digest_of(content: dict[str, Any]) -> str:
    return sha256(as_text(content).encode()).hexdigest()


def read_key(file: str) -> Ed25519PrivateKey:
    """Return the key that signs. Raises KEY_NOT_NAMED, KEY_OPEN, KEY_INVALID."""
    if not file:
        raise TransferError(KEY_NOT_NAMED)
    try:
        with Path(file).open("rb") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & OTHERS:
                raise TransferError(KEY_OPEN, file=file, mode=f"{mode:o}")
            key = load_pem_private_key(opened.read(LARGEST), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise TransferError(KEY_INVALID, file=file) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TransferError(KEY_INVALID, file=file)
    return key


def read_public_key(file: str) -> Ed25519PublicKey:
    """Return the key that checks. Raises KEY_INVALID."""
    try:
        key = load_pem_public_key(Path(file).read_bytes())
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise TransferError(KEY_INVALID, file=file) from None
    if not isinstance(key, Ed25519PublicKey):
        raise TransferError(KEY_INVALID, file=file)
    return key


def write_new_key(file: str) -> str:
    """Write a new key that only we may read; return the public one, PEM. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(text)
    return public_pem(key.public_key())


def public_pem(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def raw(key: Ed25519PublicKey) -> str:
    """Return the 32 bytes of a public key as hexadecimal digits."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def signed(content: dict[str, Any], key: Ed25519PrivateKey) -> str:
    """Return the file of a statement. Its content gets the format and the public key."""
    content = {**content, "format": FORMAT, "public_key": raw(key.public_key())}
    signature = key.sign(SIGNED + as_text(content).encode())
    return as_text({"signature": signature.hex(), "statement": content}) + "\n"


@dataclass(frozen=True)
class Document:
    """A file whose signature is right."""

    content: dict[str, Any]
    digest: str

    @classmethod
    def read(cls, data: bytes) -> Self | None:
        """Return the statement of a file; None unless every byte of it is as it was signed.

        The signature is checked by the key that the file names. This finds changes, and not who
        has signed: see `proven_by`.
        """
        try:
            whole = json.loads(data)
            content, signature = whole["statement"], whole["signature"]
            if (as_text(whole) + "\n").encode() != data or content["format"] != FORMAT:
                return None
            named = Ed25519PublicKey.from_public_bytes(bytes.fromhex(content["public_key"]))
            given = bytes.fromhex(signature)
            if given.hex() != signature or raw(named) != content["public_key"]:
                return None
            named.verify(given, SIGNED + as_text(content).encode())
            number, previous = content["number"], content["previous"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidSignature):
            return None
        is_first = number == 1
        if not isinstance(number, int) or number < 1 or is_first != (previous is None):
            return None
        return cls(content, digest_of(content))

    @property
    def number(self) -> int:
        return int(self.content["number"])


def proven_by(key: Ed25519PublicKey | None, statements: Sequence[Document]) -> list[Document]:
    """Return those of these statements that this key has signed, and those that these prove.

    A signed statement names the digest of the one before. So it also proves that one, even if an
    earlier key has signed it, and that one proves the one before it. Without a key, that of the
    first statement counts: who has signed is not known then, but all have to have one key.
    """
    latest_first = sorted(statements, key=lambda one: one.number, reverse=True)
    if not latest_first:
        return []
    trusted = latest_first[-1].content["public_key"] if key is None else raw(key)
    proven = {one.digest for one in latest_first if one.content["public_key"] == trusted}
    for one in latest_first:
        if one.digest in proven:
            proven.add(one.content["previous"])
    return [one for one in statements if one.digest in proven]


def missing_in(chain: Sequence[Document]) -> list[int]:
    """Return the numbers of statements that lack between these, or do not fit the one before.

    Every statement has to follow the one before: its number is the next, and it names the digest of
    that one. All are of one installation.
    """
    wrong: set[int] = set()
    ordered = sorted(chain, key=lambda one: (one.number, one.digest))
    for before, after in pairwise(ordered):
        wrong |= {*range(before.number + 1, after.number)}
        is_of_same = before.content.get("installation") == after.content.get("installation")
        is_next = after.number == before.number + 1
        names_another = is_next and after.content["previous"] != before.digest
        if not is_of_same or after.number == before.number or names_another:
            wrong.add(after.number)
    return sorted(wrong)
