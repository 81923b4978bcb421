"""What kind of file it is, how it is written, and its rows as a stream."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, BinaryIO, Self

from transfer.causes.files import (
    BODY_IS_A_WORKBOOK,
    FILE_NOT_A_TABLE,
    FILE_WITHOUT_ROWS,
    LINE_TOO_LONG,
    QUOTE_NOT_CLOSED,
    TOO_MANY_COLUMNS,
    UTF16_WITHOUT_MARK,
)
from transfer.errors import FileRefused, TooManyColumns
from transfer.loading import json_rows, workbook
from transfer.loading.headings import Expected, is_known, recognised
from transfer.loading.pin_codes import codes_in, has_one
from transfer.loading.values import LONGEST_LINE, outlined, printable
from transfer.loading.workbook import Line, Progress, unseen
from transfer.parties import gettext_noop
from transfer.text.columns import titles

Opener = Callable[[], BinaryIO]

CSV = "csv"
DELIMITERS = ";,\t|"
MOST_COLUMNS = 256
HEADINGS_WITHIN = 20  # rows: above them a report has its title
SAMPLE = 1 << 16
SHOWN_ROWS = 5

# How other files begin, and what they are.
STRANGERS = (
    (b"MZ", gettext_noop("a program")),
    (b"\x7fELF", gettext_noop("a program")),
    (b"%PDF", gettext_noop("a PDF document")),
    (b"{\\rtf", gettext_noop("a text document")),
    (b"\x1f\x8b", gettext_noop("a packed file")),
    (b"Rar!", gettext_noop("a packed file")),
    (b"7z\xbc\xaf", gettext_noop("a packed file")),
    (b"\x89PNG", gettext_noop("a picture")),
    (b"\xff\xd8\xff", gettext_noop("a picture")),
)
MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<table")
RUSSIAN = re.compile("[а-яёА-ЯЁ]")
UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Layout:
    """How to read a file."""

    format: str  # "csv"; "xlsx": any workbook
    encoding: str = ""
    delimiter: str = ""
    header: int = 0  # the line of the headings; 0: there are none
    columns: dict[str, int] = field(default_factory=dict)  # column → place in the file
    headings: tuple[str, ...] = ()
    sample: tuple[tuple[str, ...], ...] = ()  # first cells under the headings, for a choice by hand
    sheet: str = ""  # of a workbook
    sheets: tuple[str, ...] = ()

    @property
    def ignored(self) -> list[str]:
        """Headings of the file that nothing is read from."""
        used = set(self.columns.values())
        return [name for place, name in enumerate(self.headings) if name and place not in used]


def detect(
    expected: Expected,
    opener: Opener,
    *,
    is_utf8: bool,
    chosen: dict[str, Any],
    known: Collection[str] = (),
) -> Layout:
    """How the file is written; `chosen` overrides what would be recognised.

    `known` are headings that may be shown though they have digits. Raises FileRefused.
    """
    if chosen.get("format") == json_rows.FORMAT:
        return Layout(json_rows.FORMAT, columns=json_rows.places(expected))
    with opener() as content:
        start = content.read(SAMPLE)
    if start.startswith(workbook.BEGINNINGS):
        if chosen.get("format") == CSV:
            raise FileRefused(BODY_IS_A_WORKBOOK)
        read = _workbook(expected, opener, chosen.get("sheet", ""))
        return with_columns(expected, *read, chosen, known)
    refuse_strangers(start)
    encoding = chosen.get("encoding") or encoding_of(start, is_utf8=is_utf8)
    if encoding == "utf-16" and not start.startswith(UTF16):
        raise FileRefused(UTF16_WITHOUT_MARK)
    delimiters, candidates = chosen.get("delimiter") or DELIMITERS, []
    for delimiter in delimiters:
        layout = Layout("csv", encoding, delimiter)
        rows = list(islice(csv_rows(io.BytesIO(start), layout, cut=True), 200))
        if len(start) == SAMPLE and len(rows) > 1:
            rows.pop()  # cut off in its midst
        with suppress(TooManyColumns):  # with another separator it may have fewer
            layout = with_columns(expected, layout, rows, chosen, known)
            # The more headings are recognised, the better; then the more rows have the same width.
            widths = Counter(len(cells) for _, cells in rows if any(cells))
            ((width, times),) = widths.most_common(1) or [(0, 0)]
            share = times / max(1, widths.total()) if width > 1 else 0.0
            candidates.append(((len(layout.columns), share, width), layout))
    best = max(candidates, key=lambda one: one[0], default=((), Layout("csv")))[1]
    if len(candidates) < len(delimiters) and not best.columns:
        raise TooManyColumns(TOO_MANY_COLUMNS, most=MOST_COLUMNS)
    return best


def _workbook(expected: Expected, opener: Opener, sheet: str) -> tuple[Layout, list[Line]]:
    """Which sheet is read, and its first rows: the one chosen, or one called like the transfer."""
    layouts: list[Layout] = []

    def on_sheet(name: str, names: list[str]) -> None:
        layouts.append(Layout("xlsx", sheet=name, sheets=tuple(names)))

    which = ("only", sheet) if sheet else ("rather", *titles(expected.title))
    with opener() as content:
        rows = workbook.rows(content, which, on_sheet=on_sheet)
        first = list(islice(rows, HEADINGS_WITHIN + SHOWN_ROWS))
    return layouts[0], first


def refuse_strangers(start: bytes) -> None:
    for beginning, what in STRANGERS:
        if start.startswith(beginning):
            raise FileRefused(FILE_NOT_A_TABLE, what=what)
    if start.lstrip()[:10].lower().startswith(MARKUP):
        raise FileRefused(FILE_NOT_A_TABLE, what=gettext_noop("a web page or XML"))
    if b"\x00" in start and not start.startswith(UTF16):
        # In UTF-16, separators, digits and spaces have a zero in the same byte.
        zeros = (start[::2].count(0), start[1::2].count(0))
        is_utf16 = min(zeros) == 0 and max(zeros) > len(start) // 10
        if is_utf16:
            raise FileRefused(UTF16_WITHOUT_MARK)
        raise FileRefused(FILE_NOT_A_TABLE, what=gettext_noop("a binary file"))


def encoding_of(start: bytes, *, is_utf8: bool) -> str:
    if start.startswith(UTF16):
        return "utf-16"
    text = start.decode(errors="replace")
    spoilt = text.count("\ufffd")
    letters = sum(not sign.isascii() for sign in text) - spoilt
    looks_like_utf8 = letters > spoilt  # though something in it is spoilt
    if is_utf8 or looks_like_utf8:
        return "utf-8-sig"

    # In the right encoding it has more letters of the Russian alphabet. Read as the other one,
    # hardly half of them stay letters: CP866 has frames where CP1251 has capitals, CP1251 has signs
    # where CP866 has capitals.
    def russian_letters(encoding: str) -> int:
        return len(RUSSIAN.findall(start.decode(encoding, errors="replace")))

    return max("cp1251", "cp866", key=russian_letters)


def with_columns(
    expected: Expected,
    layout: Layout,
    rows: list[Line],
    chosen: dict[str, Any],
    known: Collection[str] = (),
) -> Layout:
    """Finds the line of the headings, or takes the one chosen, and the columns in it."""
    filled = [(line, cells) for line, cells in rows if not all(map(is_blank, cells))]
    if not filled:
        raise FileRefused(FILE_WITHOUT_ROWS)
    if "header" in chosen:
        line, cells = next(((n, c) for n, c in filled if n == chosen["header"]), (0, []))
    else:
        line, cells = _headings(expected, filled[:HEADINGS_WITHIN])
    columns = chosen["columns"] if "columns" in chosen else recognised(expected, cells)
    below = [row for n, row in filled if n > line]
    width = max(map(_width, [cells, *below]))
    if width > MOST_COLUMNS:
        raise TooManyColumns(TOO_MANY_COLUMNS, most=MOST_COLUMNS)
    names = [_heading(cell, known) for cell in cells[:width]] + [""] * (width - len(cells))
    # A column without a known heading may hold PIN codes in any file.
    open_to_all = {columns[name] for name in columns if name not in expected.secrets}
    sample = tuple(
        _sample(row[:width], open_to_all, has_secrets=bool(expected.secrets))
        for row in below[:SHOWN_ROWS]
    )
    return replace(layout, header=line, columns=columns, headings=tuple(names), sample=sample)


def _sample(cells: list[Any], open_to_all: set[int], *, has_secrets: bool) -> tuple[str, ...]:
    """The cells of a row: the form alone of those in other columns.

    In a file with PIN codes, these may be the row's PIN code; so the form alone is shown of a cell
    that contains one of them, too.
    """
    codes: set[str] = set()
    if has_secrets:
        for place, cell in enumerate(cells):
            if place not in open_to_all:
                codes |= codes_in(cell, None)
    return tuple(
        shown(cell) if place in open_to_all and not has_one(cell, codes) else outlined(shown(cell))
        for place, cell in enumerate(cells)
    )


def _width(cells: list[Any]) -> int:
    """Counts the cells without empty ones at the end."""
    return next((place for place in range(len(cells), 0, -1) if not is_blank(cells[place - 1])), 0)


def _heading(cell: Any, known: Collection[str]) -> str:
    """The heading; its form alone where it may be a value, of a file without headings.

    That is one without a letter, and one with a digit that we don't know as a heading: "7391a" may
    be a PIN code.
    """
    text = shown(cell)
    has_digits = any(sign.isdigit() for sign in text)
    is_heading = any(sign.isalpha() for sign in text) and not has_digits
    return text if is_heading or is_known(text) or text in known else outlined(text)


def _headings(expected: Expected, filled: list[Line]) -> Line:
    """The line in which most headings are recognised; else the first, if it has no numbers."""
    best = max(filled, key=lambda row: (len(recognised(expected, row[1])), -row[0]))
    if recognised(expected, best[1]):
        return best
    has_numbers = any(any(sign.isdigit() for sign in shown(cell)) for cell in filled[0][1])
    return (0, []) if has_numbers else filled[0]


def is_blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def shown(cell: Any) -> str:
    return "" if cell is None else " ".join(printable(str(cell)).split())[:60]


def rows_of(content: BinaryIO, layout: Layout, progress: Progress = unseen) -> Iterator[Line]:
    """Yields number and cells of every row below the headings and above. Raises FileRefused."""
    if layout.format == "xlsx":
        return workbook.rows(content, ("only", layout.sheet), progress)
    if layout.format == json_rows.FORMAT:
        return json_rows.rows(content, layout.columns)
    return csv_rows(content, layout)


def csv_rows(content: BinaryIO, layout: Layout, *, cut: bool = False) -> Iterator[Line]:
    """Yields number and cells of each line; `cut`: only the beginning of the file is there.

    Raises QUOTE_NOT_CLOSED and LINE_TOO_LONG.
    """
    # What can't be decoded becomes U+FFFD, and a bad line. NUL ends nothing any more.
    text = io.TextIOWrapper(content, layout.encoding, errors="replace", newline="")
    bounded = BoundedLines(text)
    reader = csv.reader(bounded, delimiter=layout.delimiter, strict=False)
    line = 1
    try:
        for cells in reader:
            yield line, list(cells)
            line = reader.line_num + 1
            bounded.begin_record()
    except csv.Error as error:
        if not cut:
            raise FileRefused(QUOTE_NOT_CLOSED, line=line) from error
    except RecordTooLong:
        raise FileRefused(LINE_TOO_LONG, line=line) from None


class RecordTooLong(Exception):
    """The csv reader asked for more text than one record may have."""


class BoundedLines:
    """Lines of text for a csv reader, with a bound for each record.

    A file can be one line, and a record can have any number of lines inside its quotes: without
    the bound, both are read into memory whole. Raises RecordTooLong.
    """

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text = text
        self.begin_record()

    def begin_record(self) -> None:
        self.left = LONGEST_LINE

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        line = self.text.readline(self.left + 1)
        self.left -= len(line)
        if self.left < 0:
            raise RecordTooLong
        if not line:
            raise StopIteration
        return line
