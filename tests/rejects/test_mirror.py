"""The bonus server's database has the rejects; ours copies them, and can do so again."""

import pytest
from django.db import connection
from django.utils import timezone

from tests.databases import query, stage
from tests.misbehaving import free_port
from transfer.errors import Unreachable
from transfer.models import Actor, FlowHour, RejectedRow, TransferRun, TransferTask
from transfer.models.run_base import Trigger
from transfer.queue.locks import HELD, Space
from transfer.rejects import mirror, resend
from transfer.runs.execute import run_here
from transfer.runs.mirroring import RECENT, mirror_overdue
from transfer.runs.purge_history import purge_history

pytestmark = pytest.mark.django_db(transaction=True)

OLGA = Actor("olga")
State = RejectedRow.State
LONG_AGO = 999 * RECENT * 99


@pytest.fixture
def task(dock, bonus, shop_all):
    return dock(bonus).tasks.get(kind="balances")


def move(task, shop_all, *rows):
    stage(shop_all, "balances", rows)
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code == "", run.error_params
    return run


def forget():
    """Our own database is restored from a copy that knows nothing of the rejects."""
    RejectedRow.objects.all().delete()
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)


def of(*accounts):
    return RejectedRow.objects.filter(payload__account__in=accounts)


def states():
    return {one.payload["account"]: one.state for one in RejectedRow.objects.all()}


def test_each_reject_belongs_to_the_run_that_found_it(task, shop_all):
    first = move(task, shop_all, ("1", 0), ("2", 1))
    second = move(task, shop_all, ("3", 0))
    assert [one.run for one in RejectedRow.objects.order_by("pk")] == [first, second]


def test_what_a_dying_run_could_not_mirror_the_tick_does(task, shop_all, flow):
    run = move(task, shop_all, ("1", 1))
    stage(shop_all, "balances", [("2", 0)])
    flow("balances").move()
    assert states() == {}
    mirror_overdue(task.server, timezone.now() + RECENT)
    assert states() == {"2": State.OPEN}
    run.refresh_from_db()
    assert run.rejected == 1
    assert FlowHour.objects.totals()[task.pk] == {"applied": 1, "unchanged": 0, "rejected": 1}


def test_a_lost_database_finds_open_what_the_server_has_open(task, bonus, shop_all):
    """Who corrects the first one again does no harm."""
    move(task, shop_all, ("1", 0), ("2", 0), ("3", 0))
    resend.resend(of("1"), {"amount": "5"}, OLGA)
    resend.discard(of("2"), "no", OLGA)
    forget()
    mirror_overdue(task.server, timezone.now())
    assert states() == {"1": State.OPEN, "2": State.OPEN, "3": State.OPEN}
    assert resend.resend(of("1"), {"amount": "6"}, OLGA).sent == 1
    move(task, shop_all)
    assert states() == {"1": State.RESENT, "2": State.OPEN, "3": State.OPEN}
    assert query(bonus, "select account, amount::int from asset") == [("1", 5)]
    assert TransferRun.objects.count() == 2


def test_mirroring_again_changes_nothing(task, shop_all):
    move(task, shop_all, ("1", 0), ("2", 0), ("3", 0))
    resend.resend(of("1"), {"amount": "5"}, OLGA)
    resend.discard(of("2"), "no", OLGA)
    move(task, shop_all)
    before = list(RejectedRow.objects.order_by("pk").values())
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    mirror_overdue(task.server, timezone.now())
    assert list(RejectedRow.objects.order_by("pk").values()) == before


def test_rejects_that_a_restored_server_has_lost_are_none(task, bonus, shop_all, copies):
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    move(task, shop_all)
    copies.make(bonus, "bonus")
    move(task, shop_all, ("1", 100), ("2", 0))
    assert states() == {"1": State.OPEN, "2": State.OPEN}
    copies.restore(bonus, "bonus")
    query(bonus, "alter table asset drop constraint small")
    move(task, shop_all)
    assert states() == {"2": State.OPEN}
    assert query(bonus, "select account, amount::int from asset") == [("1", 100)]


def test_closed_rejects_leave_our_history_after_the_retention_once_the_server_knows(
    task, bonus, shop_all
):
    move(task, shop_all, ("1", 0), ("2", 0), ("3", 0))
    resend.discard(of("1"), "no", OLGA)
    resend.resend(of("2"), {"amount": "5"}, OLGA)
    RejectedRow.objects.exclude(closed_at=None).update(closed_at=timezone.now() - LONG_AGO)
    assert purge_history()["rejects"] == 0, "the server does not know yet"
    move(task, shop_all)
    assert purge_history()["rejects"] == 2
    assert states() == {"3": State.OPEN}
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    mirror_overdue(task.server, timezone.now())
    assert states() == {"3": State.OPEN}
    assert query(bonus, "select count(*) from datatransfer.reject") == [(3,)]


def duplicates():
    return [*RejectedRow.objects.order_by("pk").values_list("server_name", "duplicates_open")]


