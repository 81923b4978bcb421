from tests.causes import raises
from tests.databases import query
from tests.flow import INSTALLATION, Flow
from transfer.causes.ledger import COPY_OF
from transfer.engine.knowledge import Knowledge
from transfer.engine.received import Totals

SERVER = "22222222-2222-4222-8222-222222222222"


def rows_of(flow):
    return [row[:2] for row in flow.target_rows()]


def test_rows_move_once_in_chunks(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(*((f"a{n}", n + 1) for n in range(25)))
    flow.stage(("b1", 5), ("b2", 6))
    chunks = flow.move(chunk_rows=10)
    assert [chunk.totals.applied for chunk in chunks] == [10, 10, 5, 2]
    assert flow.move() == []
    flow.stage(("c", 7))
    assert sum(chunk.totals.applied for chunk in flow.move()) == 1
    assert len(rows_of(flow)) == 28
    assert rows_of(flow).count(("c", 7)) == 1


def test_pin_codes_and_cards_move(shop_all, bonus):
    pins, cards = Flow("pincodes", shop_all, bonus), Flow("cards", shop_all, bonus)
    pins.stage(("a", "1111"), ("b", "2222"))
    pins.stage(("a", "3333"))
    cards.stage(("c1", "a", 1), ("c2", "b", None))
    pins.move(), cards.move()
    assert pins.target_rows() == [("a", "3333"), ("b", "2222")]
    assert cards.target_rows() == [("c1", "a", 1), ("c2", "b", 0)]


def test_a_bad_row_becomes_a_reject_and_the_others_arrive(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1), ("", 2), ("b", 3))
    flow.move()
    assert rows_of(flow) == [("a", 1), ("b", 3)]
    assert [one.outcome[1:] for one in flow.rejects()] == [("account_missing", True)]
    assert flow.position().totals.rejected == 1


def test_the_position_says_what_the_log_says(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1), ("b", 2))
    flow.stage(("c", 4))
    flow.move()
    ((number, rows, amount),) = query(
        shop_all,
        "select number, rows_to, amount_to from datatransfer.log order by number desc limit 1",
    )
    position = flow.position()
    assert (position.place.number, position.totals.read) == (number, rows)
    assert position.totals == Totals(applied=3, amount_applied=amount)


def test_a_dry_run_moves_nothing_and_counts_all(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("a", 1))
    flow.move()
    flow.stage(("b", 1), ("", 1))
    chunks = flow.move(dry_run=True)
    assert [(chunk.totals.applied, chunk.totals.rejected) for chunk in chunks] == [(1, 1)]
    assert [row[0] for row in rows_of(flow)] == ["a"]
    assert query(shop_all, "select count(*) from datatransfer.log") == [(1,)]


def test_a_position_that_begins_by_itself_has_the_name_of_its_server(shop_all, bonus):
    flow = Flow("balances", shop_all, bonus)
    flow.knowledge = Knowledge(INSTALLATION, {}, {}, server=SERVER)
    flow.prepare_alone()
    assert flow.position().server == SERVER
    flow.knowledge = Knowledge(INSTALLATION, {}, {SERVER: "Bonus server 8"})
    with raises(COPY_OF):
        flow.move()
