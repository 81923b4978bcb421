"""The progress of a transfer: a bar on a terminal, plain lines elsewhere."""

import time

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext
from tqdm import tqdm

from transfer.models import TransferRun

SECONDS_BETWEEN_LINES = 1.0


class Progress:
    """Called with the run at its start and after each chunk."""

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
                unit=" " + gettext("rows"),
                leave=False,
                mininterval=0,  # every chunk is worth a look
            )
        # Rows that came since the start belong to the batch too.
        self.bar.total = max(run.expected, run.totals.read)
        self.bar.update(run.totals.read - self.bar.n)

    def _line(self, run: TransferRun) -> str:
        rate = run.totals.read / self.seconds
        return gettext("%(task)s: %(read)s of %(expected)s rows, %(rate)s rows/s") % {
            "task": self.title,
            "read": run.totals.read,
            "expected": max(run.expected, run.totals.read),
            "rate": round(rate),
        }

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
