"""Log lines: each names its request, and the run, task and server that it is about.

As text, or as JSON (LOG_FORMAT). The text of an error is left out: a database quotes rows in it,
and a row may hold a PIN code.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from traceback import format_tb
from typing import Any

from django.db.utils import OperationalError
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from transfer.errors import TransferError

# These quote no row: one has our own sentences, the other is about connections.
QUOTABLE = (TransferError, OperationalError)
OF_WORK = ("transfer.models.run_base", "transfer.engine.events")
"""The loggers that say what runs do: as text they are silent, but in services."""

_about: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039 - never changed


@contextmanager
def about(**names: Any) -> Iterator[None]:
    """Adds these names, such as `run=12`, to each log line of the block."""
    token = _about.set({**_about.get(), **names})
    try:
        yield
    finally:
        _about.reset(token)


def tell_of_work() -> None:
    """Let this process, a service, say what its runs do, as text too.

    A command that cron calls does not: cron mails what it writes.
    """
    for name in OF_WORK:
        logging.getLogger(name).setLevel(logging.INFO)


class About(logging.Filter):
    """Gives a record the names of the blocks that it was made in."""

    def filter(self, record: logging.LogRecord) -> bool:
        names = _about.get()
        vars(record).update(names)
        record.about = "".join(f" {name}={value}" for name, value in names.items())
        return True


# The address of a page that opens without a log-in, to whoever knows it: pages/overview/link.py.
LINK = re.compile(r"(/take/)[\w.=%-]+")


class WithoutLinks(logging.Filter):
    """Leaves the secret of a message's link out of a line that quotes the address of a request."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        without = LINK.sub(r"\1…", said)
        if without != said:
            record.msg, record.args = without, ()
        return True


class _Stack(logging.Formatter):
    def formatException(self, ei: Any) -> str:
        kind, error, traceback = ei
        text = f": {error}" if isinstance(error, QUOTABLE) else ""
        # While our own database is away, every request would leave a page of the same calls.
        is_away = isinstance(error, OperationalError) and not getattr(
            error.__cause__, "pgcode", None
        )
        stack = "" if is_away else "".join(format_tb(traceback))
        return f"{stack}{kind.__name__}{text}".rstrip()


class Text(_Stack):
    """Formats lines for a terminal, and for cron's mail."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(about)s")


class Json(_Stack, JsonFormatter):
    """An object a line, for machines."""

    def __init__(self) -> None:
        JsonFormatter.__init__(
            self,
            ["levelname", "name", "message"],
            style=",",
            rename_fields={"levelname": "level", "name": "logger", "exc_info": "error"},
            reserved_attrs=[*RESERVED_ATTRS, "about", "request"],
            timestamp="at",
        )
