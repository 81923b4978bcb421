"""What a whole transfer does. test_guards.py has the guards."""

from decimal import Decimal
from operator import itemgetter

import pytest

from tests.chaos.checks import assert_all_moved_once, stage_many
from tests.databases import connected, query, run
from tests.engine.keeping_small import accounts
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.errors import TooSlow


@pytest.mark.parametrize("chunk_rows", [1, 3, 10, 11])
def test_each_row_fires_once_ever_chunk_by_chunk(flow, chunk_rows):
    moving = flow("balances")
    moving.stage(*[(f"{number:04}", number) for number in range(1, 11)])
    moved = moving.move(chunk_rows)
    assert accounts(moving) == [f"{number:04}" for number in range(1, 11)]
    assert all(chunk.totals.read <= chunk_rows for chunk in moved)
    assert moving.position().place == moved[-1].after.place
    assert moving.move(chunk_rows) == []
    moving.stage(("0011", 9))
    assert moving.move(chunk_rows).totals.applied == 1
    assert accounts(moving) == [f"{number:04}" for number in range(1, 12)]


def test_the_totals_of_the_position_add_up_over_transfers_to_those_of_the_log(flow):
    moving = flow("balances")
    moving.stage(("4100", 5), ("4100", 0))
    moving.move()
    moving.stage(("4100", Decimal("2.50")))
    moving.move()
    totals = moving.position().totals
    assert (totals.applied, totals.rejected) == (2, 1)
    assert totals.amount_applied == Decimal("7.50")
    last = "select number, rows_to, amount_to from datatransfer.log order by number desc limit 1"
    place = moving.position().place
    assert query(moving.shop_all, last) == [(place.number, totals.read, totals.amount_applied)]


def test_rows_that_an_interrupted_transfer_left_come_before_those_staged_since(flow):
    moving = flow("pincodes")
    moving.stage(("4100", "1111"), ("4200", "1111"))
    first = moving.move_one(chunk_rows=1)
    moving.stage(("4100", "2222"))
    moved = moving.move(chunk_rows=1)
    assert moved[0].before == first.after
    assert moving.target_rows() == [("4100", "2222"), ("4200", "1111")]


def test_a_look_with_nothing_to_move_locks_nothing_and_waits_for_nobody(flow):
    moving = flow("balances")
    moving.stage(("4100", 5))
    moving.move()
    with connected(moving.bonus) as other:
        other.autocommit = False
        run(other, "select from datatransfer.position for update")
        run(other, "set local idle_in_transaction_session_timeout = '20s'")
        assert moving.move().totals.read == 0
        run(other, "select 1")  # still there: nobody has waited for its end


# --- Chunks that take too long --------------------------------------------------------------------

SLOW = """
    create function slow() returns trigger language plpgsql as $$
        begin perform pg_sleep(case when new.amount = 7 then {} else 0.03 end); return new; end $$;
    create trigger slow before insert on asset for each row execute function slow()
"""


@pytest.fixture
def hurried(monkeypatch):
    """The server stops our statements after a second."""
    monkeypatch.setattr(Database, "limits", Limits(statement=1))


@pytest.mark.long
@pytest.mark.usefixtures("hurried")
def test_a_chunk_that_takes_too_long_is_tried_smaller_and_every_row_lands_once(flow):
    moving = flow("balances")
    query(moving.bonus, SLOW.format(0.03))
    stage_many(moving, 120)
    moved = moving.move(chunk_rows=100)
    assert {chunk.totals.read for chunk in moved} <= {0, 1, 10}
    assert_all_moved_once(moving, 120)


@pytest.mark.long
@pytest.mark.usefixtures("hurried")
def test_a_row_that_alone_takes_too_long_ends_the_run_and_no_other_row_is_lost(flow):
    moving = flow("balances")
    query(moving.bonus, SLOW.format(60))
    stage_many(moving, 12)
    with pytest.raises(TooSlow):
        moving.move(chunk_rows=10)
    assert [row[1] for row in sorted(moving.target_rows(), key=itemgetter(1))] == [*range(1, 7)]
    query(moving.bonus, "drop trigger slow on asset")
    assert_all_moved_once(moving, 12)
