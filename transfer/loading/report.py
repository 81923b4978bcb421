"""What a preview says, as the history of loads keeps it. Secrets are masked: ••••."""

from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _

from transfer.causes.catalogue import CATALOGUE
from transfer.engine.kind import MASK
from transfer.loading.lines import Lines
from transfer.loading.loader import Loader, Totals
from transfer.models import Settings
from transfer.text import formats
from transfer.text.columns import heading


def report_of(loader: Loader, lines: Lines, totals: Totals) -> dict[str, Any]:
    sample = []
    for line, code, column, value, payload, reject in loader.sample():
        # As they were understood; a cell that could not be read, as it came.
        cells = [
            (value or MASK) if name == column else payload.get(name) or ""
            for name in loader.kind.names
        ]
        sample.append({"line": line, "fault": code or "", "cells": cells, "reject": reject or ""})
    return {
        "reasons": list(loader.reasons().items()),
        "corrections": totals.corrections,
        "added": None if totals.added is None else str(totals.added),
        "taken": None if totals.taken is None else str(totals.taken),
        "sample": sample,
        "warnings": [list(warning) for warning in _warnings(loader, lines, totals)],
    }


def _warnings(loader: Loader, lines: Lines, totals: Totals) -> Any:
    for column in loader.kind.columns:
        if column.name in lines.numbers_in:
            yield "numbers", {"column": column.name}
        if column.is_code and (short := loader.shorter(column.name)):
            count, usual, shortest = short
            yield (
                "zeros_lost",
                {"column": column.name, "n": count, "usual": usual, "shortest": shortest},
            )
    if repeated := loader.repeated():
        yield "repeated", {"n": repeated}
    limit = Settings.load().large_amount
    if loader.kind.appends and (large := loader.larger_than(limit)):
        yield "large_amounts", {"n": large, "limit": limit}
    if not loader.kind.appends and totals.good - repeated > totals.subjects:
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
    shown = {}
    for name, value in params.items():
        if name in ("stated", "found"):
            shown[name] = formats.amount(Decimal(value), signed=False)
        elif name == "column":
            shown[name] = heading(value)
        else:
            shown[name] = formats.number(value) if isinstance(value, int) else str(value)
    return _(CATALOGUE[code].sentence) % shown
