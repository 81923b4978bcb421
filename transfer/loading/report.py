"""What a preview says, as the history of loads keeps it. Secrets are masked: ••••."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from transfer.causes import CATALOGUE
from transfer.engine.kind import MASK
from transfer.loading.lines import Lines
from transfer.loading.loader import Loader, Totals
from transfer.models import Settings
from transfer.text import formats
from transfer.text.columns import heading


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


def warning(code: str, params: dict[str, Any]) -> str:
    """The sentence of a warning in the user's language."""
    return _(CATALOGUE[code].sentence) % {
        name: _shown(name, value) for name, value in params.items()
    }


def _shown(name: str, value: Any) -> str:
    if name in ("stated", "found"):
        return formats.amount(Decimal(value), signed=False)
    if name == "column":
        return heading(value)
    return formats.number(value) if isinstance(value, int) else str(value)
