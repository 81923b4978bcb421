"""A loaded file is taken back once, on the servers that accepted it, even if a process dies."""

import re

import pytest
from django.utils import translation

from tests.causes import raises
from tests.databases import query
from transfer.causes.loads import LOAD_IS_UNDO
from transfer.loading import undo_load, upload_job
from transfer.loading.loaded_before import earlier
from transfer.models import AuditEntry, RejectedRow, Upload
from transfer.models.run_base import Trigger
from transfer.rejects import resend
from transfer.runs.execute import run_here
from transfer.runs.reconcile import reconcile

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = '"changeAccountBalanceTemp"'
GOOD = b"account;amount\n4100;10\n4200;20\n"
SMALL = "alter table asset add constraint small check (amount < 15)"
State = Upload.State


@pytest.fixture(autouse=True)
def in_english(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """The second one takes amounts below 15."""
    query(second_bonus, SMALL)
    return [dock(bonus), dock(second_bonus, "Bonus server 9")]


def move(*servers, kind="balances"):
    for server in servers:
        assert run_here(server.tasks.get(kind=kind), Trigger.MANUAL).error_code == ""


def take_back(load, actor):
    ordered = undo_load.order(load, actor)
    upload_job.go_on(ordered)
    ordered.refresh_from_db()
    return ordered


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by account, amount desc")


def reconciled(*servers):
    return [reconcile(server.tasks.get(kind="balances")).holds for server in servers]


def test_each_server_ends_as_if_the_file_had_never_been_loaded(
    servers, load, olga, bonus, second_bonus
):
    first = load("balances", GOOD, "bonus.csv")
    move(*servers)
    assert RejectedRow.objects.open().count() == 1
    done = take_back(first, olga)
    assert (done.state, done.good, done.amount) == (State.LOADED, 2, -30)
    move(*servers)
    assert landed(bonus) == [("4100", 10), ("4100", -10), ("4200", 20), ("4200", -20)]
    assert landed(second_bonus) == [("4100", 10), ("4100", -10)]
    assert reconciled(*servers) == [True, True]
    assert not RejectedRow.objects.open().exists()
    closed = {*RejectedRow.objects.values_list("code", "state")}
    assert ("refused_by_server", RejectedRow.State.SETTLED) in closed


def test_the_rows_say_which_file_who_and_when(servers, load, olga, shop_all):
    first = load("balances", GOOD, "bonus.csv")
    move(servers[0])
    with translation.override("ru"):  # of the page; the rows have that of the installation
        done = take_back(first, olga)
    comments = query(shop_all, f"select distinct comment from {TABLE} where amount < 0")
    assert len(comments) == 1
    assert re.fullmatch(
        r'Undo of "bonus.csv" by olga, \d{4}-\d\d-\d\d \d\d:\d\d MSK', comments[0][0]
    )
    assert (str(done), done.undoes, first.undo) == ("Undo of bonus.csv", first, done)
    entry = AuditEntry.objects.filter(action="load").latest("pk")
    assert (entry.who, entry.new["input_method"], entry.new["good"]) == ("olga", "undo", 2)


def test_a_file_that_no_server_has_read_reaches_none(servers, load, olga, bonus, second_bonus):
    first = load("balances", GOOD)
    done = take_back(first, olga)
    assert (done.good, done.amount) == (2, -30)
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == []
    assert reconciled(*servers) == [True, True]


def test_no_server_is_asked_dead_and_undocked_ones_come_later(
    servers, load, olga, bonus, second_bonus, dock
):
    query(second_bonus, "alter table asset drop constraint small")
    first = load("balances", GOOD)
    move(servers[1])
    for server in servers:
        server.db_port, server.port = 1, server.db_port
        server.save()
    take_back(first, olga)
    for server in servers:
        server.db_port = server.port
        server.save()
    move(*servers)
    assert landed(bonus) == []
    assert [amount for _, amount in landed(second_bonus)] == [10, -10, 20, -20]


def test_pressed_twice_it_is_done_once(servers, load, olga, staged):
    first = load("balances", GOOD)
    move(*servers)
    assert take_back(first, olga) == take_back(first, olga)
    assert len(staged("balances")) == 4
    assert AuditEntry.objects.filter(action="load").count() == 2


def test_our_own_database_may_forget_it(servers, load, olga, staged):
    first = load("balances", GOOD)
    move(*servers)
    take_back(first, olga).delete()
    done = take_back(first, olga)
    assert (done.state, done.good, done.amount, len(staged("balances"))) == (
        *(State.LOADED, 2, -30, 4),
    )


def test_a_rejected_row_of_it_is_not_sent_again(servers, load, olga, staged):
    first = load("balances", GOOD)
    move(*servers)
    take_back(first, olga)
    reject = RejectedRow.objects.get()
    outcome = resend.resend(RejectedRow.objects.filter(pk=reject.pk), {"amount": "5"}, olga)
    assert (outcome.sent, dict(outcome.faults), len(staged("balances"))) == (
        *(0, {"row_undone": 1}, 4),
    )


def test_the_file_may_then_be_loaded_again_without_a_question(servers, load, check, olga):
    first = load("balances", GOOD)
    move(*servers)
    assert earlier(check("balances", GOOD)).upload == first
    take_back(first, olga)
    assert earlier(check("balances", GOOD)) is None


def test_an_undo_is_not_taken_back(servers, load, olga):
    done = take_back(load("balances", GOOD), olga)
    with raises(LOAD_IS_UNDO):
        undo_load.order(done, olga)


class TestPinCodes:
    PINS = b"account;pin\n4100;1111\n4200;2222\n"

    def test_reach_no_server_that_has_not_read_them_and_stay_where_one_has(
        self, servers, load, olga, bonus, second_bonus
    ):
        first = load("pincodes", self.PINS)
        move(servers[0], kind="pincodes")
        done = take_back(first, olga)
        assert (done.state, done.good, done.amount) == (State.LOADED, 0, None)
        assert first.is_undone
        move(*servers, kind="pincodes")
        assert query(bonus, "select account from pincode order by 1") == [("4100",), ("4200",)]
        assert query(second_bonus, "select account from pincode") == []

    def test_are_a_list_without_secrets_to_load_the_right_ones(self, servers, load, olga):
        first = load("pincodes", self.PINS)
        for _ in range(2):
            rows = [*undo_load.rest(first, 5.0)]
            assert [row["account"] for row in rows] == ["4100", "4200"]
            assert "1111" not in repr(rows)
            take_back(first, olga)

    def test_of_corrections_of_the_load_alone_are_withdrawn_with_it(
        self, rejected, load, olga, bonus, receiver, dock, second_bonus
    ):
        wrong = load("pincodes", b"account;pin\n4100;1111\n")
        query(bonus, "alter table pincode add constraint no check (pincode <> '1111')")
        move(receiver, kind="pincodes")
        reject = RejectedRow.objects.get()
        fix = f"Rejected row no.;account;pin\n{reject.key};4100;2222\n".encode()
        assert load("pincodes", fix).state == State.LOADED
        take_back(wrong, olga)
        second = dock(second_bonus, "Bonus server 9")
        move(receiver, second, kind="pincodes")
        assert query(bonus, "select * from pincode") == []
        assert query(second_bonus, "select * from pincode") == []


def test_lines_that_correct_rejected_rows_are_not_taken_back(rejected, load, olga, staged):
    (one,) = rejected("balances", ("4100", 0))
    upload = load("balances", f"Rejected row no.;account;amount\n{one.key};4100;5\n".encode())
    done = take_back(upload, olga)
    assert (done.state, done.error_code) == (State.READY, "load_corrects")
    assert len(staged("balances")) == 2
