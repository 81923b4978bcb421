"""A corrected row is staged once, even if a process dies or two users compete."""

import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests.causes import raises
from tests.databases import query, stage
from tests.proxy import Cut, Proxy
from tests.waiting import wait_until
from transfer.causes.connections import CONNECTION_LOST
from transfer.causes.loads import CORRECTION_UNCONFIRMED
from transfer.engine.postgres.connection import Connection
from transfer.errors import ConnectionLost
from transfer.models import Actor, AuditEntry, Entry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.rejects import resend
from transfer.rejects.mirror import OPENED
from transfer.runs.execute import run_here
from transfer.runs.mirroring import mirror_overdue

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
from django.db import connection
from transfer.engine.postgres.connection import Connection
from transfer.rejects import resend
from transfer.models import Actor, RejectedRow
def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)
{patch}
resend.resend(RejectedRow.objects.filter(pk={pk}), {{"amount": "5"}}, Actor("ivan"))
"""
# When shop All is to commit, and our own database has.
BETWEEN = """
commit = Connection.commit
Connection.commit = lambda self: commit(self) if connection.in_atomic_block else kill()
"""


@pytest.fixture
def killed(manage, reject):
    """Sends the reject in a process that is killed where `patch` calls `kill`."""

    def killed(patch):
        process = manage("shell", "-c", KILLED.format(patch=patch, pk=reject.pk))
        _out, errors = process.communicate(timeout=60)
        assert process.returncode == -9, errors

    return killed


class TestKilledBetweenTheTwoCommits:
    @pytest.fixture(autouse=True)
    def left(self, killed, reject, shop_all):
        """The row is not sent, and its reject closed."""
        killed(BETWEEN)
        assert rows(shop_all) == SENT[:1]
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.RESENT, False)

    def test_by_hand_and_the_audit_say_who_tried(self, reject):
        (entry,) = Entry.objects.all()
        assert (entry.who, entry.way, entry.amount) == ("ivan", "correction", 5)
        assert [one.account for one in entry.entered.all()] == ["4100"]
        assert AuditEntry.objects.get(action="resend").who == "ivan"

    @pytest.mark.parametrize("look", ["run", "check"])
    def test_the_next_look_at_the_server_opens_it_and_it_can_be_sent(
        self, reject, bonus, shop_all, look
    ):
        if look == "run":
            run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        else:
            mirror_overdue(reject.server, timezone.now() + timedelta(hours=1))
        reject.refresh_from_db()
        assert reject.is_open
        assert resend.resend(of(reject), {"amount": "5"}, OLGA).sent == 1
        assert rows(shop_all) == SENT
        run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.RESENT, True)
        assert query(bonus, "select account, amount::int from asset") == [("4100", 5)]


def test_it_is_opened_too_early_while_shop_all_commits_and_closed_by_the_row_that_arrives(
    reject, bonus, shop_all, monkeypatch
):
    """A look between the two commits takes the correction for lost."""
    commit, looks = Connection.commit, []

    def look_before(self):
        if not (connection.in_atomic_block or looks):
            looks.append(self)
            mirror_overdue(reject.server, timezone.now() + timedelta(hours=1))
            reject.refresh_from_db()
            assert reject.is_open
        commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "commit", look_before)
        assert resend.resend(of(reject), {"amount": "5"}, OLGA).sent == 1
    assert looks
    assert rows(shop_all) == SENT
    run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
    reject.refresh_from_db()
    assert (reject.state, reject.is_written) == (State.RESENT, True)
    assert query(bonus, "select account, amount::int from asset") == [("4100", 5)]


STAGES = b"datatransfer.stages_lines"  # of a transaction that stages rows
WAIT_FOR_LOCKS = """
    select count(*)::int from pg_stat_activity
     where datname = current_database() and wait_event_type = 'Lock'
