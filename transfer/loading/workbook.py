"""Rows of a workbook, from the process that reads it."""

import io
import json
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from transfer.causes.files import (
    FILE_NOT_A_TABLE,
    WORKBOOK_DAMAGED,
    WORKBOOK_TOO_LARGE,
    WORKBOOKS_BUSY,
)
from transfer.errors import AlreadyRunning, FileRefused, WorkbooksBusy
from transfer.loading import spreadsheet
from transfer.loading.values import Cell
from transfer.parties import gettext_noop
from transfer.queue.locks import Space, lock

Line = tuple[int, list[Cell]]
Sheets = tuple[str, ...]  # see `spreadsheet`
Progress = Callable[[int, int], None]  # how much of the file is read, and of how much
MOST_READERS = 2  # at the same time, of the whole installation: each may take 3 GB


# A ZIP file holds .xlsx and .ods, Microsoft's compound file .xls.
BEGINNINGS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def is_small(content: bytes, most: int) -> bool:
    """Whether a workbook unpacks to so many bytes at most; what a ZIP says of itself may be a lie.

    A compound file is not packed. A damaged one is small: its reader says what is wrong.
    """
    left = most - len(content)
    damaged = (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, EOFError)
    with suppress(*damaged), zipfile.ZipFile(io.BytesIO(content)) as archive:
        for file in archive.infolist():
            with archive.open(file) as opened:
                left -= len(opened.read(left + 1))
            if left < 0:
                return False
    return left >= 0


@contextmanager
def place() -> Iterator[None]:
    """One of the few places for readers, for the time of the block. Raises WorkbooksBusy."""
    with ExitStack() as held:
        for number in range(MOST_READERS):
            with suppress(AlreadyRunning):
                held.enter_context(lock(Space.WORKBOOK, number))
                break
        else:
            raise WorkbooksBusy(WORKBOOKS_BUSY)
        yield


def unseen(done: int, total: int) -> None:
    """Shows the progress to nobody."""


def rows(
    content: BinaryIO,
    sheets: Sheets,
    progress: Progress = unseen,
    on_sheet: Callable[[str, list[str]], None] = lambda sheet, sheets: None,
) -> Iterator[Line]:
    """Yields number and cells of each row. Raises FileRefused, also in the midst of it.

    `on_sheet` is called, before the first row, which sheet is read, and which there are.
    """
    script = Path(spreadsheet.__file__)
    with (
        place(),
        subprocess.Popen(  # noqa: S603 - our own script; names of sheets reach no shell
            [sys.executable, "-I", str(script), *sheets],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as child,
    ):
        try:
            pipe: Any = child.stdin
            # The child says nothing before it has read all. It may have ended, and its exit code
            # says why.
            with suppress(OSError), pipe:
                shutil.copyfileobj(content, pipe, 1 << 20)
            complete = yield from _rows(child.stdout, progress, on_sheet)
        except BaseException:  # the caller wants no more rows
            child.kill()
            raise
    if not complete:
        raise refusal(child.returncode)


def refusal(code: int) -> FileRefused:
    """Why the child gave up; one that was killed had asked for too much."""
    if code == spreadsheet.NOT_A_WORKBOOK:
        return FileRefused(FILE_NOT_A_TABLE, what=gettext_noop("another kind of ZIP file"))
    if code == spreadsheet.LOCKED:
        return FileRefused(FILE_NOT_A_TABLE, what=gettext_noop("a workbook with a password"))
    return (
        FileRefused(WORKBOOK_DAMAGED)
        if code == spreadsheet.DAMAGED
        else FileRefused(WORKBOOK_TOO_LARGE)
    )


def _rows(lines: Any, progress: Progress, on_sheet: Any) -> Any:
    """Yields the rows; returns whether the child came to the end."""
    first = lines.readline()
    if not first.endswith(b"\n"):
        return False
    about = json.loads(first)
    on_sheet(about["sheet"], about["sheets"])
    for line in lines:
        if not line.endswith(b"\n"):
            return False
        batch = json.loads(line, object_hook=_moment)
        if batch is None:
            return True
        yield from map(tuple, batch)
        progress(batch[-1][0], about["rows"])
    return False


def _moment(value: dict[str, str]) -> date | datetime:
    text = value["d"]
    return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
