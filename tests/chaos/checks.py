"""What the tests of the guards share: rows to move, and what a fault must have left of them."""

from tests.databases import query


def stage_many(flow, rows):
    query(
        flow.shop_all,
        'insert into "changeAccountBalanceTemp" (account, amount, comment) '
        "select 'a' || n, n, repeat('x', 200) from generate_series(1, %s) as n",
        [rows],
    )


def assert_all_moved_once(flow, rows):
    """After the fault, the next transfer brings what is missing, once."""
    flow.move()
    moved = query(flow.bonus, "select count(*), count(distinct account), sum(amount) from asset")
    assert moved == [(rows, rows, rows * (rows + 1) // 2)]


def assert_nothing_moved(flow):
    assert flow.target_rows() == []
    assert flow.position() is None or flow.position().place.number == 0
