"""Shop All, two bonus servers and our own database, each in a cluster of its own; what of the
promise must be true of them at any time.

A row is known by a number that is used once (see rows.py). A history has flows: kinds of rows that
are moved to each of its bonus servers. Most steps concern one of them, the present one.
"""

import itertools
import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import make_dsn

from tests.chaos.beginning import begin
from tests.chaos.happened import Facts, Happened, Violated
from tests.chaos.installation import DATABASES, SERVER, Installation
from tests.chaos.instance import Instance
from tests.chaos.rows import ROWS, UNDO, of_original
from tests.chaos.warm import Warm
from tests.databases import ROOT, as_url, close_kept, keep, opened, query, run

SECOND = "second"  # the cluster of the second bonus server
SERVERS = {"bonus": SERVER, SECOND: "the second"}  # by their clusters, what the product calls them
CLUSTERS = (*DATABASES, SECOND)
ACCEPTED = "accepted_before"  # the code of a replacement whose original was accepted


class Promise:
    def __init__(self, home: Path) -> None:
        home.chmod(0o755)  # PostgreSQL does not run as root
        self.home = home
        self.instances = {name: Instance(home / name) for name in CLUSTERS}
        self.blank = home / "blank"
        self.numbers = itertools.count(1)
        self.late: list[tuple[Any, list[str]]] = []
        self.now = Happened()
        self.server, self.rows = "bonus", ROWS["balances"]
        self.instances["shop_all"].create("shop_all")
        self.instances["shop_all"].copy_to(self.blank)
        for name in DATABASES:
            begin(self.instances[name], name)
        begin(self.instances[SECOND], "bonus")
        self._reach(*SERVERS)
        own, shop_all = (self.instances[name].dsn(name) for name in DATABASES[:2])
        self.installation = Installation(own, shop_all, self.way("bonus"))
        self.dsns = [self.dsn(name) for name in CLUSTERS]
        keep(*self.dsns)
        self._set_up()
        self.product = Warm(self.installation.environment, ROOT)

    def _set_up(self) -> None:
        """Keeps the beginning of a history with one bonus server, and of one with two."""
        self.installation.move_in()
        query(self.dsn(SECOND), "drop schema datatransfer cascade; create table refuses_here ()")
        for rows in ROWS.values():
            query(self.shop_all, rows.in_shop_all)
            for server in SERVERS:
                query(self.dsn(server), rows.in_bonus)
        self._keep("one", *DATABASES)
        for name in ("own", "shop_all"):
            self.instances[name].start()
        self.installation.manage(*self.docking(SECOND))
        self._keep("two", "own", "shop_all", SECOND)

    def _keep(self, beginning: str, *names: str) -> None:
        for name in names:
            instance = self.instances[name]
            query(instance.dsn(), "checkpoint")
            instance.stop()
            instance.copy_to(self.home / f"{name}.{beginning}")

    def docking(self, server: str) -> list[str]:
        """The command that docks the bonus server of a cluster."""
        url = as_url(self.way(server))
        name = SERVERS[server]
        return ["server", "add", "--name", name, "--host", "localhost", "--database-url", url]

    def dsn(self, name: str) -> str:
        """The DSN of the database of a cluster."""
        return self.instances[name].dsn("bonus" if name == SECOND else name)

    def way(self, server: str) -> str:
        """The DSN by which the product knows a bonus server."""
        return make_dsn(self.dsn(server), host=str(self.way_to(server)))

    def way_to(self, server: str) -> Path:
        """A link to the folder of its socket."""
        return self.home / f"{server}.way"

    def _reach(self, *servers: str) -> None:
        for server in servers:
            if not self.way_to(server).exists():
                self.way_to(server).symlink_to(self.instances[server].home)
            self.now.cut_off.discard(server)

    @property
    def shop_all(self) -> str:
        return self.installation.shop_all

    @property
    def bonus(self) -> str:
        """The bonus server's database of the present flow."""
        return self.dsn(self.server)

    @property
    def kind(self) -> str:
        return self.rows.kind

    @property
    def facts(self) -> Facts:
        """Of the present flow."""
        return self.now.flows[self.server, self.kind]

    @property
    def kinds(self) -> list[str]:
        return [*dict.fromkeys(kind for _, kind in self.now.flows)]

    def go_to(self, server: str, kind: str) -> None:
        """Makes this flow the present one."""
        self.server, self.rows = server, ROWS[kind]

    def close(self) -> None:
        self._drop_writers()
        close_kept(*self.dsns)
        self.product.close()
        for instance in self.instances.values():
            instance.crash()

    def begin(self, *kinds: str, servers: int = 1) -> None:
        """A new history, from an installation in which nothing has happened."""
        self._drop_writers()
        self._reach(*SERVERS)
        self.numbers = itertools.count(1)
        used = [*SERVERS][:servers]
        for name, instance in self.instances.items():
            instance.crash()
            shutil.rmtree(self.home / f"{name}.copies", ignore_errors=True)
            (self.home / f"{name}.copies").mkdir()
            if name not in SERVERS or name in used:
                instance.restore(self._beginning(name, servers))
                instance.start()
        self.now = Happened(
            flows={(server, kind): Facts() for server in used for kind in kinds or ("balances",)},
            docked=set(used),
            copies={name: [] for name in CLUSTERS},
            branches=[self._clock()],
        )
        self.go_to(*next(iter(self.now.flows)))

    def _beginning(self, name: str, servers: int) -> Path:
        is_of_two = name == SECOND or (servers == 2 and name != "bonus")
        return self.home / f"{name}.{'two' if is_of_two else 'one'}"

    def _clock(self) -> str:
        return str(query(self.shop_all, "select clock_timestamp()::text")[0][0])

    def _drop_writers(self) -> None:
        for connection, _ in self.late:
            with suppress(psycopg2.Error):
                connection.close()
        self.late.clear()

    def prepared(self) -> list[str]:
        found = query(self.shop_all, "select gid from pg_prepared_xacts order by prepared, gid")
        return [gid for (gid,) in found]

    def has_position(self) -> bool:
        return bool(self._positions())

    def have_positions(self, *servers: str) -> bool:
        """Whether all flows to these bonus servers have one; to all servers if none is named."""
        asked = {server for server, _ in self.now.flows if not servers or server in servers}
        return all(
            {*self.kinds} <= {kind for (kind,) in self._of_positions(server, "kind")}
            for server in asked
        )

    def _positions(self) -> list[tuple[Any, ...]]:
        columns = "origin, kind, read_through, reading, last_xid, last_id, reader, number, token"
        rows = self._of_positions(self.server, f"kind, row({columns})::text")
        return sorted(text for kind, text in rows if kind == self.kind)

    def _of_positions(self, server: str, what: str) -> list[tuple[Any, ...]]:
        """Asks this of every position of a bonus server, if our schema is there."""
        with opened(self.dsn(server)) as bonus:
            if run(bonus, "select to_regclass('datatransfer.position')") == [(None,)]:
                return []
            return run(bonus, f"select {what} from datatransfer.position")

    def whole_batch(self) -> tuple[str, int] | None:
        """The reader and the number of the batch that the position has moved, if there is one."""
        found = query(
            self.bonus,
            "select reader::text, number from datatransfer.position where kind = %s "
            "order by updated_at desc limit 1",
            [self.kind],
        )
        return found[0] if found and found[0][1] else None

    def is_in_the_middle(self, server: str) -> bool:
        """Whether a position of the bonus server is in the middle of a batch."""
        return (True,) in self._of_positions(server, "reading is not null")

    def check(self) -> None:
        """No row twice at a server, unless it was sent again; nor one that was never committed; nor
        two of a row and those that replace it.
        """
        self.now.ever |= self._history(*self.kinds)
        for server in {server: None for server, _ in self.now.flows}:
            arrived, rejects = self._at(server)
            here = Counter([*arrived, *(number for number, _ in rejects)])
            twice = {one for one in here if here[one] > 1 + self.now.sent_again[one]}
            self._expect(not twice, f"twice in {server}: {sorted(twice)}")
            strange = set(here) - self.now.ever
            self._expect(not strange, f"never committed, and moved to {server}: {sorted(strange)}")
            families = Counter(map(self._first, {*arrived}))
            several = sorted(number for number, members in families.items() if members > 1)
            self._expect(
                not several, f"in {server} more than one of a row and what replaces it: {several}"
            )

    def _first(self, number: str) -> str:
        """The rejected balance change that a row replaces, through all generations; or the row."""
        return min([number, *self._originals(number)], key=age)

    def _originals(self, number: str) -> set[str]:
        """The rejected balance changes that a row replaces, of all generations."""
        found = set()
        while (number := self.now.replaced.get(number, "")) and number not in found:
            found.add(number)
        return found

    def _history(self, *kinds: str) -> set[str]:
        """Every row of these kinds, of the present one, that shop All has, or had until a purge."""
        asked = kinds or (self.kind,)
        staged = [f"select {ROWS[kind].number} from {ROWS[kind].staging}" for kind in asked]
        purged = "select number from purged_for_the_test where kind = any(%s)"
        found = query(self.shop_all, " union all ".join([*staged, purged]), [[*asked]])
        return {number for (number,) in found}

    def _at(self, server: str) -> tuple[list[str], list[tuple[str, str]]]:
        """The rows that a bonus server has in its tables, each as often as it has arrived; and its
        rejects, with their codes.
        """
        with opened(self.dsn(server)) as bonus:
            arrived = [
                number
                for kind in self.kinds
                for (number,) in run(bonus, ARRIVED.format(ROWS[kind].number, ROWS[kind].target))
            ]
            if run(bonus, "select to_regclass('datatransfer.reject')") == [(None,)]:
                return arrived, []
            found = run(bonus, "select kind, payload, code from datatransfer.reject")
        return arrived, [
            (payload[ROWS[kind].number], code)
            for kind, payload, code in found
            if kind in self.kinds
        ]

    def _accounted(self) -> set[str]:
        """The rows that the present flow's bonus server has, or has rejected."""
        arrived, rejects = self._at(self.server)
        return {*arrived, *dict(rejects)}

    def _mirrored(self) -> set[str]:
        found = query(
            self.installation.own,
            "select payload->>%s from transfer_rejectedrow where kind = %s",
            [self.rows.number, self.kind],
        )
        return {number for (number,) in found}

    def _expect_arrived(self, due: set[str]) -> None:
        arrived, rejects = self._at(self.server)
        lost = due - {*arrived, *dict(rejects)}
        lost -= self.facts.mirrored & self._mirrored()
        lost -= self.facts.given_up
        lost -= self.now.forgotten
        self._expect(
            len(lost) <= self.facts.forgone, f"lost, and the run says nothing: {sorted(lost)}"
        )
        if not self.facts.is_incomplete:
            self._expect_replacements(due, {*arrived}, dict(rejects))

    def _expect_replacements(
        self, due: set[str], arrived: set[str], rejects: dict[str, str]
    ) -> None:
        """What replaces a row that this server has rejected has arrived, or is a reject itself."""
        latest = {new for new in self.now.replaced if new in due}
        latest -= {*map(self.now.replaced.get, latest)}
        for number in latest:
            missing = not ({number, *self._originals(number)} & arrived)
            self._expect(
                not (missing and rejects.get(number) == ACCEPTED),
                f"{number} counts as accepted before, and nothing of it has arrived",
            )

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.now.violated = True
            story = "\n".join([otherwise, "after:", *self.now.steps])
            print(story)  # noqa: T201 - hypothesis repeats it, and hides it if the repetition differs
            raise Violated(story)


def age(number: str) -> tuple[int, bool]:
    """Sorts rows by when they were staged first."""
    return int(of_original(number)), number.startswith(UNDO)


ARRIVED = "select number from arrived where number in (select {} from {})"
