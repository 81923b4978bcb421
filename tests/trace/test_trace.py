"""Where a change is: told by each server's own position, exactly."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.databases import connected, insert, stage
from tests.trace.moving import ACCOUNT, CARD, move, states, words
from transfer.models import Actor, TransferRun
from transfer.models.run_base import Trigger
from transfer.pages.shown.held import holding
from transfer.pages.shown.traced import shown_row
from transfer.runs import execute
from transfer.trace.runs import FIND, runs_that_passed
from transfer.trace.subject import ROWS_ON_A_PAGE, trace

pytestmark = pytest.mark.usefixtures("in_english")


def test_every_change_of_an_account_is_there_in_all_three_tables_the_latest_first(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 5), ("other", 6)])
    stage(shop_all, "pincodes", [(ACCOUNT, "7351")])
    stage(shop_all, "cards", [(CARD, ACCOUNT, 1), (CARD, None, 2)])
    result = trace(ACCOUNT, "account")
    assert [row.kind.name for row in result.rows] == ["cards", "pincodes", "balances"]
    assert [row.kind.name for row in trace(CARD, "card").rows] == ["cards", "cards"]


def test_a_row_is_waiting_until_a_run_has_moved_it_and_then_says_which(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    assert states(trace(ACCOUNT, "account")) == [["waiting"]]
    first = move(server)
    stage(shop_all, "balances", [("other", 1)])
    move(server)
    stage(shop_all, "balances", [(ACCOUNT, 2)])
    third = move(server)
    stage(shop_all, "balances", [(ACCOUNT, 3)])
    result = trace(ACCOUNT, "account")
    assert states(result) == [["waiting"], ["moved"], ["moved"]]
    assert [row.deliveries[0].run for row in result.rows] == [None, third, first]


def test_while_the_server_does_not_answer_our_history_says_which_rows_arrived(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    cut = move(server)
    stage(shop_all, "balances", [(ACCOUNT, 2)])
    good = move(server)
    stage(shop_all, "balances", [(ACCOUNT, 3)])
    TransferRun.objects.filter(pk=cut.pk).update(state="interrupted")
    server.db_name = "there_is_none"
    server.save()
    result = trace(ACCOUNT, "account")
    assert states(result) == [["unknown"], ["moved"], ["unknown"]]
    assert result.rows[1].deliveries[0].run == good
    assert words(result)[1].detail.startswith("By our history, since the server can't be asked")


@pytest.mark.long
def test_among_many_runs_the_right_one_is_found_in_a_few_queries(server, shop_all):
    moved_by = {}
    for number in range(12):
        stage(shop_all, "balances", [(ACCOUNT, number + 1)])
        moved_by[str(number + 1)] = move(server).pk
        move(server)  # one that finds nothing
    with CaptureQueriesContext(connection) as queries:
        result = trace(ACCOUNT, "account")
    assert {row.payload["amount"]: row.deliveries[0].run.pk for row in result.rows} == moved_by
    assert len(queries) <= 7


@pytest.mark.long
def test_of_thousands_of_later_runs_none_is_read(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    first = TransferRun.objects.get(pk=move(server).pk)
    values = TransferRun.objects.filter(pk=first.pk).values().get()
    del values["id"]
    TransferRun.objects.bulk_create(
        TransferRun(**values | {"position_to": first.position_to | {"number": number}})
        for number in range(2, 5000)
    )
    origin = first.position_to["origin"]
    with connection.cursor() as cursor:
        cursor.execute("analyze transfer_transferrun")
        cursor.execute(f"explain (analyze) {FIND}", [[first.task_id], [1], origin])
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert runs_that_passed([(first.task_id, 1)], origin) == {(first.task_id, 1): first}
    (scan,) = (line for line in plan.splitlines() if "runs_of_a_line" in line)
    assert "rows=1" in scan.partition("actual")[2], plan
    assert "Sort" not in plan, plan


def test_a_run_that_was_purged_is_not_replaced_by_a_later_one(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    move(server)
    stage(shop_all, "balances", [(ACCOUNT, 2)])
    second = move(server)
    TransferRun.objects.order_by("pk").first().delete()
    result = trace(ACCOUNT, "account")
    assert [row.deliveries[0].run for row in result.rows] == [second, None]
    assert "no longer in the history" in words(result)[1].detail


def test_a_row_of_a_transaction_that_committed_late_is_of_the_run_that_read_it(server, shop_all):
    """Its number is lower than those of the run before."""
    with connected(shop_all) as late:
        late.autocommit = False
        insert(late, "balances", [(ACCOUNT, 1)])
        stage(shop_all, "balances", [(ACCOUNT, 2)])
        first = move(server)
        result = trace(ACCOUNT, "account")
        assert [row.payload["amount"] for row in result.rows] == ["2"]
        assert result.writing.keys() == {"balances"}
        late.commit()
    assert states(trace(ACCOUNT, "account")) == [["moved"], ["waiting"]]
    second = move(server)
    rows = {row.payload["amount"]: row.deliveries[0].run for row in trace(ACCOUNT, "account").rows}
    assert rows == {"1": second, "2": first}


def test_within_a_changeset_that_was_cut_short_rows_are_told_by_their_order(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, amount) for amount in range(1, 6)])
    task = server.tasks.select_related("server").get(kind="balances")
    asked = iter([False, True])
    execute.run_here(task, Trigger.COMMAND, chunk_rows=2, stopped=lambda: next(asked, True))
    assert states(trace(ACCOUNT, "account")) == [["waiting"]] + [["moved"]] * 4


def test_a_rejected_row_says_why(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    rejecting = move(server)
    (delivery,) = words(trace(ACCOUNT, "account"))
    assert (delivery.state, delivery.run) == ("rejected", rejecting)
    assert delivery.detail == "The amount is zero. Nobody has decided on it yet."


def test_why_it_waits_is_said(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    task = server.tasks.get(kind="balances")
    task.switch(True, Actor("olga"))
    task.switch(False, Actor("olga"), reason="Stocktaking.")
    (delivery,) = words(trace(ACCOUNT, "account"))
    assert delivery.detail.startswith("The task is off since ")
    assert delivery.detail.endswith("by olga. Stocktaking.")


@pytest.mark.parametrize(
    ("came", "shown"),
    [("1.005", "+1.005"), ("1.500", "+1.50"), ("-7", "\u22127.00"), ("NaN", "NaN")],
)
def test_an_amount_is_never_rounded_to_what_it_is_not(server, shop_all, came, shown):
    stage(shop_all, "balances", [(ACCOUNT, came)])
    (row,) = trace(ACCOUNT, "account").rows
    assert shown_row(row, 365).amount == shown


def test_each_server_has_its_own_answer_and_a_dead_one_does_not_hold_the_page_up(
    dock, bonus, second_bonus, shop_all
):
    first, second = dock(bonus, "A"), dock(second_bonus, "B")
    dead = dock(bonus, "C")
    dead.db_host, dead.db_port = "127.0.0.1", 9
    dead.save()
    stage(shop_all, "balances", [(ACCOUNT, 1)])
    move(first)
    result = trace(ACCOUNT, "account")
    assert [(delivery.server, delivery.state) for delivery in result.rows[0].deliveries] == [
        (first, "moved"),
        (second, "waiting"),
        (dead, "unknown"),
    ]
    assert holding(result.answers[2], "account").error


class TestWhatTheServerHolds:
    def test_the_balance_counts_what_is_valid_now(self, server, shop_all):
        now = timezone.now()
        past, future = now - timedelta(days=1), now + timedelta(days=1)
        rows = [(ACCOUNT, 100, None, None), (ACCOUNT, 7, None, past), (ACCOUNT, 9, future, None)]
        stage(shop_all, "balances", rows)
        move(server)
        held = trace(ACCOUNT, "account").answers[0].holding
        assert (held.balance, held.total, held.assets) == (100, 116, 3)

    def test_of_a_pin_code_only_that_it_is_set(self, server, shop_all):
        stage(shop_all, "pincodes", [(ACCOUNT, "73519")])
        move(server, "pincodes")
        result = trace(ACCOUNT, "account")
        facts = holding(result.answers[0], "account").facts
        assert dict(facts)["PIN code"].startswith("set today")
        assert "73519" not in repr(result) + repr(facts)

    def test_the_cards_of_an_account_and_the_account_of_a_card(self, server, shop_all):
        stage(shop_all, "cards", [(CARD, ACCOUNT, 2)])
        move(server, "cards")
        assert [card[:3] for card in trace(ACCOUNT, "account").answers[0].holding.cards] == [
            (CARD, ACCOUNT, 2)
        ]
        words_of_card = holding(trace(CARD, "card").answers[0], "card")
        assert words_of_card.cards[0][1:3] == (ACCOUNT, "2 – no operations (blocked)")


def test_many_changes_come_page_by_page(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, amount + 1) for amount in range(ROWS_ON_A_PAGE + 3)])
    first, second = trace(ACCOUNT, "account"), trace(ACCOUNT, "account", 2)
    assert (len(first.rows), first.has_more) == (ROWS_ON_A_PAGE, True)
    assert ([row.payload["amount"] for row in second.rows], second.has_more) == (
        ["3", "2", "1"],
        False,
    )
