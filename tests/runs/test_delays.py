"""How long rows took, from the begin of their transaction until a bonus server has them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.databases import connected, query, run as statement, stage
from transfer.engine.position import Totals
from transfer.models import FlowHour
from transfer.models.flow_hours import BOUNDS, most_within
from transfer.models.run_base import State, Trigger
from transfer.runs.execute import run_here
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db(transaction=True)
STAGED = """
    insert into "changeAccountBalanceTemp" (account, amount, created_at)
    values (%s, %s, now() - make_interval(secs => %s))
"""


@pytest.fixture
def task(receiver, shop_all):
    """Balance changes that have moved a first batch."""
    task = receiver.tasks.get(kind="balances")
    stage(shop_all, "balances", [("4100", 1)])
    run_here(task, Trigger.MANUAL)
    return task


def staged(shop_all, *ages, amount=5):
    """Rows that were staged so many seconds ago, each in a transaction of its own."""
    for age in ages:
        query(shop_all, STAGED, ["4100", amount, age])


def moved(task, **options):
    done = run_here(task, Trigger.MANUAL, **options)
    assert done.error_code == ""
    return within(task)


def within(task):
    """How many rows took at most how many seconds; None: longer than all bounds."""
    of_day = FlowHour.objects.delays(timezone.now()).get(task.pk, [])
    places = [*BOUNDS, None]
    return {places[number]: rows for number, rows in enumerate(of_day) if rows}


def test_rows_of_the_first_batch_may_be_older_than_the_position_and_have_no_delay(task):
    assert within(task) == {}
    assert FlowHour.objects.totals()[task.pk]["applied"] == 1


def test_the_rows_of_a_chunk_took_as_long_as_its_first(task, shop_all):
    staged(shop_all, 100, 50)
    assert moved(task) == {120: 2}


def test_each_chunk_counts_by_itself(task, shop_all):
    staged(shop_all, 3000, 2900, 50, 0)
    assert moved(task, chunk_rows=2) == {3600: 2, 60: 2}


def test_a_row_that_was_committed_late_counts_from_the_begin_of_its_transaction(task, shop_all):
    with connected(shop_all) as late:
        statement(late, "begin")
        statement(late, STAGED, ["4100", 5, 1000])
        staged(shop_all, 0)
        moved(task)
        statement(late, "commit")
    ((first, count),) = within(task).items()
    assert first <= 60
    assert moved(task) == {first: count, 1800: 1}


@pytest.mark.parametrize("never", ["infinity", "-infinity", None])
def test_a_row_without_a_time_is_moved_and_has_no_delay(task, shop_all, bonus, never):
    query(shop_all, 'alter table "changeAccountBalanceTemp" alter created_at drop not null')
    query(
        shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount, created_at) values (%s, %s, %s)',
        ["4100", 7, never],
    )
    assert moved(task) == {}
    assert query(bonus, "select count(*), sum(amount) from asset") == [(2, 8)]


def test_a_row_of_the_future_took_no_time(task, shop_all):
    staged(shop_all, -7200)
    assert moved(task) == {0.5: 1}


def test_rejected_rows_count_as_the_others(task, shop_all):
    staged(shop_all, 100)
    staged(shop_all, 100, amount=0)
    assert moved(task) == {120: 2}
    assert FlowHour.objects.totals()[task.pk] == {"applied": 2, "unchanged": 0, "rejected": 1}


def test_rows_that_a_killed_run_could_not_count_are_counted_by_the_next(task, shop_all, bonus):
    query(bonus, "create table copied as select * from datatransfer.position")
    staged(shop_all, 0, 0)
    done = run_here(task, Trigger.MANUAL)
    # As if its process had been killed after the commit.
    task.runs.filter(pk=done.pk).update(
        applied=0, chunks=0, state=State.INTERRUPTED, position_to=done.position_from
    )
    FlowHour.objects.update(applied=1)
    run_here(task, Trigger.MANUAL)
    assert FlowHour.objects.totals()[task.pk]["applied"] == 3


def test_hours_of_long_ago_are_merged_and_the_sums_stay(task):
    now = timezone.now()
    for hours in (0, 30, 60, 61, 62):
        at = now - timedelta(hours=hours)
        FlowHour.objects.add(task.pk, Totals(applied=10, rejected=1), at, 1)
    before = FlowHour.objects.totals()
    assert before[task.pk] == {"applied": 51, "unchanged": 0, "rejected": 5}
    for _ in range(2):
        purge_history(now)
        assert FlowHour.objects.totals() == before
        assert FlowHour.objects.filter(task=task).count() == 3
    assert within(task) == {1: 11}


@pytest.mark.parametrize(
    ("delays", "seconds"),
    [
        ([], None),
        ([0, 0], None),
        ([95, 5], 0.5),
        ([94, 6], 1),
        ([0] * len(BOUNDS) + [1], float("inf")),
    ],
)
def test_most_rows_are_19_of_20(delays, seconds):
    assert most_within(delays) == seconds
