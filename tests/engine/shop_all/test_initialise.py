"""What `init_shop_all` makes in a database of shop All, and what it refuses."""

import threading
from dataclasses import replace
from decimal import Decimal

import pytest

from tests.administrator import psql
from tests.causes import raises
from tests.databases import connected, query, run
from tests.waiting import wait_until
from transfer.causes.connections import ANSWER_INVALID
from transfer.causes.tables import (
    IDS_REPEATED,
    NAME_TAKEN,
    NOT_INITIALISED,
    ROWS_UNDECIDED,
    SHOP_ALL_OF_0_1_0,
    STAGING_TABLE_FOREIGN,
    STAGING_TABLE_PARTITIONED,
    TABLE_UNLOGGED,
    WRONG_COLUMNS,
)
from transfer.engine.kinds import BALANCES, KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.schema.indexes import Indexes
from transfer.engine.shop_all.schema.initialise import Staging
from transfer.engine.table_mapping import TableMapping
from transfer.management.provision import Script
from transfer.parties import SHOP_ALL

TABLES = ["dependent", "head", "installation", "kept", "load", "log", "origin"]
TABLE = 'public."changeAccountBalanceTemp"'
VALUES = (
    "account varchar(100), amount numeric, validfrom timestamptz, validto timestamptz, comment text"
)
INSERT = f"insert into {TABLE} (account, amount) values ('1', 10), ('2', -2.5), ('3', 'NaN')"
# All relations, functions, triggers, and columns with their defaults, outside of PostgreSQL's own.
STATE = """
    select 'relation', oid::regclass::text, relkind::text from pg_class
     where relnamespace in (select oid from pg_namespace where nspname !~ '^pg_|^information_')
    union all
    select 'function', oid::regprocedure::text, md5(prosrc) from pg_proc
     where pronamespace in (select oid from pg_namespace where nspname !~ '^pg_|^information_')
    union all
    select 'trigger', tgrelid::regclass || '.' || tgname, tgenabled::text from pg_trigger
    union all
    select 'column', attrelid::regclass || '.' || attname, pg_get_expr(adbin, adrelid)
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
     where attrelid in (select oid from pg_class where relkind in ('r', 'p', 'v', 'f')
                           and relnamespace <> 'pg_catalog'::regnamespace)
       and attnum > 0 and not attisdropped
    order by 1, 2, 3
"""


def initialise(dsn, kinds=None, *, existing_moved=None):
    """The steps as the command prints them, in order."""
    with Database(dsn, SHOP_ALL, "tests", secret=False) as database:
        steps = Staging(
            database, kinds or KINDS.values(), Identity(database), existing_moved
        ).initialise()
    return [step.sentence % step.params for step in steps]


def refused(dsn, cause, *, existing_moved=None):
    """What `init_shop_all` raises; it has changed nothing."""
    before = query(dsn, STATE)
    with raises(cause) as caught:
        initialise(dsn, existing_moved=existing_moved)
    assert query(dsn, STATE) == before
    return caught.value


def check_columns(dsn, kind=BALANCES):
    with (
        Database(dsn, SHOP_ALL, "tests", secret=False) as database,
        database.transaction(commit=False),
    ):
        Identity(database).check_columns(kind)


def log(dsn):
    return query(
        dsn,
        "select kind, number, rows, amount, rows_to, amount_to, gone, gone_amount "
        "from datatransfer.log order by kind, number",
    )


# --- What it makes --------------------------------------------------------------------------------


def test_an_empty_database_gets_our_tables_and_a_head_for_each_kind(shop_all):
    ours = "select tablename from pg_tables where schemaname = 'datatransfer' order by 1"
    assert [name for (name,) in query(shop_all, ours)] == TABLES
    heads = query(shop_all, "select kind, number, seen::text from datatransfer.head order by 1")
    assert heads == [(kind, 0, None) for kind in sorted(KINDS)]
    for kind in KINDS.values():
        check_columns(shop_all, kind)


def test_a_second_time_nothing_is_missing(shop_all):
    before = query(shop_all, STATE)
    assert initialise(shop_all) == [
        f"{kind.staging}: nothing was missing" for kind in KINDS.values()
    ]
    assert query(shop_all, STATE) == before


def test_a_table_without_rows_needs_no_word_about_them(empty_database):
    query(empty_database, f"create table {TABLE} ({VALUES})")
    initialise(empty_database)
    check_columns(empty_database)
    assert log(empty_database) == []


def test_rows_that_wait_are_one_changeset_and_not_yet_in_the_log(empty_database):
    query(empty_database, f"create table {TABLE} ({VALUES}); {INSERT}")
    initialise(empty_database, existing_moved=False)
    names = f"select count(distinct (xid, started)), count(distinct id) from {TABLE}"
    assert query(empty_database, names) == [(1, 3)]
    assert log(empty_database) == []


