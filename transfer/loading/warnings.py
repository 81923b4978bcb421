"""What a preview warns of, in words."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from transfer.errors import gettext_noop
from transfer.words import formats
from transfer.words.columns import heading

WARNINGS = {
    "zeros_lost": gettext_noop(
        "“%(column)s” has shorter numbers than usual, of %(shortest)s digits instead of "
        "%(usual)s. Lines: %(n)s. Has Excel taken leading zeros away?"
    ),
    "numbers": gettext_noop(
        "“%(column)s” is formatted as a number in the workbook: Excel takes leading zeros away "
        "there. Format the column as text."
    ),
    "repeated": gettext_noop(
        "Lines that say exactly the same as another line of the file: %(n)s. They are loaded as "
        "well."
    ),
    "new_rows": gettext_noop(
        "Lines that name no rejected row: %(n)s. They are loaded as new rows, and close none."
    ),
    "ignored": gettext_noop("Columns that are not loaded: %(columns)s."),
    "totals_left_out": gettext_noop("Lines with totals that are left out: %(n)s."),
    "total_differs": gettext_noop(
        "The total in the file is %(stated)s, but its lines that can be loaded add up to %(found)s."
    ),
    "last_wins": gettext_noop("Some accounts or cards occur more than once: the last line wins."),
}
# Warned of before one loads, not merely mentioned.
HARMLESS = {"ignored", "totals_left_out", "last_wins"}


def explain_warning(code: str, params: dict[str, Any]) -> str:
    return _(WARNINGS[code]) % {name: _shown(name, value) for name, value in params.items()}


def _shown(name: str, value: Any) -> str:
    if name in ("stated", "found"):
        return formats.amount(Decimal(value), signed=False)
    if name == "column":
        return heading(value)
    return formats.number(value) if isinstance(value, int) else str(value)
