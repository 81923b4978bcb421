"""A loaded file is taken back once, on the servers that accepted it, even if a process dies."""

import pytest
from django.core.management import call_command
from django.utils import translation

from tests.databases import connected, query, run
from transfer.engine.errors import LoadUnknown, NothingTakenBack, UndoGone
from transfer.loading import undo, upload_job
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
    ordered = undo.order(load, actor)
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
    assert (done.state, done.good, done.withdrawn, done.amount) == (State.LOADED, 2, 0, -30)
    move(*servers)
    assert landed(bonus) == [("4100", 10), ("4100", -10), ("4200", 20), ("4200", -20)]
    assert landed(second_bonus) == [("4100", 10), ("4100", -10)]
    assert reconciled(*servers) == [True, True]
    assert not RejectedRow.objects.open().exists()
    reasons = {*RejectedRow.objects.values_list("code", "close_reason")}
    back = "The load was taken back."
    assert reasons == {("refused_by_server", back), ("nothing_to_take_back", back)}


def test_the_rows_say_which_file_who_and_when(servers, load, olga, shop_all):
    first = load("balances", GOOD, "bonus.csv")
    move(servers[0])
    with translation.override("ru"):  # of the page; the rows have that of the installation
        done = take_back(first, olga)
    comments = query(shop_all, f"select distinct comment from {TABLE} where amount < 0")
    assert len(comments) == 1
    assert comments[0][0].startswith('Undo of "bonus.csv" by olga, 20')
    assert (str(done), done.undoes, first.undo) == ("Undo of bonus.csv", first, done)
    entry = AuditEntry.objects.filter(action="load").latest("pk")
    assert (entry.who, entry.new["input_method"], entry.new["good"]) == ("olga", "undo", 2)


def test_a_file_that_no_server_has_read_is_withdrawn(servers, load, olga, shop_all, bonus):
    first = load("balances", GOOD)
    done = take_back(first, olga)
    assert (done.good, done.withdrawn) == (0, 2)
    assert query(shop_all, f"select * from {TABLE}") == []
    move(*servers)
    assert landed(bonus) == []


def test_where_a_server_does_not_answer_the_opposite_rows_are_staged(
    servers, load, olga, staged, bonus
):
    first = load("balances", GOOD)
    servers[1].db_port = 1
    servers[1].save()
    done = take_back(first, olga)
    assert (done.good, done.withdrawn) == (2, 0)
    move(servers[0])
    assert [amount for _, amount in landed(bonus)] == [10, -10, 20, -20]


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
    move(servers[0])
    take_back(first, olga)
    move(servers[1])
    reject = RejectedRow.objects.get(code="refused_by_server")
    RejectedRow.objects.update(state=RejectedRow.State.OPEN)
    outcome = resend.resend(RejectedRow.objects.filter(pk=reject.pk), {"amount": "5"}, olga)
    assert (outcome.sent, dict(outcome.faults), len(staged("balances"))) == (
        *(0, {"row_undone": 1}, 4),
    )


def test_rejects_that_an_undo_may_need_are_not_purged(servers, load, olga, second_bonus):
    first = load("balances", GOOD)
    move(*servers)
    resend.discard(RejectedRow.objects.all(), "wrong file", olga)
    RejectedRow.objects.update(closed_at="2020-01-01T00:00Z")
    call_command("purge_history")
    assert query(second_bonus, "select count(*) from datatransfer.reject") == [(1,)]
    take_back(first, olga)
    move(servers[1])
    assert landed(second_bonus) == [("4100", 10), ("4100", -10)]


def test_the_file_may_then_be_loaded_again_without_a_question(servers, load, check, olga):
    first = load("balances", GOOD)
    move(*servers)
    assert check("balances", GOOD).earlier() == first
    take_back(first, olga)
    assert check("balances", GOOD).earlier() is None


def test_an_undo_is_not_taken_back(servers, load, olga):
    done = take_back(load("balances", GOOD), olga)
    with pytest.raises(LoadUnknown):
        undo.order(done, olga)


def test_a_restore_that_takes_the_undo_lets_it_be_pressed_again(
    servers, load, olga, shop_all, bonus, capsys
):
    first = load("balances", GOOD, "bonus.csv")
    move(*servers)
    done = take_back(first, olga)
    restore_to_before(done, shop_all)
    assert "“Undo of bonus.csv” is not in the copy. Take the load back" in capsys.readouterr().out
    done.refresh_from_db()
    assert (done.state, first.is_undone) == (State.LOST, False)
    assert take_back(first, olga).good == 2
    move(*servers)
    assert [amount for _, amount in landed(bonus)] == [10, -10, 20, -20]


