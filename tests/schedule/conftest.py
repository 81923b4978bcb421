from datetime import UTC, datetime

import pytest

from transfer.models import Actor, MaintenanceTask

NOON = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)


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
    """The same, switched on at NOON; its next time is 12:05."""
    task.switch(True, ivan, now=NOON)
    return task
