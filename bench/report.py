"""Tables of what was measured, as a terminal and as Markdown show them."""

from dataclasses import dataclass, field
from typing import Any

from tabulate import tabulate


@dataclass
class Table:
    """`rows` are lists of cells under `columns`; None is a cell where nothing was measured."""

    title: str
    columns: list[str]
    rows: list[list[Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def text(self) -> str:
        return "\n\n".join([self.title, self._drawn("simple"), *self.notes])

    def markdown(self) -> str:
        return "\n\n".join([f"### {self.title}", self._drawn("github"), *self.notes])

    def _drawn(self, form: str) -> str:
        cells = [[shown(cell) for cell in row] for row in self.rows]
        sides = ("left", *["right"] * (len(self.columns) - 1))
        return tabulate(
            cells, headers=self.columns, tablefmt=form, colalign=sides[: len(self.columns)],
            disable_numparse=True,
        )  # fmt: skip


def shown(cell: Any) -> str:
    """A cell as text; of a fraction three digits that count."""
    if cell is None:
        return "–"
    if isinstance(cell, int):
        return f"{cell:,}"
    if not isinstance(cell, float):
        return str(cell)
    places = 0 if abs(cell) >= 100 else 1 if abs(cell) >= 10 else 2 if abs(cell) >= 0.1 else 4
    return f"{cell:,.{places}f}"
