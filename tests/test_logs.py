"""Log lines name their run or job, and quote no row."""

import json
import logging
from contextlib import suppress

import pytest
from django.db import DatabaseError, OperationalError, transaction
from django.test import Client

from tests.databases import stage
from tests.records import server
from transfer.causes.runs import UNEXPECTED
from transfer.engine.kind import MASK
from transfer.errors import TransferError
from transfer.logs import About, Json, Text, about
from transfer.models import Actor, AuditEntry


def written(formatter, record):
    About().filter(record)
    return formatter.format(record)


def a_record(message="moved", error=None):
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("transfer.x", logging.INFO, __file__, 1, message, (), info)


def test_a_line_names_what_it_is_about():
    with about(run="12"), about(server="БС 8"):
        assert written(Text(), a_record()).endswith("INFO transfer.x: moved run=12 server=БС 8")
        line = json.loads(written(Json(), a_record()))
    assert line.pop("at")
    assert line == {
        "level": "INFO",
        "logger": "transfer.x",
        "message": "moved",
        "run": "12",
        "server": "БС 8",
    }
    assert "run" not in json.loads(written(Json(), a_record()))


@pytest.mark.parametrize("formatter", [Text(), Json()])
def test_an_error_leaves_its_place_in_the_log_and_its_text_only_where_no_row_is_quoted(formatter):
    def raised(error):
        try:
            raise error
        except Exception as caught:
            return written(formatter, a_record(error=caught))

    quoting = raised(DatabaseError("Failing row contains (1, 4321)"))
    assert "4321" not in quoting
    assert "DatabaseError" in quoting
    assert "in raised" in quoting
    away = raised(OperationalError("connection refused"))
    assert "connection refused" in away
    assert "in raised" not in away, "every request would leave it"
    assert "TransferError" in raised(TransferError(UNEXPECTED, "x"))


@pytest.mark.django_db(transaction=True)
def test_each_step_of_a_run_is_a_line_with_run_task_and_server(
    manage, environment, receiver, shop_all
):
    stage(shop_all, "balances", [("1", 1), ("2", 1)])
    environment["LOG_FORMAT"] = "json"
    process = manage("transfer", "balances", "--server", str(receiver.pk))
    _out, errors = process.communicate()
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    run = receiver.runs.get()
    ended = next(line for line in lines if line["message"].startswith("run ended"))
    assert (ended["run"], ended["task"], ended["server"]) == (run.key, "balances", receiver.name)
    assert ended["state"] == "succeeded"
    steps = [line for line in lines if line.get("run") == run.key]
    assert {line["server"] for line in steps} == {receiver.name}
    assert [line.get("event", line["message"]) for line in steps] == [
        "run begins",
        "append begins",
        "append ends",
        "chunk begins",
        "chunk ends",
        "run ended: succeeded",
    ]
    assert steps[4]["applied"] == 2


@pytest.mark.django_db(transaction=True)
def test_each_change_of_the_audit_is_a_line_for_machines_without_secrets(manage, environment):
    environment["LOG_FORMAT"] = "json"
    url = "postgresql://bonus:s3cret-word@127.0.0.1:1/loyalty"
    named = ("--name", "БС 9", "--host", "127.0.0.1", "--admin-port", "1")
    out, errors = manage("server", "add", *named, "--database-url", url).communicate()
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    created, tested = [line for line in lines if line["message"] == "audit"]
    entry = AuditEntry.objects.get(action="create")
    assert (created["entry"], created["who"], created["action"]) == (entry.pk, entry.who, "create")
    assert created["subject_params"] == {"name": "БС 9"}
    assert created["new"] == entry.new
    assert (created["new"]["db_name"], created["new"]["db_password"]) == ("loyalty", MASK)
    assert tested["action"] == "test"
    assert "s3cret-word" not in out + errors


@pytest.mark.django_db(transaction=True)
def test_a_change_that_is_rolled_back_leaves_no_line(caplog):
    caplog.set_level("INFO", "transfer.models.audit")
    task = server().tasks.get(kind="balances")
    with suppress(KeyError), transaction.atomic():
        task.switch(True, Actor("ivan"))
        raise KeyError
    assert caplog.records == []
    task.switch(True, Actor("ivan"), reason="go")
    (record,) = caplog.records
    assert (record.who, record.old, record.new) == ("ivan", {"enabled": False}, {"enabled": True})


@pytest.mark.django_db
def test_a_request_has_a_number_and_keeps_that_of_the_proxy(client):
    own = client.get("/health/live")["X-Request-ID"]
    assert len(own) == 32
    assert client.get("/health/live")["X-Request-ID"] != own
    given = client.get("/health/live", headers={"X-Request-ID": "proxy-4711.a"})
    assert given["X-Request-ID"] == "proxy-4711.a"
    forged = client.get("/health/live", headers={"X-Request-ID": "a\tb {}; drop"})
    assert len(forged["X-Request-ID"]) == 32


@pytest.mark.django_db
def test_a_page_that_fails_shows_the_number_under_which_its_cause_is_logged(monkeypatch, caplog):
    from transfer.pages.monitoring import health

    monkeypatch.setattr(health, "problems_of_background", None)
    caplog.handler.addFilter(About())
    failing = Client(raise_request_exception=False)
    logging.getLogger("django.request").addHandler(caplog.handler)
    try:
        response = failing.get("/health/ready", headers={"X-Request-ID": "number-1"})
    finally:
        logging.getLogger("django.request").removeHandler(caplog.handler)
    assert response.status_code == 500
    assert "number-1" in response.content.decode()
    assert [vars(record).get("request_id") for record in caplog.records][-1] == "number-1"
