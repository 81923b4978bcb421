"""Real databases for every test: scratch copies of an initialised shop All and a bonus server."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.utils import translation
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import (
    WORKER,
    Server,
    as_url,
    initialise_shop_all,
    migrate_bonus_server,
    migrate_own,
    prepare_for_tests,
    query,
    stage,
)
from tests.early import IS_EMBEDDED
from tests.emptied import emptying
from tests.flow import Flow, send_all
from tests.forked import Forked, Forking
from transfer.errors import TransferError
from transfer.management.docking import database_fields
from transfer.models import Actor, BonusServer, MaintenanceTask, RejectedRow
from transfer.models.run_base import Trigger
from transfer.runs import backlog
from transfer.runs.execute import run_here
from transfer.runs.needed import this_installation

pytest_plugins = [
    "tests.arrivals",
    "tests.forms",
    "tests.messengers",
    "tests.provider",
    "tests.reference_server",
    "tests.restores",
    "tests.signing",
    "tests.speed",
    "tests.uploads",
    "tests.vendor",
]

NOON = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
# The tests with a browser set the first (tests/browser/conftest.py), `tests.early` the second one.
OF_THIS_PROCESS = ("DJANGO_ALLOW_ASYNC_UNSAFE", "DTADMIN_POSTGRES_PROGRAMS")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server that the tests run against: the embedded one, or that of the environment."""
    server = Server(django_settings.SHOP_ALL_DATABASE_URL)
    if wanted := os.environ.get("POSTGRES_VERSION"):  # see `make matrix`
        assert server.admin.server_version // 10_000 == int(wanted), "another PostgreSQL answers"
    if IS_EMBEDDED:
        prepare_for_tests(server.dsn)
    yield server
    server.close()


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether Django goes on with the copy below; the embedded server ends with the run."""
    return IS_EMBEDDED


@pytest.fixture(scope="session")
def own_template(postgres: Server) -> Iterator[str]:
    """A database that has our own tables, empty: migrations run once for all workers."""
    with postgres.template("test_own_template", migrate_own) as name:
        yield name


@pytest.fixture(scope="session")
def own_copy(
    request: pytest.FixtureRequest,
    postgres: Server,
    django_db_modify_db_settings: None,
    django_db_keepdb: bool,
) -> None:
    """Our own database of the tests, as a copy of the template."""
    if django_db_keepdb:
        name = connection.creation._get_test_db_name()
        postgres.create(name, request.getfixturevalue("own_template"))


@pytest.fixture
def migrated_database(postgres: Server, own_template: str) -> Iterator[str]:
    """A database with our own tables, beside the one that the test runs in."""
    name = f"test_migrated_{WORKER}"
    yield postgres.create(name, own_template)
    postgres.drop(name)


@pytest.fixture(scope="session")
def django_db_setup(
    postgres: Server, own_copy: None, django_db_setup: None, django_db_blocker: Any
) -> Iterator[None]:
    """The test database, freed at the end of what processes left that tests have killed.

    PostgreSQL notices only at its next word to them that they are gone.
    """
    with django_db_blocker.unblock():
        emptying()  # remembers the rows that migrations have made
    yield
    connection.close()  # a test may have ended its session, and Django notices only by an error
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.fixture(scope="session")
def shop_all_template(postgres: Server) -> Iterator[str]:
    with postgres.template("test_shop_all_template", initialise_shop_all) as name:
        yield name


@pytest.fixture(scope="session")
def bonus_template(postgres: Server) -> Iterator[str]:
    with postgres.template("test_bonus_template", migrate_bonus_server) as name:
        yield name


@pytest.fixture
def empty_database(postgres: Server) -> Iterator[str]:
    name = f"test_empty_{WORKER}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture
def in_encoding(postgres: Server) -> Iterator[Callable[[str], str]]:
    """Makes an empty database that stores texts in another encoding: `in_encoding("LATIN1")`."""
    name = f"test_encoding_{WORKER}"
    yield lambda encoding: postgres.create_in(encoding, name)
    postgres.drop(name)


@pytest.fixture
def shop_all(postgres: Server, shop_all_template: str, settings: Any) -> Iterator[str]:
    """The DSN of an initialised, empty staging database; the settings name it."""
    with postgres.copy(f"test_shop_all_{WORKER}", shop_all_template) as dsn:
        settings.SHOP_ALL_DATABASE_URL = dsn
        yield dsn


@pytest.fixture
def bonus(postgres: Server, bonus_template: str) -> Iterator[str]:
    """The DSN of a bonus server's empty database."""
    with postgres.copy(f"test_bonus_{WORKER}", bonus_template) as dsn:
        yield dsn


@pytest.fixture
def second_bonus(postgres: Server, bonus_template: str) -> Iterator[str]:
    with postgres.copy(f"test_second_bonus_{WORKER}", bonus_template) as dsn:
        yield dsn


@pytest.fixture
def flow(shop_all: str, bonus: str) -> Callable[[str], Flow]:
    """Makes the flow of a kind from `shop_all` to `bonus`."""
    return lambda kind: Flow(kind, shop_all, bonus)


