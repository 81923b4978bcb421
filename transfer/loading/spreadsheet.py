"""Reads a workbook from its standard input, in a process of its own with bounds.

A sheet of 5 KB may claim 17 billion cells or unpack to terabytes: here that ends this process
alone. Runs without Django (`python -I spreadsheet.py`), and writes JSON: first which sheet it
reads, of which, and its number of rows; then lists of [row number, cells], dates as {"d": …}; and
at the end null. Arguments: "only" and the name of a sheet, or "rather" and names, of which the
first that is there is read; else it is the first sheet that is visible and not empty.
"""

import io
import json
import resource
import sys
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.parsers.expat import ParserCreate

from python_calamine import CalamineWorkbook, SheetVisibleEnum

MEMORY = 3 << 30
CPU_SECONDS = 300
LARGEST_UNPACKED = 1 << 30
MOST_FILES = 2_000
MOST_ROWS = 1 << 20  # of a sheet of Excel and LibreOffice
MOST_CELLS = 32_000_000  # of all sheets, repeated ones and the empty ones between others included
LONGEST_CELL = 10_001  # characters: one more than the checks of a file allow
LONGEST_ROW = 1_000_000  # characters of all its cells together
CHARACTERS_AT_ONCE = 100_000
LENGTH_OF_NUMBER = 20  # characters, about: also of a date

Row = tuple[int, list[Any]]

NOT_A_WORKBOOK, DAMAGED, TOO_LARGE, LOCKED = 3, 4, 5, 6  # exit codes

COMPOUND_FILE = b"\xd0\xcf\x11\xe0"  # .xls, and .xlsx with a password
PACKAGE_WITH_PASSWORD = "EncryptedPackage".encode("utf-16-le")  # a name in its directory
ODS = b"application/vnd.oasis.opendocument.spreadsheet"


def main() -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold PIN codes
    content = io.BytesIO(sys.stdin.buffer.read())
    try:
        if code := refusal(content):
            return code
        content.seek(0)
        write_rows(content, *sys.argv[1:])
    except MemoryError:
        return TOO_LARGE
    except BaseException:  # also a panic of the parser
        return DAMAGED
    return 0


def refusal(content: io.BytesIO) -> int:
    """Unpacks everything once, a little at a time, and counts: what a ZIP says may be a lie.

    A compound file is not packed: the bounds of this process are enough.
    """
    start = content.read(len(COMPOUND_FILE))
    if start == COMPOUND_FILE:
        return LOCKED if PACKAGE_WITH_PASSWORD in content.getvalue() else 0
    with zipfile.ZipFile(content) as archive:
        files = archive.infolist()
        names = {file.filename for file in files}
        is_workbook = "xl/workbook.xml" in names  # .xlsx
        if not is_workbook and {"mimetype", "content.xml"} <= names:  # perhaps .ods
            with archive.open("mimetype") as opened:
                is_workbook = opened.read(len(ODS) + 1).strip() == ODS
        if not is_workbook:
            return NOT_A_WORKBOOK
        if len(files) > MOST_FILES or sum(file.file_size for file in files) > LARGEST_UNPACKED:
            return TOO_LARGE
        left = LARGEST_UNPACKED
        for file in files:
            with archive.open(file) as opened:
                while some := opened.read(1 << 20):
                    left -= len(some)
                    if left < 0:
                        return TOO_LARGE
        if "content.xml" in archive.namelist():
            with archive.open("content.xml") as opened:
                Repeats().check(opened)
    return 0


