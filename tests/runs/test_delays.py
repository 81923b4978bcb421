"""How long rows took, from the begin of their transaction until a bonus server has them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.databases import connected, insert, run as statement, stage
from transfer.engine.received import Totals
from transfer.models import FlowHour
from transfer.models.flow_hours import BOUNDS, most_within
from transfer.models.run_base import State, Trigger
from transfer.runs.execute import run_here
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db(transaction=True)
TABLE = '"changeAccountBalanceTemp"'
# Lets a row be older than it is: our triggers let no writer say so.
OLDER = f"""
    alter table {TABLE} disable trigger zz_datatransfer_1_update;
    update {TABLE} set started = started - make_interval(secs => %s)
     where xid = pg_current_xact_id();
    alter table {TABLE} enable always trigger zz_datatransfer_1_update
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
        with connected(shop_all) as writer:
            statement(writer, "begin")
            insert(writer, "balances", [("4100", amount)])
            statement(writer, OLDER, [age])
            statement(writer, "commit")


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
        insert(late, "balances", [("4100", 5)])
        stage(shop_all, "balances", [("4100", 5)])
        moved(task)
        statement(late, OLDER, [1000])
        statement(late, "commit")
    ((first, count),) = within(task).items()
    assert first <= 60
    assert moved(task) == {first: count, 1800: 1}


def test_a_row_of_the_future_took_no_time(task, shop_all):
    staged(shop_all, -7200)
    assert moved(task) == {0.5: 1}


def test_rejected_rows_count_as_the_others(task, shop_all):
    staged(shop_all, 100)
    staged(shop_all, 100, amount=0)
    assert moved(task) == {120: 2}
    assert FlowHour.objects.totals()[task.pk] == {"applied": 2, "unchanged": 0, "rejected": 1}


def test_rows_that_a_killed_run_could_not_count_are_counted_by_the_next(task, shop_all):
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
