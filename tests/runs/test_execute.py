"""A run of a transfer, on real databases, beside those of other servers."""

import pytest
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import query, stage
from transfer.engine.shop_all.source import ShopAll
from transfer.models import FlowHour, TransferRun
from transfer.models.run_base import State, Trigger
from transfer.runs.execute import open_databases, run_here
from transfer.text.explain import explain


def test_a_page_that_asks_again_finds_the_connections_of_the_time_before(task):
    def asked(seconds: float | None) -> list[int]:
        with open_databases(task, "tests", seconds) as opened:
            return [one.database.value("select pg_backend_pid()") for one in opened]

    assert asked(3) == asked(3)
    assert not {*asked(None)} & {*asked(3)}


def counts(task):
    return [(run_.applied, run_.amount_applied) for run_ in task.runs.order_by("pk")]


@pytest.mark.django_db(transaction=True)
def test_a_run_keeps_its_counts_after_the_bonus_server_was_restored_to_before_it(
    dock, bonus, shop_all, copies
):
    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [("1", 10)])
    run_here(task, Trigger.MANUAL)
    copies.make(bonus, "early")
    stage(shop_all, "balances", [("2", 20), ("3", 30)])
    run_here(task, Trigger.MANUAL)
    copies.restore(bonus, "early")
    stopped = task.runs.first().position_to
    run_here(task, Trigger.MANUAL)
    assert counts(task) == [(1, 10), (2, 50), (2, 50)]
    assert task.runs.order_by("pk")[1].position_to == stopped


@pytest.mark.django_db(transaction=True)
def test_a_chunk_of_a_run_that_was_closed_meanwhile_is_counted_once(task, shop_all, bonus):
    """Its process had lost the task's lock, so another run began before the chunk landed."""

    def lose_the_lock(run):
        if run.chunks == 0 and not task.runs.filter(pk__gt=run.pk).exists():
            TransferRun.objects.get(pk=run.pk).finish(State.INTERRUPTED)
            run_here(task, Trigger.MANUAL)  # finds nothing to move
            stage(shop_all, "balances", [("1", 10), ("2", 20)])
            with ShopAll(shop_all, "tests", secret=False) as source:
                source.log_writer.append(task.kind_spec)

    cut_off = run_here(task, Trigger.MANUAL, progress=lose_the_lock)
    assert cut_off.error_code == "run_taken_over"
    assert query(bonus, "select count(*), sum(amount) from asset") == [(2, 30)]
    run_here(task, Trigger.MANUAL)
    assert sorted(counts(task)) == [(0, 0), (0, 0), (2, 30)]
    assert FlowHour.objects.totals()[task.pk]["applied"] == 2


@pytest.mark.django_db(transaction=True)
def test_every_chunk_of_a_changeset_is_counted_once(task, shop_all):
    stage(shop_all, "balances", [("1", 1)] * 5)
    run = run_here(task, Trigger.MANUAL, chunk_rows=2)
    assert (run.chunks, run.position_to["totals"]["applied"]) == (3, "5")
    run_here(task, Trigger.MANUAL)
    assert counts(task) == [(5, 5), (0, 0)]
    assert FlowHour.objects.totals()[task.pk]["applied"] == 5


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["shop All", "Бонусный сервер 8"])
def test_a_run_that_gets_no_connection_says_whose_limit_to_raise(
    dock, bonus, shop_all, limited, settings, in_english, where
):
    task = dock(bonus).tasks.select_related("server").get(kind="balances")
    role = parse_dsn(limited)["user"]
    query(bonus, f"alter role {role} connection limit 0")
    if where == "shop All":
        settings.SHOP_ALL_DATABASE_URL = make_dsn(shop_all, user=role, password="limited")
    else:
        task.server.db_user, task.server.db_password = role, "limited"
        task.server.save()
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code == "too_many_connections"
    sentence, hint = explain(run.error)
    assert sentence == f"The database of {where} takes no more connections."
    assert "raise max_connections or the limit of the user or the database" in hint
    assert f'too many connections for role "{role}"' in run.error_technical
