"""Batches that our own history knows and shop All lacks: what is settled, and what settles it."""

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from transfer.engine.errors import ShopAllRestored
from transfer.engine.position import Position
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.shop_all.source import ShopAll
from transfer.models import LatestBatch, TransferRun
from transfer.models.run_base import Trigger
from transfer.runs.execute import rehearse, run_here
from transfer.runs.purge import purge_all

pytestmark = pytest.mark.django_db(transaction=True)

BALANCES = "select account from asset order by 1"
STAGED = '"changeAccountBalanceTemp"'
NO_NEW = ("--no-writes-since-restore", "--no-prepared-transactions")


class Both:
    """Balance changes reach two servers; the second alone has read the last batch before shop All
    went back, and is silent since.
    """

    def __init__(self, first, second):
        self.first, self.second = first, second

    def run(self, server):
        return run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code

    def cut_off(self):
        type(self.second).objects.filter(pk=self.second.pk).update(db_port=1)

    def reach(self):
        type(self.second).objects.filter(pk=self.second.pk).update(db_port=self.second.db_port)


@pytest.fixture
def both(receiver, dock, second_bonus, shop_all, settings):
    settings.LANGUAGE_CODE = "en"
    both = Both(receiver, dock(second_bonus, name="second"))
    stage(shop_all, "balances", [("1", 1)])
    assert [both.run(both.first), both.run(both.second)] == ["", ""]
    stage(shop_all, "balances", [("2", 1)])
    assert both.run(both.second) == ""
    query(shop_all, "delete from datatransfer.batch where kind = 'balances' and number = 2")
    both.cut_off()
    return both


def test_a_rebase_of_another_installation_settles_the_batches_of_this_one(both, shop_all):
    assert both.run(both.first) == "shop_all_restored"
    query(shop_all, "delete from datatransfer.missed")  # it had noticed the restore itself
    with ShopAll(shop_all, "rebase") as source:
        assert renumber_after_restore(source, [], settings.KINDS.values(), Restored())
    assert both.run(both.first) == ""


def test_a_run_that_counts_after_the_rebase_stops_nothing(both, shop_all):
    """Its process was asleep since its chunk had landed."""
    run = TransferRun.objects.latest("pk")
    after = Position.from_json(run.position_to)
    LatestBatch.objects.filter(token=after.token).update(token=run.position_from["reader"])
    call_command("rebase_shop_all", *NO_NEW)
    LatestBatch.objects.note(after, run.server_name)
    assert both.run(both.first) == ""


@pytest.mark.parametrize("notices", ["purge", "rehearsal"])
def test_who_knows_that_shop_all_is_whole_settles_what_a_purge_or_a_rehearsal_has_noticed(
    both, notices
):
    """They note nothing in shop All."""
    both.second.delete()
    task = both.first.tasks.get(kind="balances")
    with pytest.raises(ShopAllRestored):
        list(purge_all(0, blank_pins=True, dry_run=False)) if notices == "purge" else rehearse(task)
    call_command("set_position", both.first.name, "balances", "--shop-all-is-whole")
    assert both.run(both.first) == ""


def test_a_time_before_the_last_batch_of_the_copy_is_too_early_also_where_its_server_is_silent(
    both, second_bonus
):
    """Otherwise the silent server gets rows again that it has."""
    with pytest.raises(CommandError, match="later"):
        call_command(
            "rebase_shop_all", "--restored-at", "2000-01-01 00:00+00", "--no-prepared-transactions"
        )
    before = query(second_bonus, BALANCES)
    both.reach()
    both.run(both.second)
    assert query(second_bonus, BALANCES) == before


class TestALostPosition:
    """The vendor has restored his tables without ours, and shop All went back. Another server
    shows the restore, too.
    """

    @pytest.fixture
    def lost(self, both, shop_all, bonus):
        both.reach()
        query(bonus, "drop schema datatransfer cascade")
        stage(shop_all, "balances", [("3", 1)])
        return both

    def test_can_be_put_back_after_what_the_messages_say(self, lost, bonus):
        """The rows of batch 1 are in the server's tables: that batch has to be named."""
        codes = []
        for _ in range(4):
            code = lost.run(lost.first)
            codes.append(code)
            if code in ("shop_all_restored", "history_changed"):
                call_command("rebase_shop_all", *NO_NEW)
            elif code == "position_lost":
                call_command("set_position", lost.first.name, "balances", "--batch", "1")
        assert codes[-1] == "", codes
        assert query(bonus, BALANCES) == [("1",), ("2",), ("3",)]

    def test_a_rebase_asks_for_it_first(self, lost):
        """Afterwards no batch says what the server has."""
        assert lost.run(lost.second) == "history_changed"
        with pytest.raises(CommandError, match="set_position"):
            call_command("rebase_shop_all", *NO_NEW)
