"""Rows of a file as lines for COPY: values as PostgreSQL reads them, or why they can't be read."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from transfer.engine.kind import MASK, Kind
from transfer.engine.shop_all.copy_text import as_array, copied
from transfer.engine.shop_all.staging_import import NOTHING_BESIDE
from transfer.engine.table_mapping import Column
from transfer.loading import json_rows
from transfer.loading.corrections import Named
from transfer.loading.file_formats import Layout, Line, is_blank
from transfer.loading.headings import REJECT
from transfer.loading.pin_codes import codes_in, has_one, masked
from transfer.loading.values import (
    Cell,
    Reader,
    as_people_write,
    described,
    is_masked,
    number,
    reader,
    text,
    written,
)

TOTALS = re.compile(r"\s*(итого|итог|всего|total|totals|sum)\b", re.IGNORECASE)
# Lines whose rejected rows are looked up together: how many, and of how many characters.
AT_ONCE, CHARACTERS_AT_ONCE = 1000, 1_000_000

# The cells that name rejected rows → which rows those are.
Resolve = Callable[[Iterable[str]], dict[str, Named]]

NEW_ROW = Named()


class _Field(NamedTuple):
    column: Column
    place: int | None  # in the file
    read: Reader


class _Fault(NamedTuple):
    code: str
    column: str = ""
    value: str = ""


class Lines:
    """Walks over the rows once; its fields name what it left out.

    `name` is the file's, with the PIN codes masked that rows so far have.
    """

    def __init__(
        self, kind: Kind, layout: Layout, zone: ZoneInfo, resolve: Resolve, name: str = ""
    ) -> None:
        self.name = name
        self.layout = layout
        self.zone = zone
        self.resolve = resolve
        self.fields = [
            _Field(column, layout.columns.get(column.name), reader(column, zone))
            for column in kind.columns
        ]
        self.secrets = [field for field in self.fields if field.column.secret]
        # For a file with headings; a workbook's cells can't be shifted.
        named = [place for place, name in enumerate(layout.headings, 1) if name]
        self.width = max(named, default=0) if layout.format == "csv" else 0
        self.totals_left_out = 0
        self.stated_total: Decimal | None = None
        self.numbers_in: set[str] = set()  # text columns that held numbers of Excel

    def copied(self, rows: Iterator[Line]) -> Iterator[str]:
        """A line of COPY for each row of data, in the order of `incoming`."""
        data = (
            (line, cells)
            for line, cells in rows
            if line > self.layout.header
            and not all(map(is_blank, cells))
            and not self._is_total(cells)
        )
        if REJECT not in self.layout.columns:
            yield from (self._line(line, cells) for line, cells in data)
            return
        for batch in _batches(data):
            keys = []  # what the lines say of the rejected rows that they correct
            for _, cells in batch:
                cell = cell_at(self.layout.columns.get(REJECT), cells)
                keys.append("" if is_blank(cell) else described(cell))
            known = self.resolve(set(keys) - {""}) | {"": NEW_ROW}
            for (line, cells), key in zip(batch, keys, strict=True):
                yield self._line(line, cells, key, known[key])

    def _is_total(self, cells: list[Cell]) -> bool:
        if self.layout.format == json_rows.FORMAT:  # a program sends rows, and no totals
            return False
        first = next(cell for cell in cells if not is_blank(cell))
        if not (isinstance(first, str) and TOTALS.match(first)):
            return False
        self.totals_left_out += 1
        place = self.layout.columns.get("amount")
        if place is not None and place < len(cells):
            stated = number(cells[place]).value
            self.stated_total = Decimal(stated) if stated else None
        return True

    def _line(self, line: int, cells: list[Cell], key: str = "", row: Named = NEW_ROW) -> str:
        values: list[str | None] = []
        pins = self._pins(cells)
        if row.fault and has_one(key, pins):
            key = MASK
        fault = self._fault(cells, key, row)
        keeps, kept = False, []
        for column, place, read in self.fields:
            cell = cell_at(place, cells)
            value, code = read(cell)
            if column.secret and is_masked(cell):
                keeps = bool(row.changeset)
                value, code = MASK, "" if keeps else "pin_masked"
            if code and not fault:
                is_hidden = column.secret or has_one(cell, pins)
                fault = _Fault(code, column.name, MASK if is_hidden else described(cell))
            if isinstance(cell, float) and read is text:
                self.numbers_in.add(column.name)
            if (keeps and column.secret) or self._is_kept(column, read, value, row):
                kept.append(column.name)
            values.append(value)
        if not fault and not key:
            return copied(str(line), *values, beside=NOTHING_BESIDE)
        if fault:  # such a line is only shown
            values = [
                MASK if value and not field.column.secret and has_one(value, pins) else value
                for field, value in zip(self.fields, values, strict=True)
            ]
        about = [*fault, self._cells(fault, cells, keeps, pins)] if fault else [None] * 4
        # Which rejected row the line corrects, and what it keeps of that row.
        corrected: list[str | None] = [None, None, None]
        if row.changeset:
            corrected = [row.changeset, str(row.row), as_array(kept)]
        return copied(str(line), *values, *about, key or None, *corrected)

    def _pins(self, cells: list[Cell]) -> set[str]:
        """The PIN code of a row, in the forms in which another cell may have it."""
        pins: set[str] = set()
        for _, place, read in self.secrets:
            cell = cell_at(place, cells)
            if not is_masked(cell):
                pins |= codes_in(cell, read(cell).value)
        if pins:
            self.name = masked(self.name, pins)
        return pins

    def _is_kept(self, column: Column, read: Reader, value: str | None, row: Named) -> bool:
        """Whether the cell is as the file of rejected rows shows it: then shop All says the value.

        What is shown comes from a bonus server, which may forge it.
        """
        if not row.changeset or column.secret:
            return False
        shown = row.payload.get(column.name)
        return value in (shown, read(as_people_write(column.name, shown, self.zone)).value)

    def _fault(self, cells: list[Cell], key: str, row: Named) -> _Fault | None:
        """What is wrong with the line as a whole."""
        if row.fault:
            return _Fault(row.fault, REJECT, key)
        # An unquoted decimal comma shifts all that follows it.
        if 0 < self.width < len(cells) and not all(map(is_blank, cells[self.width :])):
            # How many, and no cell: shifted, a PIN code may be in any of them.
            return _Fault("too_many_cells", value=f"{len(cells)} > {self.width}")
        return None

    def _cells(self, fault: _Fault, cells: list[Cell], keeps: bool, pins: set[str]) -> str:
        """The cells to correct, as JSON. A PIN code is left out, and so is a cell that contains it:
        both have to be entered again.

        Empty for a line whose cells are shifted: its cells could be mistaken for good ones.
        """
        if fault.code == "too_many_cells":
            return "{}"
        texts = {}
        for column, place, _ in self.fields:
            cell = cell_at(place, cells)
            if column.secret:
                texts[column.name] = MASK if keeps else ""
            else:
                is_hidden = has_one(cell, pins)
                texts[column.name] = "" if is_hidden else written(column, cell, self.zone)
        return json.dumps(texts, ensure_ascii=False)


def _batches(rows: Iterator[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += sum(len(cell) for cell in row[1] if isinstance(cell, str))
        if len(batch) == AT_ONCE or held > CHARACTERS_AT_ONCE:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def cell_at(place: int | None, cells: list[Cell]) -> Cell:
    return cells[place] if place is not None and place < len(cells) else None
