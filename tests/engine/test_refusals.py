"""What the vendor's own tables refuse: one reject a row, and the rest lands."""

import hashlib

import pytest

from tests.causes import raises
from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.databases import migrate_bonus_server, query
from tests.flow import Flow
from transfer.causes.ledger import ROWS_SWALLOWED, TOO_MANY_REFUSED
from transfer.engine.kind import MASK
from transfer.engine.move import refused_rows
from transfer.engine.received import Totals
from transfer.errors import QueryFailed

TRIGGER = """
    create function meddle() returns trigger language plpgsql as $$ begin {} end $$;
    create trigger meddle before insert on asset for each row execute function meddle()
"""


@pytest.fixture
def balances(flow):
    return flow("balances")


def refused(flow):
    return [(one.id, one.sqlstate, one.constraint) for one in flow.rejects()]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("alter table asset add constraint small check (amount < 100)", ("23514", "small")),
        (
            TRIGGER.format("if new.amount >= 100 then raise 'no'; end if; return new;"),
            ("P0001", None),
        ),
        (
            TRIGGER.format(
                "perform 1 / (case when new.amount < 100 then 1 else 0 end); return new;"
            ),
            ("22012", None),
        ),
        (
            "create unique index once on asset (amount) where amount >= 100; "
            "insert into asset (account, amount) values ('his', 100)",
            ("23505", "once"),
        ),
        (
            "alter table asset add constraint later exclude using btree (account with =) "
            "where (amount >= 100) deferrable initially deferred; "
            "insert into asset (account, amount) values ('102', 100)",
            ("23P01", "later"),
        ),
        (
            "create table known (amount numeric); insert into known values (1), (2); "
            + TRIGGER.format(
                "select amount into strict new.amount from known where amount = new.amount; "
                "return new;"
            ),
            ("P0002", None),
        ),
        (
            TRIGGER.format(
                "if new.amount >= 100 then raise 'no' using errcode = 'AA042'; end if; return new;"
            ),
            ("AA042", None),
        ),
        (
            TRIGGER.format(
                "perform (select n from generate_series(1, case when new.amount < 100 then 1 "
                "else 2 end) as n); return new;"
            ),
            ("21000", None),
        ),
        (
            "create table small (amount numeric); create view shown as "
            "select * from small where amount < 100 with check option; "
            + TRIGGER.format("insert into shown values (new.amount); return new;"),
            ("44000", None),
        ),
    ],
)
def test_a_row_that_the_table_refuses_is_a_reject_and_the_rest_lands(balances, harm, reason):
    query(balances.bonus, harm)
    balances.stage(("101", 1), ("102", 100), ("103", 2), ("104", 0))
    moved = balances.move()
    assert [(one.id, one.code) for one in moved.rejects] == [
        (2, "refused_by_server"),
        (4, "amount_zero"),
    ]
    assert refused(balances)[0][1:] == reason
    assert [row[:2] for row in balances.target_rows() if row[1] < 100] == [("101", 1), ("103", 2)]
    totals = balances.position().totals
    assert (totals.applied, totals.rejected, totals.amount_applied) == (2, 2, 3)
    assert totals.amount_rejected == 100


def test_a_row_that_a_policy_refuses_is_a_reject(balances, limited):
    with balances.open() as (_, target), target.database.transaction():
        target.ensure_schema()
    query(
        balances.bonus,
        "grant usage on schema datatransfer to public; "
        "grant all on all tables in schema datatransfer to public; "
        "grant all on all sequences in schema public to public; "
        "alter table asset enable row level security; "
        "create policy small on asset with check (amount < 100)",
    )
    balances.stage(("101", 1), ("102", 100))
    moved = Flow("balances", balances.shop_all, limited).move()
    assert [(one.id, one.sqlstate) for one in moved.rejects] == [(2, "42501")]
    assert query(balances.bonus, "select account from asset") == [("101",)]


def test_a_text_too_long_for_an_index_is_a_reject(balances):
    query(balances.bonus, "create index on asset (comment)")
    noise = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(500))
    balances.stage(("101", 1), ("102", 100, None, None, noise))
    moved = balances.move()
    assert [(one.id, one.sqlstate) for one in moved.rejects] == [(2, "54000")]
    assert [row[0] for row in balances.target_rows()] == ["101"]


