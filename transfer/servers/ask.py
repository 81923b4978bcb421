"""Asks several servers at once, for some seconds at most, even if some of them hang or fail."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from typing import TypeVar

from django.conf import settings

from transfer.causes.connections import TOO_SLOW
from transfer.causes.runs import UNEXPECTED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.postgres.pool import pooled
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TooSlow, TransferError
from transfer.models import BonusServer
from transfer.parties import database_of

logger = logging.getLogger(__name__)

AT_ONCE = 32
# Of the time allowed: a statement that is stopped after it still answers that it was.
SHARE = 7 / 8

Subject = TypeVar("Subject")
Answer = TypeVar("Answer")


def shop_all(seconds: float, *, secret: bool) -> AbstractContextManager[ShopAll]:
    """Shop All for a page, which waits: by a connection of the pool."""
    dsn = settings.SHOP_ALL_DATABASE_URL
    return pooled(ShopAll(dsn, "page", secret=secret, seconds=seconds))


def bonus_db(
    server: BonusServer, seconds: float, *, secret: bool
) -> AbstractContextManager[BonusDatabase]:
    """The server's database for a page, likewise."""
    return pooled(BonusDatabase(server.dsn, server.name, "page", secret=secret, seconds=seconds))


def too_slow(subject: object, seconds: float) -> TransferError:
    return TooSlow(TOO_SLOW, party=database_of(str(subject)), reason=f"> {seconds:g} s")


def ask_all(
    subjects: Iterable[Subject],
    question: Callable[[Subject, float], Answer],
    seconds: float,
    late: Callable[[Subject, float], TransferError] = too_slow,
) -> Iterator[tuple[Subject, Answer | TransferError]]:
    """Yields each subject with its answer, once that is there. Never raises, ends after `seconds`.

    `question` gets a subject and the seconds that it may take. It runs in a thread, and so must
    not query Django's database. An error that it raises is the answer; `late` makes that of a
    subject which has not answered in time.
    """
    pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="ask")
    within = SHARE * seconds
    futures = {pool.submit(_answered, question, one, within): one for one in subjects}
    try:
        for future in as_completed(list(futures), timeout=seconds):
            yield futures.pop(future), future.result()
    except TimeoutError:
        for subject in futures.values():
            yield subject, late(subject, seconds)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _answered(
    question: Callable[[Subject, float], Answer], subject: Subject, seconds: float
) -> Answer | TransferError:
    try:
        return question(subject, seconds)
    except TransferError as error:
        return error
    except Exception as error:
        logger.exception("asking %s", subject)
        return TransferError(UNEXPECTED, type(error).__name__)