class Repeats:
    """What a workbook of LibreOffice says about repeated rows, cells and spaces.

    Its reader makes each of them. It leaves out empty rows at the end of a sheet, and empty cells
    at the end of a row: LibreOffice writes these for columns that have a format.
    """

    def __init__(self) -> None:
        self.cells = 0  # of the sheets before
        self.begin_sheet()

    def begin_sheet(self) -> None:
        self.rows = self.width = 0  # up to the last one that is not empty
        self.empty_rows = 0
        self.begin_row(1)

    def begin_row(self, times: int) -> None:
        self.times = times
        self.row_width = self.empty_cells = 0

    def check(self, content: Any) -> None:
        """Raises MemoryError if the reader would make too many cells, ExpatError, ValueError."""
        parser = ParserCreate()
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.ParseFile(content)

    def start(self, name: str, attributes: dict[str, str]) -> None:
        match name.rpartition(":")[2]:
            case "table":
                self.begin_sheet()
            case "table-row":
                self.begin_row(number_in(attributes, "number-rows-repeated"))
            case "table-cell" | "covered-table-cell":
                self.empty_cells += number_in(attributes, "number-columns-repeated")
                if any(key.rpartition(":")[2] in HAS_CONTENT for key in attributes):
                    self.fill_cell()
            case "s" if number_in(attributes, "c") > LONGEST_CELL:
                raise MemoryError
            case "p":
                self.fill_cell()

    def fill_cell(self) -> None:
        """The cell under way is not empty, so the empty ones before it count."""
        self.row_width += self.empty_cells
        self.empty_cells = 0

    def end(self, name: str) -> None:
        local = name.rpartition(":")[2]
        if local == "table":
            self.cells += self.rows * self.width
        if local != "table-row":
            return
        if not self.row_width:
            self.empty_rows += self.times
            return
        self.rows += self.empty_rows + self.times
        self.empty_rows = 0
        self.width = max(self.width, self.row_width)
        if self.rows > MOST_ROWS or self.cells + self.rows * self.width > MOST_CELLS:
            raise MemoryError


# Attributes of a cell that is not empty.
HAS_CONTENT = {"value-type", "formula"}


def number_in(attributes: dict[str, str], name: str) -> int:
    """The attribute of any namespace; 1 without it. Raises ValueError."""
    found = (value for key, value in attributes.items() if key.rpartition(":")[2] == name)
    return int(next(found, 1))


def write_rows(content: io.BytesIO, how: str = "rather", *names: str) -> None:
    book = CalamineWorkbook.from_filelike(content)
    visible = [s.name for s in book.sheets_metadata if s.visible == SheetVisibleEnum.Visible]
    wanted = [name for name in names if name in visible]
    others = [] if how == "only" else [name for name in visible if name not in wanted]
    sheets = (book.get_sheet_by_name(name) for name in wanted + others)
    sheet = next((one for one in sheets if one.start is not None), None)
    height, name = (sheet.total_height, sheet.name) if sheet else (0, "")
    if sheet is not None and height * sheet.total_width > MOST_CELLS:
        raise MemoryError
    tell({"rows": height, "sheet": name, "sheets": visible})
    if sheet is not None:
        rows = enumerate(sheet.iter_rows(), 1)  # from A1 on, wherever the sheet begins
        for batch in batches(rows):
            tell(batch)
    tell(None)


def batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Puts rows together, so that no line of our output is large. Raises MemoryError.

    Any number of cells can refer to one shared text, so a small file can hold any amount of text.
    Our reader holds a whole line of this output in memory and stores all of it: cells are cut, and
    a row or a sheet that is too long ends the process.
    """
    batch: list[Row] = []
    size, left = 0, LARGEST_UNPACKED
    for number, cells in rows:
        cut = [cell[:LONGEST_CELL] if isinstance(cell, str) else cell for cell in cells]
        length = sum(len(cell) if isinstance(cell, str) else LENGTH_OF_NUMBER for cell in cut)
        left -= length
        if length > LONGEST_ROW or left < 0:
            raise MemoryError
        if batch and size + length > CHARACTERS_AT_ONCE:
            yield batch
            batch, size = [], 0
        batch.append((number, cut))
        size += length
    if batch:
        yield batch


def tell(what: Any) -> None:
    sys.stdout.write(json.dumps(what, default=as_json, ensure_ascii=True) + "\n")


def as_json(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return {"d": value.isoformat()}
    if isinstance(value, time | timedelta):
        return str(value)
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    sys.exit(main())
