"""Sums of balance changes in our own database."""

from typing import Any

from django.db import models


class AmountField(models.DecimalField):
    """A sum of balance changes. Staged amounts have no bound before the checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{"max_digits": 1000, "decimal_places": 2, **kwargs})

    def db_type(self, connection: Any) -> str:
        return "numeric"
