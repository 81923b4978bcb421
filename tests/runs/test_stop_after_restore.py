"""A restore of shop All that is certain stops all its transfers; one that is not stops one flow."""

import psycopg2
import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from transfer.engine.errors import ShopAllRestored
from transfer.models import TransferRun
from transfer.models.run_base import Trigger
from transfer.runs.execute import rehearse, run_here
from transfer.runs.purge import purge_all

pytestmark = pytest.mark.django_db(transaction=True)

PINS = "select account from pincode order by 1"
STAGED_PINS = '"accountpincodeTemp"'
BALANCES = "select account from asset order by 1"


class Tasks:
    """The transfers of a server."""

    def __init__(self, server):
        self.server = server

    def run(self, kind):
        """The code of the error that a run ends with; nothing when it succeeds."""
        return run_here(self.server.tasks.get(kind=kind), Trigger.MANUAL).error_code


@pytest.fixture
def tasks(receiver, shop_all, settings):
    """Both flows have moved rows; a PIN code waits, and the log lacks the last batch of balance
    changes, as after a restore of shop All whose copy of it was younger than the PIN codes'.
    """
    settings.LANGUAGE_CODE = "en"
    tasks = Tasks(receiver)
    for account in ("1", "2"):
        stage(shop_all, "balances", [(account, 1)])
        assert tasks.run("balances") == ""
    stage(shop_all, "pincodes", [("1", "1111")])
    assert tasks.run("pincodes") == ""
    query(shop_all, "delete from datatransfer.batch where kind = 'balances' and number = 2")
    stage(shop_all, "pincodes", [("2", "2222")])
    return tasks


def test_a_batch_that_our_own_history_has_too_stops_every_transfer_until_the_rebase(
    tasks, bonus, shop_all
):
    assert tasks.run("balances") == "history_changed"
    assert tasks.run("pincodes") == "shop_all_restored"
    assert tasks.run("balances") == "history_changed"
    assert query(bonus, PINS) == [("1",)]
    stage(shop_all, "balances", [("3", 1)])
    with pytest.raises(CommandError, match="--restored-at"):
        call_command("rebase_shop_all")
    (restored_at,) = query(shop_all, 'select max(created_at) from "changeAccountBalanceTemp"')[0]
    call_command("rebase_shop_all", "--restored-at", str(restored_at), "--no-prepared-transactions")
    assert [tasks.run("pincodes"), tasks.run("balances")] == ["", ""]
    assert query(bonus, PINS) == [("1",), ("2",)]
    assert query(bonus, BALANCES) == [("1",), ("2",), ("3",)]


def test_a_server_docked_meanwhile_receives_nothing(tasks, dock, second_bonus):
    tasks.run("balances")
    docked = Tasks(dock(second_bonus, name="Бонусный сервер 9"))
    assert docked.run("cards") == "shop_all_restored"


def test_a_server_docked_meanwhile_gets_a_position_after_the_rebase(tasks, dock, second_bonus):
    """Shop All takes no batch until then."""
    tasks.run("balances")
    docked = dock(second_bonus, name="Бонусный сервер 9")
    with pytest.raises(CommandError, match="rebase_shop_all"):
        call_command("set_position", docked.name, "pincodes", "--now")


def test_who_knows_that_shop_all_is_whole_lets_the_others_go_on(tasks, bonus, capsys):
    tasks.run("balances")
    call_command("set_position", tasks.server.name, "balances", "--shop-all-is-whole", "--dry-run")
    assert tasks.run("pincodes") == "shop_all_restored"
    call_command("set_position", tasks.server.name, "balances", "--shop-all-is-whole")
    assert "the next run will refuse" in capsys.readouterr().out
    assert tasks.run("pincodes") == ""
    assert query(bonus, PINS) == [("1",), ("2",)]
    assert tasks.run("balances") == "history_changed"
    assert tasks.run("pincodes") == ""


def test_a_batch_that_a_bonus_server_alone_claims_stops_its_own_flow(tasks, bonus):
    TransferRun.objects.filter(kind="balances").delete()
    assert tasks.run("balances") == "history_changed"
    assert tasks.run("pincodes") == ""
    assert query(bonus, PINS) == [("1",), ("2",)]


