"""A corrected row is staged once, even if a process dies or two users compete."""

import threading

import pytest
from django.db import connection

from tests.databases import query, stage
from transfer.errors import TransferError
from transfer.models import Actor, AuditEntry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.queue.worker import drain
from transfer.rejects import resend
from transfer.rejects.closing import finish_interrupted
from transfer.runs.execute import run_here
from transfer.tick import tick

OLGA = Actor("olga", address="10.0.0.8")
State = RejectedRow.State

pytestmark = pytest.mark.django_db(transaction=True)


def of(*rejects):
    return RejectedRow.objects.filter(pk__in=[one.pk for one in rejects])


def rows(shop_all):
    return query(
        shop_all, 'select account, amount::text from "changeAccountBalanceTemp" order by id'
    )


@pytest.fixture
def reject(dock, bonus, shop_all):
    """A balance change by zero, rejected."""
    stage(shop_all, "balances", [("4100", 0)])
    run_here(dock(bonus).tasks.get(kind="balances"), Trigger.MANUAL)
    return RejectedRow.objects.get()


SENT = [("4100", "0"), ("4100", "5")]
KILLED = """
import os, signal
from transfer.rejects import resend
from transfer.errors import TransferError
from transfer.models import Actor, RejectedRow
{where} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
resend.resend(RejectedRow.objects.filter(pk={pk}), {{"amount": "5"}}, Actor("ivan"))
"""


@pytest.fixture
def killed(manage, reject):
    """Sends the reject in a process that is killed when it calls a function."""

    def killed(where):
        process = manage("shell", "-c", KILLED.format(where=where, pk=reject.pk))
        _out, errors = process.communicate(timeout=60)
        assert process.returncode == -9, errors

    return killed


class TestKilledBetweenTheTwoCommits:
    @pytest.fixture(autouse=True)
    def left(self, killed, reject, shop_all):
        """The row is sent, and its reject still open."""
        killed("resend._note_resent")
        assert rows(shop_all) == SENT
        reject.refresh_from_db()
        assert reject.is_open

    def test_sending_again_only_closes(self, reject, shop_all):
        outcome = resend.resend(of(reject), {"amount": "6"}, OLGA)
        assert (outcome.sent, outcome.sent_before) == (0, 1)
        assert rows(shop_all) == SENT
        reject.refresh_from_db()
        assert reject.state == State.RESENT

    def test_discarding_finds_that_it_was_sent(self, reject):
        assert resend.discard(of(reject), "a test of the till", OLGA) == (0, 1)
        reject.refresh_from_db()
        assert (reject.state, reject.close_reason) == (State.RESENT, "")
        assert reject.resent_id is not None
        assert list(AuditEntry.objects.values_list("action", flat=True)) == ["resend"]

    def test_the_next_tick_closes_it_for_whoever_had_sent_it(self, reject, shop_all):
        tick("test")
        drain(lambda: 0)
        reject.refresh_from_db()
        assert (reject.state, reject.closed_by) == (State.RESENT, "ivan")
        assert rows(shop_all) == SENT
        entry = AuditEntry.objects.get(action="resend")
        assert (entry.who, entry.new) == ("ivan", {"rows": 1})
        assert query(shop_all, "select * from datatransfer.resending") == []
        assert finish_interrupted() == 0

    def test_a_tick_without_the_staging_database_does_its_other_work(self, reject, settings):
        settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
        assert tick("test").failed == []
        drain(lambda: 0)
        reject.refresh_from_db()
        assert reject.is_open


def test_killed_before_the_staging_database_commits_nothing_is_sent(killed, reject, shop_all):
    killed("resend.StagingImport.count_sent")
    assert len(rows(shop_all)) == 1
    assert finish_interrupted() == 0
    assert resend.resend(of(reject), {"amount": "6"}, OLGA).sent == 1


def test_nothing_is_left_behind_when_nobody_dies(reject, shop_all):
    resend.resend(of(reject), {"amount": "5"}, OLGA)
    assert query(shop_all, "select * from datatransfer.resending") == []


def test_discarding_without_the_staging_database_is_refused(reject, settings):
    """Nobody can know then that the row was not sent."""
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    with pytest.raises(TransferError):
        resend.discard(of(reject), "a test of the till", OLGA)
    reject.refresh_from_db()
    assert reject.is_open


def at_once(*works):
    """Each in a thread of its own, with a connection of its own, begun together."""
    barrier, results = threading.Barrier(len(works)), []

    def run(work):
        try:
            barrier.wait()
            results.append(work())
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


class TestAtOnce:
    def test_two_browsers_send_once(self, reject, shop_all):
        works = [
            lambda amount=str(number): resend.resend(of(reject), {"amount": amount}, OLGA)
            for number in range(1, 5)
        ]
        assert sorted(one.sent for one in at_once(*works)) == [0, 0, 0, 1]
        assert len(rows(shop_all)) == 2

    def test_sending_and_discarding_are_one_or_the_other(self, reject, shop_all):
        works = [
            lambda: resend.resend(of(reject), {"amount": "5"}, OLGA).sent,
            lambda: resend.discard(of(reject), "a test of the till", OLGA).rows,
        ]
        assert sorted(at_once(*works)) == [0, 1]
        reject.refresh_from_db()
        assert len(rows(shop_all)) == (2 if reject.state == State.RESENT else 1)

    def test_two_servers_rejects_of_one_row_are_one_row(self, reject, dock, second_bonus, shop_all):
        nine = dock(second_bonus, "Бонусный сервер 9")
        run_here(nine.tasks.get(kind="balances"), Trigger.MANUAL)
        works = [
            lambda one=one: resend.resend(of(one), {"amount": "5"}, OLGA)
            for one in RejectedRow.objects.all()
        ]
        results = at_once(*works)
        assert (len(results), sum(one.sent for one in results)) == (2, 1)
        assert len(rows(shop_all)) == 2
        assert not RejectedRow.objects.open().exists()

    def test_many_chosen_in_any_order_do_not_lock_each_other_out(
        self, reject, dock, second_bonus, shop_all
    ):
        stage(shop_all, "balances", [("4200", 0)] * 200)
        nine = dock(second_bonus, "Бонусный сервер 9")
        for task in (reject.server.tasks, nine.tasks):
            run_here(task.get(kind="balances"), Trigger.MANUAL)
        of_each = [RejectedRow.objects.filter(server=one) for one in (reject.server, nine)]
        works = [
            *(
                lambda some=some: resend.resend(some, {"amount": "5"}, OLGA).sent
                for some in of_each
            ),
            *(lambda some=some: resend.discard(some, "late", OLGA).rows for some in of_each),
        ]
        assert len(at_once(*works)) == 4
        assert not RejectedRow.objects.open().exists()
        sent = RejectedRow.objects.filter(state=State.RESENT)
        assert len(rows(shop_all)) - 201 == sent.values("staging_id").distinct().count()
