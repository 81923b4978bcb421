"""The sums of "By hand": by person and key, by account, and accounts that one person repeats."""

from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum

from transfer.models import Entry

LISTED = 20
TIMES = (3, 5, 10, 20)
"""How often the same person may credit the same account before the page lists it."""

UP, DOWN = Q(amount__gt=0), Q(amount__lt=0)
SUMS: dict[str, Any] = {
    "rows": Count("pk"),
    "up": Sum("amount", filter=UP, default=Decimal(0)),
    "down": Sum("amount", filter=DOWN, default=Decimal(0)),
}


def by_person(rows: QuerySet[Any], *, whole: bool) -> list[dict[str, Any]]:
    """Return the sums of each person or key and way, the largest credits first.

    `whole`: of all rows of the entries that these rows are of, also of those that are not kept.
    """
    sums: QuerySet[Any, Any]
    if whole:
        entries = Entry.objects.filter(pk__in=rows.order_by().values("entry"))
        grouped: QuerySet[Any, Any] = entries.order_by().values(
            entry__who=F("who"), entry__way=F("way")
        )
        sums = grouped.annotate(
            rows=Sum("rows"),
            up=Sum((F("total") + F("amount")) / 2),
            down=Sum((F("amount") - F("total")) / 2),
        )
    else:
        sums = rows.order_by().values("entry__who", "entry__way").annotate(**SUMS)
    return [*sums.order_by("-up", "entry__who")[:LISTED]]


def by_account(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """Return the sums of the accounts with the largest credits."""
    grouped = rows.order_by().values("account").annotate(**SUMS)
    return [*grouped.filter(up__gt=0).order_by("-up", "account")[:LISTED]]


def repeated(rows: QuerySet[Any], times: int) -> list[dict[str, Any]]:
    """Return the accounts that the same person has credited more than `times` times."""
    credits = rows.filter(UP).order_by().values("entry__who", "account").annotate(**SUMS)
    return [*credits.filter(rows__gt=times).order_by("-rows", "account")[:LISTED]]
