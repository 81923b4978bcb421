"""One kind of transfer between two databases: its engine, moved by tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import uuid4

from django.conf import settings
from psycopg2 import sql

from tests.databases import query, stage
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import BeginningUndecided
from transfer.engine.move import transfer as move
from transfer.engine.move.chunk import Chunk
from transfer.engine.move.prepare import prepare
from transfer.engine.position import Position, Totals
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.purge import Purge
from transfer.engine.shop_all.source import ShopAll


def send_all(shop_all: str, bonus: str) -> None:
    """Decides, as an administrator, that a new bonus server is sent every staged row.

    Writes what `set_position --start` writes, for all kinds in one transaction.
    """
    with ShopAll(shop_all, "tests") as source, BonusDatabase(bonus, "bonus", "tests") as target:
        target.ensure_schema()
        with source.snapshot():
            source.log.require()
            origin = source.identity.origin()
            for kind in settings.KINDS.values():
                source.identity.check_columns(kind)
                position = Position(origin, kind.name, reader=str(uuid4()))
                if not target.positions.exist(kind):
                    target.positions.begin(source.count_anew(kind, position))
        target.database.commit()


def purge(
    dsn: str, kind: str, positions: list[Position], days: int = 30, **left: Any
) -> tuple[int, Decimal]:
    """What the product's purge does once it knows the positions; rows and amounts removed.

    `left` says of servers that are left behind.
    """
    with ShopAll(dsn, "tests") as shop_all, shop_all.purge_lock.held():
        purge = Purge(shop_all, settings.KINDS.values())
        return purge.purge(settings.KINDS[kind], positions, days, **left)


@dataclass
class Flow:
    """One kind of transfer between two databases, moved by the engine alone."""

    kind: str
    shop_all: str
    bonus: str
    reader: str | None = None  # as our own database would remember it
    sends_all: bool = True  # what the administrator decides where a position has to begin

    def stage(self, *rows: tuple[Any, ...]) -> None:
        stage(self.shop_all, self.kind, rows)

    @contextmanager
    def open(self) -> Iterator[tuple[ShopAll, BonusDatabase]]:
        with (
            ShopAll(self.shop_all, "tests") as source,
            BonusDatabase(self.bonus, "bonus server", "tests") as target,
        ):
            yield source, target

    def prepare(self, source: ShopAll, target: BonusDatabase, *, dry_run: bool = False) -> Position:
        """As a run does: our own database knows of all other readers that they are others'."""
        kind = settings.KINDS[self.kind]
        known = self.readers(source)

        def carry() -> bool:
            return carry_over(kind, source, target, known, dry_run=dry_run) is not None

        try:
            position = prepare(kind, source, target, lambda: known, carry=carry, dry_run=dry_run)
        except BeginningUndecided:
            if not self.sends_all:
                raise
            request = Request(start=True, accept_purged=True)
            set_position(kind, source, target, request, known)
            position = prepare(kind, source, target, lambda: known, dry_run=dry_run)
        if not dry_run:
            self.reader = position.reader
        return position

    def readers(self, source: ShopAll) -> Readers:
        with source.snapshot():
            others = source.log.readers(settings.KINDS[self.kind]) - {self.reader}
        return Readers(frozenset({self.reader} - {None}), frozenset(others))

    def move(self, chunk_rows: int = 50_000, dry_run: bool = False) -> "Moved":
        """A whole transfer."""
        kind = settings.KINDS[self.kind]
        with self.open() as (source, target):
            position = self.prepare(source, target, dry_run=dry_run)
            chunks = move.transfer(
                kind, source, target, position.origin, chunk_rows=chunk_rows, dry_run=dry_run
            )
            moved = Moved(list(chunks))
        if not dry_run:
            before = position.totals.rejected
            moved.rejects = [one for one in self.rejects() if one.number > before]
        return moved

    def move_one(self, chunk_rows: int) -> Chunk:
        """The first chunk of a transfer that ends there, as a killed one would."""
        kind = settings.KINDS[self.kind]
        with self.open() as (source, target):
            origin = self.prepare(source, target).origin
            return next(move.transfer(kind, source, target, origin, chunk_rows=chunk_rows))

    def rejects(self) -> list["Rejected"]:
        """The rejects in the bonus server's database, in the order of their numbers."""
        rows = query(
            self.bonus,
            "select number, staging_id, code, payload, sqlstate, constraint_name "
            "from datatransfer.reject where kind = %s order by number",
            [self.kind],
        )
        return [Rejected(*row) for row in rows]

    def origin(self) -> str:
        with self.open() as (source, _):
            return source.identity.origin()

    def position(self) -> Position | None:
        with self.open() as (source, target):
            return target.positions.existing(source.identity.origin(), settings.KINDS[self.kind])

    def target_rows(self) -> list[tuple[Any, ...]]:
        """The bonus server's rows, without numbers and times of its own, sorted."""
        kind = settings.KINDS[self.kind]
        columns = sql.SQL(", ").join(map(sql.Identifier, kind.names))
        return query(
            self.bonus, sql.SQL("select {} from {} order by 1, 2").format(columns, kind.held)
        )


class Rejected(NamedTuple):
    number: int
    id: int
    code: str
    payload: dict[str, str | None]
    sqlstate: str | None
    constraint: str | None


@dataclass
class Moved:
    """What a transfer yielded and rejected."""

    chunks: list[Chunk]
    rejects: list[Rejected] = field(default_factory=list)

    @property
    def codes(self) -> list[str]:
        return [reject.code for reject in self.rejects]

    @property
    def totals(self) -> Totals:
        return sum((chunk.totals for chunk in self.chunks), Totals())
