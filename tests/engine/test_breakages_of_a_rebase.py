"""Copies restored once more after a rebase, and one that dies: exact, or refused, or asked."""

import threading

import pytest

from tests.databases import connected, query, run
from tests.engine.site import assert_refuses_for_good
from tests.flow import Flow
from tests.waiting import wait_until
from transfer.engine.errors import (
    BatchUnknown,
    HistoryChanged,
    PositionBeforeRebase,
    PositionLost,
    PositionOvertaken,
    PositionStillKnown,
    RestoredTooEarly,
    RowsDoubtful,
    RowsPrepared,
)
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.requested_position import Request

pytestmark = pytest.mark.long


@pytest.fixture
def rebased_once(site):
    """A copy of shop All is restored for the PIN codes' sake, and the balance changes that wait in
    it are moved only afterwards; then the same copy is restored once more.
    """
    pins = Flow("pincodes", site.flow.shop_all, site.flow.bonus)
    site.stage("a")
    site.flow.move()
    site.stage("waits")
    copy = site.copy(site.shop)
    pins.stage(("a", "1"))
    pins.move()
    site.restore(site.shop, copy)
    with pytest.raises(HistoryChanged):
        pins.move()
    site.rebase(Restored())
    site.flow.stage(("bad", 0))
    site.assert_each_row_once()
    site.restore(site.shop, copy)
    return site


def test_a_copy_from_before_a_rebase_is_refused_though_its_log_fits_the_old_position(rebased_once):
    assert_refuses_for_good(rebased_once, PositionOvertaken)
    with pytest.raises(RowsDoubtful) as refused:
        rebased_once.rebase(Restored())
    assert refused.value.params["rows"] == "1"


def test_what_waits_in_such_a_copy_was_moved_if_somebody_says_so(rebased_once):
    _, report = rebased_once.rebase(Restored(), doubtful_moved=True)
    assert (report.kind, report.moved, report.waiting, report.vanished) == ("balances", 2, 0, 1)
    rebased_once.flow.stage(("bad-too", 0))
    rebased_once.stage("later")
    rebased_once.assert_each_row_once()
    assert [one.number for one in rebased_once.flow.rejects()] == [1, 2]


def test_what_waits_in_such_a_copy_is_sent_if_somebody_says_so(rebased_once):
    query(rebased_once.flow.bonus, "delete from asset where account = 'waits'")
    _, report = rebased_once.rebase(Restored(), doubtful_moved=False)
    assert (report.kind, report.moved, report.waiting, report.vanished) == ("balances", 1, 1, 2)
    rebased_once.assert_each_row_once()


@pytest.fixture
def dies(monkeypatch):
    """A rebase that dies where the bonus server has its new position, and shop All nothing yet."""

    def dies(rebase):
        def die(target):
            raise KeyboardInterrupt

        monkeypatch.setattr(Database, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            rebase()
        monkeypatch.undo()

    return dies


def test_the_batch_of_a_rebase_that_died_says_nothing(site, dies):
    """It tells rows by numbers that they never got: it would take one that waits for moved."""
    site.stage("a")
    copy = site.copy(site.shop)
    site.flow.move()
    site.restore(site.shop, copy)
    site.stage("after")
    dies(lambda: site.rebase(Restored(site.now()), doubtful_moved=True))
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset")
    for number in (1, 2):
        with pytest.raises(BatchUnknown) as refused:
            site.set_position(Request(batch=number))
        assert refused.value.params["known"] == "–"


def test_the_batch_of_a_rebase_that_died_hides_no_prepared_transaction(site, dies):
    site.stage("a")
    site.restored_to_a_prepared_row()
    dies(lambda: site.rebase(Restored(site.now()), doubtful_moved=True))
    with pytest.raises(RowsPrepared):
        site.rebase(Restored(site.now()))


@pytest.fixture
def other_flow_refused(site):
    """A copy of shop All is restored that has the last batch of the balance changes, but lacks a
    batch of PIN codes: the balance changes go on, the PIN codes are refused.
    """
    pins = Flow("pincodes", site.flow.shop_all, site.flow.bonus)
    pins.stage(("a", "1"))
    pins.move()
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.shop)
    pins.stage(("b", "2"))
    pins.move()
    site.restore(site.shop, copy)
    site.restored_at = site.now()
    with pytest.raises(HistoryChanged):
        pins.move()
    return site


def test_rows_that_a_valid_flow_has_moved_since_the_restore_are_not_moved_twice(other_flow_refused):
    site = other_flow_refused
    site.stage("since")
    site.flow.move()
    site.stage("waits")
    reports = {report.kind: report for report in site.rebase(Restored(site.restored_at))}
    assert (reports["balances"].moved, reports["balances"].waiting) == (2, 1)
    site.assert_each_row_once()


def test_a_row_that_a_valid_flow_has_rejected_since_the_restore_is_rejected_once(
    other_flow_refused,
):
    site = other_flow_refused
    site.flow.stage(("bad", 0))
    site.flow.move()
    site.rebase(Restored(site.restored_at))
    site.assert_each_row_once()
    assert [reject.code for reject in site.flow.rejects()] == ["amount_zero"]


