"""Progress on a terminal as a bar."""

import time
from typing import Any, Self

from django.core.management.base import OutputWrapper
from django.utils.translation import gettext as _
from tqdm import tqdm

from transfer.models import TransferRun

SECONDS_BETWEEN_LINES = 1.0
SHARE_AND_TIME_LEFT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


class Bar:
    """A bar on a terminal, elsewhere nothing."""

    def __init__(self, out: OutputWrapper, title: str, **look: Any) -> None:
        self.is_terminal = out.isatty()
        self.bar = tqdm(
            desc=title,
            leave=False,
            mininterval=0,  # every step is worth a look
            delay=1e-9,  # but none before the first
            disable=not self.is_terminal,
            **look,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()

    def show(self, done: int, total: int) -> None:
        self.bar.total = total
        self.bar.update(done - self.bar.n)


class Progress(Bar):
    """Shows a transfer, called with the run at its start and after each chunk: a bar, or lines."""

    def __init__(self, out: OutputWrapper, title: str, *, quiet: bool) -> None:
        super().__init__(out, title, unit=" " + _("rows"))
        self.out, self.title, self.quiet = out, title, quiet
        self.started = self.last_line = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def __call__(self, run: TransferRun) -> None:
        read = run.totals.read
        expected = max(run.expected, read)  # rows that came since the start belong to it too
        if self.is_terminal:
            self.show(read, expected)
        elif not self.quiet and time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            line = _("%(task)s: %(read)s of %(expected)s rows, %(rate)s rows/s")
            rate = round(read / self.seconds)
            self.out.write(
                line % {"task": self.title, "read": read, "expected": expected, "rate": rate}
            )
