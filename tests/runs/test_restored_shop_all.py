"""Shop All goes back in time, together with what only one of two servers has received of it.

The product's own functions alone are used: loads, undos, corrections, runs, and the one answer.
"""

import pytest

from tests.databases import query, stage
from tests.trace.moving import move
from transfer.loading import undo_load, upload_job
from transfer.models import RejectedRow, TransferRun
from transfer.models.run_base import State
from transfer.rejects.resend import resend
from transfer.runs.reconcile import reconcile
from transfer.runs.restored import confirm

LINES = b"account;amount\n4100;5\n4200;7\n"
CORRECT = {"account": "4100", "amount": "9"}


@pytest.fixture
def second(server, dock, second_bonus):
    return dock(second_bonus, "Бонусный сервер 9")


def sums(*servers):
    """The sum of each account on each server, without those that are zero."""
    statement = """
        select account, sum(amount)::int from asset group by account having sum(amount) <> 0
         order by account
    """
    return [dict(query(server.dsn, statement)) for server in servers]


def everything_is_accounted_for(*servers):
    tasks = [server.tasks.select_related("server").get(kind="balances") for server in servers]
    return all(reconcile(task).holds for task in tasks)


@pytest.mark.parametrize("has_moved", [True, False], ids=["second has the load", "has not"])
def test_an_undo_that_one_server_alone_has_is_lost(
    server, second, shop_all, load, copies, olga, has_moved
):
    upload = load("balances", LINES)
    move(server)
    if has_moved:
        move(second)
    copies.make(shop_all, "early")
    upload_job.go_on(undo_load.order(upload, olga))
    move(server)
    assert sums(server) == [{}]
    copies.restore(shop_all, "early")
    stage(shop_all, "balances", [("4300", 1)])

    assert move(server).error_code == move(second).error_code == "shop_all_went_back"
    confirm(olga)
    assert {move(server).state, move(second).state} == {State.SUCCEEDED}
    assert sums(server, second) == [{"4300": 1}, {"4300": 1}]
    assert everything_is_accounted_for(server, second)


def test_a_correction_that_one_server_alone_has_is_lost(server, second, shop_all, copies, olga):
    """The other one is corrected later; the first has it already, and is not corrected twice."""
    stage(shop_all, "balances", [("", 9)])
    move(server)
    move(second)
    copies.make(shop_all, "early")
    resend(RejectedRow.objects.all(), CORRECT, olga)
    move(server)
    assert sums(server, second) == [{"4100": 9}, {}]
    copies.restore(shop_all, "early")

    assert move(second).error_code == "shop_all_went_back"
    confirm(olga)
    move(server)
    move(second)
    (open_one,) = RejectedRow.objects.open()
    assert open_one.server == second
    resend(RejectedRow.objects.open(), CORRECT, olga)
    move(server)
    move(second)
    assert sums(server, second) == [{"4100": 9}, {"4100": 9}]
    assert not RejectedRow.objects.open().exists()
    assert everything_is_accounted_for(server, second)


def test_rows_that_one_server_alone_has_are_lost_and_staged_again(
    server, second, shop_all, load, copies, olga
):
    """Of a load the name is made of its rows, so the server that has it does not get it twice."""
    copies.make(shop_all, "early")
    load("balances", LINES)
    move(server)
    copies.restore(shop_all, "early")
    confirm(olga)
    load("balances", LINES)
    move(server)
    move(second)
    assert sums(server, second) == [{"4100": 5, "4200": 7}] * 2
    assert everything_is_accounted_for(server, second)


def test_a_run_says_from_which_line_it_went_on(server, shop_all, copies, olga):
    """Also where it has moved nothing, so that nobody looks for rows again each second."""
    stage(shop_all, "balances", [("4100", 1)])
    move(server)
    copies.make(shop_all, "early")
    for amount in (2, 3):
        stage(shop_all, "balances", [("4100", amount)])
    move(server)
    copies.restore(shop_all, "early")
    confirm(olga)
    run = move(server)
    assert (run.state, run.applied, run.went_back) == (State.SUCCEEDED, 0, True)
    assert (run.position_from["number"], run.position_to["number"]) == (1, 2)
    stage(shop_all, "balances", [("4100", 4)])
    after = move(server)
    assert (after.applied, after.went_back) == (1, False)
    assert sums(server) == [{"4100": 10}]


def test_a_bonus_server_that_went_back_gets_its_rows_again(server, shop_all, bonus, copies):
    stage(shop_all, "balances", [("4100", 1)])
    move(server)
    copies.make(bonus, "server")
    stage(shop_all, "balances", [("4100", 2)])
    move(server)
    copies.restore(bonus, "server")
    run = move(server)
    assert (run.state, run.applied, run.went_back) == (State.SUCCEEDED, 1, True)
    assert sums(server) == [{"4100": 3}]
    counted = TransferRun.objects.order_by("pk").values_list("applied", flat=True)
    assert [*counted] == [1, 1, 1]
    assert everything_is_accounted_for(server)
