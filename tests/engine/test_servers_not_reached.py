"""A bonus server took no part in a rebase, or is restored to before one: its next run carries it
over, so that nothing is lost and nothing doubled.
"""

from collections import Counter
from contextlib import contextmanager

import pytest

from tests.databases import connected, insert, query, run
from tests.engine.site import OLD, answering_all, assert_reconciled, burn
from tests.flow import Flow, purge
from tests.waiting import wait_until
from transfer.engine.errors import (
    OriginChanged,
    PositionLost,
    ReaderShared,
    RowsDoubtful,
    RowsPurged,
    RowsRewritten,
)
from transfer.engine.kinds import BALANCES, PINCODES
from transfer.engine.move import transfer as move
from transfer.engine.restore.carry_over import carry_over
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.requested_position import Request
from transfer.engine.shop_all.batches import Readers
from transfer.errors import TransferError


class NotReached:
    """A site whose server is dead, or undocked, while `other` goes on."""

    def __init__(self, site, other):
        self.site = site
        self.flow = site.flow
        self.other = Flow("balances", site.flow.shop_all, other)
        self.shop_all = site.flow.shop_all

    def copy(self):
        self.made = self.site.copy(self.site.shop)

    def stage(self, *accounts):
        self.site.stage(*accounts)

    def lose(self, *accounts):
        """Rows are staged and moved to both servers, and are not in the copy that is restored."""
        self.flow.stage(*((account, 1) for account in accounts))
        self.other.move()

    def restore(self, *new):
        """Puts shop All back to the copy. Rows are written since; then it is rebased."""
        self.site.restore(self.site.shop, self.made)
        at = self.site.now()
        if new:
            self.stage(*new)
        self.rebase(Restored(at))

    @contextmanager
    def early(self):
        """Restores and rebases shop All while a transaction is under way; yields what stages a row
        in it and ends it. Rows that both servers have moved get higher numbers than it has.
        """
        self.copy()
        self.lose("lost")
        self.flow.move()
        self.site.restore(self.site.shop, self.made)
        at = self.site.now()
        with connected(self.shop_all) as early:
            run(early, "begin; select pg_current_xact_id()")
            self.stage("new")
            self.rebase(Restored(at))

            def write():
                insert(early, "balances", [("early", 1)])
                run(early, "commit")
                self.site.staged["early"] += 1

            yield write

    def rebase(self, restored=None, **knowledge):
        self.site.rebase(restored, self.other.bonus, **knowledge)

    def assert_each_row_once(self, *lost):
        """At both servers, after the one that took no part has come back; each has those `lost`
        rows, too, that it had received before they were lost.
        """
        for flow in (self.flow, self.other):
            flow.move(chunk_rows=2)
            received = Counter(row[0] for row in flow.target_rows())
            assert received == self.site.staged + Counter(lost)
            flow.move()
            assert Counter(row[0] for row in flow.target_rows()) == received
        assert_reconciled(self.flow)


@pytest.fixture
def left(site, bonus):
    """Both servers have received a row. No transaction can be prepared, so nothing asks of one."""
    query(site.flow.shop_all, "alter system set max_prepared_transactions = 0")
    site.shop.crash()
    site.shop.start()
    left = NotReached(site, bonus)
    left.stage("first")
    left.flow.move()
    left.other.move()
    return left


def test_a_server_that_was_idle_goes_on(left):
    left.stage("waits")
    left.copy()
    left.lose("lost")
    left.flow.move()
    left.restore("new")
    left.stage("later")
    left.assert_each_row_once("lost")


def test_a_server_whose_batch_came_with_the_copy_goes_on(left):
    """It has received nothing since the copy was made."""
    left.copy()
    left.other.stage(("lost", 1))
    left.other.move()
    left.restore("new")
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged


@pytest.mark.parametrize("after_the_copy", [False, True])
def test_a_server_in_the_middle_of_a_batch_gets_the_rest(left, after_the_copy):
    left.stage("a", "b")
    left.stage("c", "d")
    if not after_the_copy:
        left.flow.move_one(chunk_rows=3)
    left.copy()
    if after_the_copy:
        left.flow.move_one(chunk_rows=3)
    left.other.move()
    left.restore("new")
    left.assert_each_row_once()


def test_a_transaction_of_which_half_was_moved_is_ended(left):
    left.stage("a", "b", "c", "d")
    left.flow.move_one(chunk_rows=3)
    left.copy()
    left.other.move()
    left.restore("new")
    assert left.flow.move(chunk_rows=1).chunks[0].totals.read == 1
    left.assert_each_row_once()