@pytest.fixture
def dock(db: None, request: pytest.FixtureRequest) -> Callable[..., BonusServer]:
    """Docks a bonus server whose database has the given DSN; `decided`: it is sent all rows."""

    def dock(dsn: str, name: str = "Бонусный сервер 8", *, decided: bool = True) -> BonusServer:
        server = BonusServer(name=name, host="localhost", **database_fields(dsn))
        server.dock()
        if decided and "shop_all" in request.fixturenames:
            request.getfixturevalue("shop_all")  # may be followed by one with tables of another
            with suppress(TransferError):  # a test of a database that is not as it should be
                shop_all = django_settings.SHOP_ALL_DATABASE_URL
                send_all(shop_all, dsn, str(server.uid), this_installation())
        return server

    return dock


@pytest.fixture
def limited(bonus: str) -> Iterator[str]:
    """The DSN of an account that may use the vendor's tables and nothing else."""
    role = f"limited_{parse_dsn(bonus)['dbname']}"
    query(bonus, f"drop role if exists {role}")
    query(
        bonus,
        f"create role {role} login password 'limited'; "
        f"grant select, insert, update on all tables in schema public to {role}",
    )
    yield make_dsn(bonus, user=role, password="limited")
    query(bonus, f"drop owned by {role}; drop role {role}")


@pytest.fixture
def receiver(dock: Callable[..., BonusServer], bonus: str) -> BonusServer:
    """A docked bonus server that rows can be moved to."""
    return dock(bonus)


@pytest.fixture
def rejected(receiver: BonusServer, shop_all: str) -> Callable[..., list[RejectedRow]]:
    """Stages rows of a kind, moves them, and returns the rejects: `rejected("cards", row, …)`."""

    def rejected(kind: str, *rows: tuple[Any, ...]) -> list[RejectedRow]:
        stage(shop_all, kind, rows)
        run_here(receiver.tasks.get(kind=kind), Trigger.MANUAL)
        return list(RejectedRow.objects.filter(kind=kind).order_by("pk"))

    return rejected


@pytest.fixture
def own_database(transactional_db: None) -> str:
    """The DSN of our own database, for processes and connections beside the test."""
    own = connection.settings_dict
    return make_dsn(
        host=own["HOST"],
        port=own["PORT"] or None,
        dbname=own["NAME"],
        user=own["USER"],
        password=own["PASSWORD"] or None,
    )


@pytest.fixture
def environment(own_database: str, shop_all: str) -> dict[str, str]:
    """The environment of a process of its own, on the databases of the test."""
    mine = {name: value for name, value in os.environ.items() if name not in OF_THIS_PROCESS}
    return {
        **mine,
        "DATABASE_URL": as_url(own_database),
        "SHOP_ALL_DATABASE_URL": as_url(shop_all),
        "SECRET_KEY": django_settings.SECRET_KEY,
        "DTADMIN_LANGUAGE": "en",
    }


@pytest.fixture
def at_two(
    rejected: Callable[..., list[RejectedRow]],
    dock: Callable[..., BonusServer],
    second_bonus: str,
) -> Callable[..., list[RejectedRow]]:
    """Likewise, rejected by a second server as well: those of the first, then of the second."""

    def at_two(kind: str, *rows: tuple[Any, ...]) -> list[RejectedRow]:
        first = rejected(kind, *rows)
        second = dock(second_bonus, "Бонусный сервер 9")
        run_here(second.tasks.get(kind=kind), Trigger.MANUAL)
        return [*first, *second.rejects.order_by("pk")]

    return at_two


@pytest.fixture(scope="session")
def forking() -> Iterator[Forking]:
    """Starts `manage.py …` with any environment: it has the libraries loaded."""
    forking = Forking()
    yield forking
    forking.close()


@pytest.fixture
def manage(forking: Forking, environment: dict[str, str]) -> Callable[..., Forked]:
    """Starts `manage.py …` as a process of its own, on the databases of the test."""

    def manage(*arguments: str, terminal: int | None = None) -> Forked:
        """With `terminal`, a file descriptor, its errors and progress go there."""
        return forking.start(*arguments, env=environment, terminal=terminal)

    return manage


@pytest.fixture
def nothing_asked(monkeypatch: Any) -> Iterator[None]:
    """No server has been asked what waits; what a test says that one has answered stays fresh."""
    monkeypatch.setattr(backlog, "FRESH", timedelta(hours=1))
    cache.clear()
    yield
    cache.clear()


@pytest.fixture(autouse=True)
def own_language() -> None:
    """The language of the installation, though Django's client may have left another one active."""
    translation.deactivate()


@pytest.fixture
def in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def ivan():
    return Actor("ivan", address="10.0.0.7")


@pytest.fixture
def olga():
    return Actor("olga", address="10.0.0.8")


@pytest.fixture
def server(dock, bonus, shop_all):
    """Docked; nothing but its transfers is on the schedule."""
    MaintenanceTask.objects.update(enabled=False, next_run_at=None)
    return dock(bonus)


@pytest.fixture
def task(server):
    """A transfer of balances, switched off, every 5 minutes."""
    return server.tasks.select_related("server").get(kind="balances")


@pytest.fixture
def switched_on(task, ivan):
    """Likewise, switched on at NOON; its next time is 12:05."""
    task.switch(True, ivan, now=NOON)
    return task
