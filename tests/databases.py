"""Scratch databases on the server that the tests run against, and what is done with them."""

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection, make_dsn, parse_dsn

from transfer.engine import move
from transfer.engine.batches import Readers
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.move import Chunk
from transfer.engine.position import Position, Totals
from transfer.engine.shop_all import ShopAll
from transfer.engine.staging import Staging

ROOT = Path(__file__).parent.parent


class Server:
    """A PostgreSQL server on which databases are made and dropped at will."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def url(self, name: str) -> str:
        return make_dsn(self.dsn, dbname=name)

    def create(self, name: str, template: str = "template1") -> str:
        """A fresh database, in place of an old one of the same name; returns its DSN."""
        self.drop(name)
        # Copied as files: through the write-ahead log, small databases take five times as long.
        strategy = "strategy file_copy" if self.admin.server_version >= 150000 else ""
        statement = sql.SQL(f"create database {{}} template {{}} {strategy}")
        run(self.admin, statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def drop(self, name: str) -> None:
        statement = sql.SQL("drop database if exists {} with (force)")
        run(self.admin, statement.format(sql.Identifier(name)))

    @cached_property
    def admin(self) -> Connection:
        admin = psycopg2.connect(self.url("postgres"))
        admin.autocommit = True
        return admin


def as_url(dsn: str) -> str:
    """A DSN as a URL, which is what the settings take."""
    parts = parse_dsn(dsn)
    login = ":".join(filter(None, [parts.get("user"), parts.get("password")]))
    return (
        f"postgresql://{login}@/{parts['dbname']}?host={parts.get('host', '')}"
        f"&port={parts.get('port', 5432)}"
    )


@contextmanager
def connected(dsn: str) -> Iterator[Connection]:
    """A connection of the test's own, each statement its own transaction."""
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()


def run(connection: Connection, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def query(dsn: str, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connected(dsn) as connection:
        return run(connection, statement, parameters)


def stage(dsn: str, kind: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Writes rows of data columns into a staging table, in one transaction, as a script would."""
    with connected(dsn) as connection:
        connection.autocommit = False
        insert(connection, kind, rows)
        connection.commit()


def insert(connection: Connection, kind: str, rows: Iterable[tuple[Any, ...]]) -> None:
    columns = [column.name for column in KINDS[kind].columns]
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(KINDS[kind].staging),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(sql.Placeholder() * len(columns)),
    )
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute(statement, [*row, *[None] * (len(columns) - len(row))])


def initialise_shop_all(dsn: str) -> None:
    with Staging(dsn, "tests") as staging:
        staging.initialise()


def migrate_bonus_server(dsn: str) -> None:
    """As its administrator would: in a process of its own, which the product never imports."""
    subprocess.run(
        [sys.executable, "-m", "bonusserver", "migrate", "--verbosity=0"],
        env={**os.environ, "BONUSSERVER_DATABASE_URL": as_url(dsn)},
        cwd=ROOT,
        check=True,
    )


@dataclass
class Flow:
    """One kind of transfer between two databases, moved by the engine alone."""

    kind: str
    shop_all: str
    bonus: str
    reader: str | None = None  # as our own database would remember it

    def stage(self, *rows: tuple[Any, ...]) -> None:
        stage(self.shop_all, self.kind, rows)

    @contextmanager
    def doors(self) -> Iterator[tuple[ShopAll, BonusDatabase]]:
        with (
            ShopAll(self.shop_all, "tests") as source,
            BonusDatabase(self.bonus, "bonus server", "tests") as target,
        ):
            yield source, target

    def prepare(self, source: ShopAll, target: BonusDatabase, *, dry_run: bool = False) -> Position:
        """As a run does: our own database knows of all other readers that they are others'."""
        kind = KINDS[self.kind]
        known = self.readers(source)
        position = move.prepare(kind, source, target, lambda: known, dry_run=dry_run)
        if not dry_run:
            self.reader = position.reader
        return position

    def readers(self, source: ShopAll) -> Readers:
        with source.snapshot():
            others = source.readers(KINDS[self.kind]) - {self.reader}
        return Readers(frozenset({self.reader} - {None}), frozenset(others))

    def move(self, chunk_rows: int = 50_000, dry_run: bool = False) -> "Moved":
        """A whole transfer."""
        kind = KINDS[self.kind]
        with self.doors() as (source, target):
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
        kind = KINDS[self.kind]
        with self.doors() as (source, target):
            origin = self.prepare(source, target).origin
            return next(move.transfer(kind, source, target, origin, chunk_rows=chunk_rows))

    def rejects(self) -> list["Rejected"]:
        """Those that stand in the bonus server's database, in the order of their numbers."""
        found = query(
            self.bonus,
            "select number, staging_id, code, payload, sqlstate, constraint_name "
            "from datatransfer.reject where kind = %s order by number",
            [self.kind],
        )
        return [Rejected(*row) for row in found]

    def origin(self) -> str:
        with self.doors() as (source, _):
            return source.origin()

    def position(self) -> Position | None:
        with self.doors() as (source, target):
            return target.existing_position(source.origin(), KINDS[self.kind])

    def target_rows(self) -> list[tuple[Any, ...]]:
        """The bonus server's rows, without numbers and times of its own, sorted."""
        columns = ", ".join(column.name for column in KINDS[self.kind].columns)
        return query(self.bonus, f'select {columns} from "{KINDS[self.kind].target}" order by 1, 2')


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
