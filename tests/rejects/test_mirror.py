"""The bonus server's database has the rejects; ours copies them, and can do so again."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from tests.databases import query, stage
from tests.misbehaving import free_port
from transfer.errors import Unreachable
from transfer.models import Actor, FlowHour, RejectedRow, TransferRun
from transfer.models.run_base import Trigger
from transfer.queue.locks import HELD, Space
from transfer.rejects import mirror, resend
from transfer.runs.execute import run_here
from transfer.runs.mirroring import RECENT, mirror_overdue
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db(transaction=True)

OLGA = Actor("olga")
State = RejectedRow.State


@pytest.fixture
def task(dock, bonus, shop_all):
    return dock(bonus).tasks.get(kind="balances")


def move(task, shop_all, *rows):
    stage(shop_all, "balances", rows)
    return run_here(task, Trigger.MANUAL)


def forget(task):
    """Our own database is restored from a copy that knows nothing of the rejects."""
    RejectedRow.objects.all().delete()
    type(task).objects.update(mirrored_number=0, mirrored_token=None, mirrored_at=None)


def states():
    return list(RejectedRow.objects.order_by("staging_id").values_list("staging_id", "state"))


def test_each_reject_belongs_to_the_run_that_found_it(task, shop_all):
    first = move(task, shop_all, ("1", 0), ("2", 1))
    second = move(task, shop_all, ("3", 0))
    assert [one.run for one in RejectedRow.objects.order_by("number")] == [first, second]
    forget(task)
    mirror_overdue(task.server, timezone.now())
    assert [one.run for one in RejectedRow.objects.order_by("number")] == [first, second]


def test_what_a_dying_run_could_not_mirror_the_tick_does(task, shop_all, flow):
    run = move(task, shop_all, ("1", 1))
    stage(shop_all, "balances", [("2", 0)])
    moving = flow("balances")
    task.refresh_from_db()
    moving.reader = str(task.readers[-1])
    moving.move()
    assert states() == []
    mirror_overdue(task.server, timezone.now() + RECENT)
    assert states() == [(2, State.OPEN)]
    run.refresh_from_db()
    assert run.rejected == 1
    assert FlowHour.objects.totals()[task.pk] == {"applied": 1, "unchanged": 0, "rejected": 1}


def test_a_lost_database_finds_what_was_sent_closed_and_what_was_discarded_open(task, shop_all):
    move(task, shop_all, ("1", 0), ("2", 0), ("3", 0))
    sent, discarded, _ = RejectedRow.objects.order_by("staging_id")
    resend.resend(RejectedRow.objects.filter(pk=sent.pk), {"amount": "5"}, OLGA)
    resend.discard(RejectedRow.objects.filter(pk=discarded.pk), "no", OLGA)
    forget(task)
    mirror_overdue(task.server, timezone.now())
    assert states() == [(1, State.RESENT), (2, State.OPEN), (3, State.OPEN)]
    assert RejectedRow.objects.get(staging_id=1).closed_by == "olga"
    assert TransferRun.objects.count() == 1


def test_mirroring_again_changes_nothing(task, shop_all):
    move(task, shop_all, ("1", 0))
    before = list(RejectedRow.objects.values())
    type(task).objects.update(mirrored_number=0, mirrored_token=None)
    mirror_overdue(task.server, timezone.now())
    assert list(RejectedRow.objects.values()) == before


def test_rejects_of_a_history_that_a_restored_server_has_lost_are_none(task, bonus, shop_all):
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    run_here(task, Trigger.MANUAL)
    positions = query(bonus, "select * from datatransfer.position")
    move(task, shop_all, ("1", 100), ("2", 0))
    assert states() == [(1, State.OPEN), (2, State.OPEN)]
    assert positions
    query(
        bonus,
        "alter table asset drop constraint small; delete from datatransfer.reject; "
        "update datatransfer.position set read_through = '3:3:', number = 0, token = null, "
        "rows_applied = 0, rows_rejected = 0, amount_applied = 0, amount_rejected = 0 "
        "where kind = 'balances'",
    )
    run_here(task, Trigger.MANUAL)
    assert states() == [(2, State.OPEN)]
    assert query(bonus, "select account, amount::int from asset") == [("1", 100)]


def test_closed_rejects_leave_both_databases_after_the_retention(task, bonus, shop_all):
    move(task, shop_all, ("1", 0), ("2", 0), ("3", 0))
    resend.discard(RejectedRow.objects.filter(staging_id__lt=3), "no", OLGA)
    RejectedRow.objects.filter(staging_id__lt=3).update(
        closed_at=timezone.now() - 999 * RECENT * 99
    )
    assert purge_history()["rejects"] == 0, "their rows are staged, and may be taken back"
    query(shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'")
    call_command("purge_staging", "--older-than", "30")
    assert purge_history()["rejects"] == 2
    assert query(bonus, "select number from datatransfer.reject") == [(3,)]
    call_command("reconcile")
    forget(task)
    mirror_overdue(task.server, timezone.now())
    assert states() == [(3, State.OPEN)]


def test_a_reject_that_somebody_removed_from_the_server_is_a_difference(task, bonus, shop_all):
    move(task, shop_all, ("1", 0))
    query(bonus, "delete from datatransfer.reject")
    with pytest.raises(SystemExit):
        call_command("reconcile")


def duplicates():
    return [*RejectedRow.objects.order_by("pk").values_list("server_name", "duplicates_open")]


def test_of_two_servers_that_rejected_a_row_the_second_follows_until_the_first_is_gone(at_two):
    first, second = at_two("balances", ("4100", 0))
    assert [one.duplicates_open for one in RejectedRow.objects.order_by("pk")] == [False, True]
    query(first.server.dsn, "delete from datatransfer.reject")
    task = first.server.tasks.get(kind="balances")
    mirror_overdue(task.server, timezone.now() + RECENT)
    task.refresh_from_db()
    assert duplicates() == [(second.server_name, False)]


def test_one_that_comes_after_the_first_was_decided_on_stands_for_itself(
    rejected, dock, second_bonus
):
    rejected("balances", ("4100", 0))
    resend.discard(RejectedRow.objects.all(), "zero", OLGA)
    nine = dock(second_bonus, "Бонусный сервер 9")
    run_here(nine.tasks.get(kind="balances"), Trigger.MANUAL)
    assert [one for _, one in duplicates()] == [False, False]


BACK_TO_THE_START = """
    delete from asset; delete from datatransfer.reject;
    update datatransfer.position set read_through = '3:3:', number = 0, token = null,
           rows_applied = 0, rows_rejected = 0, amount_applied = 0, amount_rejected = 0
     where kind = 'balances'
