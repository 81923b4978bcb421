"""Pages of lists: each begins after the last item of another, so that a long list costs no more."""

from typing import Annotated, Any

from django.db.models import QuerySet
from ninja import Query

LARGEST = 500
LARGEST_NUMBER = 2**63 - 1  # of a row

After = Annotated[
    int | None, Query(None, ge=0, le=LARGEST_NUMBER, description="`next` of the page before.")
]
Limit = Annotated[int, Query(100, ge=1, le=LARGEST, description="Items on a page, at most.")]
All = Annotated[int, Query(LARGEST, ge=1, le=LARGEST, description="Items, at most.")]


def page(rows: QuerySet[Any], after: int | None, limit: int, *, latest_first: bool = False) -> Any:
    """The items after the one with that number, and `next`: the number to go on after, or None."""
    order, beyond = ("-pk", "pk__lt") if latest_first else ("pk", "pk__gt")
    if after is not None:
        rows = rows.filter(**{beyond: after})
    items = list(rows.order_by(order)[: limit + 1])
    more = len(items) > limit
    items = items[:limit]
    return {"items": items, "next": items[-1].pk if more else None}
