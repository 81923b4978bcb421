"""Rows of a workbook, from the process that reads it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO

from transfer.errors import FileRefused, gettext_noop
from transfer.loading import spreadsheet
from transfer.loading.faults import DamagedWorkbook, NotATable, WorkbookTooLarge
from transfer.loading.values import Cell

Line = tuple[int, list[Cell]]
Sheets = tuple[str, ...]  # see `spreadsheet`
Progress = Callable[[int, int], None]  # how much of the file is read, and of how much


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
    with subprocess.Popen(  # noqa: S603 - our own script; names of sheets reach no shell
        [sys.executable, "-I", str(script), *sheets],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        try:
            _feed(content, child.stdin)  # it says nothing before it has read all
            complete = yield from _rows(child.stdout, progress, on_sheet)
        except BaseException:  # the caller wants no more rows
            child.kill()
            raise
    if not complete:
        raise refusal(child.returncode)


def refusal(code: int) -> FileRefused:
    """Why the child gave up; one that was killed had asked for too much."""
    if code == spreadsheet.NOT_A_WORKBOOK:
        return NotATable(what=gettext_noop("another kind of ZIP file"))
    if code == spreadsheet.LOCKED:
        return NotATable(what=gettext_noop("a workbook with a password"))
    return DamagedWorkbook() if code == spreadsheet.DAMAGED else WorkbookTooLarge()


def _feed(content: BinaryIO, pipe: Any) -> None:
    with suppress(OSError), pipe:  # it may have ended, and its exit code says why
        shutil.copyfileobj(content, pipe, 1 << 20)


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
