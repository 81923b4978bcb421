"""The beginning of a position: what a bonus server has received is never assumed."""

import pytest

from tests.databases import query
from transfer.engine.errors import BeginningUndecided, ReaderShared
from transfer.engine.kinds import BALANCES
from transfer.engine.move.prepare import prepare
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.records import Recorded


@pytest.fixture
def balances(flow):
    moving = flow("balances")
    moving.sends_all = False
    return moving


def decide(moving, **wanted):
    with moving.open() as (source, target):
        request, known = Request(**wanted), moving.readers(source)
        outcome = set_position(BALANCES, source, target, request, known)
    moving.reader = outcome.position.reader
    return outcome


def accounts(moving):
    return [row[0] for row in moving.target_rows()]


def test_where_no_row_is_staged_a_server_with_rows_begins_without_a_question(balances):
    query(balances.bonus, "insert into asset (account, amount) values ('before', 1)")
    balances.move()
    balances.stage(("1", 1))
    balances.move()
    assert accounts(balances) == ["1", "before"]


def test_staged_rows_are_not_sent_before_somebody_decides(balances):
    query(balances.bonus, "insert into asset (account, amount) values ('1', 1)")
    balances.stage(("1", 1), ("2", 1))
    for dry_run in (True, False):
        with pytest.raises(BeginningUndecided) as refused:
            balances.move(dry_run=dry_run)
    assert refused.value.params == {
        "database": "bonus server",
        "kind": "balances",
        "table": '"asset"',
        "rows": "2",
        "held": "1",
    }
    assert accounts(balances) == ["1"]
    assert balances.position() is None


def test_a_server_that_has_received_nothing_is_sent_all_rows(balances):
    balances.stage(("1", 1), ("2", 1))
    assert decide(balances, start=True).sent == 2
    balances.move()
    assert accounts(balances) == ["1", "2"]


def test_a_server_that_has_received_everything_is_sent_what_is_staged_later(balances):
    query(balances.bonus, "insert into asset (account, amount) values ('1', 1)")
    balances.stage(("1", 1))
    assert decide(balances, now=True).sent == 0
    balances.stage(("2", 1))
    balances.move()
    assert accounts(balances) == ["1", "2"]
    assert balances.position().purged_rows == 1  # the reconciliation counts it as settled


def test_a_copy_without_our_schema_goes_on_after_a_batch_of_the_original(balances, second_bonus):
    balances.move()
    for account in ("1", "2"):
        balances.stage((account, 1))
        balances.move()
    copy = type(balances)("balances", balances.shop_all, second_bonus, sends_all=False)
    query(second_bonus, "insert into asset (account, amount) values ('1', 1)")
    known = Readers(others=frozenset({balances.reader}), in_use={balances.reader: "original"})
    with copy.open() as (source, target):
        request = Request(batch=1, reader=balances.reader)
        copy.reader = set_position(BALANCES, source, target, request, known).position.reader
    assert copy.reader != balances.reader
    copy.move()
    assert accounts(copy) == ["1", "2"]


@pytest.mark.parametrize("has_begun", [False, True])
def test_a_load_that_ends_at_this_moment_is_not_missing(balances, has_begun):
    """Our own database may have noted it by now, and a snapshot taken before lacks it."""
    if has_begun:
        balances.move()
    token = "7b0d3b1e-0d8c-4a39-9d0f-0c1f6a1f4f10"

    def recorded(origin):
        query(
            balances.shop_all,
            "insert into datatransfer.loaded (token, kind, rows) values (%s, 'balances', 0)",
            [token],
        )
        return Recorded([token])

    with balances.open() as (source, target):
        known = balances.readers(source)
        assert prepare(BALANCES, source, target, lambda: known, recorded=recorded)


class TestACopyWithOurSchema:
    """Of a server that has received more since."""

    @pytest.fixture
    def copy(self, balances, postgres, bonus, second_bonus):
        balances.move()
        balances.stage(("1", 1))
        balances.move()
        dsn = postgres.create("test_copy_of_bonus", template=query(bonus, CURRENT)[0][0])
        balances.stage(("2", 1))
        balances.move()
        yield type(balances)("balances", balances.shop_all, dsn, sends_all=False)
        postgres.drop("test_copy_of_bonus")

    @pytest.fixture
    def known(self, balances):
        others = frozenset({balances.reader})
        return Readers(others=others, in_use={balances.reader: "original"})

    def test_is_refused_while_the_original_reads_with_the_same_reader(self, copy, known):
        with copy.open() as (source, target):
            with pytest.raises(ReaderShared) as refused:
                prepare(BALANCES, source, target, lambda: known)
            with pytest.raises(ReaderShared):
                set_position(BALANCES, source, target, Request(batch=2), known)
        assert refused.value.params["other"] == "original"
        assert accounts(copy) == ["1"]

    def test_goes_on_from_where_it_was_made_under_a_reader_of_its_own(self, balances, copy, known):
        with copy.open() as (source, target):
            outcome = set_position(BALANCES, source, target, Request(as_of_clone=True), known)
        copy.reader = outcome.position.reader
        assert outcome.sent == 1
        balances.stage(("3", 1))
        for moving in (copy, balances):
            moving.move()
            assert accounts(moving) == ["1", "2", "3"]
        assert copy.reader != balances.reader


CURRENT = "select current_database()"
