"""What must be true of a bonus server. Shares no code with the rules.

A server's trace (which rows were handed to it, in which order, what people discarded, what the
vendor's table did not take) is replayed with whole values: a row has a value or has none. The rules
compute with differences, positions, exceptions and rejects instead.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Key = tuple[str, int]
NO_LINE = 10**9


class Wrong(Exception):
    """A row was lost or doubled, or something else is not as promised."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A row as it was staged."""

    amount: int
    account: str
    effect: str
    of: Key | None
    root: Key | None


@dataclass
class Truth:
    """What the history knows, whatever any database has forgotten."""

    facts: dict[Key, Fact] = field(default_factory=dict)
    undone_at: dict[str, list[int]] = field(default_factory=dict)  # load: events of its undos


class Value:
    """The value of one balance change on one server, from the server's trace alone."""

    def __init__(self, root: Key, filled: int | None) -> None:
        self.root = root
        self.amount = filled or 0
        self.here = filled is not None
        self.holder = root if self.here else None  # the row that brought the value
        self.open: Key | None = None  # the row whose refusal is open
        self.over = False  # taken back, or a decision of people
        self.barred: set[Key] = set()  # whose opposite came, and did it or had nothing to do
        self.opposites: set[Key] = set()  # refused and open
        self.changes: set[Key] = set()  # refused and open, while an older amount is in effect

    def read(self, key: Key, amount: int, *, refused: bool) -> None:
        self.here = True
        if key in self.barred:
            return
        if refused:
            self.open = key
        else:
            self.amount, self.holder = amount, key

    def correct(self, key: Key, of: Key | None, amount: int, *, refused: bool) -> None:
        if key in self.barred:
            return
        if of in self.opposites:
            self.opposites.discard(of)
            if refused:
                self.opposites.add(key)
            else:
                self.amount += amount  # whatever people decided
                self.over, self.opposites, self.changes = True, set(), set()
        elif of is not None and of == self.open:
            self.open = key if refused else None
            if not refused:
                self.amount, self.holder = amount, key

    def change(self, key: Key, amount: int, *, refused: bool) -> None:
        if {key, self.root} & self.barred or self.over or not self.here:
            return
        if refused:
            if self.holder:
                self.changes.add(key)
        elif self.holder or self.open:
            self.amount, self.open, self.changes = amount, None, set()
            self.holder = self.holder or key

    def reverse(self, key: Key, *, refused: bool) -> None:
        if self.over or self.root in self.barred:
            return
        if self.holder and refused:
            self.opposites.add(key)
            return
        self.over = self.over or bool(self.holder)
        self.amount, self.open = 0, None
        self.opposites, self.changes = set(), set()
        self.barred.add(self.root)

    def discard(self, key: Key) -> None:
        if self.open == key:
            self.open, self.over = None, True
        self.opposites.discard(key)
        self.changes.discard(key)

    def asked(self) -> set[Key]:
        """Return the rows that people are asked about."""
        return self.opposites | self.changes | ({self.open} if self.open else set())


