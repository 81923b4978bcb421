"""Who looks at the scheduler, and at which task."""

import pytest

from tests.pages.scheduler.presses import IVAN
from tests.records import server, user
from transfer.models import Settings


@pytest.fixture(autouse=True)
def english(settings, nothing_asked):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def olga(client):
    client.force_login(user("operator"))


@pytest.fixture
def task(shown):
    return server().tasks.select_related("server").get(kind="balances")


@pytest.fixture
def shown(db):
    Settings.load().change(IVAN, show_transfer_tasks=True)
