"""A run of a transfer, on real databases, beside those of other servers."""

import pytest

from tests.databases import connected, query, run, stage
from tests.waiting import wait_until
from transfer.engine.move.prepare import prepare
from transfer.engine.shop_all.purge_lock import PURGE_LOCK
from transfer.models.run_base import Trigger
from transfer.runs.execute import open_databases, run_here

WAITS_FOR_PURGES = """
    select count(*) from pg_locks
     where locktype = 'advisory' and not granted
       and database = (select oid from pg_database where datname = current_database())
"""


@pytest.mark.django_db(transaction=True)
def test_two_new_servers_that_start_at_once_both_get_every_row(
    dock, bonus, second_bonus, shop_all, manage
):
    stage(shop_all, "balances", [("1", 10), ("2", 20)])
    early, late = dock(bonus), dock(second_bonus, name="Бонусный сервер 9")
    task = early.tasks.get(kind="balances")
    with open_databases(task, "test") as (source, target):
        prepare(
            task.kind_spec, source, target, lambda: task.all_readers
        )  # and our database not told yet
    with connected(shop_all) as purging:
        run(purging, "select pg_advisory_lock(%s)", [PURGE_LOCK])
        process = manage("transfer", "balances", "--server", str(late.pk))
        wait_until(lambda: query(shop_all, WAITS_FOR_PURGES) == [(1,)], process)
        run_here(task, Trigger.MANUAL)
        run(purging, "select pg_advisory_unlock(%s)", [PURGE_LOCK])
        output = process.communicate(timeout=60)
    assert process.returncode == 0, output
    for database in (bonus, second_bonus):
        assert query(database, "select count(*), sum(amount) from asset") == [(2, 30)]


def test_a_page_that_asks_again_finds_the_connections_of_the_time_before(task):
    def asked(seconds: float | None) -> list[int]:
        with open_databases(task, "tests", seconds) as opened:
            return [one.database.value("select pg_backend_pid()") for one in opened]

    assert asked(3) == asked(3)
    assert not {*asked(None)} & {*asked(3)}
