"""Lines as COPY reads them, in its text format."""

import io
from collections.abc import Iterable, Sequence

from transfer.engine.postgres.database import Database

BUFFER = 1 << 16


def copied(*fields: str | None, beside: str = "") -> str:
    """A line as COPY reads it: these fields, and `beside`, which is in that form already."""
    return "\t".join(map(_escaped, fields)) + beside + "\n"


def as_array(texts: Sequence[str]) -> str | None:
    """An array of names or UUIDs, which need no quotes; null if there is none."""
    return f"{{{','.join(texts)}}}" if texts else None


def _escaped(field: str | None) -> str:
    """Not by `translate`, which looks up each letter beyond ASCII."""
    if field is None:
        return "\\N"
    doubled = field.replace("\\", "\\\\")
    return doubled.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


class Readable(io.RawIOBase):
    """Lines as the file that COPY reads; an error of reading them is kept in `error`.

    psycopg2 would send the text of an exception to the server and its log.
    """

    def __init__(self, lines: Iterable[str], database: Database) -> None:
        self.lines = iter(lines)
        self.database = database
        self.error: Exception | None = None
        self.rest = b""

    def read(self, size: int = -1) -> bytes:
        try:
            with self.database.waits_for_us():
                parts, held = [self.rest], len(self.rest)
                while held < size and (line := next(self.lines, None)) is not None:
                    parts.append(line.encode())
                    held += len(parts[-1])
            whole = b"".join(parts)
            self.rest = whole[size:]
            return whole[:size]
        except Exception as error:
            self.error = error
            raise OSError("stopped") from None
