"""Scratch databases on the server that the tests run against, and what is done with them."""

import fcntl
import io
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg2
from django.conf import settings
from psycopg2 import sql
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    connection as Connection,
    make_dsn,
    parse_dsn,
)

from transfer.engine.shop_all.source import ShopAll
from transfer.installed import installed_kinds

ROOT = Path(__file__).parent.parent
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")


class Server:
    """A PostgreSQL server on which databases are made and dropped at will."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.lent: dict[str, State] = {}  # copies that go from test to test, as they were made

    def url(self, name: str) -> str:
        return make_dsn(self.dsn, dbname=name)

    def create(self, name: str, template: str = "template1") -> str:
        """A fresh database, in place of an old one of the same name; returns its DSN."""
        self.drop(name)
        if kept := KEPT.get(self.url(template)):
            kept.close()  # a template may have no sessions
        # Copied as files: through the write-ahead log, small databases take five times as long.
        strategy = "strategy file_copy" if self.admin.server_version >= 150000 else ""
        statement = sql.SQL(f"create database {{}} template {{}} {strategy}")
        run(self.admin, statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url(name)

    def create_in(self, encoding: str, name: str) -> str:
        """A fresh database that stores texts in another encoding than UTF8; returns its DSN."""
        self.drop(name)
        statement = sql.SQL("create database {} template template0 encoding {} locale 'C'")
        run(self.admin, statement.format(sql.Identifier(name), sql.Literal(encoding)))
        return self.url(name)

    def drop(self, name: str) -> None:
        statement = sql.SQL("drop database if exists {} with (force)")
        run(self.admin, statement.format(sql.Identifier(name)))

    @contextmanager
    def copy(self, name: str, template: str) -> Iterator[str]:
        """The DSN of a copy of the template, the same for one test after the other.

        A test that left nothing but rows and schemas of its own has them taken out again, a
        fraction of the work of a new copy; after any other the next test has a new one.
        """
        dsn = self.url(name)
        if name not in self.lent:
            keep(self.create(name, template))
            self.lent[name] = State.of(dsn)
        yield dsn
        if not self.lent[name].restore(dsn):
            close_kept(dsn)
            del self.lent[name]
            self.drop(name)

    @contextmanager
    def template(self, name: str, fill: Callable[[str], None]) -> Iterator[str]:
        """Names a database that `fill` has filled, once for all workers of a run.

        On a server that outlives the run, each worker makes one of its own, and drops it.
        """
        from tests.early import IS_EMBEDDED  # starts that of the tests; the bench has its own

        if not IS_EMBEDDED:
            name = f"{name}_{WORKER}"
            fill(self.create(name))
            yield name
            self.drop(name)
            return
        with open(Path(os.environ["SHARED_BY_WORKERS"]) / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not run(self.admin, "select 1 from pg_database where datname = %s", [name]):
                part = f"{name}_part"  # which is copied by none if `fill` fails
                fill(self.create(part))
                rename = sql.SQL("alter database {} rename to {}")
                run(self.admin, rename.format(sql.Identifier(part), sql.Identifier(name)))
        yield name

    def close(self) -> None:
        for name in self.lent:
            self.drop(name)
        self.admin.close()

    @cached_property
    def admin(self) -> Connection:
        admin = psycopg2.connect(self.url("postgres"))
        admin.autocommit = True
        return admin


# Each change other than of rows that a test makes in a database has a row in one of these.
CATALOGUES = (
    *("pg_attrdef", "pg_attribute", "pg_class", "pg_constraint", "pg_default_acl"),
    *("pg_event_trigger", "pg_extension", "pg_foreign_server", "pg_index", "pg_policy"),
    *("pg_proc", "pg_publication", "pg_rewrite", "pg_sequence", "pg_statistic_ext"),
    *("pg_subscription", "pg_trigger", "pg_type"),
)
# The last transaction that has written a row, from any fixed point: cheaper than as a number.
LATEST = "age('3'::xid) - min(age(xmin))"
OUTSIDE_ROWS = " union all ".join(
    [
        *(f"select '{one}', count(*), {LATEST} from {one}" for one in CATALOGUES),
        f"select 'namespaces', count(*), {LATEST} from pg_namespace "
        "where nspname !~ '^pg_(toast_)?temp_'",
        f"select 'itself', 1, {LATEST} from pg_database where datname = current_database()",
        "select 'settings', count(*), 0 from pg_db_role_setting join pg_database d "
        "on setdatabase = d.oid where datname = current_database()",
        "select 'prepared', count(*), 0 from pg_prepared_xacts where database = current_database()",
    ]
)
TABLES = """
    select c.oid::regclass::text, pg_relation_size(c.oid)
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname !~ '^pg_' and nspname <> 'information_schema'
    order by 1
