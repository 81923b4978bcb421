"""Bonus servers that are restored, and purges: exact, or refused until somebody says."""

from collections import Counter

import pytest

from tests.databases import query
from tests.engine.site import assert_refuses_for_good, burn
from tests.flow import purge
from transfer.engine.errors import (
    BatchForgotten,
    BatchUnknown,
    PositionLost,
    RestoredFromDump,
    RowsPurged,
)
from transfer.engine.kinds import BALANCES
from transfer.engine.move.prepare import prepare
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.requested_position import Request


def test_a_bonus_server_that_was_restored_gets_what_it_lost(site):
    site.stage("a", "b", "c")
    site.flow.move_one(chunk_rows=2)
    copy = site.copy(site.server)
    site.flow.move()
    site.stage("d")
    site.flow.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()


def test_a_position_that_vanished_with_our_schema_is_refused_until_somebody_says(site):
    site.stage("a")
    site.flow.move()
    site.stage("b")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset where account='b'")
    assert_refuses_for_good(site, PositionLost)
    with pytest.raises(BatchUnknown):
        site.set_position(Request(batch=17))
    assert site.set_position(Request(batch=1), dry_run=True).sent == 1
    assert_refuses_for_good(site, PositionLost)
    site.set_position(Request(batch=1))
    site.assert_each_row_once()


def test_a_lost_position_is_found_again_in_a_dump_whose_new_cluster_counts_from_the_beginning(site):
    burn(site.flow.shop_all, 1000)
    site.stage("a")
    site.flow.move()
    site.stage("b")
    site.flow.move()
    site.restored_from_a_dump_where_numbers_are_lower()
    site.stage("c")
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset where account='b'")
    assert_refuses_for_good(site, PositionLost)
    outcome = site.set_position(Request(batch=1))
    assert isinstance(outcome.doubt, RestoredFromDump)
    assert_refuses_for_good(site, RestoredFromDump)
    (report,) = site.rebase()
    assert (report.moved, report.waiting) == (1, 2)
    site.assert_each_row_once()


def test_without_our_own_databases_memory_the_log_knows_that_there_was_a_position(site):
    site.stage("a")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade")
    with site.flow.open() as (source, target), pytest.raises(PositionLost):
        prepare(BALANCES, source, target)


def test_from_the_start_everything_is_sent(site):
    site.stage("a", "b")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset")
    assert site.set_position(Request(start=True)).sent == 2
    site.assert_each_row_once()


def test_a_bonus_server_from_before_a_purge_is_refused_until_somebody_gives_the_rows_up(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.flow.move()
    assert site.purge() == (3, 3)
    site.stage("d")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, RowsPurged)
    with pytest.raises(RowsPurged) as refused:
        site.flow.move()
    assert str(refused.value).startswith("The bonus server was restored to batch 1, and up to 3 ")
    outcome = site.set_position(Request(accept_purged=True))
    assert (outcome.sent, outcome.lost.rows) == (1, 3)
    site.flow.move()
    assert site.held() == Counter(["a", "d"])
    site.stage("e")
    site.flow.move()
    assert site.held() == Counter(["a", "d", "e"])


def test_a_purge_that_took_the_positions_batch_too_does_not_look_like_another_history(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.flow.move()
    assert site.purge(days=0) == (3, 3)
    assert query(site.flow.shop_all, "select number from datatransfer.batch") == [(2,)]
    site.stage("d")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, RowsPurged)
    assert site.set_position(Request(accept_purged=True)).lost.rows == 3
    # Nobody can tell any more whether shop All went back, so an administrator has to say.
    assert_refuses_for_good(site, BatchForgotten)
    assert site.set_position(Request()).doubt is not None
    assert_refuses_for_good(site, BatchForgotten)
    assert site.set_position(Request(shop_all_is_whole=True)).doubt is None
    site.flow.move()
    assert site.held() == Counter(["a", "d"])
    site.stage("e")
    site.flow.move()
    assert site.held() == Counter(["a", "d", "e"])


def test_a_rebase_leaves_a_server_that_lacks_purged_rows_to_its_next_run(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.flow.move()
    site.purge(days=0)
    site.stage("d")
    site.restore(site.server, copy)
    site.rebase(Restored())
    assert_refuses_for_good(site, RowsPurged)
    assert site.set_position(Request(accept_purged=True)).lost.rows == 3
    site.flow.move()
    assert site.held() == Counter(["a", "d"])


def test_a_server_that_begins_anew_after_a_purge_hears_what_it_will_lack(site):
    site.flow.move()  # nothing, but its position begins
    copy = site.copy(site.server)
    site.stage("a", "b")
    site.flow.move()
    assert site.purge(days=0) == (2, 2)
    site.stage("c")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, RowsPurged)  # its position is from before the first row
    query(site.flow.bonus, "drop schema datatransfer cascade")
    assert_refuses_for_good(site, PositionLost)
    with pytest.raises(RowsPurged):
        site.set_position(Request(start=True))
    outcome = site.set_position(Request(start=True, accept_purged=True))
    assert (outcome.sent, outcome.lost.rows) == (1, 2)
    site.flow.move()
    assert site.held() == Counter(["c"])


def test_a_bonus_server_that_had_what_was_purged_goes_on(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    assert site.purge() == (1, 1)
    site.stage("b")
    site.flow.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()


def test_a_purge_forgets_no_batch_that_a_bonus_server_named_within_the_retention(site):
    """The second batch was the latest when the retention began."""
    for account in ("a", "b", "c"):
        site.stage(account)
        site.flow.move()
    query(
        site.flow.shop_all,
        "update datatransfer.batch set at = now() - interval '40 d' where number < 3",
    )
    purge(site.flow.shop_all, "balances", [site.flow.position()])
    left = query(site.flow.shop_all, "select number from datatransfer.batch order by 1")
    assert left == [(2,), (3,)]