def test_a_flow_that_was_refused_before_there_were_notes_stops_no_other(tasks, bonus, shop_all):
    (token,) = query(bonus, "select token from datatransfer.position where kind = 'balances'")[0]
    query(shop_all, "insert into datatransfer.missed values (%s)", [token])
    assert tasks.run("balances") == "history_changed"
    assert tasks.run("pincodes") == ""


def test_a_worker_that_knows_no_notes_can_begin_no_batch(tasks, shop_all):
    """It checks the log alone, which has the last batch of its flow, and begins the next one."""
    next_batch = """
        insert into datatransfer.batch (reader, number, token, kind, server, origin)
        select reader, number + 1, gen_random_uuid(), kind, server, origin
          from datatransfer.batch where kind = 'pincodes'
    """
    tasks.run("balances")
    with pytest.raises(psycopg2.errors.RaiseException, match="rebase_shop_all"):
        query(shop_all, next_batch)


@pytest.fixture
def silent(tasks):
    """The server whose batch is missing does not answer any more."""
    tasks.server.tasks.get(kind="balances").delete()
    return tasks


class TestABatchOfAFlowThatDoesNotRun:
    """Our own history knows it: its server is undocked, or does not answer."""

    def test_stops_every_transfer_until_the_rebase(self, silent, bonus, shop_all):
        assert silent.run("pincodes") == "shop_all_restored"
        assert query(bonus, PINS) == [("1",)]
        assert silent.run("cards") == "shop_all_restored"
        (restored_at,) = query(shop_all, f"select max(created_at) from {STAGED_PINS}")[0]
        options = ["--restored-at", str(restored_at), "--no-prepared-transactions"]
        call_command("rebase_shop_all", *options)
        assert [silent.run("pincodes"), silent.run("cards")] == ["", ""]
        assert query(bonus, PINS) == [("1",), ("2",)]

    def test_stops_a_purge_before_any_run(self, silent, shop_all):
        staged = query(shop_all, f"select count(*) from {STAGED_PINS}")
        with pytest.raises(ShopAllRestored):
            list(purge_all(0, blank_pins=True, dry_run=False))
        assert query(shop_all, f"select count(*) from {STAGED_PINS}") == staged

    def test_stops_a_rehearsal_without_a_note(self, silent, shop_all):
        with pytest.raises(ShopAllRestored):
            rehearse(silent.server.tasks.get(kind="pincodes"))
        assert query(shop_all, "select count(*) from datatransfer.restored") == [(0,)]

    def test_lets_the_others_go_on_if_an_administrator_knows_that_shop_all_is_whole(
        self, silent, bonus
    ):
        silent.run("pincodes")
        call_command("set_position", silent.server.name, "pincodes", "--shop-all-is-whole")
        assert [silent.run("pincodes"), silent.run("pincodes")] == ["", ""]
        assert query(bonus, PINS) == [("1",), ("2",)]

    def test_is_not_missing_if_a_purge_has_removed_it(self, tasks, shop_all):
        """Our own database is older than the log."""
        later = """
            insert into datatransfer.batch (reader, number, token, kind, server, origin)
            select reader, 3, gen_random_uuid(), kind, server, origin
              from datatransfer.batch where kind = 'balances'
        """
        query(shop_all, later)
        query(shop_all, "delete from datatransfer.batch where kind = 'balances' and number = 1")
        assert tasks.run("pincodes") == ""

    def test_says_nothing_of_a_shop_all_that_was_created_again(self, silent, shop_all):
        """It has neither the identity nor the reader; each server's position is asked for."""
        query(shop_all, "update datatransfer.origin set origin = gen_random_uuid()")
        query(shop_all, "delete from datatransfer.batch where kind = 'balances'")
        assert silent.run("cards") == "position_lost"


def test_notes_that_somebody_has_deleted_stop_every_transfer_until_the_rebase(
    receiver, shop_all, bonus, tmp_path
):
    """Shop All was never restored, so no load has to be repeated."""
    tasks = Tasks(receiver)
    file = tmp_path / "balances.csv"
    file.write_text("account;amount\n1;5\n")
    call_command("load_staging", "balances", str(file))
    assert tasks.run("balances") == ""
    stage(shop_all, "balances", [("2", 1)])
    query(shop_all, "delete from datatransfer.loaded")
    assert tasks.run("balances") == "records_missing"
    call_command("rebase_shop_all", "--no-writes-since-restore")
    assert tasks.run("balances") == ""
    assert query(bonus, BALANCES) == [("1",), ("2",)]