def test_of_two_servers_that_rejected_a_row_the_second_follows_until_the_first_is_gone(at_two):
    first, second = at_two("balances", ("4100", 0))
    assert [one for _, one in duplicates()] == [False, True]
    query(first.server.dsn, "delete from datatransfer.reject")
    TransferTask.objects.filter(server=first.server).update(mirrored_version=None)
    mirror_overdue(first.server, timezone.now() + RECENT)
    assert duplicates() == [(second.server_name, False)]


def test_one_that_comes_after_the_first_was_decided_on_stands_for_itself(
    rejected, dock, second_bonus
):
    rejected("balances", ("4100", 0))
    resend.discard(RejectedRow.objects.all(), "zero", OLGA)
    nine = dock(second_bonus, "Бонусный сервер 9")
    run_here(nine.tasks.get(kind="balances"), Trigger.MANUAL)
    assert [one for _, one in duplicates()] == [False, False]


def test_no_lock_is_held_while_shop_all_is_asked_and_a_failure_there_loses_nothing(
    task, shop_all, settings, monkeypatch
):
    move(task, shop_all, ("1", 0))
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    asked = mirror._lost_corrections

    def ask(task, source, *rejects):
        with connection.cursor() as cursor:
            cursor.execute(HELD, [Space.REJECTS])
            assert cursor.fetchall() == []
        source.database.close()
        source.database.dsn = f"host=127.0.0.1 port={free_port()} dbname=none"
        return asked(task, source, *rejects)

    monkeypatch.setattr(mirror, "_lost_corrections", ask)
    with pytest.raises(Unreachable):
        mirror_overdue(task.server, timezone.now())
    task.refresh_from_db()
    assert task.mirrored_version is None
    monkeypatch.undo()
    mirror_overdue(task.server, timezone.now() + RECENT)
    assert states() == {"1": State.RESENT}


def test_a_discarded_row_is_closed_on_the_server_by_its_next_run(task, bonus, shop_all):
    move(task, shop_all, ("1", 0))
    resend.discard(RejectedRow.objects.all(), "no", OLGA)
    one = RejectedRow.objects.get()
    assert (one.state, one.is_written) == (State.DISCARDED, False)
    move(task, shop_all)
    one.refresh_from_db()
    assert (one.state, one.is_written, one.closed_by) == (State.DISCARDED, True, "olga")
    assert query(bonus, "select resolved_by is not null from datatransfer.reject") == [(True,)]


@pytest.mark.parametrize("before_the_row", [True, False])
def test_a_restored_server_has_its_discarded_row_closed_again(
    task, bonus, shop_all, copies, before_the_row
):
    move(task, shop_all)
    if before_the_row:
        copies.make(bonus, "bonus")
    move(task, shop_all, ("1", 0))
    if not before_the_row:
        copies.make(bonus, "bonus")
    resend.discard(RejectedRow.objects.all(), "no", OLGA)
    move(task, shop_all)
    copies.restore(bonus, "bonus")
    move(task, shop_all)
    move(task, shop_all)
    one = RejectedRow.objects.get()
    assert (one.state, one.is_written, one.close_reason) == (State.DISCARDED, True, "no")
    assert query(bonus, "select resolved_by is not null from datatransfer.reject") == [(True,)]


def test_a_restored_server_gets_the_correction_once_more(task, bonus, shop_all, copies):
    move(task, shop_all, ("1", 0))
    copies.make(bonus, "bonus")
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
    move(task, shop_all)
    copies.restore(bonus, "bonus")
    move(task, shop_all)
    assert states() == {"1": State.RESENT}
    assert query(bonus, "select account, amount::int from asset") == [("1", 5)]


def test_a_correction_that_is_refused_is_a_reject_of_its_own(task, bonus, shop_all):
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    move(task, shop_all, ("1", 0))
    resend.resend(RejectedRow.objects.all(), {"amount": "500"}, OLGA)
    move(task, shop_all)
    first, again = RejectedRow.objects.order_by("pk")
    assert (first.state, again.state) == (State.RESENT, State.OPEN)
    assert (again.effect, again.root_changeset, again.root_row) == (
        "replaces",
        first.changeset,
        first.row,
    )
    resend.resend(RejectedRow.objects.open(), {"amount": "50"}, OLGA)
    move(task, shop_all)
    assert not RejectedRow.objects.open().exists()
    assert query(bonus, "select account, amount::int from asset") == [("1", 50)]


def test_rows_that_are_not_for_a_server_are_no_work(at_two, shop_all, second_bonus, bonus):
    """The server that has received the row gets no reject of its correction."""
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    first, *others = at_two("balances", ("4100", 100))
    assert others == []
    resend.resend(RejectedRow.objects.all(), {"amount": "50"}, OLGA)
    for task in TransferTask.objects.filter(kind="balances"):
        move(task, shop_all)
    assert [one.pk for one in RejectedRow.objects.all()] == [first.pk]
    assert query(bonus, "select amount::int from asset") == [(50,)]
    assert query(second_bonus, "select amount::int from asset") == [(100,)]
    assert query(second_bonus, "select code from datatransfer.reject") == [("not_here",)]
