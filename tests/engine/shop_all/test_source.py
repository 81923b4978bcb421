"""Shop All as a transfer sees it: staged rows are read under a lock that came before the snapshot.

A table that another session rewrites (ALTER TABLE here; PostgreSQL 19 has REPACK (CONCURRENTLY)) is
empty for a snapshot from before. Each reader waits for that session first, and then sees all rows.
"""

import threading
from contextlib import contextmanager

import pytest

from tests.chaos.checks import stage_many
from tests.databases import connected, query, run
from tests.flow import Flow
from tests.waiting import wait_until
from transfer.engine.kinds import BALANCES
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.batches import Readers
from transfer.models import TransferRun, TransferTask
from transfer.runs.backlog import backlogs
from transfer.runs.execute import run_here
from transfer.runs.reconcile import reconcile
from transfer.trace.search import search
from transfer.trace.subject import trace

REWRITE = f"alter table \"{BALANCES.staging}\" alter account type varchar(100) using account || ''"
WAITS = "select 1 from pg_locks where not granted and relation = %s::regclass"


@contextmanager
def rewritten_meanwhile(dsn):
    """Another session rewrites the table, and commits once somebody waits for it."""
    with connected(dsn) as other:
        other.autocommit = False
        run(other, REWRITE)

        def commit_once_somebody_waits():
            wait_until(lambda: query(dsn, WAITS, [f'"{BALANCES.staging}"']))
            other.commit()

        thread = threading.Thread(target=commit_once_somebody_waits)
        thread.start()
        yield
        thread.join()


class TestTheEngine:
    @pytest.fixture
    def balances(self, shop_all, bonus):
        return Flow("balances", shop_all, bonus)

    def test_a_transfer_moves_all_rows_of_a_table_rewritten_meanwhile(self, balances):
        balances.move()
        stage_many(balances, 3)
        with rewritten_meanwhile(balances.shop_all):
            moved = balances.move()
        assert moved.totals.applied == 3

    def test_a_new_server_is_not_taken_for_one_without_waiting_rows(self, balances):
        stage_many(balances, 3)
        with (
            balances.open() as (source, target),
            rewritten_meanwhile(balances.shop_all),
        ):
            outcome = set_position(
                BALANCES, source, target, Request(start=True), Readers(), dry_run=True
            )
        assert outcome.sent == 3


@pytest.mark.django_db
class TestWhatPagesAsk:
    @pytest.fixture
    def task(self, shop_all, bonus, dock):
        dock(bonus)
        query(shop_all, f"insert into \"{BALANCES.staging}\" (account, amount) values ('4100', 5)")
        return TransferTask.objects.select_related("server").get(kind="balances")

    def test_the_reconciliation_finds_every_row(self, shop_all, task):
        run_here(task, TransferRun.Trigger.MANUAL)
        with rewritten_meanwhile(shop_all):
            result = reconcile(task)
        assert result is not None
        assert (result.rows_staged, result.holds) == (1, True)

    def test_the_backlog_counts_every_row(self, shop_all, task):
        with rewritten_meanwhile(shop_all):
            heard = backlogs([task], 10)
        assert heard[task.pk].rows == 1

    def test_the_trace_shows_every_row(self, shop_all, task):
        with rewritten_meanwhile(shop_all):
            rows = trace("4100", "account", seconds=10).rows
        assert [row.payload["amount"] for row in rows] == ["5"]

    def test_the_search_finds_the_account(self, shop_all, task):
        with rewritten_meanwhile(shop_all):
            assert search("4100", 10).exact == ["account"]