class Oracle:
    """Checks one server against one shop All after everything was moved."""

    def __init__(self, server: Any, shop: Any, truth: Truth) -> None:
        self.server, self.shop, self.truth = server, shop, truth
        trace = server.trace
        self.rows = [(key, amount) for event, key, amount in trace.delivered if event == "row"]
        self.sent = Counter(key for key, _ in self.rows)
        self.agreed = {key for event, key, _ in trace.delivered if event == "gone"}
        self.discarded = {
            self.root(key) for event, key, _ in trace.delivered if event == "discarded"
        }
        self.filled = {changeset for changeset, _ in trace.filled}
        self.taken_back = set(self.list_taken_back())
        self.open = {key for key, reject in server.rejects.items() if not reject.resolved_by}

    def wrong(self, text: str) -> None:
        raise Wrong(f"{self.server.name}: {text}")

    def root(self, key: Key) -> Key:
        return self.truth.facts[key].root or key

    def check(self) -> None:
        self.check_sent()
        self.check_total()
        self.check_lost()
        self.check_corrections()
        if self.shop.opposites:
            self.check_balances()
        else:
            self.check_latest_values()

    def list_taken_back(self) -> Iterable[str]:
        """Return the changesets of which nobody needs a row.

        All that they concern was taken back in this log. A correction of a refused opposite is
        still needed.
        """
        undone = {line.changeset for line in self.shop.log if line.load and line.withdrawn}
        for line in self.shop.log:
            names = [(line.changeset, row.name) for row in line.rows]
            if names and all(
                (row.root or (line.changeset,))[0] in undone and not self.leads_to_opposite(key)
                for key, row in zip(names, line.rows, strict=True)
            ):
                yield line.changeset

    def leads_to_opposite(self, key: Key) -> bool:
        fact = self.truth.facts[key]
        return fact.effect == "reverses" or (bool(fact.of) and self.leads_to_opposite(fact.of))

    # For all kinds --------------------------------------------------------------------------------

    def check_sent(self) -> None:
        for key, count in self.sent.items():
            if count > 1:
                self.wrong(f"{key} was sent {count} times")
            if key[0] in self.filled:
                self.wrong(f"{key} was sent, but the vendor had filled it in")

    def check_total(self) -> None:
        """The server's sums are those of the rows that came, at their first amounts."""
        if self.server.trace.began_with:
            return  # it counts what the vendor filled in by the lines
        rows = len(self.rows)
        amount = sum(
            self.truth.facts[key].amount
            for key, _ in self.rows
            if self.truth.facts[key].effect in ("", "replaces")
        )
        if (self.server.total.rows, self.server.total.amount) != (rows, amount):
            self.wrong(f"{self.server.total}, but {rows} rows of {amount} came")

    def check_lost(self) -> None:
        began_with = self.server.trace.began_with
        for line in self.shop.log:
            if line.changeset in self.taken_back | self.server.skipped | self.filled | began_with:
                continue
            # `gone` is a number: which rows it means, shop All need not know.
            lacking = [
                row.name
                for row in line.rows
                if not self.sent[line.changeset, row.name]
                and (line.changeset, row.name) not in self.agreed
            ]
            if [name for name in lacking if name not in line.deleted] or len(lacking) > line.gone:
                self.wrong(f"{lacking} of {line.changeset} are lost")

    def check_corrections(self) -> None:
        """What was corrected in this log is not open any more, unless it is taken back anyway."""
        place = {line.changeset: number for number, line in enumerate(self.shop.log, 1)}
        withdrawn = {line.changeset for line in self.shop.log if line.withdrawn}
        passed = self.taken_back | self.server.skipped | self.server.trace.began_with
        for line in self.shop.log:
            for row in line.rows if line.changeset not in passed else ():
                if row.effect != "replaces" or row.of not in self.open:
                    continue
                if row.of[0] in withdrawn:  # it came after its correction: people discard it
                    continue
                if place.get(row.of[0], NO_LINE) < place[line.changeset]:
                    self.wrong(f"{line.changeset} did not correct {row.of}")

    # Balance changes ------------------------------------------------------------------------------

    def replay(self) -> Mapping[Key, Value]:
        """Return the value of each original of which the server has seen anything."""
        values = {root: Value(root, amount) for root, amount in self.server.trace.filled.items()}
        for event, key, amount in self.server.trace.delivered:
            if event == "gone":
                continue
            fact, refused = self.truth.facts[key], key in self.server.trace.refused
            root = fact.root or key
            value = values.setdefault(root, Value(root, None))
            if event == "discarded":
                value.discard(key)
            elif fact.effect == "replaces":
                value.correct(key, fact.of, amount, refused=refused)
            elif fact.effect == "sets":
                value.change(key, amount, refused=refused)
            elif fact.effect == "reverses":
                value.reverse(key, refused=refused)
            else:
                value.read(key, amount, refused=refused)
        return values

    def check_balances(self) -> None:
        families: dict[Key, int] = defaultdict(int)
        for key, amount in [*self.server.table, *self.server.trace.filled.items()]:
            families[self.root(key)] += amount
        asked: dict[Key, set[Key]] = defaultdict(set)
        for key in self.open:
            asked[self.root(key)].add(key)
        values = self.replay()
        for root in {*families, *values}:
            expected = values[root].amount if root in values else 0
            if families[root] != expected:
                self.wrong(f"{root} is {families[root]}, not {expected}")
        for root, value in values.items():
            if asked[root] != value.asked():
                self.wrong(f"open rejects of {root}: {asked[root]}, not {value.asked()}")
            self.check_applied(value)
            self.check_undone(value)
        self.check_loaded_again(values)

    def check_applied(self, value: Value) -> None:
        record = self.server.rejects.get(value.holder)
        if value.holder and not value.over and record:
            self.wrong(f"{value.holder} is in effect, but a reject: {record}")
        if value.holder and value.over and not record:
            self.wrong(f"{value.holder} was taken back, but counts as applied")

    def check_undone(self, value: Value) -> None:
        changeset = value.root[0]
        if changeset not in self.truth.undone_at:
            if value.over and value.root not in self.discarded:
                self.wrong(f"{value.root} was taken back, but never undone")
            return
        opposites = [
            line
            for line in self.shop.log
            if line.changeset not in self.server.skipped
            and any(row.effect == "reverses" and row.root == value.root for row in line.rows)
        ]
        decided = value.opposites or value.over or value.root in self.discarded
        if opposites and value.amount and not decided:
            self.wrong(f"{value.root} is undone, but {value.amount} is there, nobody is asked")

    def check_loaded_again(self, values: Mapping[Key, Value]) -> None:
        for line in self.shop.log:
            undone_at = self.truth.undone_at.get(line.changeset, [])
            if line.changeset in self.taken_back or not any(at < line.event for at in undone_at):
                continue
            for row in line.rows:
                value = values.get((line.changeset, row.name))
                if value and value.over and value.root not in self.discarded:
                    self.wrong(f"{value.root} was loaded again, but is not there")

    # PIN codes and cards --------------------------------------------------------------------------

    def check_latest_values(self) -> None:
        """Each account has the last value that came; without restores, the log's last value."""
        self.check_accounts(
            [(key, amount) for key, amount in self.rows], "by the order in which rows came"
        )
        asked: set[Key] = set()
        for event, key, _ in self.server.trace.delivered:
            fact = self.truth.facts.get(key)
            if event == "discarded":
                asked.discard(key)
            elif event == "row" and fact:
                asked -= {fact.of} if fact.of else set()
                asked |= {key} & self.server.trace.refused
        if asked != self.open:
            self.wrong(f"open rejects: {self.open}, not {asked}")
        if not self.server.trace.moved and not any(line.removed for line in self.shop.log):
            amounts = dict(self.rows)
            in_order = [(line.changeset, row.name) for line in self.shop.log
                        for row in sorted(line.rows, key=lambda row: row.name)]  # fmt: skip
            self.check_accounts(
                [(key, amounts[key]) for key in in_order if key in amounts], "by number and row"
            )

    def check_accounts(self, rows: list[tuple[Key, int]], how: str) -> None:
        expected: dict[str, tuple[int, Key]] = {}
        for key, amount in [*self.server.trace.filled.items(), *rows]:
            if key not in self.server.trace.refused:
                expected[self.truth.facts[key].account] = (amount, key)
        if self.server.values != expected:
            self.wrong(f"values {self.server.values}, not {expected} {how}")


def check(server: Any, shop: Any, truth: Truth) -> None:
    """Raise Wrong if a server, to which everything was moved, is not as promised."""
    Oracle(server, shop, truth).check()
