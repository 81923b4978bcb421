"""Whether all that was staged is accounted for: a program has it counted, and reads it later."""

import pytest

from tests.databases import query, stage
from tests.http_api.conftest import Program
from tests.records import server
from transfer.engine.kinds import KINDS
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)


def test_it_is_counted_now_and_the_result_is_there_later(program: Program, task, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0)])
    run_here(task, Trigger.COMMAND)
    counted = program.order(f"servers/{task.server_id}/reconciliation")
    assert counted.status_code == 200, counted.content
    lines = {line["kind"]: line for line in counted.json()}
    assert lines.keys() == KINDS.keys()
    balances = lines["balances"]
    assert (balances["holds"], balances["error"]) == (True, None)
    assert (balances["logged"], balances["applied"], balances["rejected"]) == (2, 1, 1)
    assert (lines["cards"]["holds"], lines["cards"]["logged"]) == (True, 0)
    later = program.ask("reconciliation").json()["items"]
    assert next(one["at"] for one in later if one["kind"] == "balances") == balances["at"]
    query(
        bonus,
        "update datatransfer.position set rows_applied = rows_applied + 1 where kind = 'balances'",
    )
    again = program.order(f"servers/{task.server_id}/reconciliation").json()
    (balances,) = [line for line in again if line["kind"] == "balances"]
    assert (balances["holds"], balances["rows_missing"]) == (False, -1)


def test_a_server_that_does_not_answer_is_an_error_of_each_task(program: Program, shop_all):
    silent = server()
    answer = program.order(f"servers/{silent.pk}/reconciliation")
    assert answer.status_code == 200
    assert all(line["error"]["code"] for line in answer.json())
    assert len(answer.json()) == len(KINDS)


def test_a_server_that_is_not_docked_is_not_found(program: Program):
    assert program.order("servers/99/reconciliation").status_code == 404
