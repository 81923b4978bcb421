"""A page, a part of one and a file ask our own database as often for thirty of a thing as for ten.

What thirty bonus servers cost is in test_many_servers.py.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from tests.databases import stage
from tests.pages.look import own_patterns, queries_of, status_of
from tests.pages.things import arguments, things
from tests.records import a_problem, a_reject, a_run, user
from transfer.models import (
    Actor,
    Approval,
    AuditEntry,
    BadLine,
    CashRegister,
    Entry,
    MaintenanceRun,
    Notice,
    PlannedWork,
    Recipient,
    RegisterAccount,
    Settings,
    Shop,
    TransferTask,
    Upload,
)
from transfer.models.run_base import State, Trigger
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

pytestmark = [pytest.mark.long, pytest.mark.django_db]
# With filters, in other orders, and a whole page of them.
QUERIES = {
    "registers": ["?state=problem", "?state=online&sort=-shop", "?q=c0"],
    "server": ["?state=online&sort=shown_state"],
    "trace": ["?q=4100&in=account", "?q=410"],
    "rejects_grid": ["?kind=balances"],
}
IVAN = Actor("ivan", address="10.0.0.7")
HOUR = timedelta(hours=1)


def fill(about: dict[str, Any], shop_all: str, count: int) -> None:
    """So many more of each thing that a list can have."""
    eight, task = about["server"], about["task"]
    first = User.objects.count()
    purge = about["maintenance_run"].task
    for number in range(first, first + count):
        ivan = user("operator", f"user {number}")
        failed = {"state": State.FAILED, "error_code": "too_slow", "actor": ivan}
        run = a_run(eight, task.kind, queued_at=timezone.now(), trigger="manual", **failed)
        a_reject(eight, run=run)
        a_reject(eight, run=about["run"])
        done = MaintenanceRun.of(purge, Trigger.MANUAL, ivan)
        done.state, done.report = State.SUCCEEDED, {"runs": 1}
        done.save()
        task.switch(number % 2 == 0, IVAN, reason="x")
        AuditEntry.record(IVAN, AuditEntry.Action.SETTINGS, Settings.load())
        Upload.objects.create(kind="cards", name="x.csv", state="loaded", created_by="olga", good=5)
        BadLine.objects.create(
            upload=about["upload"], line=number, columns="card", value="0", code="card_missing"
        )
        shop = Shop.objects.create(code=f"s{number}")
        for of in (shop, about["shop"]):
            register = CashRegister.objects.create(shop=of, code=f"c{of.pk}.{number}", name="x")
            RegisterAccount.objects.create(
                server=eight, register=register, job=about["job"], state="error",
                error_code="api_broken", last_seen=timezone.now(),
            )  # fmt: skip
        Recipient.objects.create(name=f"{number}", channel="mail", address="x@y").servers.add(eight)
        problem = a_problem(eight, key=f"shop:{number + 100}", ended_at=timezone.now())
        Notice.objects.create(
            recipient=about["recipient"], incident=problem, params=problem.params, event="began"
        )
        PlannedWork.objects.create(
            server=eight, begins_at=timezone.now(), ends_at=timezone.now() + HOUR, reason="x"
        )
        waits = Upload.objects.create(kind="balances", name="x.csv", state="waiting")
        Approval.objects.create(upload=waits, asked_by="oleg", rows=1, largest=5, total=5)
        Entry.note(None, [("4100", 5)], who="oleg", way="hand", total=5, amount=5, rows=1)
    stage(shop_all, "balances", [("4100", number) for number in range(count)])


@pytest.fixture
def asked(admin, shop_all: str, nothing_asked: None) -> Callable[[int], dict[str, int]]:
    """Returns how many queries each page takes once there are so many more of each thing."""
    Settings.load().change(IVAN, show_transfer_tasks=True)
    about = things()

    def asked(count: int) -> dict[str, int]:
        fill(about, shop_all, count)
        # A page would take more or less, depending on when the servers were asked last.
        backlog.store_backlogs({task.pk: Backlog(0) for task in TransferTask.objects.all()})
        found = {}
        for name in sorted({pattern.name for pattern in own_patterns()}):
            url = reverse(name, kwargs=arguments(name, about))
            if status_of(admin, url) != 200:
                continue
            for query in ["", *QUERIES.get(name, [])]:
                address = f"{url}{query}{'&' if query else '?'}per_page=250"
                found[name + query] = queries_of(admin, address)
        return found

    return asked


def test_thirty_of_everything_take_as_many_queries_as_ten(asked):
    few, many = asked(10), asked(20)
    assert len(few) > 80
    more = {name: (few[name], many[name]) for name in few if many.get(name) != few[name]}
    assert more == {}
