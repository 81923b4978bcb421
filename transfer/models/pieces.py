"""The content of a file, in encrypted pieces of our own database."""

import io
from typing import Any

from django.db import models

from transfer.models.secret import cipher

PIECE = 1 << 20


class UploadPiece(models.Model):
    """A part of a file's content, encrypted: it may hold PIN codes."""

    upload = models.ForeignKey("transfer.Upload", on_delete=models.CASCADE, related_name="pieces")
    number = models.IntegerField()
    content = models.BinaryField()

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint("upload", "number", name="piece_of_upload")]

    def __str__(self) -> str:
        return f"{self.upload_id}: {self.number}"


class Pieces(io.RawIOBase):
    """The content as a file that is read once, from its beginning to its end."""

    def __init__(self, pieces: Any) -> None:
        self.pieces = pieces
        self.number = 0
        self.rest = memoryview(b"")
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.rest:
            piece = self.pieces.filter(number=self.number).first()
            if piece is None:
                return 0
            self.number += 1
            self.rest = memoryview(cipher().decrypt(bytes(piece.content)))
        size = min(len(buffer), len(self.rest))
        buffer[:size] = self.rest[:size]
        self.rest = self.rest[size:]
        self.position += size
        return size
