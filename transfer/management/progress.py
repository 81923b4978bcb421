"""Progress on a terminal as a bar."""

import time
from typing import Self

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _
from tqdm import tqdm

from transfer.models import TransferRun

SECONDS_BETWEEN_LINES = 1.0


class Progress:
    """Shows a transfer, called with the run at its start and after each chunk: a bar, or lines."""

    def __init__(self, out: OutputWrapper, title: str, *, quiet: bool) -> None:
        self.out = out
        self.title = title
        self.started = self.last_line = time.monotonic()
        self.bar: tqdm | None = None
        self.is_terminal = out.isatty()
        self.quiet = quiet and not self.is_terminal

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def __call__(self, run: TransferRun) -> None:
        if self.quiet:
            return
        if self.is_terminal:
            self._draw(run)
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            self.out.write(self._line(run))

    def _draw(self, run: TransferRun) -> None:
        if self.bar is None:
            self.bar = tqdm(
                desc=self.title,
                total=run.expected,
                unit=" " + _("rows"),
                leave=False,
                mininterval=0,  # every chunk is worth a look
            )
        # Rows that came since the start belong to the batch too.
        self.bar.total = max(run.expected, run.totals.read)
        self.bar.update(run.totals.read - self.bar.n)

    def _line(self, run: TransferRun) -> str:
        rate = run.totals.read / self.seconds
        return _("%(task)s: %(read)s of %(expected)s rows, %(rate)s rows/s") % {
            "task": self.title,
            "read": run.totals.read,
            "expected": max(run.expected, run.totals.read),
            "rate": round(rate),
        }

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class FileProgress:
    """Shows how much of a file is read: a bar on a terminal, elsewhere nothing."""

    def __init__(self, out: OutputWrapper, title: str) -> None:
        self.bar = tqdm(
            desc=title,
            bar_format="{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]",
            leave=False,
            mininterval=0,
            disable=not out.isatty(),
        )

    def __call__(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
