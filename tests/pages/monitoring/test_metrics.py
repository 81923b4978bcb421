"""/metrics: each number as Prometheus reads it."""

from datetime import timedelta
from platform import python_version
from time import time

import pytest
from django.core.cache import cache
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tests.databases import stage
from tests.records import a_reject, a_run, server, user, wait_for
from transfer.engine.received import Totals
from transfer.installed import version
from transfer.models import (
    Actor,
    CashRegister,
    FailedStep,
    FlowHour,
    Heartbeat,
    RegisterAccount,
    Shop,
)
from transfer.models.run_base import State
from transfer.runs.purge_history import purge_history
from transfer.runs.start import run_now

pytestmark = pytest.mark.django_db
NAME = "Бонусный сервер 8"


@pytest.fixture(autouse=True)
def nobody_was_asked():
    cache.clear()


def named(*words):
    return frozenset(words)


def metrics(client, **headers):
    """Name and its labels, in any order → value."""
    response = client.get("/metrics", headers=headers)
    assert response.status_code == 200
    return {
        named(sample.name.removeprefix("dtadmin_"), *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.content.decode())
        for sample in family.samples
    }


def test_what_waits_and_since_when_is_said_of_each_flow(client, receiver, shop_all):
    stage(shop_all, "balances", [(f"{n}", 1) for n in range(3)])
    read, now = metrics(client), time()
    assert read[named("waiting_rows", receiver.name, "balances")] == 3
    assert read[named("waiting_rows", receiver.name, "cards")] == 0
    assert (
        -1
        < now - read[named("oldest_waiting_row_timestamp_seconds", receiver.name, "balances")]
        < 60
    )
    assert named("oldest_waiting_row_timestamp_seconds", receiver.name, "cards") not in read
    assert read[named("flow_up", receiver.name, "balances")] == 1
    assert read[named("own_database_up")] == 1


def test_in_what_time_most_rows_of_a_day_arrived_is_said_of_flows_that_moved_some(client):
    eight = server()
    task = eight.tasks.get(kind="balances")
    for rows, seconds in ((95, 1.7), (5, 90_000)):
        FlowHour.objects.add(task.pk, Totals(applied=rows), timezone.now(), seconds)
    assert metrics(client)[named("arrival_p95_seconds", NAME, "balances")] == 2
    FlowHour.objects.add(task.pk, Totals(rejected=1), timezone.now(), 90_000)
    read = metrics(client)
    assert read[named("arrival_p95_seconds", NAME, "balances")] == float("inf")
    assert named("arrival_p95_seconds", NAME, "cards") not in read


def test_rows_are_counted_by_outcome_and_never_become_fewer(client):
    task = server().tasks.get(kind="balances")
    now = timezone.now()
    for days in (0, 10):
        moved = Totals(applied=100, unchanged=20, rejected=3)
        FlowHour.objects.add(task.pk, moved, now - timedelta(days=days), 1)
    for _ in range(2):
        read = metrics(client)
        assert read[named("rows_total", NAME, "balances", "applied")] == 200
        assert read[named("rows_total", NAME, "balances", "unchanged")] == 40
        assert read[named("rows_total", NAME, "balances", "rejected")] == 6
        assert read[named("rows_total", NAME, "cards", "applied")] == 0
        purge_history(now + timedelta(days=400))


def test_the_version_that_answers_is_named(client):
    assert metrics(client)[named("build_info", version(), python_version())] == 1


def test_a_flow_whose_database_does_not_answer_has_no_rows_and_is_down(client, shop_all):
    server()
    read = metrics(client)
    assert read[named("flow_up", NAME, "balances")] == 0
    assert named("waiting_rows", NAME, "balances") not in read
    assert named("oldest_waiting_row_timestamp_seconds", NAME, "balances") not in read


def test_runs_rejects_registers_schedule_and_queue_are_counted(client):
    eight = server()
    for task in eight.tasks.all():
        wait_for(task, 0)
    task = eight.tasks.get(kind="balances")
    task.switch(True, Actor("ivan"))
    for state in (State.SUCCEEDED, State.SUCCEEDED, State.FAILED):
        a_run(eight, state=state, queued_at=timezone.now())
    a_run(eight, queued_at=timezone.now() - timedelta(hours=25))
    a_reject(eight)
    register = CashRegister.objects.create(code="17", shop=Shop.objects.create(code="111"))
    RegisterAccount.objects.create(server=eight, register=register, state="created", blocked=True)
    assert named("queue_oldest_entry_timestamp_seconds") not in metrics(client)
    now = timezone.now()
    Heartbeat.beat("shop: cron", now - timedelta(seconds=90))
    run_now(task, Actor("ivan"))
    for item in ("", "upload 7", "upload 7"):
        FailedStep.note_failure("lost_jobs", item, KeyError())
    read = metrics(client)
    assert read[named("step_failures_total", "lost_jobs")] == 3
    assert read[named("runs_last_day", NAME, "balances", "succeeded")] == 2
    assert read[named("runs_last_day", NAME, "balances", "failed")] == 1
    assert read[named("runs_last_day", NAME, "balances", "queued")] == 1
    assert read[named("rejects_open")] == 1
    assert read[named("registers", "blocked")] == 1
    assert read[named("registers", "online")] == 0
    assert read[named("last_tick_timestamp_seconds")] == pytest.approx(now.timestamp() - 90, abs=1)
    assert read[named("queue_entries")] == 1
    oldest = read[named("queue_oldest_entry_timestamp_seconds")]
    assert oldest == pytest.approx(now.timestamp(), abs=30)
    assert read[named("task_enabled", NAME, "balances")] == 1
    assert read[named("task_enabled", NAME, "cards")] == 0


def test_answers_are_counted_under_the_name_of_their_address(client):
    client.force_login(user("viewer"))
    key = named("http_requests_total", "run", "GET", "404")
    before = metrics(client).get(key, 0)
    client.get("/history/runs/12345/")
    client.get("/history/runs/12346/")
    read = metrics(client)
    assert read[key] == before + 2
    assert read[named("http_seconds_count", "run")] >= 2


def test_only_this_machine_and_who_knows_the_token_may_ask(client, settings):
    assert client.get("/metrics").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 403
    assert client.get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"}).status_code == 403
    guess = {"REMOTE_ADDR": "10.1.2.3", "headers": {"Authorization": "Bearer "}}
    assert client.get("/metrics", **guess).status_code == 403
    settings.METRICS_TOKEN = "a-token"
    assert client.get("/metrics", **guess).status_code == 403
    known = {"REMOTE_ADDR": "10.1.2.3", "headers": {"Authorization": "Bearer a-token"}}
    assert client.get("/metrics", **known).status_code == 200
