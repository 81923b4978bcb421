"""Which staging tables take no second row with the same values.

Rejected rows can't be corrected there, and changed rows not sent again. Pages say so instead of
offering it. If one tries all the same, the engine refuses.
"""

from collections.abc import Collection

from django.core.cache import cache

from transfer.causes.loads import ROWS_NOT_REPEATABLE
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.servers.ask import shop_all
from transfer.text.explain import Explanation, explain

KEY = "unrepeatable"
KEPT = 60  # seconds: such an index is made or dropped once in years
SECONDS = 2.0  # that shop All has to answer a page


def unrepeatable(kinds: Collection[str]) -> dict[str, Explanation]:
    """Return those of these kinds whose rows can't be staged again, each with the reason.

    Empty where shop All does not answer: the page is shown all the same.
    """
    if not kinds:
        return {}
    indexes: dict[str, str] | None = cache.get(KEY)
    if indexes is None:
        try:
            with (
                shop_all(SECONDS, secret=False) as source,
                source.database.transaction(commit=False),
            ):
                found = {
                    name: source.identity.unique_over_values(kind)
                    for name, kind in installed_kinds().items()
                }
        except TransferError:
            return {}
        # Kind → index that forbids a second row.
        indexes = {name: index for name, index in found.items() if index is not None}
        cache.set(KEY, indexes, KEPT)
    reasons = {}
    for kind, index in indexes.items():
        if kind in kinds:
            table = installed_kinds()[kind].quoted_staging
            cause = TransferError(ROWS_NOT_REPEATABLE, table=table, index=index)
            reasons[kind] = explain(cause)
    return reasons
