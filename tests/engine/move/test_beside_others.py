"""Others write to the vendor's table while a chunk is applied: its rows land all the same, once."""

import threading
from contextlib import contextmanager

import pytest

from tests.databases import connected, query, run
from tests.waiting import wait_until

WAITS = """
    select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
"""
PINS = "select account, pincode from pincode order by account"
CARDS = 'select card, account, status from "cardAccounting" order by card'


@contextmanager
def written_meanwhile(flow, statement):
    """Another session has executed the statement, and commits once the transfer waits for it."""
    with connected(flow.bonus) as other:
        other.autocommit = False
        run(other, statement)
        waiting = threading.Thread(target=commit_once_somebody_waits, args=[flow.bonus, other])
        waiting.start()
        try:
            yield
        finally:
            waiting.join()


def commit_once_somebody_waits(dsn, session):
    try:
        wait_until(lambda: query(dsn, WAITS))
    finally:
        session.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "insert into pincode (account, pincode) values ('new', 'theirs')",
        "update pincode set pincode = 'theirs' where account = 'known'",
        "delete from pincode where account = 'known'",
    ],
)
def test_the_last_pin_code_is_ours_whatever_another_does_to_the_row(flow, statement):
    pincodes = flow("pincodes")
    query(pincodes.bonus, "insert into pincode (account, pincode) values ('known', 'old')")
    pincodes.stage(("first", "1"), ("known", "2"), ("new", "3"))
    with written_meanwhile(pincodes, statement):
        moved = pincodes.move()
    assert moved.codes == []
    assert query(pincodes.bonus, PINS) == [("first", "1"), ("known", "2"), ("new", "3")]
    totals = pincodes.position().totals
    assert (totals.applied, totals.unchanged, totals.rejected) == (3, 0, 0)


@pytest.mark.parametrize("with_status_alone", [False, True])
@pytest.mark.parametrize(
    ("statement", "account"),
    [
        ("""insert into "cardAccounting" (card, account, status) values ('new', 'x', 0)""", "a"),
        ("""update "cardAccounting" set account = 'x', status = 0 where card = 'known'""", "x"),
    ],
)
def test_what_a_card_is_not_given_stays_as_another_has_made_it(
    flow, statement, account, with_status_alone
):
    cards = flow("cards")
    query(cards.bonus, """insert into "cardAccounting" (card, account, status)
                          values ('known', 'a', 1)""")  # fmt: skip
    cards.stage(("new", "b", 2), ("known", None if with_status_alone else "c", 3))
    with written_meanwhile(cards, statement):
        assert cards.move().codes == []
    given = account if with_status_alone else "c"
    assert query(cards.bonus, CARDS) == [("known", given, 3), ("new", "b", 2)]


def test_a_card_that_another_deletes_meanwhile_is_linked_again(flow):
    cards = flow("cards")
    query(cards.bonus, """insert into "cardAccounting" (card, account, status)
                          values ('known', 'a', 1)""")  # fmt: skip
    cards.stage(("known", "b", None), ("other", "c", 2))
    with written_meanwhile(cards, 'delete from "cardAccounting"'):
        assert cards.move().codes == []
    assert query(cards.bonus, CARDS) == [("known", "b", 0), ("other", "c", 2)]


def test_an_account_that_the_vendors_trigger_rewrites_is_that_of_the_row_it_becomes(flow):
    pincodes = flow("pincodes")
    query(
        pincodes.bonus,
        "insert into pincode (account, pincode) values ('A', 'old'); "
        "create function rewrite() returns trigger language plpgsql "
        "as $$ begin new.account = upper(new.account); return new; end $$; "
        "create trigger rewrite before insert on pincode for each row execute function rewrite()",
    )
    pincodes.stage(("a", "1"), ("b", "2"))
    assert pincodes.move().codes == []
    assert query(pincodes.bonus, PINS) == [("A", "1"), ("B", "2")]


@pytest.mark.parametrize("kind", ["pincodes", "cards"])
def test_a_known_row_is_updated_and_not_inserted_whatever_columns_the_table_has(flow, kind):
    table, key = {"pincodes": ("pincode", "account"), "cards": ('"cardAccounting"', "card")}[kind]
    rows = {
        "pincodes": [("known", "1"), ("new", "2")],
        "cards": [("known", "a", 1), ("new", "b", 2)],
    }[kind]
    moving = flow(kind)
    moving.stage(rows[0])
    moving.move()
    query(
        moving.bonus,
        f"alter table {table} add place tid, add is_same boolean, add landed bigint, "
        "add different text, add good text, add found text; "
        "create function refuse() returns trigger language plpgsql as $$ begin "
        f"if new.{key} = 'known' then raise 'is known'; end if; return new; end $$; "
        f"create trigger refuse before insert on {table} for each row execute function refuse()",
    )
    changed = (*rows[0][:-1], "3" if kind == "pincodes" else 3)
    moving.stage(changed, rows[1])
    assert moving.move().codes == []
    assert moving.target_rows() == [changed, rows[1]]
