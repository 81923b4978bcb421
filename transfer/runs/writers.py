"""Whether the writers of staging tables are kept to the rules, as the pages know it."""

from django.core.cache import cache

from transfer.engine.errors import GuardsOutdated
from transfer.engine.shop_all import guards
from transfer.errors import TransferError
from transfer.servers.ask import shop_all

KNOWN = "guards"  # in the cache
FRESH_SECONDS = 60


def guards_error(seconds: float) -> TransferError | None:
    """What is wrong with the guards of shop All; asked at most once a minute.

    None, too, where shop All does not answer within `seconds`: other lines say so.
    """
    known: list[TransferError] | None = cache.get(KNOWN)
    if known is None:
        known = _ask(seconds)
        cache.set(KNOWN, known, FRESH_SECONDS)
    return known[0] if known else None


def _ask(seconds: float) -> list[TransferError]:
    try:
        with shop_all(seconds) as source, source.snapshot():
            guards.check(source)
    except TransferError as error:
        return [error] if isinstance(error, GuardsOutdated) else []
    return []
