"""What several tests of statements need."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from tests.databases import query, stage
from tests.own_database import OwnDatabases
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor
from transfer.statements.keep import make_monthly

FIRST_OF_MONTH = datetime(2026, 3, 1, 6, tzinfo=ZoneInfo("Europe/Moscow"))


@pytest.fixture
def own(postgres):
    """Our own database, which can go back in time."""
    databases = OwnDatabases(postgres)
    yield databases
    connection.close()
    databases.drop()


@pytest.fixture
def february_over(task, shop_all):
    """February has a row; returns what the task does each day from the first of March on."""
    stage(shop_all, "balances", [("4100", 5)])
    with ShopAll(shop_all, "tests", secret=False) as source:
        source.log_writer.append(task.kind_spec)
    query(shop_all, "update datatransfer.log set appended_at = '2026-02-10 12:00+03'")

    def make(days=0):
        [*make_monthly(Actor(""), FIRST_OF_MONTH + timedelta(days))]

    return make