def test_rows_that_a_valid_server_has_moved_since_the_restore_are_not_sent_again(left):
    """It was valid then, and died before the rebase. A dump is restored after that, in which every
    batch looks as if it had not been written there.
    """
    left.copy()
    left.other.stage(("lost", 1))
    left.other.move()
    left.site.restore(left.site.shop, left.made)
    at = left.site.now()
    left.stage("since")
    left.flow.move()
    left.stage("waits")
    left.rebase(Restored(at))
    query(left.shop_all, "update datatransfer.origin set xid = xid")
    query(left.shop_all, "update datatransfer.batch set xid = xid")
    left.rebase()
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged


def test_two_rebases_in_a_row_are_followed(left):
    left.stage("waits")
    left.copy()
    left.lose("lost")
    left.flow.move_one(chunk_rows=2)
    left.restore("new")
    left.other.move()
    left.copy()
    left.stage("after")
    left.other.move()
    left.site.staged.subtract(["after"])
    left.restore("newer")
    left.flow.move(chunk_rows=2)
    assert Counter(row[0] for row in left.flow.target_rows()) == +left.site.staged + Counter(
        ["lost"]
    )


@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_transaction_that_began_before_the_rebase_is_moved_once_it_has_ended(left, ends):
    """It ends before the server is carried over, or after."""
    with left.early() as write:
        if ends == "before":
            write()
        left.flow.move()
        if ends == "after":
            write()
    left.assert_each_row_once("lost")


def test_a_transaction_that_began_before_an_earlier_rebase_is_moved(left):
    with left.early() as write:
        write()
    left.other.move()
    left.copy()
    left.stage("after")
    left.other.move()
    left.site.staged.subtract(["after"])
    left.restore("newer")
    left.flow.move(chunk_rows=2)
    left.other.move()
    for flow in (left.flow, left.other):
        received = Counter(row[0] for row in flow.target_rows())
        assert received - Counter(["after"]) == left.site.staged + Counter(["lost"])


def test_a_backup_of_a_server_from_before_a_rebase_gets_what_it_lacks(left):
    """It took part in the rebase, and has moved rows since."""
    backup = left.site.copy(left.site.server)
    left.stage("a")
    left.flow.move()
    left.copy()
    left.lose("lost")
    left.flow.move()
    left.site.restore(left.site.shop, left.made)
    at = left.site.now()
    left.site.rebase(Restored(at), left.flow.bonus, left.other.bonus)
    left.stage("b")
    left.flow.move()
    left.site.restore(left.site.server, backup)
    left.stage("c")
    left.flow.move(chunk_rows=1)
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged
    left.flow.stage(("bad", 0))
    left.flow.move()
    assert [reject.code for reject in left.flow.rejects()] == ["amount_zero"]


def test_what_a_purge_has_removed_since_is_counted_and_can_be_given_up(left):
    left.copy()
    left.lose("lost")
    left.restore("new")
    left.other.move()
    query(left.shop_all, OLD)
    assert purge(left.shop_all, "balances", [left.other.position()]) == (2, 2)
    left.stage("later")
    with pytest.raises(RowsPurged) as refused:
        left.flow.move()
    assert refused.value.params["rows"] == "1"  # it has the first
    assert left.site.set_position(Request(accept_purged=True)).lost.rows == 1
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == Counter(["first", "later"])
    assert_reconciled(left.flow)


def test_purged_rows_are_given_up_and_doubts_answered_in_one_command(left):
    left.copy()
    left.lose("lost")
    left.flow.move()
    left.restore("new")
    left.other.move()
    query(left.shop_all, f"{OLD} where account = 'new'")
    assert purge(left.shop_all, "balances", [left.other.position()])[0] == 1
    query(
        left.shop_all,
        "update \"changeAccountBalanceTemp\" set created_at = now() + interval '1 minute'",
    )
    with pytest.raises(RowsPurged):
        left.flow.move()
    with pytest.raises(RowsDoubtful):
        left.site.set_position(Request(accept_purged=True))
    answered = Request(accept_purged=True, answers=answering_all(True))
    left.site.set_position(answered)
    left.stage("later")
    left.flow.move()
    assert {row[0] for row in left.flow.target_rows()} == {"first", "lost", "later"}


def test_a_purge_of_rows_that_it_had_does_not_stop_it(left):
    left.copy()
    left.lose("lost")
    left.restore()
    query(left.shop_all, OLD)
    assert purge(left.shop_all, "balances", [left.other.position()]) == (1, 1)
    left.stage("later")
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged


def test_a_transaction_that_was_rejected_before_is_rejected_once(left):
    left.flow.stage(("bad", 0))
    left.flow.move()
    left.copy()
    left.lose("lost")
    left.restore("new")
    left.flow.move()
    assert [reject.code for reject in left.flow.rejects()] == ["amount_zero"]


