"""What a history of the machine of time consists of, beside what stands in its databases."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any


class Violated(AssertionError):
    """The promise is broken."""


@dataclass
class Copy:
    """A moment that a database can be put back to."""

    place: Path
    moment: int  # which of the moments of its database it is
    branch: int  # of shop All's histories, the one that the bonus server's position is of
    truth: tuple[str, int] | None = None  # as Happened has it


@dataclass
class Backup:
    """The vendor's own copy of his tables: what was in them, and how far that goes."""

    rows: list[tuple[Any, ...]]
    batch: tuple[str, int] | None  # reader and number of the last in it; None: nothing has arrived
    branch: int  # as a copy has it


@dataclass
class Happened:
    """What the tests know of the history, beside what the databases say."""

    steps: list[str] = field(default_factory=list)
    ever: set[str] = field(default_factory=set)  # rows that were ever committed
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    dumps: list[Copy] = field(default_factory=list)
    backup: Backup | None = None
    branches: list[str] = field(default_factory=list)  # when each history of shop All began
    position_branch: int = 0
    standby: str | None = None  # the database that a replica stands in for
    refused: str = ""  # the code of a refusal that nobody has settled yet
    refusals: Counter[str] = field(default_factory=Counter)
    mirrored: set[str] = field(default_factory=set)  # rejects that only our own database has
    prepared: set[str] = field(default_factory=set)  # rows whose transaction was prepared
    forgone: int = 0  # rows at most that an administrator has said may be missing
    # Up to which batch the data of a bonus server go that has no position.
    truth: tuple[str, int] | None = None
    went_back: bool = False  # whether anything but a crash has happened to shop All or the server
    violated: bool = False

    def counts(self) -> Counter[str]:
        """How often what was done, and what was refused."""
        acts = Counter(each.split("(")[0] for each in self.steps if not each.startswith(" "))
        return acts + self.refusals


def step(act: Callable[..., Any]) -> Callable[..., Any]:
    """A step of the history, after which the promise is checked."""

    @wraps(act)
    def taken(self: Any, *arguments: Any, **options: Any) -> Any:
        told = [*map(repr, arguments), *(f"{name}={value!r}" for name, value in options.items())]
        self.now.steps.append(f"{act.__name__}({', '.join(told)})")
        done = act(self, *arguments, **options)
        self.check()
        return done

    return taken
