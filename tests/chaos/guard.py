"""A guard of the design, and how it is taken out of a running product."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.scenarios import Scenario


@dataclass(frozen=True)
class Guard:
    name: str
    take_out: Callable[[], None]
    breaks: Scenario | None = None  # None: a transfer that breaks at one of its statements


def replace(owner: Any, name: str, instead: Any) -> None:
    setattr(owner, name, instead)


def nothing(*_: Any, **__: Any) -> None:
    """Replaces a check that raises."""
