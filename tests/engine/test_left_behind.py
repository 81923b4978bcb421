"""A purge leaves a bonus server behind: its next run says exactly which rows it lacks."""

from collections import Counter

import pytest

from tests.databases import connected, insert, query, run
from tests.engine.site import OLD, assert_reconciled
from tests.flow import Flow, purge
from transfer.engine.errors import RowsMissing, RowsPurged
from transfer.engine.kinds import BALANCES
from transfer.engine.move import transfer as move
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.restore.set_position import Request, set_position

# Batches from now on look as if they had been begun before the retention.
LONG_AGO = "alter table datatransfer.batch alter at set default now() - interval '40 d'"


class Left:
    """Two servers, of which `flow` can't be read by a purge."""

    def __init__(self, flow, other):
        self.flow, self.other = flow, other
        self.shop_all = flow.shop_all

    def stage(self, *accounts):
        self.flow.stage(*((account, 1) for account in accounts))

    def purge(self, days=30, **left):
        """Removes what the other server has moved; returns how many rows."""
        query(self.shop_all, OLD)
        options = {"leaves_behind": True, **left}
        return purge(self.shop_all, "balances", [self.other.position()], days, **options)[0]

    def lacks(self):
        """How many rows the next run says that the server lacks."""
        before = self.received()
        with pytest.raises(RowsMissing) as refused:
            self.flow.move()
        assert self.received() == before
        return int(refused.value.params["rows"])

    def go_on_without(self):
        with self.flow.open() as (source, target):
            known = self.flow.readers(source)
            request = Request(accept_purged=True)
            return set_position(BALANCES, source, target, request, known).lost

    def received(self):
        return Counter(row[0] for row in self.flow.target_rows())


@pytest.fixture
def left(shop_all, bonus, second_bonus):
    """Both have received the first row."""
    left = Left(Flow("balances", shop_all, bonus), Flow("balances", shop_all, second_bonus))
    left.stage("first")
    left.flow.move()
    left.other.move()
    return left


def test_the_next_run_counts_what_the_purges_have_removed_and_the_server_lacks(left):
    left.stage("b", "c")
    left.other.move()
    assert left.purge() == 3  # with the first, which it has
    left.stage("d")
    left.other.move()
    left.stage("waits")
    assert left.purge() == 1
    assert left.lacks() == 3


def test_without_a_list_of_the_rows_it_says_at_most(left):
    left.stage("b", "c")
    left.other.move()
    left.purge(leaves_behind=False)
    with pytest.raises(RowsPurged, match="up to 3 rows"):
        left.flow.move()


def test_a_server_in_the_middle_of_a_transaction_lacks_only_the_rest_of_it(left):
    left.stage("b")
    left.stage("c", "d", "e")
    left.stage("f")
    left.flow.move_one(chunk_rows=3)
    left.other.move()
    assert left.purge() == 6
    assert left.lacks() == 2
    assert left.received() == Counter(["first", "b", "c", "d"])


def test_rows_of_a_transaction_that_was_open_when_its_last_batch_began_are_counted(left):
    with connected(left.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("late", 1)])
        left.stage("b")
        left.flow.move()
        run(writer, "commit")
    left.other.move()
    assert left.purge() == 3
    assert left.lacks() == 1


def test_it_goes_on_without_these_rows_when_that_is_accepted(left):
    left.stage("b", "c")
    left.other.move()
    left.purge()
    left.stage("d")
    lost = left.go_on_without()
    assert (lost.rows, lost.is_exact) == (2, True)
    left.flow.move()
    assert left.received() == Counter(["first", "d"])
    assert_reconciled(left.flow)
    assert_reconciled(left.other)


def test_a_server_that_has_all_that_was_purged_goes_on(left):
    left.purge()
    left.stage("b")
    left.flow.move()
    assert left.received() == Counter(["first", "b"])