@pytest.mark.parametrize(
    "harm",
    [
        "create function meddle() returns trigger language plpgsql as $$ "
        "begin raise 'closed' using errcode = 'AA042'; end $$; "
        "create trigger meddle before insert on asset for each statement execute function meddle()",
        TRIGGER.format(
            "if new.amount = 2 then raise 'closed' using errcode = 'disk_full'; end if; return new;"
        ),
        TRIGGER.format(
            "if new.amount = 2 then raise 'closed' using errcode = 'deadlock_detected'; end if; "
            "return new;"
        ),
    ],
    ids=["of-the-statement", "of-resources", "of-a-deadlock"],
)
def test_an_error_that_is_not_of_a_row_stops_the_transfer(balances, harm):
    query(balances.bonus, harm)
    balances.stage(("1", 1), ("2", 2), ("3", 3))
    with pytest.raises(QueryFailed) as failed:
        balances.move()
    assert "closed" in failed.value.technical
    assert_nothing_moved(balances)
    query(balances.bonus, "drop trigger meddle on asset")
    assert balances.move().codes == []
    assert len(balances.target_rows()) == 3


def test_refused_rows_among_many_are_found_wherever_they_are(balances):
    query(
        balances.bonus, "alter table asset add constraint odd check (amount not in (1, 500, 501))"
    )
    stage_many(balances, 1000)
    moved = balances.move(chunk_rows=700)
    assert sorted(one.id for one in moved.rejects) == [1, 500, 501]
    assert len(balances.target_rows()) == 997


def test_halves_are_those_of_numbers_and_not_of_their_digits(balances):
    refused = []
    with balances.open() as (_, target):
        target.database.execute(
            'create temporary table rows (number bigint, "row" bigint, amount numeric); '
            "insert into rows values (999, 1, 1), (1000, 1, 0), (1000, 2, 2)"
        )
        statement = (
            "insert into public.asset (account, amount) select 1 / amount, 1 from rows where "
        )
        search = refused_rows.Bisection(
            target, "rows", [statement.__add__], lambda row, *_: refused.append(row)
        )
        assert search.run().changed == 2
        found = [
            target.database.rows(f'select number, "row" from rows where {row}') for row in refused
        ]
    assert found == [[(1000, 1)]]


def test_more_than_half_of_a_chunk_refused_is_not_a_matter_of_rows(balances):
    query(balances.bonus, "alter table asset add constraint few check (amount <= 49)")
    stage_many(balances, 100)
    with raises(TOO_MANY_REFUSED, match=r"more than half of the 100 rows.*23514 few"):
        balances.move()
    assert_nothing_moved(balances)
    query(balances.bonus, "alter table asset drop constraint few")
    assert_all_moved_once(balances, 100)


@pytest.mark.parametrize(("most", "chunk_rows"), [(50, 100), (0, 99)])
def test_half_of_a_chunk_or_all_of_a_small_one_may_be_refused(balances, most, chunk_rows):
    query(balances.bonus, f"alter table asset add constraint few check (amount <= {most})")
    stage_many(balances, 100)
    assert len(balances.move(chunk_rows).rejects) == 100 - most
    assert len(balances.target_rows()) == most


@pytest.mark.parametrize("kind", ["pincodes", "cards"])
def test_what_comes_out_is_that_of_row_by_row(flow, kind):
    rows = {
        "pincodes": [("a", "1"), ("b", "bad"), ("a", "2"), ("b", "3"), ("c", "4"), ("c", "bad")],
        "cards": [
            *[("1", "a", 1), ("2", "bad", 1), ("2", None, 3), ("1", None, 2), ("3", "b", None)],
            *[("3", "bad", 1), ("3", None, 3)],
        ],
    }[kind]
    column, table = {"pincodes": ("pincode", "pincode"), "cards": ("account", '"cardAccounting"')}[
        kind
    ]
    moving = flow(kind)
    query(moving.bonus, f"alter table {table} add constraint good check ({column} <> 'bad')")
    moving.stage(*rows)
    moving.move()
    expected = {
        "pincodes": (
            [("a", "2"), ("b", "3"), ("c", "4")],
            [(2, "refused_by_server"), (6, "refused_by_server")],
        ),
        "cards": (
            [("1", "a", 2), ("3", "b", 3)],
            [(2, "refused_by_server"), (3, "card_unknown"), (6, "refused_by_server")],
        ),
    }[kind]
    assert (moving.target_rows(), [(one.id, one.code) for one in moving.rejects()]) == expected


# --- Characters that the server's encoding lacks --------------------------------------------------


