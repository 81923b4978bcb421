"""Small limits, so that a few rows reach them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from transfer.engine import begin, question
from transfer.engine.move import fork, plan
from transfer.engine.shop_all import lifetime, log_writer, purge

LIMITS = [
    (log_writer, "LINES_OF_AN_APPEND", 3),
    (plan, "LINES", 6),
    (plan, "LINES_AT_FIRST", 2),
    (fork, "AT_ONCE", 2),
    (begin, "LINES", 2),
    (question, "AT_ONCE", 2),
    (purge, "ROWS_AT_ONCE", 4),
    (purge, "LINES_AT_ONCE", 2),
    (lifetime, "LINES_AT_ONCE", 2),
]


@contextmanager
def small_limits() -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in LIMITS:
            stack.enter_context(patch.object(module, name, value))
        yield
