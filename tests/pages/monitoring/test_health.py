"""/health/live and /health/ready: what a load balancer and a watchdog ask."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone
from django.utils.translation import override
from django_tasks_db.models import DBTaskResult

from tests.databases import ROOT
from transfer.causes.connections import PORT_CLOSED
from transfer.errors import Unreachable
from transfer.models import Heartbeat, RecurringJob
from transfer.parties import Party, PartyKind
from transfer.queue.jobs import work_off
from transfer.text import formats

pytestmark = pytest.mark.django_db


@pytest.fixture
def alive():
    Heartbeat.beat("shop: cron")


def ready(client):
    response = client.get("/health/ready")
    return response.status_code, response.json()


def test_nobody_has_to_log_in_to_ask(client, alive):
    assert client.get("/health/live").json() == {"status": "ok"}
    assert client.get("/health/database").json() == {"status": "ok"}
    well = {"status": "ok", "database": "ok", "schema": "ok", "schedule": "ok", "queue": "ok"}
    assert ready(client) == (200, {**well, "warnings": []})


def test_what_the_product_can_go_on_with_is_a_warning_without_names(client, alive, settings):
    settings.BACKUP_FOLDER = "/var/backups/dtadmin"
    Heartbeat.beat("shop: run_scheduler")
    job = RecurringJob.objects.create(kind="check_mail")
    job.fail(
        Unreachable(
            PORT_CLOSED, party=Party(PartyKind.MAIL, "mail.shop"), host="mail.shop", port=25
        )
    )
    status, answer = ready(client)
    assert (status, answer["status"]) == (200, "ok")
    assert answer["warnings"] == ["two_schedulers", "mail", "backup"]
    assert "mail.shop" not in str(answer)


def test_a_schedule_that_never_ran_is_not_ready(client):
    status, answer = ready(client)
    assert (status, answer["status"], answer["schedule"]) == (
        503,
        "failing",
        "The scheduler has never run",
    )


def test_a_silent_schedule_is_not_ready_and_says_since_when(client):
    at = timezone.now() - timedelta(minutes=4)
    Heartbeat.beat("shop: cron", at)
    status, answer = ready(client)
    with override("en"):
        sentence = f"The scheduler has been silent since {formats.bound(at)}"
    assert (status, answer["schedule"]) == (503, sentence)


@pytest.mark.parametrize(
    ("tick", "waits", "status"),
    [
        ("shop: run_due_tasks", timedelta(seconds=40), 200),
        ("shop: run_due_tasks", timedelta(minutes=4), 503),
        ("shop: run_due_tasks --no-drain", timedelta(seconds=20), 200),
        ("shop: run_due_tasks --no-drain", timedelta(seconds=40), 503),
        ("shop: run_scheduler", timedelta(seconds=40), 503),
    ],
)
def test_a_queue_that_nothing_drains_is_not_ready_within_a_minute(client, tick, waits, status):
    Heartbeat.beat(tick)
    work_off.enqueue("transferrun", 1)
    at = timezone.now() - waits
    DBTaskResult.objects.update(enqueued_at=at)
    with override("en"):
        stuck = f"Jobs have waited in the queue since {formats.bound(at)}"
    queue = "ok" if status == 200 else stuck
    code, answer = ready(client)
    assert (code, answer["queue"]) == (status, queue)


def test_a_schema_of_another_version_is_not_ready(client, alive):
    recorder = MigrationRecorder(connection)
    recorder.record_applied("transfer", "9999_later")
    status, answer = ready(client)
    newer = "A newer version has changed our own database (transfer.9999_later)."
    assert (status, answer["schema"]) == (503, newer)
    recorder.record_unapplied("transfer", "9999_later")
    recorder.record_applied("transfer", "0002_users")
    status, answer = ready(client)
    said = "Data Transfer 0.1.0 made our own database. There is no upgrade from that version."
    assert (status, answer["schema"]) == (503, said)
    recorder.record_unapplied("transfer", "0002_users")
    recorder.record_unapplied("transfer", "0001_initial")
    status, answer = ready(client)
    assert (status, answer["schema"]) == (503, "transfer.0001_initial is not applied")


ASK = """
import django; django.setup()
from django.test import Client
for path in ("/health/live", "/health/database", "/health/ready"):
    response = Client().get(path)
    print(response.status_code, response.content.decode())
response = Client().get("/metrics")
print(response.status_code, "dtadmin_own_database_up 0.0" in response.content.decode())
"""


def test_without_our_own_database_the_process_lives_and_is_not_ready():
    asked = subprocess.run(
        [sys.executable, "-c", ASK],
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "dtadmin.settings",
            "DATABASE_URL": "postgresql://127.0.0.1:1/dtadmin",
            "SHOP_ALL_DATABASE_URL": "postgresql://127.0.0.1:1/shop_all",
            "SECRET_KEY": "a long random text",
            "ALLOWED_HOSTS": "testserver",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    live, database, ready, metrics = asked.stdout.splitlines()
    assert live == '200 {"status": "ok"}'
    assert database == '503 {"status": "failing"}'
    assert ready.startswith("503 ")
    assert json.loads(ready[4:]) == {"status": "failing", "database": "OperationalError"}
    assert metrics == "200 True"
