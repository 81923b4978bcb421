"""What programs read of tasks, servers, registers, problems, reconciliations and runs."""

from typing import Any

import pytest

from tests.http_api.conftest import Program
from tests.records import NOON, a_run, server
from transfer.engine.kinds import KINDS
from transfer.models import Actor, CashRegister, Heartbeat, RegisterAccount, Shop

pytestmark = pytest.mark.django_db


def items(program: Program, path: str, **query: Any) -> Any:
    answer = program.ask(path, **query)
    assert answer.status_code == 200, answer.content
    return answer.json()["items"]


def everything(program: Program, path: str, limit: int) -> list[Any]:
    """All items, page by page."""
    found: list[Any] = []
    after: dict[str, Any] = {}
    while True:
        answer = program.ask(path, limit=limit, **after).json()
        assert len(answer["items"]) <= limit
        found += answer["items"]
        if answer["next"] is None:
            return found
        after = {"after": answer["next"]}


def test_a_schedule_has_all_its_cron_expressions(program: Program):
    task = server().tasks.get(kind="cards")
    task.reschedule("0 9 * * 1-5\n30 13 * * 1-5", Actor("ivan"))
    assert program.ask(f"tasks/{task.pk}").json()["schedule"] == "0 9 * * 1-5; 30 13 * * 1-5"
    task.reschedule("@rows", Actor("ivan"))
    assert program.ask(f"tasks/{task.pk}").json()["schedule"] == "@rows"


def test_the_tasks_of_every_server_with_their_last_run(program: Program):
    eight = server()
    ended = a_run(eight, "cards", applied=3)
    listed = {one["kind"]: one for one in items(program, "tasks")}
    assert listed.keys() == KINDS.keys()
    cards = listed["cards"]
    assert cards["server"] == {"id": eight.pk, "name": eight.name}
    assert cards["last_run"]["id"] == ended.pk
    assert (cards["enabled"], cards["open_run"], cards["waiting"]) == (False, None, None)
    assert program.ask(f"tasks/{cards['id']}").json() == cards


def test_a_task_says_what_waits_for_it(program: Program):
    task = server().tasks.get(kind="balances")
    from transfer.runs import backlog
    from transfer.runs.backlog import Backlog

    backlog.store({task.pk: Backlog(412, NOON)})
    (balances,) = [one for one in items(program, "tasks") if one["kind"] == "balances"]
    assert (balances["waiting"]["rows"], balances["waiting"]["error"]) == (412, None)


def test_a_task_that_does_not_exist_is_not_found(program: Program):
    for number in (404, 2**70):
        answer = program.ask(f"tasks/{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_servers_come_without_their_secrets(program: Program):
    eight = server()
    eight.api_token, eight.db_password = "t0ken-of-server", "pa55-of-database"
    eight.save()
    answer = program.ask("servers")
    (shown,) = answer.json()["items"]
    assert (shown["id"], shown["name"], shown["state"]) == (eight.pk, eight.name, "unchecked")
    assert "t0ken" not in answer.content.decode()
    assert "pa55" not in answer.content.decode()


def test_registers_come_page_by_page_each_once(program: Program):
    eight, shop = server(), Shop.objects.create(code="7")
    made = [CashRegister.objects.create(shop=shop, code=f"10.{n}") for n in range(5)]
    RegisterAccount.objects.create(server=eight, register=made[0], state="created")
    listed = everything(program, "registers", limit=2)
    assert [one["code"] for one in listed] == [f"10.{n}" for n in range(5)]
    assert listed[0]["servers"] == [{"server": eight.pk, "state": "never_seen", "last_seen": None}]
    assert listed[1]["servers"] == []


def test_runs_come_the_latest_first_page_by_page_and_filtered(program: Program):
    eight = server()
    made = [a_run(eight, "cards", applied=n) for n in range(5)]
    a_run(eight, "balances")
    listed = [one for one in everything(program, "runs", limit=2) if one["kind"] == "cards"]
    assert [one["id"] for one in listed] == [one.pk for one in reversed(made)]
    assert [one["applied"] for one in listed] == [4, 3, 2, 1, 0]
    assert {one["kind"] for one in items(program, "runs", kind="balances")} == {"balances"}
    assert items(program, "runs", state="failed") == []
    assert program.ask(f"runs/{made[4].pk}").json()["applied"] == 4


def test_a_failed_run_says_why_without_technical_text(program: Program):
    params = {"party": "", "reason": "closed"}
    run = a_run(
        server(), state="failed", error_code="unreachable", error_params=params,
        error_technical="psycopg2 said 1234",
    )  # fmt: skip
    answer = program.ask(f"runs/{run.pk}")
    assert answer.json()["error"]["code"] == "unreachable"
    assert "1234" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": 501}, "limit"),
        ({"limit": 0}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"after": -1}, "after"),
        ({"after": 2**64}, "after"),
        ({"kind": "bonuses"}, "kind"),
        ({"state": "odd"}, "state"),
    ],
)
def test_a_page_has_a_bound_and_a_wrong_parameter_is_named(program: Program, query, field):
    answer = program.ask("runs", **query)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["errors"]] == [field]


def test_problems_are_those_of_the_overview(program: Program):
    Heartbeat.objects.all().delete()
    server()
    found = program.ask("problems").json()
    assert "scheduler_never" in [one["code"] for one in found]
    assert all(one["message"] and one["url"].startswith("/") for one in found)


def test_a_task_that_was_never_reconciled_has_nulls(program: Program):
    server()
    (first, *_) = items(program, "reconciliation")
    assert (first["holds"], first["applied"], first["at"]) == (None, None, None)
