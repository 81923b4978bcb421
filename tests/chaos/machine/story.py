"""A written history: a world, and the steps of histories in few words."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from psycopg2.extensions import connection as Connection

from tests.chaos.machine import oracle
from tests.chaos.machine.clusters import Clusters
from tests.chaos.machine.facts import Fact, Wrong
from tests.chaos.machine.people import People
from tests.chaos.machine.transfers import Transfers
from tests.chaos.machine.world import BALANCES, HISTORY, PINCODES, World, own_name
from tests.databases import run
from transfer.engine.begin import Answer
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError

__all__ = ["BALANCES", "HISTORY", "PINCODES", "Story", "collected"]

History = Callable[["Story"], None]


def collected() -> tuple[list[History], Callable[[History], History]]:
    """Return an empty list of histories, and the decorator that adds a history to it."""
    histories: list[History] = []

    def history(function: History) -> History:
        histories.append(function)
        return function

    return histories, history


class Story(World):
    """All servers begin with nothing before anything is staged, and are sent everything."""

    def __init__(self, clusters: Clusters, servers: int = 2) -> None:
        super().__init__(clusters, 1, servers)
        self.people = People(self)
        self.transfers = Transfers(self, self.people)
        for name in self.servers:
            self.begin(name)

    def begin(self, name: str, answer: Answer = Answer.NOTHING) -> None:
        for kind in HISTORY:
            self.transfers.begin(name, kind, answer)

    def fill(self, server: str) -> None:
        """The vendor fills a server with all balance changes that are staged."""
        for fact in self.facts[BALANCES].plain:
            self.ask_server(
                server,
                "insert into asset (account, amount, comment) values (%s, %s, %s)",
                [fact.account, fact.values[-1], fact.payload],
            )
            self.ask_server(server, "insert into filled values (%s, %s)", [*fact.key])

    def row(self, class_: str = "a", amount: int | None = None) -> dict[str, Any]:
        """A balance change of a class of accounts: see `clusters.VENDOR`."""
        self.counter += 1
        amount = self.counter * 1000 + 1 if amount is None else amount
        return {
            "account": f"{class_}-{self.counter}",
            "amount": amount,
            "comment": f"p{self.counter}",
        }

    def rows(self, number: int, class_: str = "a") -> list[dict[str, Any]]:
        return [self.row(class_) for _ in range(number)]

    def write(self, number: int = 1, class_: str = "a") -> str:
        """A writer's transaction with so many balance changes; return its changeset."""
        return self.stage(BALANCES, *self.rows(number, class_))

    def write_later(self, number: int = 1) -> tuple[Connection, str]:
        """A transaction that stays open, and its changeset."""
        writer, rows = self.writer(), self.rows(number)
        ids = self.insert(writer, BALANCES, rows)
        name = own_name(writer)
        self.note(BALANCES, name, rows, ids)
        return writer, name

    def commit_late(self, writer: Connection, name: str) -> None:
        run(writer, "commit")
        writer.close()
        self.commit([(BALANCES, name)])

    def prepare(self, gid: str) -> str:
        writer, name = self.write_later()
        run(writer, f"prepare transaction '{gid}'")
        writer.close()
        self.prepared[gid] = [(BALANCES, name)]
        return name

    def commit_prepared(self, gid: str) -> None:
        self.ask(f"commit prepared '{gid}'")
        self.commit(self.prepared[gid])

    def load(self, number: int = 2, rows: list[dict[str, Any]] | None = None) -> str:
        return self.people.load(BALANCES, self.rows(number) if rows is None else rows)

    def undo(self, load: str) -> str:
        done = self.people.undo(BALANCES, load)
        assert done is not None
        return done

    def correct(self, *keys: tuple[str, int], account: str = "a") -> str:
        done = self.people.correct(BALANCES, *keys, account=account)
        assert done is not None
        return done

    def change(self, name: str, amount: int, row: int | None = None) -> Fact:
        """Change a row of a changeset in place: the first one, or this one."""
        keys = self.facts[BALANCES].changesets[name].keys
        key = keys[0] if row is None else (name, row)
        fact = self.facts[BALANCES].rows[key]
        assert self.people.change(BALANCES, fact, amount)
        return fact

    def send(self) -> str:
        done = self.people.send_changes(BALANCES, self.people.changed(BALANCES))
        assert done is not None
        return done

    def append(self, kind: str = BALANCES) -> None:
        with self.shop() as source:
            source.log_writer.append_all(KINDS[kind])

    def chunk(self, name: str, rows: int = 3, number: int = 1) -> None:
        """The first chunks of a run."""
        self.transfers.run(name, BALANCES, rows, number)

    def drain(self, *names: str) -> None:
        self.transfers.drain(*names)

    def purge(self) -> int:
        return self.people.purge(BALANCES)

    def leave(self, name: str) -> None:
        """A server does not answer any more; our history knows what it has received."""
        self.note_known(name)
        self.servers[name].is_alive = False

    def go_back_to(self, point: str) -> None:
        """Shop All is restored to a point in time. Nobody notices."""
        self.clusters.recover_shop(point)
        self.went_back += 1

    def net(self, server: str, name: str) -> list[Decimal]:
        """What is in effect of each row of a changeset, and of what depends on it."""
        facts = self.facts[BALANCES]
        sums = dict(
            self.ask_server(
                server,
                "select split_part(split_part(account, '-', 2), '.', 1)::int, sum(amount)"
                " from asset group by 1",
            )
        )
        return [Decimal(sums.get(facts.rows[key].family, 0)) for key in facts.changesets[name].keys]

    def staged(self, name: str) -> list[Decimal]:
        """The amounts of a changeset as they were staged."""
        facts = self.facts[BALANCES]
        return [Decimal(facts.rows[key].values[0]) for key in facts.changesets[name].keys]

    def expect(self, name: str, amounts: Any, *servers: str) -> None:
        """What is in effect of a changeset on these servers, or on all."""
        for server in servers or [*self.servers]:
            found = self.net(server, name)
            if found != [*amounts]:
                raise Wrong(f"{server} has {found} of {name}, not {[*amounts]}")

    @contextmanager
    def refuses(self, code: str) -> Iterator[None]:
        try:
            yield
        except TransferError as error:
            if error.code != code:
                raise Wrong(f"{error.code} instead of {code}") from error
        else:
            raise Wrong(f"not refused: {code}")

    def finish(self, asked: int | None = None) -> None:
        """Everything answers again and is moved, and is exact; the question was asked so often."""
        for server in self.servers.values():
            server.is_alive = server.is_docked = True
        self.drain()
        self.drain()
        for name in self.servers:
            oracle.check(self, name)
        if asked is not None and self.confirmations != asked:
            raise Wrong(f"asked {self.confirmations} times, not {asked}")
