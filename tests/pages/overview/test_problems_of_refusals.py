"""A refusal that no further run heals is the worst there is, and says what to do."""

import pytest
from django.urls import reverse

from tests.databases import query, stage
from transfer.models import Heartbeat
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db


@pytest.fixture
def lost(receiver, shop_all, bonus):
    """A server whose position is gone with our schema, and a run that was refused."""
    task = receiver.tasks.get(kind="balances")
    task.enabled = True
    task.save()
    stage(shop_all, "balances", [("1", 1), ("2", 0)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "drop schema datatransfer cascade")
    assert run_here(task, Trigger.MANUAL).error_code == "beginning_undecided"
    return task


def test_the_overview_says_it_first_with_the_exact_next_step(admin_client, lost):
    admin_client.cookies["django_language"] = "en"
    Heartbeat.beat("shop: cron")
    first, *_others = admin_client.get(reverse("overview")).context["problems"]
    assert "has no position of this transfer yet" in first.sentence
    assert f"begin '{lost.server.name}' balances" in first.detail
    assert first.url == lost.server.get_absolute_url()


def test_the_servers_page_says_how_far_the_server_is_in_the_log(admin_client, receiver, shop_all):
    admin_client.cookies["django_language"] = "en"
    stage(shop_all, "balances", [("1", 1), ("2", 0)])
    run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    url = reverse("server_reconciliation", args=[receiver.pk])
    shown = admin_client.get(f"{url}?now=1").content.decode()
    assert "Line 1 of the log" in shown
