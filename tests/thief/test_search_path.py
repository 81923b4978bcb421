"""A role that may create functions in `public` shadows those of PostgreSQL (CVE-2018-1058).

Each of them would run with the rights of our account, and see the values that it is given.
"""

import pytest
from psycopg2 import sql

from tests.databases import query, stage
from tests.engine.keeping_small import age, purge
from tests.flow import known_of
from transfer.engine.kinds import KINDS

PIN = "90817263"

# More exact than PostgreSQL's own, which take `text` or any type: each notes what it is given.
SHADOWS = """
    create table public.stolen (value text);
    grant insert on public.stolen to public;

    create function public.length(varchar) returns integer language sql as
        $$ insert into public.stolen values ($1); select pg_catalog.length($1) $$;
    create function public.btrim(varchar) returns text language sql as
        $$ insert into public.stolen values ($1); select pg_catalog.btrim($1) $$;
    create function public.quote_ident(varchar) returns text language sql as
        $$ insert into public.stolen values ($1); select pg_catalog.quote_ident($1) $$;
    create function public.to_regclass(varchar) returns regclass language sql as
        $$ insert into public.stolen values ($1); select pg_catalog.to_regclass($1) $$;
"""
EQUALS = """
    create function public.note_{name}({left}, {right}) returns boolean language plpgsql as
        $$ begin insert into public.stolen values ($1), ($2);
           return $1::text operator(pg_catalog.{operator}) $2::text; end $$;
    create operator public.{operator} (
        leftarg = {left}, rightarg = {right}, function = public.note_{name});
"""
AGGREGATE = """
    create function public.note_each(text[], text) returns text[] language plpgsql as
        $$ begin insert into public.stolen values ($2);
           return pg_catalog.array_append($1, $2); end $$;
    create aggregate public.array_agg(text) (sfunc = public.note_each, stype = text[]);
"""
PAIRS = [("varchar", "varchar"), ("varchar", "text"), ("text", "varchar")]


def shadow(dsn):
    """As the thief does."""
    query(dsn, SHADOWS + AGGREGATE)
    for number, (left, right) in enumerate(PAIRS):
        for name, operator in (("equal", "="), ("differ", "<>")):
            query(
                dsn,
                EQUALS.format(name=f"{name}_{number}", operator=operator, left=left, right=right),
            )


def stolen(dsn):
    return sorted({value for (value,) in query(dsn, "select value from public.stolen")})


ROWS = {
    "pincodes": [("4100", PIN), ("4100", PIN + "1"), ("4101", PIN), (" 4102", PIN)],
    "balances": [("4100", 5), ("4101", 7), (" 4102", 1)],
    "cards": [("77", "4100", 1), ("77", None, 2), ("78", "4101"), ("79", None, 1)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_transfer_runs_nothing_of_theirs(flow, kind):
    for dsn in (flow(kind).shop_all, flow(kind).bonus):
        shadow(dsn)
    moving = flow(kind)
    for rows in (ROWS[kind], ROWS[kind][:1], ROWS[kind]):
        moving.stage(*rows)
        moving.move()
    assert moving.target_rows()
    assert stolen(moving.shop_all) == stolen(moving.bonus) == []


def test_the_thief_is_one(shop_all):
    """What the product is safe from does work on a connection that is not."""
    shadow(shop_all)
    stage(shop_all, "pincodes", [("4100", PIN)])
    query(shop_all, 'select length(pincode), pincode <> account from "accountpincodeTemp"')
    assert stolen(shop_all) == ["4100", PIN]


def test_a_purge_runs_nothing_of_theirs(flow):
    moving = flow("pincodes")
    moving.stage(("4100", PIN))
    moving.move()
    age(moving)
    shadow(moving.shop_all)
    assert purge(moving, known_of(moving)).rows == 1
    assert stolen(moving.shop_all) == []


# --- The vendor's names --------------------------------------------------------------------------

COUNTING = """
    create table seen (account text);
    create function remember(text) returns text language sql as $$ select $1 $$;
    create function count_it() returns trigger language plpgsql as
        $$ begin insert into seen values (remember(new.account)); return new; end $$;
"""


@pytest.mark.parametrize(
    ("kind", "rows"), [("balances", [("4100", 5)]), ("pincodes", [("4100", PIN)])]
)
def test_the_vendors_trigger_finds_its_names_in_his_schema(flow, kind, rows):
    moving = flow(kind)
    table = sql.Identifier(KINDS[kind].target)
    query(moving.bonus, COUNTING)
    query(
        moving.bonus,
        sql.SQL(
            "create trigger counted before insert on {} for each row execute function count_it()"
        ).format(table),
    )
    moving.stage(*rows)
    assert moving.move().rejects == []
    assert query(moving.bonus, "select account from seen") == [("4100",)]


def test_a_table_incoming_of_the_vendors_is_the_one_that_his_trigger_writes_to(flow):
    moving = flow("balances")
    query(
        moving.bonus,
        "create table incoming (account text); "
        "create function note() returns trigger language plpgsql as "
        "$$ begin insert into incoming values (new.account); return null; end $$; "
        "create trigger noted after insert on asset for each row execute function note()",
    )
    moving.stage(("4100", 5))
    moving.move()
    assert query(moving.bonus, "select account from incoming") == [("4100",)]


def test_tables_are_found_by_the_roles_own_path(flow, postgres):
    moving = flow("balances")
    ((database,),) = query(moving.bonus, "select current_database()")
    query(
        moving.bonus,
        f"create schema vendor; alter table asset set schema vendor; "
        f"alter database {database} set search_path = vendor, public",
    )
    moving.stage(("4100", 5))
    moving.move()
    assert query(moving.bonus, "select account from vendor.asset") == [("4100",)]