@pytest.fixture
def cyrillic(in_encoding, shop_all):
    """A bonus server whose database holds Cyrillic letters of one byte, and nothing beyond."""
    dsn = in_encoding("WIN1251")
    migrate_bonus_server(dsn)
    return lambda kind: Flow(kind, shop_all, dsn)


def test_a_character_that_the_servers_encoding_lacks_is_a_reject_as_it_came(cyrillic):
    balances = cyrillic("balances")
    balances.stage(
        ("счёт-1", "1.50", None, None, "бонус"), ("4100", 2, None, None, "日本"), ("4200", 3)
    )
    moved = balances.move()
    assert moved.codes == ["refused_by_server"]
    (reject,) = moved.rejects
    assert (reject.sqlstate, reject.payload["comment"]) == ("22P05", "日本")
    assert [row[0] for row in balances.target_rows()] == ["4200", "счёт-1"]
    totals = balances.position().totals
    assert (totals.amount_applied, totals.amount_rejected) == (4.5, 2)


def test_the_pin_of_such_a_row_stays_secret(cyrillic):
    pincodes = cyrillic("pincodes")
    pincodes.stage(("4100", "日本"), ("4200", "1234"))
    (reject,) = pincodes.move().rejects
    assert reject.payload == {"account": "4100", "pincode": MASK}
    assert pincodes.target_rows() == [("4200", "1234")]


# --- Rows landed = rows sent ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "harm",
    [
        TRIGGER.format("if new.amount = 2 then return null; end if; return new;"),
        "create table elsewhere (like asset including all); "
        + TRIGGER.format("insert into elsewhere select new.*; return null;"),
        "create rule meddle as on insert to asset do instead nothing",
        "create table elsewhere (like asset including all); create rule meddle as "
        "on insert to asset do instead insert into elsewhere values (new.*)",
    ],
)
def test_a_trigger_or_rule_that_keeps_a_row_out_is_named(balances, harm):
    query(balances.bonus, harm)
    balances.stage(("1", 1), ("2", 2), ("3", 3))
    with raises(ROWS_SWALLOWED, match="meddle"):
        balances.move()
    assert_nothing_moved(balances)


@pytest.mark.parametrize("event", ["insert", "update"])
@pytest.mark.parametrize(
    ("kind", "table", "rows"),
    [
        ("pincodes", "pincode", [("a", "1"), ("b", "2"), ("c", "3")]),
        ("cards", '"cardAccounting"', [("1", "a", 1), ("2", "b", None), ("3", "c", 0)]),
        ("cards", '"cardAccounting"', [("1", "a", 1), ("2", "b", 3), ("3", "c", 0)]),
    ],
)
def test_a_pin_or_card_that_a_trigger_keeps_out_is_named(flow, event, kind, table, rows):
    moving = flow(kind)
    if event == "update":
        moving.stage(*[(row[0], "0", *row[2:]) for row in rows])
        moving.move()
    before, totals = moving.target_rows(), moving.position() and moving.position().totals
    query(
        moving.bonus,
        "create function meddle() returns trigger language plpgsql as $$ "
        "begin if new.{} = '{}' then return null; end if; return new; end $$; "
        "create trigger meddle before {} on {} for each row execute function meddle()".format(
            {"pincodes": "account", "cards": "card"}[kind], rows[1][0], event, table
        ),
    )
    moving.stage(*rows)
    with raises(ROWS_SWALLOWED, match="meddle"):
        moving.move()
    assert moving.target_rows() == before
    assert (moving.position() and moving.position().totals) in (totals, Totals())
    query(moving.bonus, f"drop trigger meddle on {table}")
    assert moving.move().totals.applied == 3


def test_a_status_that_a_trigger_keeps_out_is_named(flow):
    cards = flow("cards")
    cards.stage(("1", "a", 1))
    cards.move()
    query(
        cards.bonus,
        TRIGGER.format("return null;").replace("insert on asset", 'update on "cardAccounting"'),
    )
    cards.stage(("1", None, 2))
    with raises(ROWS_SWALLOWED, match="meddle"):
        cards.move()


def test_a_trigger_that_changes_a_pin_does_not_keep_it_out(flow):
    pincodes = flow("pincodes")
    query(
        pincodes.bonus,
        TRIGGER.format(
            "new.pincode = md5(new.pincode); new.account = lower(new.account); return new;"
        ).replace("on asset", "on pincode"),
    )
    for pin in ("1", "1", "2"):
        pincodes.stage(("A", pin), ("b", "3"))
        pincodes.move()
    assert [account for account, _ in pincodes.target_rows()] == ["a", "b"]