def test_a_flow_that_goes_on_after_a_restore_hides_no_prepared_transaction(site):
    """Its batch sees the transaction that ended since, and tells nothing of the copy."""
    pins = Flow("pincodes", site.flow.shop_all, site.flow.bonus)
    pins.stage(("a", "1"))
    pins.move()
    site.stage("sure")
    site.flow.move()
    site.stage("a")
    site.restored_to_a_prepared_row()
    restored_at = site.now()
    pins.stage(("b", "2"))
    pins.move()
    for restored in (Restored(), Restored(restored_at), Restored(site.now())):
        with pytest.raises(RowsPrepared) as refused:
            site.rebase(restored)
        assert refused.value.params["rows"] == "2"
    query(site.flow.bonus, "delete from asset where account = 'a'")
    site.rebase(Restored(restored_at), doubtful_moved=False)
    site.staged.update(["prepared"])
    site.assert_each_row_once()


def test_a_backup_of_a_bonus_server_from_before_a_rebase_gets_what_it_lacks(site):
    site.stage("a")
    site.flow.move()
    backup = site.copy(site.server)
    site.stage("b")
    site.flow.move()
    copy = site.copy(site.shop)
    site.stage("vanishes")
    site.flow.move()
    site.restore(site.shop, copy)
    site.rebase(Restored(), doubtful_moved=True)
    site.restore(site.server, backup)
    del site.staged["vanishes"]
    site.assert_each_row_once()


def test_a_backup_from_before_a_rebase_of_which_nothing_is_kept_is_put_at_no_batch_after_it(site):
    """It lacks what it received between the two, and the batch says that it has it."""
    site.stage("a")
    site.flow.move()
    backup = site.copy(site.server)
    site.stage("b")
    site.flow.move()
    copy = site.copy(site.shop)
    site.stage("vanishes")
    site.flow.move()
    site.restore(site.shop, copy)
    site.rebase(Restored(), doubtful_moved=True)
    site.restore(site.server, backup)
    ((last,),) = query(site.flow.shop_all, "select max(number) from datatransfer.batch")
    with pytest.raises(PositionStillKnown):
        site.set_position(Request(batch=last))
    query(site.flow.shop_all, "delete from datatransfer.rebase")
    with pytest.raises(PositionLost):
        site.flow.move()
    with pytest.raises(PositionBeforeRebase):
        site.set_position(Request(batch=last))
    query(site.flow.bonus, "delete from asset")
    site.set_position(Request(start=True))
    del site.staged["vanishes"]
    site.assert_each_row_once()


# The rebase's sessions at a database: whether each waits for a lock, and for how long it has been
# idle in its transaction.
REBASES = """
    select wait_event_type is not distinct from 'Lock',
           case state when 'idle in transaction' then now() - state_change > '2 s' end
      from pg_stat_activity
     where application_name = 'dtadmin rebase' and datname = current_database()
"""


def test_a_rebase_may_take_longer_than_the_limits_of_the_bonus_servers_sessions(site, monkeypatch):
    """Another session holds the row that the rebase writes last, so that it takes long."""
    site.stage("a")
    copy = site.copy(site.shop)
    site.flow.move()
    site.restore(site.shop, copy)
    restored_at = site.now()
    site.stage("since")
    monkeypatch.setattr(Database, "limits", Limits(statement=1))

    def has_ended_or_waited_long():
        sessions = query(site.flow.bonus, REBASES)
        return not sessions or sessions[0][1]

    with connected(site.flow.shop_all) as other:
        run(other, "begin; update datatransfer.origin set origin = origin")

        def let_go_once_the_bonus_server_has_waited():
            wait_until(lambda: (True, None) in query(site.flow.shop_all, REBASES))
            wait_until(has_ended_or_waited_long)
            run(other, "rollback")

        thread = threading.Thread(target=let_go_once_the_bonus_server_has_waited)
        thread.start()
        try:
            site.rebase(Restored(restored_at), doubtful_moved=True)
        finally:
            thread.join()
    site.assert_each_row_once()


def test_a_time_before_a_batch_that_came_with_the_copy_is_refused(site):
    """What it moved would count as new, and be moved again."""
    site.stage("a")
    before = site.now()
    site.stage("b")
    site.flow.move()
    copy = site.copy(site.shop)
    site.stage("vanishes")
    site.flow.move()
    site.restore(site.shop, copy)
    restored_at = site.now()
    site.stage("since")
    ((begun,),) = query(site.flow.shop_all, "select max(at) from datatransfer.batch")
    for too_early in (before, begun):
        with pytest.raises(RestoredTooEarly) as refused:
            site.rebase(Restored(too_early), doubtful_moved=True)
        assert refused.value.params["number"] == "1"
    site.rebase(Restored(restored_at), doubtful_moved=True)
    site.flow.move()
    assert site.held() == site.staged


def test_a_batch_that_a_valid_flow_has_begun_since_the_restore_says_nothing_of_the_time(
    other_flow_refused,
):
    site = other_flow_refused
    site.stage("since")
    site.flow.move()
    site.rebase(Restored(site.restored_at), doubtful_moved=True)
    site.assert_each_row_once()


def test_a_time_before_a_batch_of_a_dump_is_refused(site):
    before = site.now()
    site.stage("a")
    site.flow.move()
    site.restored_from_a_dump_where_numbers_are_lower()
    with pytest.raises(RestoredTooEarly):
        site.rebase(Restored(before))
    site.rebase()
    site.assert_each_row_once()
