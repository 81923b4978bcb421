"""What several models share: a column of sums, what a name may hold, and which rows there are."""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.validators import RegexValidator
from django.db import connection, models
from django.db.models.sql import Query
from django.db.models.sql.constants import SINGLE
from django.utils.translation import gettext_lazy


class AmountField(models.DecimalField):
    """A sum of balance changes. Staged amounts have no bound before the checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 1000, "decimal_places": 2, **kwargs})

    def db_type(self, connection: Any) -> str:
        return "numeric"


# What the contract of the administration port calls a text.
printable = RegexValidator(
    r"\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]*\Z",
    gettext_lazy("Line breaks and control characters are not allowed."),
)

# Japanese is written with all of them.
OF_JAPANESE = {"CJK", "HIRAGANA", "KATAKANA"}


def alphabets(text: str) -> set[str]:
    """Return the alphabets of the letters in a text, such as {"LATIN", "CYRILLIC"}.

    Unicode's name of a letter begins with its alphabet.
    """
    named = {unicodedata.name(one, "").partition(" ")[0] for one in text if one.isalpha()}
    return {"JAPANESE" if name in OF_JAPANESE else name for name in named}


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
