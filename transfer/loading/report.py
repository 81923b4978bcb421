"""What a preview says, as the history of loads keeps it. Secrets are masked: ••••."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from transfer.engine.checks import Check
from transfer.engine.kind import MASK
from transfer.engine.kinds import CHECKS
from transfer.errors import gettext_noop
from transfer.loading.faults import LINE_FAULTS
from transfer.loading.lines import Lines
from transfer.loading.loader import Loader, Totals
from transfer.models import Settings
from transfer.text import formats
from transfer.text.columns import heading

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
    "below_zero": gettext_noop(
        "Accounts whose balance would go below zero on %(server)s: %(n)s, for example %(accounts)s."
    ),
    "balances_unknown": gettext_noop(
        "Whether balances would go below zero on %(server)s is not known: it did not answer."
    ),
    "balances_not_compared": gettext_noop(
        "Whether balances would go below zero was not checked: that is done for up to %(lines)s "
        "lines and %(servers)s servers."
    ),
    "large_amounts": gettext_noop(
        "Lines with a larger amount than usual (above %(limit)s): %(n)s. See whether they are "
        "right."
    ),
    "taken_back_and_lost": gettext_noop(
        "A load of the same rows was taken back, and shop All has lost both by a restore. This one "
        "counts as a new load: each bonus server gets its rows."
    ),
    "last_wins": gettext_noop("Some accounts or cards occur more than once: the last line wins."),
}
# Warned of before one loads, not merely mentioned.
HARMLESS = {"ignored", "totals_left_out", "last_wins", "balances_not_compared", "balances_unknown"}


def report_of(loader: Loader, lines: Lines, totals: Totals) -> dict[str, Any]:
    return {
        "reasons": list(loader.reasons().items()),
        "corrections": totals.corrections,
        "added": None if totals.added is None else str(totals.added),
        "taken": None if totals.taken is None else str(totals.taken),
        "sample": [
            {
                "line": line,
                "fault": code or "",
                "cells": _cells(loader, column, value, payload),
                "reject": reject or "",
            }
            for line, code, column, value, payload, reject in loader.sample()
        ],
        "warnings": [list(warning) for warning in _warnings(loader, lines, totals)],
    }


def _cells(
    loader: Loader, unread: str | None, value: str | None, payload: dict[str, str | None]
) -> list[str]:
    """Cells as they were understood; one that could not be read, as it came."""
    return [
        (value or MASK) if name == unread else payload.get(name) or "" for name in loader.kind.names
    ]


def _warnings(loader: Loader, lines: Lines, totals: Totals) -> Any:
    for column in loader.kind.columns:
        if column.name in lines.numbers_in:
            yield "numbers", {"column": column.name}
        if column.name in ("account", "card", "pincode") and (short := loader.shorter(column.name)):
            count, usual, shortest = short
            yield (
                "zeros_lost",
                {"column": column.name, "n": count, "usual": usual, "shortest": shortest},
            )
    if repeated := loader.repeated():
        yield "repeated", {"n": repeated}
    limit = Settings.load().large_amount
    if loader.kind.name == "balances" and (large := loader.larger_than(limit)):
        yield "large_amounts", {"n": large, "limit": limit}
    if loader.kind.name != "balances" and totals.good - repeated > totals.subjects:
        yield "last_wins", {}
    if loader.staged.corrections and totals.good > totals.corrections:
        yield "new_rows", {"n": totals.good - totals.corrections}
    if lines.layout.ignored:
        yield "ignored", {"columns": ", ".join(lines.layout.ignored)}
    if lines.totals_left_out:
        yield "totals_left_out", {"n": lines.totals_left_out}
    if lines.stated_total is not None and lines.stated_total != (totals.amount or 0):
        yield "total_differs", {"stated": str(lines.stated_total), "found": str(totals.amount or 0)}


def fault_named(code: str) -> Check:
    """The fault of a line: why it can't be read, or the check that its row fails."""
    return LINE_FAULTS.get(code) or CHECKS[code]


def warning(code: str, params: dict[str, Any]) -> str:
    """The sentence of a warning in the user's language."""
    return _(WARNINGS[code]) % {name: _shown(name, value) for name, value in params.items()}


def _shown(name: str, value: Any) -> str:
    if name in ("stated", "found"):
        return formats.amount(Decimal(value), signed=False)
    if name == "column":
        return heading(value)
    return formats.number(value) if isinstance(value, int) else str(value)
