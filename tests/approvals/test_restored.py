"""Shop All is restored while a load waits for a second person, or after it was approved."""

import pytest

from tests.approvals.conftest import limits
from tests.databases import query
from tests.restores import say_that_it_is_right
from transfer.engine.kinds import BALANCES
from transfer.loading import upload_job
from transfer.loading.lost import note_lost
from transfer.loading.receive import receive
from transfer.models import Approval, Upload
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)
State = Upload.State


@pytest.fixture(autouse=True)
def limit(shop_all):
    limits(row_limit=10_000)


def enter(actor, amount=50_000):
    content = b"account;amount\n4100;%d\n" % amount
    upload = receive(BALANCES, [content], actor, name="bonus.csv")
    upload_job.go_on(upload)
    upload.confirm(actor)
    upload_job.go_on(upload)
    return upload


def approve(upload, actor):
    approval = Approval.objects.get(upload=upload)
    assert approval.approve(actor)
    upload = Upload.objects.get(pk=upload.pk)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    return upload


def test_what_waits_is_loaded_once_into_a_shop_all_that_was_restored_meanwhile(
    oleg, vera, staged, shop_all, copies
):
    before = copies.take(shop_all)
    waits = enter(oleg)
    assert enter(oleg, 5).state == State.LOADED
    copies.restore(shop_all, before)
    assert staged("balances") == []
    assert approve(waits, vera).state == State.LOADED
    assert [int(amount) for _account, amount, *_ in staged("balances")] == [50_000]


def test_an_approved_load_that_a_restore_has_lost_needs_an_approval_again_and_counts_once(
    oleg, vera, staged, shop_all, copies, receiver, bonus
):
    before = copies.take(shop_all)
    first = approve(enter(oleg), vera)
    task = receiver.tasks.get(kind="balances")
    run_here(task, Trigger.MANUAL)
    copies.restore(shop_all, before)
    say_that_it_is_right()
    note_lost([first])
    assert (first.state, staged("balances")) == (State.LOST, [])
    second = enter(oleg)
    assert (second.state, staged("balances")) == (State.WAITING, [])
    assert approve(second, vera).state == State.LOADED
    run_here(task, Trigger.MANUAL)
    assert query(bonus, "select account, amount::int from asset") == [("4100", 50_000)]
