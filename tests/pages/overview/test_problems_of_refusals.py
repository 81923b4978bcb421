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
    assert run_here(task, Trigger.MANUAL).error_code == "position_lost"
    return task


def test_the_overview_says_it_first_with_the_exact_next_step(admin_client, lost):
    admin_client.cookies["django_language"] = "en"
    Heartbeat.beat("shop: cron")
    first, *_others = admin_client.get(reverse("overview")).context["problems"]
    assert "its position of this transfer is gone" in first.sentence
    assert f"set_position '{lost.server.name}' balances --batch N" in first.detail


def test_the_servers_page_shows_the_log_and_what_each_batch_brought(
    admin_client, receiver, shop_all
):
    admin_client.cookies["django_language"] = "en"
    stage(shop_all, "balances", [("1", 1), ("2", 0)])
    run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    shown = admin_client.get(reverse("server_reconciliation", args=[receiver.pk]))
    (line,) = [one for one in shown.context["lines"] if one["task"].kind == "balances"]
    (batch,) = line["batches"].data
    assert (batch["batch"].number, batch["is_here"]) == (1, True)
    assert (batch["counted"]["rows"], batch["counted"]["moved"], batch["counted"]["bad"]) == (
        2,
        1,
        1,
    )
    assert "The bonus server is here" in shown.content.decode()


def test_with_a_lost_position_the_log_is_what_there_is_to_go_by(admin_client, lost):
    shown = admin_client.get(reverse("server_reconciliation", args=[lost.server.pk]))
    (line,) = [one for one in shown.context["lines"] if one["task"].kind == "balances"]
    assert [one["batch"].number for one in line["batches"].data] == [1]