def test_rows_that_were_moved_are_the_first_line_of_the_log_all_of_them_gone(empty_database):
    query(empty_database, f"create table {TABLE} ({VALUES}); {INSERT}")
    steps = initialise(empty_database, existing_moved=True)
    assert any("are in the log as transferred before" in step for step in steps)
    amount = Decimal("7.5")
    assert log(empty_database) == [("balances", 1, 3, amount, 3, amount, 3, amount)]
    assert query(
        empty_database,
        "select number, (select number from datatransfer.log where kind = head.kind),"
        " (select count(*) from datatransfer.log join " + TABLE + " using (xid, started)) "
        "from datatransfer.head where kind = 'balances'",
    ) == [(1, 1, 3)]


def test_changesets_of_two_transactions_differ_by_each_of_both_numbers(shop_all):
    from transfer.engine.shop_all.schema.tables import PACKED

    packed = query(
        shop_all,
        f"select {PACKED.format(of='one')}::text"
        " from (values ('7'::xid8, '2026-01-01Z'::timestamptz),"
        "('8', '2026-01-01Z'), ('7', '2026-01-01 00:00:00.000001Z'),"
        "('18446744073709551615', '2026-01-01Z'))"
        " as one (xid, started) where xid < '9223372036854775808'",
    )
    assert len({*packed}) == len(packed) == 3


def test_a_vendors_table_with_an_integer_id_is_taken_as_it_is(empty_database):
    query(
        empty_database,
        'create table "balanceChanges" (id serial primary key, "accountNumber" varchar(100), '
        'sum bigint); insert into "balanceChanges" ("accountNumber", sum) values (\'1\', 250)',
    )
    mapping = TableMapping(
        "balanceChanges",
        columns={"account": "accountNumber", "amount": "sum"}
        | dict.fromkeys(["validfrom", "validto", "comment"]),
        is_minor=True,
    )
    kind = replace(BALANCES, shop_all=mapping)
    initialise(empty_database, [kind], existing_moved=True)
    check_columns(empty_database, kind)
    assert log(empty_database)[0][3] == Decimal("2.5")
    assert initialise(empty_database, [kind]) == ["balanceChanges: nothing was missing"]


def test_an_index_that_was_never_finished_is_made_again(shop_all):
    query(
        shop_all,
        "update pg_index set indisvalid = false "
        "where indexrelid = 'datatransfer_balances_account_brin'::regclass",
    )
    steps = initialise(shop_all)
    assert [step for step in steps if "datatransfer_balances_account_brin" in step] == [
        "changeAccountBalanceTemp: index datatransfer_balances_account_brin removed, it was never "
        "finished",
        "changeAccountBalanceTemp: index datatransfer_balances_account_brin created, for the trace",
    ]


def test_the_vacuum_after_a_purge_forgets_what_the_pages_held(shop_all):
    query(
        shop_all, f"insert into {TABLE} (account) select n::text from generate_series(1, 5000) as n"
    )
    query(shop_all, f"delete from {TABLE} where id < 4999")
    query(shop_all, "select brin_summarize_new_values('datatransfer_balances_account_brin')")
    ranges = "select brin_summarize_new_values('datatransfer_balances_account_brin')"
    assert query(shop_all, ranges) == [(0,)]
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database:
        Indexes(database).vacuum(BALANCES)
    ((forgotten,),) = query(shop_all, ranges)
    assert forgotten > 0


class Unchecked:
    """In place of `Identity` where statements are kept instead of run."""

    def check_table(self, kind):
        pass

    check_types = check_columns = check_guards = check_staging = check_table


@pytest.mark.parametrize("moved", [True, False])
def test_an_administrator_can_run_the_statements_in_our_place(empty_database, moved):
    """`setup` prints them where our role may not create tables."""
    query(empty_database, f"create table {TABLE} ({VALUES}); {INSERT}")
    with Script(empty_database, SHOP_ALL, "tests") as script:
        Staging(script, KINDS.values(), Unchecked(), moved).initialise()
        statements = ";\n".join([*script.statements, ""])
    assert query(empty_database, "select 1 from pg_namespace where nspname = 'datatransfer'") == []
    psql(empty_database, statements)
    assert len(log(empty_database)) == moved
    steps = initialise(empty_database)
    assert steps == [f"{kind.staging}: nothing was missing" for kind in KINDS.values()]


# --- What it refuses ------------------------------------------------------------------------------


