"""What is still to be done on a new installation."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.databases import stage
from tests.records import user
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import (
    Actor,
    BonusServer,
    CashRegister,
    Heartbeat,
    RegisterAccount,
    Settings,
    Shop,
)
from transfer.models.run_base import Trigger
from transfer.parties import database_of
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_asked")]


def steps(client):
    return client.get(reverse("overview"), {"ask": "1"}).context["steps"]


def left(client):
    """The words of what is still to be done."""
    return [step.words for step in steps(client) if not step.is_done]


def test_each_step_checks_itself_and_when_all_are_done_the_list_is_gone(
    admin, settings, empty_database, shop_all, dock, bonus
):
    ready, settings.SHOP_ALL_DATABASE_URL = shop_all, empty_database
    first = steps(admin)
    assert [step.is_done for step in first] == [False] * 7
    assert "is missing" in first[0].how
    assert first[0].command == "manage.py init_shop_all"
    assert first[1].url == reverse("server_add")

    settings.SHOP_ALL_DATABASE_URL = ready
    assert left(admin)[0] == "Dock a bonus server"
    eight = dock(bonus)
    assert left(admin)[0] == "Test the connection to it"
    eight.note_answer(timezone.now(), 0.01, 0, "1")
    assert left(admin)[0] == "Create the registers’ accounts on it"
    till = CashRegister.objects.create(
        shop=Shop.objects.create(code="1"), code="17", name="Касса 17"
    )
    RegisterAccount.objects.create(server=eight, register=till, state="created")
    assert left(admin)[0] == "Decide how long PIN codes stay in shop All"
    Settings.load().change(Actor("ivan"), pin_days=30)  # as it is: that is a choice, too
    assert left(admin)[0] == "Move a first row"
    stage(shop_all, "balances", [("4100", 1)])
    task = eight.tasks.get(kind="balances")
    run_here(task, Trigger.MANUAL)
    assert left(admin) == ["Start the schedule, and switch a transfer on"]
    Heartbeat.beat("shop: cron")
    task.switch(True, Actor("ivan"))
    assert steps(admin) == []
    assert 'id="set-up"' not in admin.get(reverse("overview")).content.decode()

    # What fails later is a problem, and no step of the set-up.
    run_here(task, Trigger.SCHEDULE)
    Heartbeat.objects.update(at=timezone.now() - timedelta(hours=1))
    eight.note_failure(
        timezone.now(), Unreachable(UNREACHABLE, party=database_of("8"), reason="refused")
    )
    assert steps(admin) == []


def test_a_server_whose_database_does_not_answer_is_not_tested(admin, shop_all, dock, bonus):
    eight = dock(bonus)
    eight.note_answer(timezone.now(), 0.01, 0, "1")
    BonusServer.objects.update(db_name="nowhere")
    assert "Test the connection to it" in left(admin)


def test_an_installation_that_is_not_new_is_not_reminded(admin, shop_all, dock, bonus):
    dock(bonus)
    assert steps(admin)
    BonusServer.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert steps(admin) == []


def test_who_may_not_dock_a_server_sees_the_step_and_no_link(client, shop_all):
    client.force_login(user("viewer", "vera"))
    assert steps(client)[1].url == ""
    assert 'id="step-2"' not in client.get(reverse("overview")).content.decode()
