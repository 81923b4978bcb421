"""Rows of a file as lines for COPY: values as PostgreSQL reads them, or why they can't be read."""

import io
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from transfer.kinds import MASK, Kind
from transfer.loading.files import Layout, Row, is_blank
from transfer.loading.values import Cell, Reader, described, number, reader

TOTALS = re.compile(r"\s*(итого|итог|всего|total|totals|sum)\b", re.IGNORECASE)
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class _Column(NamedTuple):
    name: str
    place: int | None  # in the file
    read: Reader
    secret: bool


class Lines:
    """Walks over the rows once; what it left out on the way stands in its fields."""

    def __init__(self, kind: Kind, layout: Layout, zone: ZoneInfo) -> None:
        self.layout = layout
        self.columns = [
            _Column(
                column.name, layout.columns.get(column.name), reader(column, zone), column.secret
            )
            for column in kind.columns
        ]
        # Of a file with headings; a workbook's cells can't be shifted.
        named = [place for place, name in enumerate(layout.headings, 1) if name]
        self.width = max(named, default=0) if layout.format == "csv" else 0
        self.secret_places = {column.place for column in self.columns if column.secret}
        self.totals_left_out = 0
        self.stated_total: Decimal | None = None
        self.numbers_in: set[str] = set()  # text columns that held numbers of Excel
        self._amount = next((c.place for c in self.columns if c.name == "amount"), None)

    def copied(self, rows: Iterator[Row]) -> Iterator[str]:
        """A line of COPY for each row of data: number, values, fault, its column, its value."""
        for line, cells in rows:
            if line <= self.layout.header or all(is_blank(cell) for cell in cells):
                continue
            if self._is_total(cells):
                continue
            yield self._line(line, cells)

    def _is_total(self, cells: list[Cell]) -> bool:
        first = next(cell for cell in cells if not is_blank(cell))
        if not (isinstance(first, str) and TOTALS.match(first)):
            return False
        self.totals_left_out += 1
        if self._amount is not None and self._amount < len(cells):
            stated = number(cells[self._amount]).value
            self.stated_total = Decimal(stated) if stated else None
        return True

    def _line(self, line: int, cells: list[Cell]) -> str:
        values: list[str] = []
        fault = ("", "", "")
        for name, place, read, secret in self.columns:
            cell = cells[place] if place is not None and place < len(cells) else None
            value, code = read(cell)
            if code and not fault[0]:
                fault = (code, name, MASK if secret else described(cell))
            if isinstance(cell, float) and read.__name__ == "text":
                self.numbers_in.add(name)
            values.append("\\N" if value is None else value.translate(ESCAPES))
        if not fault[0] and self._has_too_many(cells):
            extra = "" if self.secret_places else described(cells[-1])
            fault = ("too_many_cells", "", extra)
        told = [part.translate(ESCAPES) if part else "\\N" for part in fault]
        return "\t".join([str(line), *values, *told]) + "\n"

    def _has_too_many(self, cells: list[Cell]) -> bool:
        """An unquoted decimal comma shifts all that follows it."""
        width = self.width
        return 0 < width < len(cells) and any(not is_blank(cell) for cell in cells[width:])


class Readable(io.RawIOBase):
    """Lines as the file that COPY reads; what breaks on the way is kept in `error`.

    psycopg2 would send the text of an exception to the server and its log.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.error: Exception | None = None
        self.rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            return self._read(size)
        except Exception as error:
            self.error = error
            raise OSError("stopped") from None

    def _read(self, size: int) -> bytes:
        parts, held = [self.rest], len(self.rest)
        while held < size:
            line = next(self.lines, None)
            if line is None:
                break
            parts.append(line.encode())
            held += len(parts[-1])
        whole = b"".join(parts)
        self.rest = whole[size:]
        return whole[:size]
