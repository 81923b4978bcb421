"""Runs of the product, some of which die, and what a person answers where one refuses."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from tests.chaos.machine import oracle
from tests.chaos.machine.facts import Wrong
from tests.chaos.machine.people import People
from tests.chaos.machine.world import HISTORY, Ours, World
from transfer.causes.ledger import COPY_OF, HISTORY_TOO_OLD, ROWS_PURGED
from transfer.engine import question
from transfer.engine.begin import Answer, begin, begin_as, take_own_name
from transfer.engine.kinds import KINDS
from transfer.engine.move import chunk as chunks
from transfer.engine.move.transfer import prepare, transfer
from transfer.engine.shop_all.undo import undo_again
from transfer.engine.skip import lacking, skip
from transfer.engine.trim import trim
from transfer.errors import RowsDiffer, ServerUndecided, ShopAllWentBack, TransferError

MOST_CHUNKS = 400


class Died(Exception):
    """The process that ran a transfer is gone."""


class Transfers:
    def __init__(self, world: World, people: People) -> None:
        self.world = world
        self.people = people

    def run(self, name: str, kind: str, rows: int = 3, most: int = MOST_CHUNKS) -> int:
        """Run a transfer, which stops after `most` chunks; return how many it has moved."""
        moved = 0
        for _chunk in self.chunks(name, kind, rows):
            moved += 1
            if moved == most:
                break
        return moved

    def chunks(self, name: str, kind: str, rows: int = 3) -> Iterator[Any]:
        """A run of the product, as its process does it; a chunk after the other."""
        world, server = self.world, self.world.servers[name]
        spec, knowledge = KINDS[kind], world.knowledge_of(server)
        with world.both(name) as (source, target):
            position = prepare(spec, source, target, knowledge, dry_run=False)
            with source.snapshot():
                end = source.log.end(spec)
                known = source.installations.own(spec, server.of.installation)
            server.of.seen[position.origin, kind] = end
            if known is None or known.needs_from > position.place.number + 1:
                with source.database.transaction():
                    source.installations.lower(spec, server.of.installation, position.place)
            yield from transfer(
                spec, source, target, position.origin, knowledge, chunk_rows=rows, dry_run=False
            )

    @contextmanager
    def fault(self, *, before: Callable[[], None] | None = None, dies: str = "") -> Iterator[None]:
        """Disturb the next commit of a chunk: the process dies before or after it."""
        commit = chunks.commit

        def disturbed(*arguments: Any) -> None:
            chunks.commit = commit
            if before is not None:
                before()
            if dies == "before":
                raise Died
            commit(*arguments)
            if dies == "after":
                raise Died

        with patch.object(chunks, "commit", disturbed):
            yield

    def try_run(self, name: str, kind: str, rows: int = 3, most: int = MOST_CHUNKS) -> str:
        """Run a transfer, and answer where it refuses; return what became of it."""
        try:
            moved = self.run(name, kind, rows, most)
        except Died:
            return "died"
        except ShopAllWentBack as error:
            self.answer_went_back(self.world.servers[name].of, error)
            return error.code
        except ServerUndecided as error:
            if error.cause is COPY_OF:
                self.answer_copy(name)
            elif error.cause is ROWS_PURGED:
                self.answer_purged(name, kind, error)
            else:
                self.answer_beginning(name, kind, error)
            return error.code
        except RowsDiffer as error:
            self.answer_differ(name, kind, error)
            return error.code
        except TransferError as error:
            if not self.world.disturbed:
                raise
            return error.code
        return "moved" if moved == most else "done"

    def drain(self, *names: str, kinds: tuple[str, ...] = HISTORY) -> None:
        """Transfer until nothing waits, with answers. A refusal of one kind may concern others."""
        for name in names or [one.name for one in self.world.docked]:
            for _ in range(12):
                if {self.try_run(name, kind) for kind in kinds} == {"done"}:
                    break
            else:
                raise Wrong(f"{name}: the refusals never end")

    # Answers

    def answer_went_back(self, of: Ours, error: ShopAllWentBack | None = None) -> None:
        """Shop All lacks what was in it: yes, this is the right one."""
        world = self.world
        if error is not None and error.changesets:
            there = {name for (name,) in world.ask("select changeset::text from datatransfer.log")}
            if there & {*error.changesets}:
                raise Wrong("shop All has some of what counts as lost")
        if world.asked_after == world.went_back:
            raise Wrong("asked twice after one restore")
        world.asked_after = world.went_back
        world.confirmations += 1
        self.confirm(of)

    def confirm(self, of: Ours) -> None:
        specs = [KINDS[kind] for kind in HISTORY]
        with self.world.shop() as source:

            def again(kind: Any, loads: Any) -> None:
                with self.world.shop() as another:
                    done, _refused = undo_again(another, kind, loads, "undone", "tests")
                for one in done:
                    load = next(name for name in loads if another_name(self.world, name, one))
                    self.people.note_undo(kind.name, load, one.changeset)

            question.confirm(source, specs, of.installation.id, of.taken_back, again)
            of.note_seen(source, is_confirmed=True)

    def answer_copy(self, name: str) -> None:
        """The server's database is a copy of another one's: it goes its own way."""
        with self.world.both(name) as (source, target):
            with source.snapshot():
                origin = source.identity.origin()
            self.world.servers[name].uid = str(uuid4())
            take_own_name(origin, target, self.world.servers[name].uid)

    def answer_beginning(self, name: str, kind: str, error: TransferError) -> None:
        """A server without a position becomes an earlier state of itself, or a new one."""
        world, server = self.world, self.world.servers[name]
        if error.cause is HISTORY_TOO_OLD:
            if not world.lifetimes_ended:
                raise Wrong(f"{name} {kind}: {error.code}, and no lifetime has ended")
        elif not server.without_position:
            raise Wrong(f"{name} {kind}: {error.code}, and its schema is there")
        self.replace(name)

    def replace(self, name: str) -> None:
        """The vendor sets up an empty server; it is sent everything."""
        server = self.world.servers[name]
        self.world.clusters.create_server(name, name.replace("s", "x"))
        self.world.may_lack.add(name)
        for kind in HISTORY:
            self.begin(name, kind, Answer.NOTHING)
        server.without_position = False

    def begin(self, name: str, kind: str, answer: Answer) -> None:
        server = self.world.servers[name]
        with self.world.both(name) as (source, target), suppress(Died):
            begin(
                KINDS[kind],
                source,
                target,
                answer,
                "tests",
                server.uid,
                server.of.installation,
                None,
            )
            target.database.commit()
        server.without_position = False

    def begin_as(self, name: str, other: str, kind: str) -> None:
        """The server's tables are a copy of another one's, ours are not."""
        server = self.world.servers[name]
        with self.world.both(name) as (source, target), self.world.both(other) as (_, original):
            with source.snapshot():
                origin = source.identity.origin()
            with original.database.transaction(commit=False):
                held = original.positions.get(origin, KINDS[kind])
            assert held is not None
            begin_as(KINDS[kind], source, original, target, "tests", server.uid, held.version)
            target.database.commit()
        server.without_position = False

    def answer_purged(self, name: str, kind: str, error: ServerUndecided) -> None:
        """The server does without purged rows that it lacks: exactly those that the list names."""
        expected = oracle.list_purged(self.world, name, kind)
        named = {*error.changesets}
        if name not in self.world.may_lack:
            raise Wrong(f"{name} {kind}: rows were purged that it needs")
        if not named <= expected:
            raise Wrong(f"{name} {kind}: refused {named}, but lacks {expected}")
        with self.world.both(name) as (source, target):
            with source.snapshot():
                origin = source.identity.origin()
            with target.database.transaction(commit=False), source.snapshot():
                position = target.positions.get(origin, KINDS[kind])
                assert position is not None
                listed = [one.changeset for one in lacking(KINDS[kind], source, target, position)]
            if not named <= {*listed}:
                raise Wrong(f"{name} {kind}: refused {named}, but lists {listed}")
            skip(KINDS[kind], source, target, origin, listed)

    def answer_differ(self, name: str, kind: str, error: RowsDiffer) -> None:
        """Rows were deleted by hand: nobody waits for them."""
        facts = self.world.facts[kind]
        for changeset in error.changesets:
            keys = facts.changesets[changeset].keys
            if not facts.deleted & {*keys}:
                raise Wrong(f"{name} {kind}: {changeset} lacks rows, but nobody deleted one")
        if not self.people.accept_gone(kind):
            raise Wrong(f"{name} {kind}: nothing is missing of {error.changesets}")

    def trim(self, name: str, kind: str, days: int) -> None:
        with self.world.both(name) as (source, target):
            with source.snapshot():
                origin = source.identity.origin()
            trim(KINDS[kind], source, target, origin, days)


def another_name(world: World, load: str, done: Any) -> bool:
    """Whether an undo is that of this load."""
    with world.shop() as source:
        return source.names.of_undo(load) == done.changeset