"""


def test_what_was_sent_again_stays_closed_when_all_rows_are_numbered_anew(task, bonus, shop_all):
    move(task, shop_all, ("1", 0))
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
    move(task, shop_all, ("2", 1))
    query(bonus, BACK_TO_THE_START)
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")
    run_here(task, Trigger.MANUAL)
    assert query(bonus, "select account, amount::int from asset order by 1") == [("1", 5), ("2", 1)]
    assert [one.state for one in RejectedRow.objects.all()] == [State.RESENT] * 2


START_ANEW = 'truncate "changeAccountBalanceTemp" restart identity'


def test_what_was_sent_in_place_of_another_row_of_its_number_closes_no_reject(task, shop_all):
    """The reject of the other went after the retention, and its note says that it was sent."""
    move(task, shop_all, ("1", 0))
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
    move(task, shop_all, ("2", 0))
    RejectedRow.objects.filter(staging_id=1).update(closed_at=timezone.now() - 999 * RECENT * 99)
    assert purge_history()["rejects"] == 0  # while what was sent in its place is staged
    query(shop_all, START_ANEW)
    assert purge_history()["rejects"] == 1
    assert move(task, shop_all, ("3", 0)).error_code == "number_used_twice"
    assert states() == [(3, State.OPEN)]


def test_a_reject_is_open_though_another_row_of_its_number_was_discarded(task, bonus, shop_all):
    move(task, shop_all, ("1", 0))
    resend.discard(RejectedRow.objects.all(), "no", OLGA)
    query(bonus, "drop schema datatransfer cascade")
    query(shop_all, START_ANEW)
    call_command("set_position", task.server.name, "balances", "--start")
    move(task, shop_all, ("2", 0))
    assert [(one.state, one.payload["account"]) for one in RejectedRow.objects.all()] == [
        (State.OPEN, "2")
    ]


def test_no_lock_is_held_while_shop_all_is_asked_and_a_failure_there_loses_nothing(
    task, shop_all, settings, monkeypatch
):
    move(task, shop_all, ("1", 0))
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
    forget(task)
    asked = mirror._close_what_was_sent

    def ask(*rejects):
        assert RejectedRow.objects.get().state == State.OPEN  # committed
        with connection.cursor() as cursor:
            cursor.execute(HELD, [Space.REJECTS])
            assert cursor.fetchall() == []
        settings.SHOP_ALL_DATABASE_URL = f"host=127.0.0.1 port={free_port()} dbname=none"
        asked(*rejects)

    monkeypatch.setattr(mirror, "_close_what_was_sent", ask)
    with pytest.raises(Unreachable):
        mirror_overdue(task.server, timezone.now())
    task.refresh_from_db()
    assert task.mirrored_number == 0
    monkeypatch.undo()
    settings.SHOP_ALL_DATABASE_URL = shop_all
    mirror_overdue(task.server, timezone.now() + RECENT)
    assert states() == [(1, State.RESENT)]


def test_a_reject_that_only_claims_to_take_nothing_back_stays_open(task, bonus, shop_all):
    """A server forges its code; shop All has no note that the row takes back another."""
    move(task, shop_all, ("1", 0))
    query(bonus, "update datatransfer.reject set code = 'nothing_to_take_back'")
    forget(task)
    mirror_overdue(task.server, timezone.now())
    assert states() == [(1, State.OPEN)]