def test_rows_of_which_nobody_said_whether_they_wait_change_nothing(empty_database):
    query(empty_database, f"create table {TABLE} ({VALUES}); {INSERT}")
    refused(empty_database, ROWS_UNDECIDED)


@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        (f"create table {TABLE} ({VALUES}) partition by list (account)", STAGING_TABLE_PARTITIONED),
        (
            f"create table whole ({VALUES}) partition by list (account); "
            f"create table {TABLE} partition of whole default",
            STAGING_TABLE_PARTITIONED,
        ),
        (
            f"create table {TABLE} ({VALUES}); create table child () inherits ({TABLE})",
            STAGING_TABLE_PARTITIONED,
        ),
        (
            f"create table parent ({VALUES}); create table {TABLE} () inherits (parent)",
            STAGING_TABLE_PARTITIONED,
        ),
        (
            f"create table real ({VALUES}); create view {TABLE} as select * from real",
            STAGING_TABLE_FOREIGN,
        ),
        (f"create unlogged table {TABLE} ({VALUES})", TABLE_UNLOGGED),
        (
            f"create table {TABLE} ({VALUES.replace('amount numeric', 'amount text')})",
            WRONG_COLUMNS,
        ),
        (f"create table {TABLE} ({VALUES}, id uuid)", WRONG_COLUMNS),
        (f"create table {TABLE} ({VALUES}, id bigint)", WRONG_COLUMNS),
        (f"create table {TABLE} ({VALUES}, started date)", NAME_TAKEN),
        (f"create table {TABLE} ({VALUES}, line bigint)", NAME_TAKEN),
    ],
)
def test_a_table_that_does_not_fit_is_refused_by_name(empty_database, statement, cause):
    query(empty_database, statement)
    caught = refused(empty_database, cause)
    assert '"changeAccountBalanceTemp"' in str(caught)


def test_a_foreign_table_is_refused_by_name(empty_database):
    query(
        empty_database,
        "create foreign data wrapper elsewhere; create server other foreign data wrapper elsewhere;"
        f" create foreign table {TABLE} ({VALUES}) server other",
    )
    refused(empty_database, STAGING_TABLE_FOREIGN)


def test_ids_that_rows_share_are_listed_the_first_20_of_them(empty_database):
    query(
        empty_database,
        f"create table {TABLE} ({VALUES}, id bigint); "
        f"insert into {TABLE} (id) select n % 30 from generate_series(0, 74) as n; "
        f"insert into {TABLE} (id) values (null), (null), (77)",
    )
    for moved in (False, True):
        caught = refused(empty_database, IDS_REPEATED, existing_moved=moved)
        assert caught.params["repeated"] == "30"
        assert caught.params["missing"] == "2"
        assert caught.params["ids"] == ", ".join(map(str, range(20)))


def test_rows_that_have_our_columns_need_ids_of_their_own_within_a_transaction(shop_all):
    query(shop_all, "drop index datatransfer_balances_id_unique_in_transaction")
    query(shop_all, f"insert into {TABLE} (id) overriding system value values (5)")
    query(shop_all, f"insert into {TABLE} (id) overriding system value values (5)")
    initialise(shop_all)
    query(shop_all, "drop index datatransfer_balances_id_unique_in_transaction")
    query(shop_all, f"insert into {TABLE} (id) overriding system value values (6), (6)")
    caught = refused(shop_all, IDS_REPEATED)
    assert caught.params["ids"] == "6"


# What 0.1.0 leaves in a database, as far as it matters here.
OF_0_1_0 = f"""
    create schema datatransfer;
    create table datatransfer.batch (number bigint);
    create table datatransfer.writer (xid xid8);
    create function datatransfer.stamp() returns trigger language plpgsql as
        'begin return new; end';
    create table {TABLE} (
        {VALUES}, id bigint generated always as identity,
        xid xid8 not null default pg_current_xact_id(), created_at timestamptz default now(),
        changed_xid xid8
    );
    create unique index on {TABLE} (xid, id);
    create index datatransfer_balances_changed on {TABLE} (changed_xid)
        where changed_xid is not null;
    create trigger datatransfer_stamp before insert on {TABLE} for each row
        execute function datatransfer.stamp();
    {INSERT};
"""


def test_a_shop_all_of_0_1_0_is_refused_with_the_sql_that_removes_its_parts(empty_database):
    query(empty_database, OF_0_1_0)
    for moved in (None, True):
        caught = refused(empty_database, SHOP_ALL_OF_0_1_0, existing_moved=moved)
    psql(empty_database, caught.params["script"])
    refused(empty_database, ROWS_UNDECIDED)
    initialise(empty_database, existing_moved=True)
    assert query(empty_database, f"select count(created_at) from {TABLE}") == [(3,)]
    old = (
        "select tgname from pg_trigger where tgname ~ '^datatransfer' union all select attname "
        "from pg_attribute where attname = 'changed_xid' union all select indexdef from pg_indexes "
        "where indexdef ~ '.xid, id.'"
    )
    assert query(empty_database, old) == []


