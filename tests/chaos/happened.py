"""The state of a scenario of the machine of time beside its databases."""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any


class Violated(AssertionError):
    """The promise is broken."""


@dataclass
class Facts:
    """What the tests know of a flow: of one kind of rows to one bonus server."""

    branch: int = 0  # of shop All's histories, the one that the position is of
    # Up to which batch (reader, number) the data of a server go that has no position.
    truth: tuple[str, int] | None = None
    is_new: bool = False  # the server was docked with tables of another, and without a position
    refused: str = ""  # the code of a refusal that is not settled yet
    mirrored: set[str] = field(default_factory=set)  # rejects that only our own database has
    lost_rejects: set[str] = field(default_factory=set)  # we had not copied them
    forgone: int = 0  # rows at most that an administrator has said may be missing
    given_up: set[str] = field(default_factory=set)  # purged rows that he has said are missing
    is_placed: bool = False  # whether an administrator has said how far it has received rows

    @property
    def is_incomplete(self) -> bool:
        """Whether rows or rejects are missing at the server, as an administrator knows."""
        return bool(self.forgone or self.lost_rejects)


@dataclass
class Copy:
    """A moment that a database can be put back to."""

    place: Path
    moment: int  # which of the moments of its database it is
    facts: dict[str, Facts] = field(default_factory=dict)  # of a bonus server: by kind


@dataclass
class Backup:
    """The vendor's own copy of his tables: what was in them, and how far that goes, by kind."""

    server: str
    rows: dict[str, list[tuple[Any, ...]]]
    facts: dict[str, Facts]


@dataclass
class Happened:
    """What the tests know of the history, beside what the databases say."""

    steps: list[str] = field(default_factory=list)
    flows: dict[tuple[str, str], Facts] = field(default_factory=dict)  # by server and kind
    docked: set[str] = field(default_factory=set)
    cut_off: set[str] = field(default_factory=set)  # servers that the product can't reach
    ever: set[str] = field(default_factory=set)  # rows that were ever committed
    copies: dict[str, list[Copy]] = field(default_factory=dict)
    dumps: list[Copy] = field(default_factory=list)
    backup: Backup | None = None
    branches: list[str] = field(default_factory=list)  # when each history of shop All began
    rebased: int = 0  # how many there were at the last rebase
    standby: str | None = None  # the database that a replica replaces
    refusals: Counter[str] = field(default_factory=Counter)
    replaced: dict[str, str] = field(default_factory=dict)  # rows sent again, and what they replace
    corrected: dict[tuple[str, str], str] = field(default_factory=dict)  # (kind, row) → the latest
    # row that was sent in place of it
    # By kind and row: the values that a row had which was changed.
    values: defaultdict[str, dict[str, set[Any]]] = field(default_factory=lambda: defaultdict(dict))
    sent_again: Counter[str] = field(default_factory=Counter)  # changed rows, how often
    withdrawn: set[str] = field(default_factory=set)  # rows that an undo has removed
    # Those that may count as moved if they are back with a restore: PIN codes and cards, and what
    # our own database does not remember (see docs/EXACTLY-ONCE.md, section 11).
    forgotten: set[str] = field(default_factory=set)
    prepared: set[str] = field(default_factory=set)  # rows whose transaction was prepared
    went_back: bool = False  # whether anything but a crash has happened to shop All or a server
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
        flow = f" of {self.kind} to {self.server}" if len(self.now.flows) > 1 else ""
        self.now.steps.append(f"{act.__name__}({', '.join(told)}){flow}")
        done = act(self, *arguments, **options)
        self.check()
        return done

    return taken
