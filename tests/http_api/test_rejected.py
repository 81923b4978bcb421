"""Rejected rows, as a program reads them: which of a load, why, and what replaced them."""

import json
from typing import Any

import pytest

from tests.http_api.conftest import BASE, Program
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("shop_all")]


def load(program: Program, rows: list[dict[str, Any]], key: str) -> Any:
    return program.post(
        f"{BASE}rows/cards",
        json.dumps(rows),
        "application/json",
        headers={"Idempotency-Key": key},
    )


def items(program: Program, **query: Any) -> Any:
    answer = program.ask("rows/cards/rejected", **query)
    assert answer.status_code == 200, answer.content
    return answer.json()["items"]


def test_the_rejected_rows_of_a_load_are_named_and_one_is_replaced(program, receiver):
    task = receiver.tasks.get(kind="cards")
    load(program, [{"card": "7009", "status": 2}], "of-another-load")
    token = load(
        program,
        [{"card": "7001", "account": "4100", "status": 1}, {"card": "7002", "status": 2}],
        "of-this-load",
    ).json()["id"]
    run = run_here(task, Trigger.MANUAL)
    (shown,) = items(program, load=token)
    assert (shown["values"]["card"], shown["reason"]["code"]) == ("7002", "card_unknown")
    assert (shown["server"], shown["run"], shown["state"]) == (receiver.pk, run.pk, "open")
    assert shown["reason"]["message"]
    assert shown["reason"]["hint"]

    corrected = {"card": "7002", "account": "4100", "status": 2, "reject": shown["correct_as"]}
    assert load(program, [corrected], "the-correction").status_code == 201
    (shown,) = items(program, load=token)
    assert (shown["state"], shown["closed_by"]) == ("resent", "1C (API)")
    assert (shown["replaced_by"]["row"], shown["replaced_by"]["has_arrived"]) == (1, False)
    run_here(task, Trigger.MANUAL)
    (shown,) = items(program, load=token)
    assert shown["replaced_by"]["has_arrived"]


def test_they_come_the_latest_first_page_by_page_and_filtered(program, receiver):
    load(program, [{"card": f"700{n}", "status": 2} for n in range(3)], "three-cards")
    run_here(receiver.tasks.get(kind="cards"), Trigger.MANUAL)
    numbers = list(RejectedRow.objects.order_by("-pk").values_list("pk", flat=True))
    assert [one["id"] for one in items(program)] == numbers
    assert [one["id"] for one in items(program, limit=1, after=numbers[0])] == [numbers[1]]
    assert len(items(program, server=receiver.pk, state="open")) == 3
    assert items(program, state="discarded") == []
    for query in ({"server": receiver.pk + 1}, {"server": 2**70}):
        assert items(program, **query) == []


def test_a_masked_pin_code_and_no_other_comes_out(program, rejected):
    rejected("pincodes", ("", "91735"))
    answer = program.ask("rows/pincodes/rejected")
    (shown,) = answer.json()["items"]
    assert (shown["values"]["pincode"], shown["reason"]["code"]) == ("••••", "account_missing")
    assert "91735" not in answer.content.decode()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"load": "9a2b1c6e-0000-4000-8000-000000000001"}, 404),
        ({"load": "7"}, 422),
        ({"state": "odd"}, 422),
    ],
)
def test_a_load_that_is_not_there_and_a_wrong_filter_are_refused(program, query, status):
    assert program.ask("rows/cards/rejected", **query).status_code == status