def test_a_purge_between_two_chunks_ends_the_run_before_one_that_is_read_after_it(left):
    """It could not read the server, whose transfer goes on in another process."""
    left.stage("b", "c", "d")
    left.other.move()
    with left.flow.open() as (source, target):
        origin = left.flow.prepare(source, target).origin
        chunks = move.transfer(BALANCES, source, target, origin, chunk_rows=1)
        next(chunks)
        left.purge()
        next(chunks)  # it was read ahead, before the purge
        with pytest.raises(RowsMissing):
            next(chunks)
    assert left.received() == Counter(["first", "b", "c"])
    assert left.lacks() == 1


def test_the_batch_that_its_position_names_stays_in_the_log(left):
    """Batches were begun since, and the server broke off before it had received a row of them."""
    query(left.shop_all, LONG_AGO)
    left.stage("b")
    left.flow.move()
    with left.flow.open() as (source, _):
        for _ in range(3):
            source.log.add(BALANCES, left.flow.position(), "server")
    left.stage("c")
    left.other.move()
    left.purge()
    assert left.lacks() == 1
    left.go_on_without()
    left.stage("d")
    left.flow.move()
    assert left.received() == Counter(["first", "b", "d"])


def test_a_purge_keeps_what_a_server_has_to_read_that_has_come_back(left):
    left.stage("b")
    left.other.move()
    left.purge()
    left.stage("c")
    left.other.move()
    positions = [left.other.position(), left.flow.position()]
    query(left.shop_all, OLD)
    with pytest.raises(RowsMissing):
        purge(left.shop_all, "balances", positions)
    returned = [left.flow.position()]
    assert purge(left.shop_all, "balances", positions, returned=returned)[0] == 0
    assert left.lacks() == 1


def test_the_lists_are_forgotten_when_no_server_is_left_behind_any_more(left):
    left.stage("b")
    left.other.move()
    left.purge()
    count = "select count(*) from datatransfer.purged_transaction"
    assert query(left.shop_all, count) == [(2,)]
    left.go_on_without()
    left.flow.move()
    left.purge(leaves_behind=False)
    assert query(left.shop_all, count) == [(0,)]


class TestARebase:
    """Shop All is restored and renumbered while the server can't be asked."""

    @pytest.fixture
    def left(self, site, bonus):
        left = Left(site.flow, Flow("balances", site.flow.shop_all, bonus))
        query(left.shop_all, "alter system set max_prepared_transactions = 0")
        site.shop.crash()
        site.shop.start()
        left.stage("first")
        left.flow.move()
        left.other.move()
        left.site = site
        return left

    def rebase(self, left):
        """Of the other server alone. Shop All loses a row that both had received."""
        made = left.site.copy(left.site.shop)
        left.stage("lost")
        left.other.move()
        left.site.restore(left.site.shop, made)
        left.site.rebase(Restored(left.site.now()), left.other.bonus)

    def test_rows_that_were_purged_before_it_and_after_it_are_counted_exactly(self, left):
        left.stage("b")
        left.other.move()
        left.purge()
        left.stage("c")
        self.rebase(left)
        left.stage("d")
        left.other.move()
        assert left.purge() == 2
        assert left.lacks() == 3
        assert left.go_on_without().rows == 3
        left.stage("e")
        left.flow.move()
        assert left.received() == Counter(["first", "e"])
        assert_reconciled(left.flow)

    def test_a_transaction_that_it_had_in_part_is_counted_exactly_after_two(self, left):
        left.stage("b")
        left.stage("c", "d", "e")
        left.flow.move_one(chunk_rows=2)
        self.rebase(left)
        left.other.move()
        assert left.purge() == 5
        left.stage("f")
        self.rebase(left)
        left.other.move()
        assert left.lacks() == 2
        assert left.go_on_without().rows == 2
        left.flow.move()
        assert left.received() == Counter(["first", "b", "c", "f"])
        assert_reconciled(left.flow)

    def test_a_rebase_is_not_forgotten_before_the_server_is_carried_over(self, left):
        self.rebase(left)
        left.stage("b")
        left.other.move()
        query(left.shop_all, "update datatransfer.rebase set at = now() - interval '40 d'")
        left.purge()
        assert left.lacks() == 1