def test_rows_in_doubt_are_asked_about_and_the_answer_is_exact(left):
    """The row has a number that the position has moved, and is younger than its batch."""
    left.stage("waits")
    left.copy()
    left.lose("lost")
    left.flow.move()
    left.site.restore(left.site.shop, left.made)
    burn(left.shop_all, 5)
    query(
        left.shop_all,
        "update \"changeAccountBalanceTemp\" set created_at = now() + interval '1 minute' "
        "where account = 'waits'",
    )
    left.rebase(Restored(), doubtful_moved=True)
    with pytest.raises(RowsDoubtful) as refused:
        left.flow.move()
    assert refused.value.params["rows"] == "1"
    with left.flow.open() as (source, target):
        carry_over(BALANCES, source, target, Readers(), answers=answering_all(True))
    left.assert_each_row_once("lost")


def test_a_run_that_is_under_way_at_a_server_ends_when_shop_all_is_rebased_without_it(left):
    left.stage("a", "b", "c")
    left.copy()
    left.lose("lost")
    left.site.restore(left.site.shop, left.made)
    at = left.site.now()
    left.stage("d", "e", "f")
    with left.flow.open() as (source, target):
        origin = left.flow.prepare(source, target).origin
        moving = move.transfer(BALANCES, source, target, origin, chunk_rows=2)
        next(moving)
        source.database.close()  # it holds the table for what it reads ahead
        moving.gi_frame.f_locals["ahead"]._discard()
        left.rebase(Restored(at))
        with pytest.raises(OriginChanged):
            next(moving)
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged


def test_a_transaction_that_is_new_and_old_at_once_is_not_guessed_at(left):
    """Head office writes `created_at` itself: by it, a part of a new transaction looks old."""
    left.copy()
    left.lose("lost")
    left.flow.move()
    left.site.restore(left.site.shop, left.made)
    at = left.site.now()
    query(
        left.shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount, created_at) '
        "values ('a', 1, now() - interval '1 day'), ('b', 1, now())",
    )
    left.site.staged.update("ab")
    with pytest.raises(RowsRewritten):
        left.rebase(Restored(at))
    query(
        left.shop_all,
        "update \"changeAccountBalanceTemp\" set created_at = now() where account in ('a', 'b')",
    )
    left.rebase(Restored(at))
    left.assert_each_row_once("lost")


def test_rows_that_were_sent_before_a_rebase_are_not_applied_after_it(left):
    """A run stands still between two chunks, with all rows of the second in its memory; meanwhile
    shop All is restored and rebased, and another run moves these rows and a newer one.
    """
    codes = Flow("pincodes", left.shop_all, left.flow.bonus)
    codes.stage(("1", "1"), ("2", "2"), ("3", "3"))
    with codes.open() as (source, target):
        origin = codes.prepare(source, target).origin
        moving = move.transfer(PINCODES, source, target, origin, chunk_rows=2)
        next(moving)
        ahead = moving.gi_frame.f_locals["ahead"].ahead
        wait_until(lambda: not ahead.sending.is_alive())
        left.copy()
        left.lose("lost")
        left.site.restore(left.site.shop, left.made)
        at = left.site.now()
        left.site.rebase(Restored(at), left.flow.bonus, left.other.bonus)
        codes.stage(("3", "newer"))
        codes.move()
        with pytest.raises(TransferError):
            next(moving)
    assert codes.target_rows() == [("1", "1"), ("2", "2"), ("3", "newer")]


def test_a_copy_of_a_server_that_reads_is_not_carried_over(left):
    left.copy()
    left.lose("lost")
    left.restore()
    ((reader,),) = query(left.flow.bonus, "select reader::text from datatransfer.position")
    with left.flow.open() as (source, target), pytest.raises(ReaderShared):
        carry_over(BALANCES, source, target, Readers(in_use={reader: "another"}))
    assert left.flow.position() is None


def test_a_copy_of_a_server_from_before_the_rebase_gets_a_position_of_its_own(left):
    left.stage("waits")
    left.copy()
    left.lose("lost")
    left.flow.move_one(chunk_rows=1)
    left.restore("new")
    left.site.set_position(Request(as_of_clone=True))
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged


def test_a_rebase_that_nothing_was_kept_of_is_refused_as_before(left):
    left.copy()
    left.lose("lost")
    left.restore()
    query(left.shop_all, "delete from datatransfer.rebase")
    with pytest.raises(PositionLost):
        left.flow.move()


def test_a_dry_run_carries_nothing_over(left):
    left.stage("waits")
    left.copy()
    left.lose("lost")
    left.restore("new")
    batches = query(left.shop_all, "select count(*) from datatransfer.batch")
    assert left.flow.move(dry_run=True).totals.applied == 2
    assert left.flow.position() is None
    assert query(left.shop_all, "select count(*) from datatransfer.batch") == batches
    left.flow.move()
    assert Counter(row[0] for row in left.flow.target_rows()) == left.site.staged
