"""One kind of transfer between two databases: its engine, moved by tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import uuid4

from psycopg2 import sql

from tests.databases import query, stage
from transfer.causes.ledger import BEGINNING_UNDECIDED, HISTORY_TOO_OLD
from transfer.engine.begin import Answer, begin
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.knowledge import Knowledge
from transfer.engine.move.chunk import Chunk
from transfer.engine.move.transfer import prepare, transfer
from transfer.engine.received import Position, Totals
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.purge import KnownServer
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided
from transfer.installed import installed_kinds

INSTALLATION = "11111111-1111-4111-8111-111111111111"
US = Installation(INSTALLATION, "us")


def send_all(
    shop_all: str, bonus: str, server: str | None = None, installation: Installation = US
) -> None:
    """Decides, as an administrator, that a new bonus server is sent every staged row.

    `server` is the name that its positions give it.
    """
    with (
        ShopAll(shop_all, "tests", secret=False) as source,
        BonusDatabase(bonus, "bonus", "tests", secret=False) as target,
    ):
        target.ensure_schema()
        target.database.commit()
        for kind in installed_kinds().values():
            with source.snapshot():
                source.identity.check_columns(kind)
                origin = source.identity.origin()
            if target.positions.get(origin, kind) is None:
                answer, name = Answer.NOTHING, server or str(uuid4())
                begin(kind, source, target, answer, "tests", name, installation, None)
        target.database.commit()


def known_of(flow: "Flow", name: str = "server") -> KnownServer:
    """What a look at the bonus server says of it, for a purge."""
    with flow.open() as (source, target):
        position = target.positions.get(source.identity.origin(), flow.spec)
        if position is None:
            return KnownServer.unknown(name)
        incomplete = target.positions.exceptions(position).incomplete
        return KnownServer.asked(name, position.place, incomplete)


@dataclass
class Flow:
    """One kind of transfer between two databases, moved by the engine alone."""

    kind: str
    shop_all: str
    bonus: str
    answer: Answer | None = Answer.NOTHING  # what an administrator says where a position begins
    knowledge: Knowledge = field(default_factory=lambda: Knowledge(INSTALLATION, {}, {}))

    @property
    def spec(self) -> Kind:
        kind: Kind = installed_kinds()[self.kind]
        return kind

    def stage(self, *rows: tuple[Any, ...]) -> None:
        stage(self.shop_all, self.kind, rows)

    @contextmanager
    def open(self) -> Iterator[tuple[ShopAll, BonusDatabase]]:
        with (
            ShopAll(self.shop_all, "tests", secret=False) as source,
            BonusDatabase(self.bonus, "bonus server", "tests", secret=False) as target,
        ):
            yield source, target

    def prepare(self, source: ShopAll, target: BonusDatabase, *, dry_run: bool = False) -> Position:
        try:
            return prepare(self.spec, source, target, self.knowledge, dry_run=dry_run)
        except ServerUndecided as error:
            if self.answer is None or error.cause not in (BEGINNING_UNDECIDED, HISTORY_TOO_OLD):
                raise
            target.database.roll_back()
            begin(self.spec, source, target, self.answer, "tests", str(uuid4()), US, None)
            target.database.commit()
            return prepare(self.spec, source, target, self.knowledge, dry_run=dry_run)

    def prepare_alone(self) -> Position:
        """What a transfer does before the first row."""
        with self.open() as (source, target):
            return self.prepare(source, target)

    def move(self, chunk_rows: int = 50_000, dry_run: bool = False) -> "Moved":
        """A whole transfer."""
        before = {one.name for one in self.rejects()}
        with self.open() as (source, target):
            moved = Moved(self._chunks(source, target, chunk_rows, dry_run=dry_run))
        moved.rejects = [one for one in self.rejects() if one.name not in before]
        return moved

    def move_alone(self) -> list[Chunk]:
        """A whole transfer, where the test asks the bonus server nothing beside it."""
        with self.open() as (source, target):
            return [*self._chunks(source, target, 50_000, dry_run=False)]

    def move_one(self, chunk_rows: int) -> Chunk:
        """The first chunk of a transfer that ends there, as a killed one would."""
        with self.open() as (source, target):
            return next(self._chunks(source, target, chunk_rows, dry_run=False))

    def _chunks(
        self, source: ShopAll, target: BonusDatabase, chunk_rows: int, *, dry_run: bool
    ) -> Iterator[Chunk]:
        origin = self.prepare(source, target, dry_run=dry_run).origin
        options = {"chunk_rows": chunk_rows, "dry_run": dry_run}
        return transfer(self.spec, source, target, origin, self.knowledge, **options)

    def rejects(self) -> list["Rejected"]:
        """The rejects in the bonus server's database, in the order in which they came."""
        if query(self.bonus, "select to_regclass('datatransfer.reject')") == [(None,)]:
            return []
        rows = query(
            self.bonus,
            'select "row", code, resolved_by is null, changeset::text, payload, sqlstate,'
            " constraint_name from datatransfer.reject where kind = %s"
            ' order by rejected_at, changeset, "row"',
            [self.kind],
        )
        return [Rejected(*row) for row in rows]

    def origin(self) -> str:
        with self.open() as (source, _), source.snapshot():
            return source.identity.origin()

    def position(self) -> Position | None:
        with self.open() as (source, target):
            if not target.has_schema():
                return None
            return target.positions.get(source.identity.origin(), self.spec)

    def target_rows(self) -> list[tuple[Any, ...]]:
        """The bonus server's rows, without numbers and times of its own, sorted."""
        columns = sql.SQL(", ").join(map(sql.Identifier, self.spec.names))
        return query(
            self.bonus, sql.SQL("select {} from {} order by 1, 2").format(columns, self.spec.held)
        )


class Rejected(NamedTuple):
    """`id` is what names the row within its changeset: its line in the file, or its id."""

    id: int
    code: str
    is_open: bool
    changeset: str
    payload: dict[str, str | None] | None
    sqlstate: str | None
    constraint: str | None

    @property
    def name(self) -> tuple[str, int]:
        return self.changeset, self.id

    @property
    def outcome(self) -> tuple[int, str, bool]:
        return self.id, self.code, self.is_open


class Moved(list[Chunk]):
    """The chunks of a transfer, and what it rejected."""

    rejects: list[Rejected]

    @property
    def codes(self) -> list[str]:
        return [reject.code for reject in self.rejects]

    @property
    def totals(self) -> Totals:
        return sum((chunk.totals for chunk in self), Totals())
