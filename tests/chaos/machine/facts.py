"""What was staged, as the tests know it: the databases are compared with this and nothing else."""

from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, int]  # changeset and row


class Wrong(AssertionError):
    """A row was lost or doubled, or something else is not as promised."""


@dataclass
class Fact:
    """A row as it was staged.

    `payload` is used once: the comment of a balance change; a PIN code. `values` are the amounts
    that the row had, or its PIN codes, the latest one last. `of` is the row that it corrects, sets
    or takes back, and `root` the row at the end of that chain, itself if it depends on none.
    `family` is the number that the accounts of a balance change and of all that depends on it have.
    """

    kind: str
    key: Key
    account: str
    payload: str
    values: list[Any]
    effect: str = ""  # replaces | reverses | sets
    of: Key | None = None
    root: Key | None = None
    family: int = 0


@dataclass
class Changeset:
    name: str
    keys: list[Key] = field(default_factory=list)
    committed: bool = False


@dataclass
class Facts:
    """Everything of one kind that was ever staged in a history, on whichever branch.

    `undone`: loads that were ever taken back; `undos`: undo → load. `deleted`: rows that somebody
    has deleted by hand.
    """

    kind: str

    rows: dict[Key, Fact] = field(default_factory=dict)
    changesets: dict[str, Changeset] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    undos: dict[str, str] = field(default_factory=dict)
    discarded: set[Key] = field(default_factory=set)
    deleted: set[Key] = field(default_factory=set)

    def add(self, fact: Fact, *, committed: bool) -> None:
        """Note a row; one that is loaded again under the same name is the same row."""
        changeset = self.changesets.setdefault(
            fact.key[0], Changeset(fact.key[0], committed=committed)
        )
        changeset.committed = changeset.committed or committed
        if fact.key not in self.rows:
            self.rows[fact.key] = fact
            changeset.keys.append(fact.key)

    def commit(self, name: str) -> None:
        self.changesets[name].committed = True

    @property
    def plain(self) -> list[Fact]:
        """Those that depend on nothing, and were committed."""
        return [
            fact
            for fact in self.rows.values()
            if not fact.effect and self.changesets[fact.key[0]].committed
        ]
