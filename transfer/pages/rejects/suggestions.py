"""Corrections of rejected rows that need no input, as pages suggest them.

They are computed from what a bonus server has recorded of the row, which it may forge. So a page
sends the repair's name, never the suggested value: shop All corrects its own row.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from transfer.engine.checks import UNPRINTABLE, Repair
from transfer.engine.kind import Kind
from transfer.loading.values import number
from transfer.text import formats

UNSEEN = re.compile(UNPRINTABLE.replace("[:space:]", r"\s").replace("[:cntrl:]", r"\x00-\x1f\x7f"))
KOPECK = Decimal("0.01")
LONG = Context(prec=200)  # `number` reads at most 100 characters


class Words(NamedTuple):
    """The names of a repair on pages: its heading, its button, and its suggestion in the grid.

    Of many rows: the button, the question, and what it means.
    """

    title: str | Promise
    button: str | Promise
    in_grid: str | Promise
    all: str | Promise
    question: str | Promise
    meaning: str | Promise


WORDS = {
    Repair.SPACES: Words(
        gettext_lazy("Correct without the spaces"),
        gettext_lazy("Remove the spaces and send"),
        gettext_lazy("Remove the spaces: was “%(old)s”, becomes %(new)s"),
        gettext_lazy("Remove the spaces from all %(n)s and send…"),
        gettext_lazy("Remove the spaces from %(rows)s and send them again?"),
        gettext_lazy("Spaces and control characters are removed from accounts and cards."),
    ),
    Repair.KOPECKS: Words(
        gettext_lazy("Round to kopecks"),
        gettext_lazy("Round and send"),
        gettext_lazy("Round to kopecks: was %(old)s, becomes %(new)s"),
        gettext_lazy("Round all %(n)s and send…"),
        gettext_lazy("Round %(rows)s to kopecks and send them again?"),
        gettext_lazy("Each amount is rounded to two decimals, and half a kopeck away from zero."),
    ),
}


def repair_named(text: str | None) -> Repair | None:
    """The repair that a request names; None if it names none."""
    with suppress(ValueError):
        return Repair(text or "")
    return None


def suggestion(kind: Kind, code: str, shown: Mapping[str, str | None]) -> dict[str, str]:
    """The values that the repair of a failed check would change, corrected; {} if none.

    `shown` are the values of the row as a bonus server has recorded them, or as a page shows them.
    """
    check = kind.check(code)
    if check is None or check.repair is None:
        return {}
    given = {name: shown.get(name) or "" for name in kind.columns_of(code)}
    repaired = {name: _repaired(check.repair, text) for name, text in given.items()}
    return {name: text for name, text in repaired.items() if text and text != given[name]}


def _repaired(repair: Repair, text: str) -> str:
    """The text after the repair; "" if nothing would be left of it."""
    if repair == Repair.SPACES:
        return UNSEEN.sub("", text)
    amount = Decimal(number(text).value or 0).quantize(KOPECK, ROUND_HALF_UP, LONG)
    return formats.typed_amount(f"{amount:f}") if amount else ""


def words_of(kind: Kind, code: str) -> Words | None:
    """The words of the repair of a failed check; None if it has none."""
    repair = kind.repair_of(code)
    return WORDS[repair] if repair else None