"""
SCHEMAS = "select quote_ident(nspname) from pg_namespace where nspname !~ '^pg_(toast_)?temp_'"
CALLED = "select sequencename from pg_sequences where last_value is not null"
FROM_THE_START = f"""
    select setval(format('%%I.%%I', schemaname, sequencename), start_value, false)
    from pg_sequences where sequencename in ({CALLED}) and not sequencename = any(%s)
"""
LARGE = 1 << 20  # bytes of a table: quicker copied again than emptied
NOBODY_ELSE = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
"""


@dataclass(frozen=True)
class State:
    """A copy of a template as it was made: its catalogues, schemas, rows and called sequences."""

    catalogues: list[tuple[Any, ...]]
    schemas: list[tuple[Any, ...]]
    rows: dict[str, str]  # as COPY writes them, by the table
    sequences: list[str]

    @classmethod
    def of(cls, dsn: str) -> "State":
        with opened(dsn) as connection:
            filled = [name for name, size in run(connection, TABLES) if size]
            return cls(
                run(connection, OUTSIDE_ROWS),
                run(connection, SCHEMAS),
                {name: copied(connection, name) for name in filled},
                [name for (name,) in run(connection, CALLED)],
            )

    def restore(self, dsn: str) -> bool:
        """Takes out the schemas and rows that were added, and puts back the rows that were changed;
        False if there is more to it.
        """
        try:
            with opened(dsn) as connection:
                run(connection, f"set lock_timeout = '30s'; {NOBODY_ELSE}")
                for (name,) in {*run(connection, SCHEMAS)} - {*self.schemas}:
                    run(connection, f"drop schema {name} cascade")
                if run(connection, OUTSIDE_ROWS) != self.catalogues:
                    return False
                tables = run(connection, TABLES)
                if any(size > LARGE for _, size in tables):
                    return False
                changed = [
                    name for name in self.rows if copied(connection, name) != self.rows[name]
                ]
                filled = [name for name, size in tables if size and name not in self.rows]
                run(connection, self.emptying([*filled, *changed]), [self.sequences])
                for name in changed:
                    put_back(connection, name, self.rows[name])
                return True
        except psycopg2.Error:  # dropped, closed to all, or not ours to empty
            return False

    def emptying(self, filled: list[str]) -> str:
        """No trigger fires, and no foreign key is asked."""
        rows = [f"delete from {name}" for name in filled]
        return "; ".join(["set session_replication_role = replica", *rows, FROM_THE_START])


def copied(connection: Connection, table: str) -> str:
    """The rows of a table, as COPY writes them, in one order."""
    rows = io.StringIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(f"copy (select * from {table} t order by t::text) to stdout", rows)
    return rows.getvalue()


def put_back(connection: Connection, table: str, rows: str) -> None:
    with connection.cursor() as cursor:
        cursor.copy_expert(f"copy {table} from stdin", io.StringIO(rows))


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
    connection = connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


def connect(dsn: str) -> Connection:
    connection = psycopg2.connect(dsn)
    connection.autocommit = True
    return connection