def test_a_restore_that_takes_an_undo_which_a_server_has_received_says_so(
    servers, load, olga, shop_all, capsys
):
    first = load("balances", GOOD, "bonus.csv")
    move(*servers)
    done = take_back(first, olga)
    move(servers[0])
    restore_to_before(done, shop_all)
    assert "a server may have received its rows" in capsys.readouterr().out
    assert first.is_undone


def restore_to_before(done, shop_all):
    """A dump is restored that was made before the undo; then it is rebased."""
    query(
        shop_all,
        f"delete from {TABLE} where amount < 0; delete from datatransfer.undone_row; "
        f"delete from datatransfer.loaded where token = '{done.token}'",
    )
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")


class TestPinCodes:
    PINS = b"account;pin\n4100;1111\n4200;2222\n"

    def test_those_that_no_server_has_read_are_withdrawn(self, servers, load, olga, bonus):
        done = take_back(load("pincodes", self.PINS), olga)
        assert (done.state, done.good, done.withdrawn) == (State.LOADED, 0, 2)
        move(*servers, kind="pincodes")
        assert query(bonus, "select * from pincode") == []

    def test_read_ones_are_left_and_it_is_said(self, servers, load, olga):
        first = load("pincodes", self.PINS)
        move(servers[0], kind="pincodes")
        done = take_back(first, olga)
        assert (done.state, done.error_code) == (State.READY, NothingTakenBack.code)
        assert not first.is_undone

    def test_while_a_transfer_runs_nothing_is_withdrawn_and_it_is_said(
        self, servers, load, olga, bonus
    ):
        first = load("pincodes", self.PINS)
        with connected(bonus) as transfer:
            run(transfer, "begin")
            run(transfer, "select 1 from datatransfer.position where kind = 'pincodes' for update")
            done = take_back(first, olga)
            run(transfer, "rollback")
        assert (done.state, done.error_code) == (State.READY, "already_running")
        assert take_back(first, olga).withdrawn == 2


class TestAnUndoThatIsGoneWithARestore:
    """As if shop All had been restored to after the load."""

    @pytest.fixture
    def first(self, servers, load, olga, shop_all):
        """A load that one server has read in part, and that was taken back."""
        first = load("balances", GOOD)
        move(*servers)
        take_back(first, olga)
        return first

    def forget(self, shop_all):
        query(shop_all, f"delete from {TABLE} where amount < 0")
        query(shop_all, "delete from datatransfer.undone_row")
        query(shop_all, "delete from datatransfer.loaded where undoes is not null")

    def test_is_done_again_if_no_server_has_read_on(
        self, first, servers, olga, shop_all, bonus, second_bonus
    ):
        self.forget(shop_all)
        done = take_back(first, olga)
        assert (done.state, done.good) == (State.LOADED, 2)
        move(*servers)
        assert landed(bonus) == [("4100", 10), ("4100", -10), ("4200", 20), ("4200", -20)]
        assert landed(second_bonus) == [("4100", 10), ("4100", -10)]

    def test_is_not_done_again_if_a_server_can_not_be_asked(self, first, servers, olga, shop_all):
        self.forget(shop_all)
        servers[1].db_port = 1
        servers[1].save()
        with pytest.raises(UndoGone):
            undo.order(first, olga)

    def test_is_not_done_again_if_an_undocked_server_may_have_received_it(
        self, first, servers, olga, shop_all
    ):
        move(servers[1])
        servers[1].delete()
        self.forget(shop_all)
        query(shop_all, "delete from datatransfer.batch where server = 'Bonus server 9'")
        with pytest.raises(UndoGone):
            undo.order(first, olga)

    def test_its_rejects_are_open_again_after_the_rebase(self, first, shop_all):
        assert not RejectedRow.objects.open().exists()
        self.forget(shop_all)
        call_command("rebase_shop_all", "--no-writes-since-restore")
        assert Upload.objects.get(undoes=first).state == State.LOST
        assert [one.code for one in RejectedRow.objects.open()] == ["refused_by_server"]


def test_what_a_server_has_read_that_is_undocked_is_not_withdrawn(
    servers, load, olga, shop_all, second_bonus
):
    """Shop All was restored since, and its log has no batch of that."""
    query(second_bonus, "alter table asset drop constraint small")
    first = load("balances", GOOD)
    move(servers[1])
    servers[1].delete()
    query(shop_all, "delete from datatransfer.batch where server = 'Bonus server 9'")
    done = take_back(first, olga)
    assert (done.good, done.withdrawn) == (2, 0)


def test_what_a_server_has_read_that_went_back_is_not_withdrawn(servers, load, olga, bonus):
    """It may yet be restored to after it has read the rows."""
    move(*servers)
    first = load("balances", GOOD)
    query(bonus, "create table before as table datatransfer.position")
    move(servers[0])
    query(bonus, "truncate datatransfer.position, asset")
    query(bonus, "insert into datatransfer.position table before")
    done = take_back(first, olga)
    assert (done.good, done.withdrawn) == (2, 0)
