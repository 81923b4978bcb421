"""Takes a file in: its content is kept in encrypted pieces, until a worker reads it."""

import codecs
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from django.db import transaction

from transfer.causes.files import FILE_EMPTY, FILE_TOO_LARGE
from transfer.engine.kind import Kind
from transfer.errors import FileRefused
from transfer.loading.values import printable
from transfer.models import Actor, Upload
from transfer.models.pieces import PIECE
from transfer.models.secret import cipher

LARGEST = 256 << 20


def receive(
    kind: Kind,
    chunks: Iterable[bytes],
    actor: Actor,
    *,
    name: str = "",
    input_method: str = "file",
    most: int = LARGEST,
    **fields: Any,
) -> Upload:
    """Keeps a file, piece by piece. Raises FileRefused when it is empty, or has more than `most`
    bytes.

    `fields` of the upload: token, chosen.
    """
    upload = Upload(
        kind=kind.name,
        name=printable(name)[-255:],
        input_method=input_method,
        created_by=actor.name,
        user_id=actor.user.pk if actor.user else None,
        address=actor.address,
        **fields,
    )
    digest, text = sha256(), Utf8()
    with transaction.atomic():
        upload.save()
        for number, piece in enumerate(of_size(chunks, PIECE)):
            upload.size += len(piece)
            if upload.size > most:
                raise FileRefused(FILE_TOO_LARGE, most=most >> 20)
            digest.update(piece)
            text.feed(piece)
            upload.pieces.create(number=number, content=cipher().encrypt(piece))
        if not upload.size:
            raise FileRefused(FILE_EMPTY)
        upload.recognise_by(digest.hexdigest())
        upload.is_utf8 = text.ends_well()
        upload.save(update_fields=["size", "digest", "is_utf8"])
    return upload


class Utf8:
    """Whether bytes that come in pieces are UTF-8, all of them."""

    def __init__(self) -> None:
        self.decoder = codecs.getincrementaldecoder("utf-8")()
        self.good = True

    def feed(self, piece: bytes, *, final: bool = False) -> None:
        if self.good:
            try:
                self.decoder.decode(piece, final)
            except UnicodeDecodeError:
                self.good = False

    def ends_well(self) -> bool:
        self.feed(b"", final=True)
        return self.good


def of_size(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)
