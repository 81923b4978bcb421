"""What must be true of a bonus server to which everything was moved, by what was staged.

It shares no code with the product, and knows the log only as the list of its lines. Of each balance
change and what depends on it (a family) it walks through the rows that landed, in their order:
after each of them the sum must be one of the values that somebody wanted, and never the sum of two.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tests.chaos.machine.facts import Fact, Key, Wrong

if TYPE_CHECKING:
    from tests.chaos.machine.world import World

BALANCES, PINCODES = "balances", "pincodes"
LOG = """
    select changeset::text, number, rows, withdrawn, gone, purged from datatransfer.log
     where kind = %s and rows > 0
"""
REJECTS = """
    select changeset::text, "row", code, effect, resolved_by::text from datatransfer.reject
     where kind = %s
"""
WITHOUT_LINE = """
    select count(*) from {table} as staged
     where not exists (select from datatransfer.log
                        where kind = %s and log.xid = staged.xid and log.started = staged.started)
"""
TABLES = {BALANCES: '"changeAccountBalanceTemp"', PINCODES: '"accountpincodeTemp"'}
SKIPPED = "select changeset::text from datatransfer.exception where kind = %s and skipped"
DISCARDED = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True)
class Line:
    number: int
    rows: int
    withdrawn: bool
    gone: int
    purged: int


@dataclass(frozen=True)
class Reject:
    code: str
    effect: str
    resolved_by: str | None

    @property
    def is_open(self) -> bool:
        return self.resolved_by is None


class Received:
    """What a bonus server has of one kind, and what the log of shop All says."""

    def __init__(self, world: "World", server: str, kind: str) -> None:
        self.world, self.server, self.kind = world, server, kind
        self.facts = world.facts[kind]
        self.lines = {name: Line(*rest) for name, *rest in world.ask(LOG, [kind])}
        ask = world.ask_server
        self.rejects: dict[Key, Reject] = {
            (name, row): Reject(code, effect or "", by)
            for name, row, code, effect, by in ask(server, REJECTS, [kind])
        }
        self.skipped = {name for (name,) in ask(server, SKIPPED, [kind])}
        self.filled: set[Key] = {
            (name, row) for name, row in ask(server, 'select changeset::text, "row" from filled')
        }
        self.landed: dict[int, list[tuple[str, Decimal, str]]] = defaultdict(list)
        self.pins: list[tuple[str, str]] = []
        if kind == BALANCES:
            for account, amount, comment in ask(
                server, "select account, amount, comment from asset order by id"
            ):
                family = int(account.split("-")[1].split(".")[0])
                self.landed[family].append((account, amount, comment))
            self.comments = {one[2] for rows in self.landed.values() for one in rows}
        else:
            self.pins = ask(server, "select account, pincode from pin_history order by id")
            self.comments = {pin for _, pin in self.pins}

    def wrong(self, text: str) -> None:
        raise Wrong(f"{self.server} {self.kind}: {text}")

    def is_received(self, fact: Fact) -> bool:
        """Whether a row has landed, or has a reject that says why it has not."""
        if fact.key in self.rejects or fact.key in self.filled:
            return True
        if self.kind == BALANCES:
            return fact.payload in self.comments
        return any(value in self.comments for value in fact.values)

    def is_shared(self, fact: Fact) -> bool:
        """Whether other rows have the account, so that a PIN code may never have been seen."""
        return self.kind == PINCODES and "shared" in fact.account

    def needed(self, fact: Fact) -> bool:
        """Whether the log says that a server without it has to receive a row."""
        name = fact.key[0]
        line = self.lines.get(name)
        return (
            line is not None
            and not line.withdrawn
            and name not in self.skipped
            and fact.key not in self.facts.deleted
            and fact.key not in self.filled
        )

    # Checks

    def check(self) -> None:
        ((left,),) = self.world.ask(WITHOUT_LINE.format(table=TABLES[self.kind]), [self.kind])
        if left:
            self.wrong(f"{left} rows have no line in the log")
        self.check_lost()
        self.check_corrections()
        if self.kind == BALANCES:
            self.check_families()
        else:
            self.check_pins()

    def check_lost(self) -> None:
        for fact in self.facts.rows.values():
            name = fact.key[0]
            if not self.facts.changesets[name].committed:
                if self.is_received(fact) and not self.is_shared(fact):
                    self.wrong(f"{fact} was never committed")
                continue
            if fact.effect in ("reverses", "sets") or self.is_shared(fact):
                continue
            if fact.effect == "replaces" and self.kind == BALANCES:
                continue
            if self.needed(fact) and not self.is_received(fact):
                if self.lines[name].gone and self.facts.deleted & {
                    *self.facts.changesets[name].keys
                }:
                    continue
                self.wrong(f"{fact} is lost")

    def check_corrections(self) -> None:
        """A reject that was corrected in this log is not open any more."""
        for fact in self.facts.rows.values():
            if fact.effect != "replaces" or not self.needed(fact) or fact.of is None:
                continue
            of = self.rejects.get(fact.of)
            before, here = self.lines.get(fact.of[0]), self.lines[fact.key[0]]
            if of is not None and of.is_open and before and before.number < here.number:
                self.wrong(f"{fact} did not correct {of} of {fact.of}")

    # Balance changes

    def check_families(self) -> None:
        roots = {fact.family: fact for fact in self.facts.rows.values() if not fact.effect}
        members: dict[int, list[Fact]] = defaultdict(list)
        for fact in self.facts.rows.values():
            members[fact.family].append(fact)
        for family in self.landed.keys() - roots.keys():
            self.wrong(f"{self.landed[family]} was never staged")
        for family, root in roots.items():
            if root.key in self.facts.deleted:
                continue  # a restore may have brought it back (EXACTLY-ONCE, "Not covered")
            value = self.walk(root, members[family])
            self.check_value(root, members[family], value)

    def walk(self, root: Fact, members: list[Fact]) -> Decimal:
        """Return the sum of a family, each of whose steps is one that somebody wanted."""
        wanted = {Decimal(value) for fact in members for value in fact.values} | {Decimal(0)}
        value = Decimal(0)
        over = corrected = False
        payloads = Counter(row[2] for row in self.landed[root.family])
        opposites = {fact.payload for fact in members if self.leads_to_opposite(fact)}
        for fact in members:
            if fact.effect == "replaces" and payloads[fact.payload] > 1:
                self.wrong(f"{fact} is there {payloads[fact.payload]} times")
        for account, amount, comment in self.landed[root.family]:
            value += amount
            if comment == "undone":
                if root.key[0] not in self.facts.undone:
                    self.wrong(f"{root} was taken back, but never undone")
                if value or over:
                    self.wrong(f"{account} is taken back, and {value} is left: {self.story(root)}")
                over = True
            elif comment in opposites:
                corrected = over = True  # whatever people decided
            elif over and not corrected:
                self.wrong(f"{comment} came after it was taken back: {self.story(root)}")
            elif value not in wanted:
                self.wrong(f"{value} is what nobody wanted: {self.story(root)}")
        return value

    def leads_to_opposite(self, fact: Fact) -> bool:
        if fact.effect != "replaces" or fact.of is None:
            return False
        of = self.facts.rows[fact.of]
        return of.effect == "reverses" or self.leads_to_opposite(of)

    def story(self, root: Fact) -> str:
        rejects = {
            fact.key: self.rejects[fact.key]
            for fact in self.facts.rows.values()
            if fact.family == root.family and fact.key in self.rejects
        }
        return f"{root}; landed {self.landed[root.family]}; rejects {rejects}"

    def check_value(self, root: Fact, members: list[Fact], value: Decimal) -> None:
        load = root.key[0]
        line = self.lines.get(load)
        if line is None or {load} & self.skipped or root.key in self.filled:
            return
        open_ = {
            fact.key for fact in members if (one := self.rejects.get(fact.key)) and one.is_open
        }
        decided = any(fact.key in self.facts.discarded for fact in members) or any(
            self.leads_to_opposite(fact) for fact in members
        )
        undos = [name for name, of in self.facts.undos.items() if of == load and name in self.lines]
        if line.withdrawn:
            is_asked = any(
                self.facts.rows[key].effect == "reverses"
                or self.leads_to_opposite(self.facts.rows[key])
                for key in open_
            )
            if value and not is_asked and not decided and not {*undos} & self.skipped:
                self.wrong(f"{root} is undone, but {value} is there: {self.story(root)}")
            return
        if load in self.facts.undone or decided:
            return
        sets = sorted(
            (self.lines[fact.key[0]].number, fact.key)
            for fact in members
            if fact.effect == "sets" and fact.key[0] in self.lines
        )
        corrected_later = sets and any(
            fact.effect == "replaces" and self.lines[fact.key[0]].number > sets[-1][0]
            for fact in members
            if fact.key[0] in self.lines
        )
        if corrected_later:
            return  # by a person who has typed another amount
        all_here = all(fact.key[0] in self.lines for fact in members)
        if sets and all_here and self.landed[root.family] and not open_:
            last = self.facts.rows[sets[-1][1]]
            gone = {fact.key for fact in members} & self.facts.deleted
            if not gone and last.key[0] not in self.skipped and value != last.values[0]:
                self.wrong(f"{root} is {value}, not {last.values[0]}: {self.story(root)}")
        elif not sets and self.landed[root.family] and not value:
            self.wrong(f"{root} is zero: {self.story(root)}")

    # PIN codes

    def check_pins(self) -> None:
        times = Counter(pin for _, pin in self.pins)
        for fact in self.facts.rows.values():
            sent = sum(
                1
                for other in self.facts.rows.values()
                for value in other.values
                if value == fact.values[0]
            )
            if times[fact.values[0]] > sent:
                self.wrong(f"{fact} is there {times[fact.values[0]]} times")


def check(world: "World", server: str) -> None:
    """Raise Wrong if a server, to which everything was moved, is not as promised."""
    for kind in (BALANCES, PINCODES):
        Received(world, server, kind).check()


def list_purged(world: "World", server: str, kind: str) -> set[str]:
    """Return the purged changesets of which the server may need rows, by what has landed."""
    received = Received(world, server, kind)
    found = set()
    for name, line in received.lines.items():
        if not line.purged or line.withdrawn or name in received.skipped:
            continue
        facts = world.facts[kind]
        keys: list[Any] = facts.changesets[name].keys if name in facts.changesets else []
        plain = [facts.rows[key] for key in keys]
        seen = [fact for fact in plain if not fact.effect and not received.is_shared(fact)]
        if not seen or not all(received.is_received(fact) for fact in seen):
            found.add(name)
    return found