def test_columns_of_0_1_0_are_refused_also_where_its_schema_is_gone(empty_database):
    query(empty_database, OF_0_1_0)
    query(empty_database, "drop schema datatransfer cascade")
    caught = refused(empty_database, SHOP_ALL_OF_0_1_0, existing_moved=False)
    assert "schema" not in caught.params["script"]
    psql(empty_database, caught.params["script"])
    initialise(empty_database, existing_moved=True)


WAITS = "select 1 from pg_locks where not granted and mode = 'AccessExclusiveLock'"


def test_a_row_that_commits_meanwhile_is_not_taken_for_one_that_was_moved(empty_database):
    """The table is looked at once its writers are done."""
    query(empty_database, f"create table {TABLE} ({VALUES})")
    with connected(empty_database) as writer:
        run(writer, f"begin; {INSERT}")

        def commit_once_somebody_waits():
            wait_until(lambda: query(empty_database, WAITS))
            run(writer, "commit")

        thread = threading.Thread(target=commit_once_somebody_waits)
        thread.start()
        with raises(ROWS_UNDECIDED):
            initialise(empty_database)
        thread.join()


# --- What a transfer checks -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harm", "cause", "named"),
    [
        (f"alter table {TABLE} drop changes cascade", NOT_INITIALISED, "changes"),
        (f"alter table {TABLE} alter xid drop default", WRONG_COLUMNS, "xid default"),
        (
            f"alter table {TABLE} alter started set default clock_timestamp()",
            WRONG_COLUMNS,
            "start",
        ),
        (f"alter table {TABLE} alter staged_by set default 'olga'", WRONG_COLUMNS, "staged_by"),
        (f"alter table {TABLE} alter line set default 7", WRONG_COLUMNS, "line default"),
        (f"alter table {TABLE} alter started drop not null", WRONG_COLUMNS, "started null"),
        (f"alter table {TABLE} disable trigger zz_datatransfer_2_update", NOT_INITIALISED, "2_upd"),
        (f"alter table {TABLE} enable trigger zz_datatransfer_1_insert", NOT_INITIALISED, "1_ins"),
        (f"create table child () inherits ({TABLE})", STAGING_TABLE_PARTITIONED, "Balance"),
        (f"drop table {TABLE}", NOT_INITIALISED, "changeAccountBalanceTemp"),
    ],
)
def test_a_transfer_refuses_a_table_in_which_rows_may_have_wrong_names(
    shop_all, harm, cause, named
):
    check_columns(shop_all)
    query(shop_all, harm)
    with raises(cause, match=named):
        check_columns(shop_all)


def test_the_identity_of_shop_all_is_drawn_once(shop_all, empty_database):
    def origin(dsn):
        with (
            Database(dsn, SHOP_ALL, "tests", secret=False) as database,
            database.transaction(commit=False),
        ):
            return Identity(database).origin()

    with raises(NOT_INITIALISED, match=r"datatransfer\.origin"):
        origin(empty_database)
    first = origin(shop_all)
    initialise(shop_all)
    assert origin(shop_all) == first
    query(shop_all, "alter table datatransfer.origin alter origin type text using 'x'")
    with raises(ANSWER_INVALID):
        origin(shop_all)
    query(shop_all, "delete from datatransfer.origin")
    with raises(NOT_INITIALISED, match=r"datatransfer\.origin"):
        origin(shop_all)


@pytest.mark.parametrize(
    ("definition", "is_over_values"),
    [
        (f"unique index vendors on {TABLE} (account)", True),
        (f"unique index vendors on {TABLE} (account, amount) include (id)", True),
        (f"unique index vendors on {TABLE} (lower(comment)) where amount > 0", True),
        (f"unique index vendors on {TABLE} (id)", False),
        (f"unique index vendors on {TABLE} (account, id)", False),
        (f"unique index vendors on {TABLE} (account, booked)", False),
        (f"index vendors on {TABLE} (account)", False),
    ],
)
def test_a_unique_key_over_values_is_found(shop_all, definition, is_over_values):
    query(shop_all, f"alter table {TABLE} add booked uuid default gen_random_uuid()")
    query(shop_all, f"create {definition}")
    with (
        Database(shop_all, SHOP_ALL, "tests", secret=False) as database,
        database.transaction(commit=False),
    ):
        found = Identity(database).unique_over_values(BALANCES)
    assert (found == "public.vendors" or found == "vendors") is is_over_values
