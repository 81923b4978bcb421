"""Whether there are rows of many kinds: one query for all of them."""

from collections.abc import Iterable, Mapping

from django.db import connection
from django.db.models.sql import Query
from django.db.models.sql.constants import SINGLE

# Name → conditions: each is `Exists(queryset)` or `~Exists(queryset)`.
Conditions = Mapping[str, Iterable[object]]


def names_that_hold(conditions: Conditions) -> set[str]:
    """Return the names of which at least one condition is true. One query."""
    names = [name for name, listed in conditions.items() for _one in listed]
    query = Query(None)
    for number, condition in enumerate(one for listed in conditions.values() for one in listed):
        query.add_annotation(condition, f"holds_{number}")
    row = query.get_compiler(connection=connection).execute_sql(SINGLE)
    return {name for name, holds in zip(names, row, strict=True) if holds}
