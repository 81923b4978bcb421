"""Finds the PIN code of a line where it does not belong: in another cell, in the file's name."""

import re
from collections.abc import Iterable

from transfer.engine.kind import MASK
from transfer.loading.values import Cell, printable

# What surrounds the code in a cell that can't be read: a formula, quotes, spaces.
AROUND = re.compile(r"^\W+|\W+$")
# What programs add to a code that they take for a number.
FRACTION = re.compile(r"[.,]0+$")


def codes_in(cell: Cell, value: str | None) -> set[str]:
    """Return the forms in which another place may have the code of this cell.

    `value` is the cell as it is loaded; None where it can't be read.
    """
    if value is not None:
        return {value} - {""}
    core = AROUND.sub("", printable(str(cell if cell is not None else "")))
    return {core, FRACTION.sub("", core)} - {""}


def has_one(cell: Cell, codes: Iterable[str]) -> bool:
    """Return whether the cell is one of the codes, or contains one."""
    return any(code in str(cell) for code in codes)


def masked(text: str, codes: Iterable[str]) -> str:
    """Return the text with the mask in place of each code."""
    for code in sorted(codes, key=len, reverse=True):
        text = text.replace(code, MASK)
    return text