class Kept:
    """A connection that lasts from test to test, and is like a new one each time."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.connection: Connection | None = None

    @contextmanager
    def opened(self) -> Iterator[Connection]:
        if self.connection is None or not self._is_as_new():
            self.close()
            self.connection = connect(self.dsn)
        try:
            yield self.connection
        finally:
            self._is_as_new()

    def _is_as_new(self) -> bool:
        """Ends a transaction and forgets settings and locks; false if the connection is broken."""
        assert self.connection is not None
        try:
            if self.connection.info.transaction_status != TRANSACTION_STATUS_IDLE:
                run(self.connection, "rollback")
            run(self.connection, "discard all")
        except psycopg2.Error:  # one of several, by how the server has gone
            return False
        return True

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None


KEPT: dict[str, Kept] = {}  # by DSN


def keep(*dsns: str) -> None:
    """Keeps a connection to each of these databases for `query` and `stage`."""
    KEPT.update({dsn: Kept(dsn) for dsn in dsns})


def close_kept(*dsns: str) -> None:
    for dsn in dsns:
        if kept := KEPT.pop(dsn, None):
            kept.close()


@contextmanager
def opened(dsn: str) -> Iterator[Connection]:
    """A connection for some statements: the kept one, if there is one, in the main thread."""
    is_kept = dsn in KEPT and threading.current_thread() is threading.main_thread()
    with KEPT[dsn].opened() if is_kept else connected(dsn) as connection:
        yield connection


def run(connection: Connection, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def query(dsn: str, statement: Any, parameters: Any = None) -> list[tuple[Any, ...]]:
    with opened(dsn) as connection:
        return run(connection, statement, parameters)


def prepare_for_tests(dsn: str) -> None:
    """Set what the embedded server of the tests needs.

    It need not survive a loss of power, and is several times as fast without; the crash of a
    process loses nothing either way. No table is ever analysed here: PostgreSQL guesses thousands
    of rows in empty ones, and starts two processes to read them. A lock that is never released
    fails the statement that waits for it: no signal ends a test that waits inside libpq.
    """
    for setting, value in (
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("max_parallel_workers_per_gather", "0"),
        ("lock_timeout", "'100s'"),
    ):
        query(dsn, f"alter system set {setting} = {value}")
    query(dsn, "select pg_reload_conf()")


def stage(dsn: str, kind: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Writes rows of our values into a staging table, in one transaction, as a script would."""
    with opened(dsn) as connection:
        run(connection, "begin")
        insert(connection, kind, rows)
        run(connection, "commit")


def insert(connection: Connection, kind: str, rows: Iterable[tuple[Any, ...]]) -> None:
    side, columns = installed_kinds()[kind].shop_all, installed_kinds()[kind].columns
    values = [side.write(column, sql.Placeholder()) for column in columns]
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        side.identifier,
        sql.SQL(", ").join(map(sql.Identifier, [*side.names(columns).values(), *side.fixed])),
        sql.SQL(", ").join([*values, *map(sql.Literal, side.fixed.values())]),
    )
    with connection.cursor() as cursor:
        for row in rows:
            cursor.execute(statement, [*row, *[None] * (len(columns) - len(row))])


def initialise_shop_all(dsn: str) -> None:
    from transfer.management.provision import initialise  # needs Django set up; the bench is not

    with ShopAll(dsn, "tests", secret=False) as shop_all:
        initialise(shop_all)


def migrate_own(dsn: str) -> None:
    """Makes our own tables, in a process of its own: this one is connected elsewhere."""
    subprocess.run(
        [sys.executable, "manage.py", "migrate", "--verbosity=0"],
        env={**os.environ, "DATABASE_URL": as_url(dsn), "SECRET_KEY": settings.SECRET_KEY}
        | {"SHOP_ALL_DATABASE_URL": as_url(settings.SHOP_ALL_DATABASE_URL)},
        cwd=ROOT,
        check=True,
    )


def migrate_bonus_server(dsn: str) -> None:
    """As its administrator would: in a process of its own, which the product never imports."""
    subprocess.run(
        [sys.executable, "-m", "reference_bonus_server", "migrate", "--verbosity=0"],
        env={**os.environ, "BONUSSERVER_DATABASE_URL": as_url(dsn)},
        cwd=ROOT,
        check=True,
    )
