"""Random histories: what happens next is drawn by a seed."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2

from tests.chaos.machine import oracle
from tests.chaos.machine.clusters import Clusters
from tests.chaos.machine.facts import Wrong
from tests.chaos.machine.people import People
from tests.chaos.machine.transfers import Transfers
from tests.chaos.machine.world import BALANCES, HISTORY, PINCODES, World, own_name
from tests.databases import connect, run
from transfer.engine.begin import Answer
from transfer.engine.kinds import KINDS
from transfer.errors import TransferError

STEPS = 70
MOST_COPIES = 6
WEIGHTS = {
    "write": 8,
    "write_oddly": 2,
    "open": 4,
    "finish": 5,
    "prepare": 2,
    "finish_prepared": 2,
    "load": 5,
    "load_again": 4,
    "call": 2,
    "append": 2,
    "chunk": 26,
    "drain": 4,
    "undo": 5,
    "correct": 6,
    "change": 4,
    "send": 4,
    "discard": 0.7,
    "delete": 0.5,
    "purge": 2,
    "end_lifetimes": 0.5,
    "copy_shop": 5,
    "restore_shop": 3,
    "test_copy": 0.7,
    "crash": 0.5,
    "copy_server": 3,
    "restore_server": 4,
    "clone": 1,
    "die": 2,
    "revive": 2,
    "undock": 0.7,
    "new_server": 1,
    "drop_schema": 0.3,
    "suspend": 2,
    "resume": 4,
}


class Machine:
    """Takes one random step after another. Raises Wrong with what has happened until then."""

    def __init__(
        self,
        clusters: Clusters,
        seed: int,
        world: type[World] = World,
        people: type[People] = People,
        transfers: type[Transfers] = Transfers,
    ) -> None:
        self.world = world(clusters, seed, 2 + seed % 2)
        self.random = self.world.random
        self.people = people(self.world)
        self.transfers = transfers(self.world, self.people)
        # Within one cluster restores are faster, and xids never go back; and writers are dropped.
        self.ways = self.random.choice([["database"], ["files", "files", "dump"]])
        self.loads: list[tuple[str, list[dict[str, Any]]]] = []
        self.runs: list[tuple[str, Any]] = []  # runs that are held up in the middle
        self.weights = dict(WEIGHTS)
        factor = self.random.choice([0.3, 1, 2])
        for step in ("restore_shop", "test_copy"):
            self.weights[step] *= factor

    def play(self, steps: int = STEPS) -> dict[str, int]:
        names = [*self.weights]
        try:
            for name in self.servers:
                for kind in HISTORY:
                    self.transfers.begin(name, kind, Answer.NOTHING)
            for _ in range(steps):
                self.take(self.random.choices(names, [*self.weights.values()])[0])
            self.take("end")
        except Exception as error:
            raise Wrong(f"{error!r}\nafter:\n" + "\n".join(self.world.trail)) from error
        finally:
            self.drop_runs()
            self.world.close()
        return dict(self.world.counts)

    def take(self, name: str) -> None:
        self.world.trail.append(name)
        self.world.counts[name] += 1
        step: Callable[[], None] = getattr(self, f"step_{name}")
        step()

    @property
    def servers(self) -> list[str]:
        return [*self.world.servers]

    def kind(self) -> str:
        return self.random.choice([BALANCES, BALANCES, PINCODES])

    def pick(self) -> str | None:
        """A server that answers and is docked."""
        docked = [one.name for one in self.world.docked if not one.without_position]
        return self.random.choice(docked) if docked else None

    def rows(self, kind: str, most: int = 3) -> list[dict[str, Any]]:
        return [self.world.draw_row(kind) for _ in range(self.random.randint(1, most))]

    def drop_runs(self) -> None:
        for _, run_ in self.runs:
            with suppress(TransferError):
                run_.close()
        self.runs.clear()

    def step_end(self) -> None:
        """End what is open, drain every server, and check it."""
        while self.world.open:
            self.step_finish()
        while self.prepared():
            self.step_finish_prepared()
        self.drop_runs()
        for server in self.world.servers.values():
            server.is_alive = server.is_docked = True
        self.transfers.drain()
        self.transfers.drain()  # where a server was replaced, others may be a copy of it
        for name in self.servers:
            oracle.check(self.world, name)
            self.check_sums(name)

    def check_sums(self, name: str) -> None:
        """Nothing waits, and a look finds nothing to do."""
        for kind in HISTORY:
            if self.transfers.run(name, kind):
                raise Wrong(f"{name} {kind}: more rows after everything was moved")

    # Writers

    def step_write(self) -> None:
        kind = self.kind()
        self.world.say(self.world.stage(kind, *self.rows(kind))[8:18])

    def stage_open(self) -> tuple[Any, list[tuple[str, str]]]:
        """Stage rows of one or two kinds in a transaction that stays open."""
        world, names = self.world, []
        writer = world.writer()
        for kind in self.random.sample(HISTORY, self.random.randint(1, 2)):
            rows = self.rows(kind)
            ids = world.insert(writer, kind, rows)
            if self.random.random() < 0.3:
                run(writer, "savepoint part")
                more = self.rows(kind)
                other = world.insert(writer, kind, more)
                if self.random.random() < 0.6:
                    run(writer, "rollback to part")
                else:
                    rows, ids = rows + more, ids + other
            name = own_name(writer)
            world.note(kind, name, rows, ids)  # one name, a changeset of each kind
            names.append((kind, name))
        return writer, names

    def step_open(self) -> None:
        if len(self.world.open) < 3:
            self.world.open.append(self.stage_open())

    def step_finish(self) -> None:
        if not self.world.open:
            return
        writer, names = self.world.open.pop(self.random.randrange(len(self.world.open)))
        if self.random.random() < 0.2:
            run(writer, "rollback")
        else:
            run(writer, "commit")
            self.world.commit(names)
            self.world.say(names[0][1][8:18])
        writer.close()

    def step_prepare(self) -> None:
        if self.ways == ["database"]:
            return  # such a database can't be copied
        writer, names = self.stage_open()
        gid = f"gid{self.world.counter}"
        run(writer, f"prepare transaction '{gid}'")
        self.world.prepared[gid] = names
        writer.close()

    def prepared(self) -> list[str]:
        return [gid for (gid,) in self.world.ask("select gid from pg_prepared_xacts order by gid")]

    def step_finish_prepared(self) -> None:
        """After a restore it may be there once more."""
        found = self.prepared()
        if found:
            gid = self.random.choice(found)
            if self.random.random() < 0.7:
                self.world.ask(f"commit prepared '{gid}'")
                self.world.commit(self.world.prepared[gid])
            else:
                self.world.ask(f"rollback prepared '{gid}'")

    def step_write_oddly(self) -> None:
        """As a replica does, with ids of its own, or forging names, which is refused."""
        kind, how = self.kind(), self.random.choice(["own ids", "replica", "forging"])
        self.world.say(how)
        writer = connect(self.world.clusters.shop)
        rows = self.rows(kind)
        if how == "replica":
            run(writer, "set session_replication_role = replica")
        run(writer, "begin")
        if how == "forging":
            with suppress(psycopg2.errors.RestrictViolation):
                self.world.insert(writer, kind, rows, xid=str(self.random.randint(3, 99)))
                raise Wrong("a writer gave a row its name")
        else:
            ids = []
            for row in rows:
                own = {"id": self.random.randint(-50, 50) * 1000 + self.world.counter + len(ids)}
                ids += self.world.insert(writer, kind, [row], **(own if how == "own ids" else {}))
            name = own_name(writer)
            run(writer, "commit")
            self.world.note(kind, name, rows, ids, committed=True)
            self.world.say(name[8:18])
        writer.close()

    # Loads and what depends on rows

    def step_load(self) -> None:
        kind = self.kind()
        rows = self.rows(kind, 6)
        self.loads.append((kind, rows))
        self.people.load(kind, rows)

    def step_load_again(self) -> None:
        """A file that a restore has lost; not one that is there."""
        if not self.loads:
            return
        kind, rows = self.random.choice(self.loads)
        payloads = {row["comment" if kind == BALANCES else "pincode"] for row in rows}
        facts = self.world.facts[kind].rows.values()
        names = {fact.key[0] for fact in facts if payloads & {fact.payload, *fact.values}}
        there = {
            name for (name,) in self.world.ask("select changeset::text from datatransfer.load")
        }
        taken = self.world.ours.taken_back.get(kind, set())
        if names and not names & there and not names & (taken | self.world.facts[kind].undone):
            self.people.load(kind, rows)

    def step_call(self) -> None:
        """A call with a key; it is repeated with the same rows, perhaps after a restore."""
        kind = BALANCES
        key = self.random.choice(["K1", "K2", "K3"])
        calls = self.world.calls
        if key not in calls:
            calls[key] = self.rows(kind, 4)
        if self.world.undone_calls & {key}:
            return
        self.people.call(kind, key, calls[key])

    def step_undo(self) -> None:
        kind = self.kind()
        found = self.world.ask(
            "select load.changeset::text from datatransfer.load join datatransfer.log"
            " using (kind, changeset) where kind = %s and undoes is null"
            " order by withdrawn, number desc limit 6",
            [kind],
        )
        if found:
            (load,) = self.random.choice(found)
            self.people.undo(kind, load)

    def step_correct(self) -> None:
        name, kind = self.pick(), self.kind()
        if name is None:
            return
        found = [
            key
            for key, effect in self.people.open_rejects(name, kind)
            if effect != "sets" and key in self.world.facts[kind].rows
        ]
        if found:
            keys = self.random.sample(found, min(len(found), self.random.randint(1, 2)))
            self.people.correct(kind, *keys, bad=self.random.random() < 0.1)

    def step_discard(self) -> None:
        name, kind = self.pick(), self.kind()
        if name and (found := self.people.open_rejects(name, kind)):
            self.people.discard(name, kind, self.random.choice(found)[0])

    def step_change(self) -> None:
        kind = self.kind()
        plain = self.world.facts[kind].plain
        if plain:
            fact = self.random.choice(plain[-12:])
            self.world.counter += 1
            value: Any = f"p{self.world.counter}"
            if kind == BALANCES:
                value = self.random.randint(100, 99_999) * 10 + self.world.counter % 10
            self.people.change(kind, fact, value)

    def step_send(self) -> None:
        kind = self.kind()
        rows = [
            one
            for one in self.people.changed(kind)
            if (one.changeset, one.row) in self.world.facts[kind].rows
        ]
        self.people.send_changes(kind, rows[: self.random.randint(1, 3)])

    def step_delete(self) -> None:
        kind = self.kind()
        plain = self.world.facts[kind].plain
        if plain:
            self.people.delete(kind, self.random.choice(plain[-10:]))

    # Transfers

    def step_append(self) -> None:
        with self.world.shop() as source:
            source.log_writer.append(KINDS[self.kind()])

    def step_chunk(self) -> None:
        """A chunk or two; the process may die, or shop All go back, around a commit."""
        name, kind = self.pick(), self.kind()
        if name is None:
            return
        fate, rows = self.random.random(), self.random.randint(1, 5)
        most = self.random.randint(1, 2)
        if fate < 0.16:
            with self.transfers.fault(dies="before" if fate < 0.08 else "after"):
                told = self.transfers.try_run(name, kind, rows, most)
        elif fate < 0.2 and self.world.copies and self.weights["restore_shop"]:
            self.world.disturbed = True
            with self.transfers.fault(before=self.step_restore_shop):
                told = self.transfers.try_run(name, kind, rows, most)
            self.world.disturbed = False
        else:
            told = self.transfers.try_run(name, kind, rows, most)
        self.world.say(f"{name} {kind[0]} {told}")
        self.world.counts[told] += 1

    def step_suspend(self) -> None:
        """A run is held up between two chunks, with what it has read ahead."""
        name, kind = self.pick(), self.kind()
        if name is None or len(self.runs) > 1:
            return
        chunks = self.transfers.chunks(name, kind, self.random.randint(1, 3))
        with suppress(TransferError):
            if next(chunks, None) is not None:
                self.runs.append((f"{name} {kind}", chunks))
                self.world.say(f"{name} {kind}")

    def step_resume(self) -> None:
        """It goes on, whatever has happened meanwhile; it may fail."""
        if self.runs:
            told, chunks = self.runs.pop(self.random.randrange(len(self.runs)))
            self.world.say(told)
            with suppress(TransferError):
                for _ in chunks:
                    pass
            chunks.close()

    def step_drain(self) -> None:
        name = self.pick()
        if name is not None:
            self.transfers.drain(name)
            if self.random.random() < 0.3 and not self.world.servers[name].without_position:
                oracle.check(self.world, name)

    def step_purge(self) -> None:
        kind = self.kind()
        for server in self.world.docked:
            if not server.without_position:
                self.world.note_known(server.name)
        self.world.say(f"{kind} {self.people.purge(kind)}")

    def step_end_lifetimes(self) -> None:
        kind = self.kind()
        self.people.purge(kind)
        self.world.say(f"{kind} {self.people.end_lifetimes(kind)}")
        if self.random.random() < 0.5 and (name := self.pick()):
            self.transfers.trim(name, kind, 60)

    # Databases go back

    def step_copy_shop(self) -> None:
        if len(self.world.copies) < MOST_COPIES:
            how = self.random.choice(self.ways)
            self.world.say(f"{how} {self.world.copy_shop(how)}")

    def step_restore_shop(self) -> None:
        if self.world.copies:
            number = self.random.randrange(len(self.world.copies))
            lags = self.world.copies[number].how == "files" and self.random.random() < 0.3
            self.world.restore_shop(number, lags=lags)
            self.world.say(number)

    def step_test_copy(self) -> None:
        """A copy is used by mistake for a while, and then the real shop All again."""
        if self.world.copies:
            real = self.world.copy_shop("database" if self.ways == ["database"] else "files")
            self.world.restore_shop(self.random.randrange(real))
            for _ in range(self.random.randint(2, 5)):
                self.take(self.random.choice(["write", "load_again", "chunk", "undo"]))
            self.world.restore_shop(real)

    def step_crash(self) -> None:
        self.world.drop_writers()
        self.world.clusters.crash_shop()

    def step_copy_server(self) -> None:
        name = self.pick()
        if name is not None and len(self.world.templates) < 8:
            self.world.say(f"{name} {self.world.copy_server(name)}")

    def step_restore_server(self) -> None:
        """An older or a newer state of a server, dead or not. Nobody notices."""
        if self.world.templates:
            number = self.random.randrange(len(self.world.templates))
            self.world.say(self.world.templates[number])
            self.world.restore_server(number)

    def step_clone(self) -> None:
        """The machine of a server is replaced by a copy of another one's."""
        source = self.pick()
        others = [name for name in self.servers if name != source]
        if source and others:
            target = self.random.choice(others)
            self.world.say(f"{source} -> {target}")
            self.world.replace_server(target, source)

    def step_die(self) -> None:
        if len(self.world.docked) > 1 and (name := self.pick()):
            self.world.note_known(name)
            self.world.servers[name].is_alive = False

    def step_revive(self) -> None:
        for server in self.world.servers.values():
            server.is_alive = server.is_docked = True

    def step_undock(self) -> None:
        """Nobody asks it, and no purge waits for it."""
        if len(self.world.docked) > 1 and (name := self.pick()):
            self.world.servers[name].is_docked = False
            self.world.may_lack.add(name)

    def step_new_server(self) -> None:
        """A new server takes the place of one: it begins with nothing, or as another one."""
        name, other = self.random.choice(self.servers), self.pick()
        if other is not None and other != name and self.random.random() < 0.5:
            self.world.say(f"{name} as {other}")
            self.world.replace_server(name, other)
            self.world.ask_server(name, "drop schema datatransfer cascade")
            for kind in HISTORY:
                self.transfers.begin_as(name, other, kind)
        else:
            self.world.say(name)
            self.transfers.replace(name)

    def step_drop_schema(self) -> None:
        name = self.pick()
        if name is not None:
            self.world.ask_server(name, "drop schema datatransfer cascade")
            self.world.servers[name].without_position = True
