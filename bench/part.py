"""One part, measured in a process of its own."""

import time
from dataclasses import dataclass
from importlib import import_module

from bench import machine
from bench.ground import Ground
from bench.report import Table
from bench.sizes import Sizes


@dataclass(frozen=True)
class Section:
    """What a part found, and under what circumstances."""

    head: str
    tables: list[Table]

    def text(self) -> str:
        return "\n\n".join([self.head, *(table.text() for table in self.tables)])

    def markdown(self) -> str:
        return "\n\n".join([self.head, *(table.markdown() for table in self.tables)])


def measured(name: str, ground: Ground, sizes: Sizes) -> Section:
    """`measure` of the module bench.NAME."""
    load, began = machine.load(), time.monotonic()
    tables = import_module(f"bench.{name}").measure(ground, sizes)
    head = (
        f"{machine.now()}, commit {machine.commit()}, {time.monotonic() - began:.0f} s, size "
        f"{sizes.factor:g}, {sizes.rounds} rounds, load average {load:.1f} before and "
        f"{machine.load():.1f} after. {machine.facts(ground.dsn)}."
    )
    return Section(head, tables)
