"""A history: shop All, bonus servers, an installation of the product, and writers."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from psycopg2.extensions import connection as Connection

from tests.chaos.machine.clusters import Clusters, Copy
from tests.chaos.machine.facts import Fact, Facts, Key
from tests.databases import connect, opened, query, run
from tests.flow import Flow
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.knowledge import Knowledge
from transfer.engine.received import Place
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.purge import KnownServer
from transfer.engine.shop_all.source import ShopAll

BALANCES, PINCODES = "balances", "pincodes"
HISTORY = (BALANCES, PINCODES)  # the kinds of a history
STAGING = {kind: f'"{KINDS[kind].staging}"' for kind in HISTORY}


@dataclass
class Ours:
    """What our own database knows; it can go back in time like any other.

    `seen`: how far we have seen each log. `files`: names of loads that we believe in, with what
    they contain. `taken_back`: kind → loads that we know as taken back.
    """

    installation: Installation
    seen: dict[tuple[str, str], Place] = field(default_factory=dict)
    files: dict[str, tuple[str, str]] = field(default_factory=dict)
    taken_back: dict[str, set[str]] = field(default_factory=dict)

    def copy(self) -> "Ours":
        return Ours(
            self.installation,
            dict(self.seen),
            dict(self.files),
            {kind: set(names) for kind, names in self.taken_back.items()},
        )

    def note_seen(self, source: ShopAll, *, is_confirmed: bool = False) -> None:
        """Note how far the logs go now.

        Where they lack what we have seen, only if somebody has said that it is the right shop All.
        """
        with source.snapshot():
            origin = source.identity.origin()
            for kind in HISTORY:
                before = self.seen.get((origin, kind))
                if is_confirmed or before is None or source.log.has(KINDS[kind], before):
                    self.seen[origin, kind] = source.log.end(KINDS[kind])


def ours(name: str = "us") -> Ours:
    return Ours(Installation(str(uuid4()), name))


@dataclass
class Server:
    """A bonus server as our installation knows it."""

    name: str
    uid: str
    of: Ours
    is_alive: bool = True
    is_docked: bool = True
    known: dict[str, KnownServer] = field(default_factory=dict)
    without_position: bool = False


class World:
    def __init__(self, clusters: Clusters, seed: int = 0, servers: int = 2) -> None:
        self.random = random.Random(seed)
        self.clusters = clusters
        self.facts = {kind: Facts(kind) for kind in HISTORY}
        self.counts: Counter[str] = Counter()
        self.ours = ours()
        self.trail: list[str] = []
        self.copies: list[Copy] = []  # of shop All
        self.open: list[tuple[Connection, list[tuple[str, str]]]] = []  # with kind and name
        self.prepared: dict[str, list[tuple[str, str]]] = {}
        self.templates: list[tuple[str, str]] = []  # copies of bonus servers: whose, where
        self.servers: dict[str, Server] = {}
        self.counter = 0
        self.went_back = 0  # restores of shop All or of our own database
        self.asked_after = 0  # how many of them there were when we were asked last
        self.confirmations = 0
        self.lifetimes_ended = False
        self.may_lack: set[str] = set()  # servers that may need rows which are purged
        self.disturbed = False  # whether a run may fail, as databases go back under it
        self.calls: dict[str, list[dict[str, Any]]] = {}  # key of a call → its rows
        self.undone_calls: set[str] = set()
        clusters.begin()
        for number in range(1, servers + 1):
            self.add_server(f"s{number}")

    def add_server(self, name: str, of: Ours | None = None) -> Server:
        """A new, empty bonus server, whose positions begin before anything is staged, or undecided.

        Its vendor refuses accounts of the class "x" with its number.
        """
        self.clusters.create_server(name, name.replace("s", "x"))
        server = Server(name, str(uuid4()), of or self.ours)
        self.servers[name] = server
        return server

    def close(self) -> None:
        self.drop_writers()

    def say(self, text: object) -> None:
        if self.trail:
            self.trail[-1] += f" {text}"

    @property
    def docked(self) -> list[Server]:
        """Those that answer, and to which runs transfer."""
        return [one for one in self.servers.values() if one.is_alive and one.is_docked]

    def dsn(self, server: str) -> str:
        return self.clusters.dsn(server)

    def flow(self, kind: str, server: str = "s1") -> Flow:
        """What helpers of other tests work on."""
        return Flow(kind, self.clusters.shop, self.dsn(server))

    def knowledge_of(self, server: Server) -> Knowledge:
        others = {
            one.uid: one.name
            for one in self.servers.values()
            if one.name != server.name and one.is_docked and one.of is server.of
        }
        return Knowledge(server.of.installation.id, server.of.seen, others)

    @contextmanager
    def shop(self) -> Iterator[ShopAll]:
        with ShopAll(self.clusters.shop, "tests", secret=False) as source:
            yield source

    @contextmanager
    def both(self, server: str) -> Iterator[tuple[ShopAll, BonusDatabase]]:
        with (
            self.shop() as source,
            BonusDatabase(self.dsn(server), server, "tests", secret=False) as target,
        ):
            yield source, target

    def ask(self, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        return query(self.clusters.shop, statement, values)

    def ask_server(self, server: str, statement: str, values: Any = None) -> list[tuple[Any, ...]]:
        return query(self.dsn(server), statement, values)

    # Writers

    def draw_row(self, kind: str, account: str | None = None) -> dict[str, Any]:
        """A row that is good, that a check rejects, or that some vendor refuses."""
        self.counter += 1
        choice = self.random
        class_ = choice.choice(["a", "a", "a", "a", "x1", "x2", "n"])
        if kind == BALANCES:
            amount = choice.randint(100, 99_999) * 10 + self.counter % 10
            bad = choice.random() < 0.08
            return {
                "account": account or f"{class_}-{self.counter}",
                "amount": 0 if bad else amount,
                "comment": f"p{self.counter}",
            }
        shared = choice.random() < 0.3
        number = f"shared{choice.randint(1, 3)}" if shared else str(self.counter)
        bad = choice.random() < 0.05
        return {
            "account": account or f"{'a' if class_ == 'n' or shared else class_}-{number}",
            "pincode": "" if bad else f"p{self.counter}",
        }

    def insert(
        self, writer: Connection, kind: str, rows: list[dict[str, Any]], **others: Any
    ) -> list[int]:
        """Insert rows as a writer does; return their ids."""
        ids = []
        for row in rows:
            values = row | others
            marks = ", ".join(["%s"] * len(values))
            overriding = "overriding system value" if "id" in others else ""
            found = run(
                writer,
                f"insert into {STAGING[kind]} ({', '.join(values)}) {overriding}"
                f" values ({marks}) returning id",
                [*values.values()],
            )
            ids.append(found[0][0])
        return ids

    def note(
        self,
        kind: str,
        name: str,
        rows: list[dict[str, Any]],
        ids: list[int],
        *,
        committed: bool = False,
    ) -> None:
        """Note rows that depend on nothing as facts."""
        for row, number in zip(rows, ids, strict=True):
            self.facts[kind].add(fact_of(kind, (name, number), row), committed=committed)

    def stage(self, kind: str, *rows: dict[str, Any]) -> str:
        """A writer's transaction that commits; return its changeset."""
        drawn = list(rows) or [self.draw_row(kind)]
        with opened(self.clusters.shop) as writer:
            run(writer, "begin")
            ids = self.insert(writer, kind, drawn)
            name = own_name(writer)
            run(writer, "commit")
        self.note(kind, name, drawn, ids, committed=True)
        return name

    def writer(self) -> Connection:
        """A transaction that stays open."""
        writer = connect(self.clusters.shop)
        run(writer, "begin")
        return writer

    def commit(self, changesets: list[tuple[str, str]]) -> None:
        """Note that a transaction has committed which staged these."""
        for kind, name in changesets:
            self.facts[kind].commit(name)

    def drop_writers(self) -> None:
        for writer, _ in self.open:
            writer.close()
        self.open.clear()

    # Shop All goes back

    def copy_shop(self, how: str = "database") -> int:
        if how == "database":
            self.drop_writers()
        self.copies.append(self.clusters.copy_shop(how))
        return len(self.copies) - 1

    def restore_shop(self, number: int = -1, *, lags: bool = False) -> None:
        """Nobody notices."""
        self.drop_writers()
        self.clusters.restore_shop(self.copies[number], lags=lags)
        self.went_back += 1
        self.counts[f"shop restored from {self.copies[number].how}"] += 1

    def restore_ours(self, ours: Ours) -> None:
        """Our own database goes back to what it knew."""
        for server in self.servers.values():
            if server.of is self.ours:
                server.of = ours
        self.ours = ours
        self.went_back += 1

    # Bonus servers go back

    def copy_server(self, name: str) -> int:
        template = f"c{len(self.templates)}"
        self.clusters.copy_server(name, template)
        self.templates.append((name, template))
        return len(self.templates) - 1

    def restore_server(self, number: int = -1) -> None:
        name, template = self.templates[number]
        self.replace_server(name, template)

    def replace_server(self, name: str, source: str) -> None:
        """The database of a server becomes a copy of another one: an earlier state, or a clone."""
        self.clusters.copy_server(source, name)
        self.servers[name].without_position = False
        self.may_lack.add(name)

    def note_known(self, name: str) -> None:
        """Our history knows what a server has received: for purges, when it is dead."""
        for kind in HISTORY:
            known = self.read_known(name, kind)
            self.servers[name].known[kind] = KnownServer.remembered(
                name, known.place, may_lack_last=True
            )

    def read_known(self, name: str, kind: str) -> KnownServer:
        with self.both(name) as (source, target):
            with source.snapshot():
                origin = source.identity.origin()
            with target.database.transaction(commit=False):
                position = target.positions.get(origin, KINDS[kind])
                if position is None:
                    return KnownServer.unknown(name)
                incomplete = target.positions.exceptions(position).incomplete
                return KnownServer.asked(name, position.place, incomplete)


def fact_of(kind: str, key: Key, row: dict[str, Any]) -> Fact:
    if kind == BALANCES:
        family = int(row["account"].split("-")[1].split(".")[0])
        return Fact(
            kind, key, row["account"], row["comment"], [row["amount"]], root=key, family=family
        )
    return Fact(kind, key, row["account"], row["pincode"], [row["pincode"]], root=key)


def own_name(writer: Connection) -> str:
    """The changeset of the transaction under way."""
    ((xid, started),) = run(
        writer,
        "select pg_current_xact_id()::text::bigint, (extract(epoch from now()) * 1000000)::bigint",
    )
    return str(UUID(int=(xid << 64) | started))