"""


class TestTheAnswerToTheCommitOfShopAllIsLost:
    """Shop All has committed, or not; it can be asked at once, or is gone."""

    @pytest.fixture
    def cut(self, reject, shop_all, settings):
        """Sends the reject, and cuts the connection at the commit; `gone`: for good."""

        @contextmanager
        def cut(is_reached, *, gone):
            state = {"stages": False, "cut": False}

            def tamper(message):
                state["stages"] |= STAGES in message.body
                is_cut = state["stages"] and not state["cut"] and is_reached(message)
                state["cut"] |= is_cut
                if is_cut or (gone and state["cut"]):
                    raise Cut
                return True

            with Proxy(shop_all, tamper) as proxy:
                settings.SHOP_ALL_DATABASE_URL = proxy.dsn
                yield
            settings.SHOP_ALL_DATABASE_URL = shop_all
            assert state["cut"]

        return cut

    def send(self, reject):
        return resend.resend(of(reject), {"amount": "5"}, OLGA)

    def arrives(self, reject, bonus):
        run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.RESENT, True)
        assert query(bonus, "select account, amount::int from asset") == [("4100", 5)]

    def test_it_is_sent_if_shop_all_says_that_it_has_it(self, reject, cut, shop_all, bonus):
        with cut(lambda message: message.is_commit_done, gone=False):
            assert self.send(reject).sent == 1
        assert rows(shop_all) == SENT
        reject.refresh_from_db()
        assert (reject.state, reject.closed_by) == (State.RESENT, "olga")
        self.arrives(reject, bonus)

    def test_its_reject_is_open_at_once_if_shop_all_lacks_it(self, reject, cut, shop_all, bonus):
        with cut(lambda message: message.is_commit, gone=False), raises(CONNECTION_LOST):
            self.send(reject)
        assert rows(shop_all) == SENT[:1]
        reject.refresh_from_db()
        assert reject.is_open
        assert self.send(reject).sent == 1
        self.arrives(reject, bonus)

    @pytest.mark.parametrize("has_landed", [True, False])
    def test_its_reject_is_open_until_it_arrives_if_shop_all_does_not_say(
        self, reject, cut, shop_all, bonus, has_landed
    ):
        def is_reached(message):
            return message.is_commit_done if has_landed else message.is_commit

        with cut(is_reached, gone=True), raises(CORRECTION_UNCONFIRMED) as caught:
            self.send(reject)
        assert isinstance(caught.value, ConnectionLost)
        assert rows(shop_all) == (SENT if has_landed else SENT[:1])
        reject.refresh_from_db()
        assert reject.is_open
        if not has_landed:
            run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
            reject.refresh_from_db()
            assert reject.is_open
            assert self.send(reject).sent == 1
        self.arrives(reject, bonus)

    def test_shop_all_is_asked_once_the_commit_has_ended(
        self, reject, shop_all, settings, monkeypatch
    ):
        """Our end of the connection breaks before the commit, which then reaches the server."""
        commit, committing, state = Connection.commit, [], {"stages": False}

        def noted(self):
            committing.append(self)
            commit(self)

        def tamper(message):
            state["stages"] |= STAGES in message.body
            if state["stages"] and message.is_commit:
                state["stages"] = False
                committing[-1].hang_up()
                wait_until(lambda: query(shop_all, WAIT_FOR_LOCKS) != [(0,)])
            return True

        monkeypatch.setattr(Connection, "commit", noted)
        with Proxy(shop_all, tamper) as proxy:
            settings.SHOP_ALL_DATABASE_URL = proxy.dsn
            assert self.send(reject).sent == 1
        assert rows(shop_all) == SENT
        reject.refresh_from_db()
        assert reject.state == State.RESENT


class TestSentAndStillOpenHere:
    """Our own database was restored to before the correction; or it was approved, and the process
    died between the two commits.
    """

    @pytest.fixture(autouse=True)
    def left(self, reject, shop_all):
        assert resend.resend(of(reject), {"amount": "5"}, OLGA).sent == 1
        assert rows(shop_all) == SENT
        of(reject).update(**OPENED)
        reject.refresh_from_db()

    def test_the_next_run_closes_it(self, reject, bonus):
        run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.RESENT, True)
        assert query(bonus, "select account, amount::int from asset") == [("4100", 5)]

    def test_sent_again_one_of_the_two_is_applied(self, reject, bonus):
        assert resend.resend(of(reject), {"amount": "6"}, OLGA).sent == 1
        run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.RESENT, True)
        assert query(bonus, "select account, amount::int from asset") == [("4100", 5)]

    def test_discarded_before_the_next_run_it_is_not_applied(self, reject, bonus):
        assert resend.discard(of(reject), "a test of the till", OLGA) == 1
        run_here(reject.server.tasks.get(kind="balances"), Trigger.MANUAL)
        reject.refresh_from_db()
        assert (reject.state, reject.is_written) == (State.DISCARDED, True)
        assert query(bonus, "select * from asset") == []


def test_killed_before_shop_all_commits_nothing_is_sent(killed, reject, shop_all):
    killed("resend.close_staged = kill")
    assert len(rows(shop_all)) == 1
    assert resend.resend(of(reject), {"amount": "6"}, OLGA).sent == 1


def test_discarding_asks_no_other_database(reject, settings):
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    assert resend.discard(of(reject), "a test of the till", OLGA) == 1
    reject.refresh_from_db()
    assert reject.state == State.DISCARDED


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
            lambda: resend.discard(of(reject), "a test of the till", OLGA),
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
            *(lambda some=some: resend.discard(some, "late", OLGA) for some in of_each),
        ]
        assert len(at_once(*works)) == 4
        assert not RejectedRow.objects.open().exists()
        sent = RejectedRow.objects.filter(state=State.RESENT)
        assert len(rows(shop_all)) - 201 == sent.values("changeset", "row").distinct().count()
