"""A load is taken back once: rows that no server has read are withdrawn, the others opposed."""

from uuid import uuid4

import pytest

from tests.databases import connected, insert, query, run
from tests.engine.undoing import load, take_back
from tests.flow import Flow
from transfer.engine.errors import LoadUnknown, RowsGone

TABLE = '"changeAccountBalanceTemp"'


@pytest.fixture
def first(flow):
    return flow("balances")


@pytest.fixture
def second(first, second_bonus):
    return Flow("balances", first.shop_all, second_bonus)


def staged(flow):
    return query(flow.shop_all, f"select account, amount::int, comment from {TABLE} order by id")


def test_the_opposite_has_the_same_account_and_validity_and_says_whose_it_is(first):
    token = load(first, ("1", 5, "2026-01-01", "2026-02-01", "bonus"))
    first.move()
    take_back(first, token)
    columns = "account, amount::int, validfrom, validto, comment"
    row, opposite = query(first.shop_all, f"select {columns} from {TABLE} order by id")
    assert opposite == ("1", -5, *row[2:4], "taken back")


def test_a_second_undo_does_nothing_and_says_what_the_first_did(first):
    token = load(first, ("1", 5))
    first.move()
    assert take_back(first, token) == take_back(first, token)
    assert len(staged(first)) == 2


def test_rows_that_no_server_has_read_are_withdrawn_and_the_others_opposed(first, second):
    token = load(first, ("1", 1), ("2", 2), ("3", 3))
    first.move_one(1)
    second.move_one(2)
    done = take_back(first, token, second, locking=True)
    assert (done.rows, done.withdrawn) == (2, 1)
    assert [row[:2] for row in staged(first)] == [("1", 1), ("2", 2), ("1", -1), ("2", -2)]
    for flow in (first, second):
        flow.move()
        assert sorted(int(row[1]) for row in flow.target_rows()) == [-2, -1, 1, 2]
        assert flow.position().totals.read == 4


def test_nothing_is_withdrawn_that_a_reader_of_another_installation_has_begun_to_read(
    first, second
):
    token = load(first, ("1", 1))
    second.move_one(1)
    done = take_back(first, token, locking=True)
    assert (done.rows, done.withdrawn) == (1, 0)


def test_nothing_is_withdrawn_while_somebody_reads_or_writes_the_table(first):
    token = load(first, ("1", 1))
    with connected(first.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("9", 9)])
        done = take_back(first, token, locking=True)
        run(writer, "commit")
    assert (done.rows, done.withdrawn) == (1, 0)


def test_a_row_that_was_sent_in_place_of_a_rejected_one_is_opposed(first):
    token = load(first, ("1", 1), ("2", 2))
    query(
        first.shop_all,
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, where_rejected) "
        f"select origin, 'balances', 77, row.id, row.xid, true from datatransfer.origin, {TABLE} "
        "as row where row.id = 1 returning 1",
    )
    done = take_back(first, token, locking=True)
    assert (done.rows, done.withdrawn) == (1, 1)


def test_a_load_whose_rows_are_gone_is_refused(first):
    token = load(first, ("1", 1), ("2", 2))
    query(first.shop_all, f"delete from {TABLE} where account = '1'")
    with pytest.raises(RowsGone) as refused:
        take_back(first, token)
    assert refused.value.params["rows"] == "1"
    assert len(staged(first)) == 1


def test_a_load_that_shop_all_does_not_know_is_refused(first):
    with pytest.raises(LoadUnknown):
        take_back(first, uuid4())


@pytest.mark.parametrize("kind", ["pincodes", "cards"])
def test_pin_codes_and_cards_are_withdrawn_as_far_as_no_server_has_read_them(flow, kind):
    other = flow(kind)
    token = load(other, *[(str(n), str(n)) for n in range(3)])
    other.move_one(2)
    done = take_back(other, token, locking=True)
    assert (done.rows, done.withdrawn) == (0, 1)
    other.move()
    assert [row[0] for row in other.target_rows()] == ["0", "1"]
