"""What a role that stages rows can do: the names of rows are those that the defaults give.

A writer who sets a name gets an error that says so. Each test writes with a real role, which has
rights on the staging table and on nothing else.
"""

import io
import json

import psycopg2
import pytest
from psycopg2 import errors

from tests.administrator import remove_role, role
from tests.conftest import WORKER
from tests.databases import connected, query, run

WRITER = f"writer_{WORKER}"  # roles belong to the whole server
TABLE = 'public."changeAccountBalanceTemp"'
PINCODES = 'public."accountpincodeTemp"'
INSERT = f"insert into {TABLE} (account, amount) values ('4100', 5)"
OTHER_NAMES = {
    "xid": "'7'",
    "started": "'2026-01-01Z'",
    "line": "1",
    "staged_by": "'olga'",
    "changes": "'{}'",
}
NOT_FOR_WRITERS = (
    "the columns xid, started, line, staged_by and changes of changeAccountBalanceTemp are not for "
    "writers, nor is a changed id"
)


@pytest.fixture
def writer(shop_all):
    """Opens sessions of a role that may insert, read and update, and has a schema of its own."""
    grants = (
        f"grant select, insert, update, delete on {TABLE}, {PINCODES} to {WRITER}; "
        f"create schema lair authorization {WRITER}"
    )
    with role(shop_all, WRITER, grants) as session:
        yield session


def refusal(session, statement):
    """What the writer reads; nothing of the statement stays."""
    with pytest.raises(errors.RestrictViolation) as caught:
        run(session, statement)
    return caught.value.diag


# --- Names are given ------------------------------------------------------------------------------


def test_rows_of_a_transaction_get_its_number_its_start_and_the_writers_name(shop_all, writer):
    with writer() as session:
        run(session, "begin")
        ((xid, started),) = run(session, "select pg_current_xact_id()::text, now()")
        run(session, f"{INSERT}; savepoint a; {INSERT}; release savepoint a")
        with session.cursor() as cursor:
            cursor.copy_expert(f"copy {TABLE} (account, amount) from stdin", io.StringIO("1\t2\n"))
        run(session, "commit")
    rows = query(
        shop_all,
        f"select xid::text, started, staged_by, line, changes, id from {TABLE} order by id",
    )
    assert [row[:5] for row in rows] == [(xid, started, WRITER, None, None)] * 3
    assert len({row[5] for row in rows}) == 3


def test_another_role_within_the_session_does_not_hide_who_has_logged_in(shop_all, writer):
    query(shop_all, f"create role clerk_{WORKER}; grant clerk_{WORKER} to {WRITER}")
    query(shop_all, f"grant insert on {TABLE} to clerk_{WORKER}")
    try:
        with writer() as session:
            run(session, f"set role clerk_{WORKER}; {INSERT}")
        assert query(shop_all, f"select staged_by from {TABLE}") == [(WRITER,)]
    finally:
        remove_role(shop_all, f"clerk_{WORKER}")


# --- Names are not chosen -------------------------------------------------------------------------


@pytest.mark.parametrize("column", OTHER_NAMES)
def test_a_writer_who_sets_or_changes_a_name_gets_an_error_that_says_so(shop_all, writer, column):
    value = OTHER_NAMES[column]
    values = f"(account, amount, {column}) values ('4100', 5, {value})"
    with writer() as session:
        statements = [
            f"insert into {TABLE} {values}",
            f"insert into {TABLE} {values} on conflict do nothing",
            f"prepare forged as insert into {TABLE} {values}; execute forged",
        ]
        if session.server_version >= 150000:
            statements.append(
                f"merge into {TABLE} using (select) as one on false when not matched then "
                f"insert {values}"
            )
        for statement in statements:
            told = refusal(session, statement)
            assert told.message_primary == NOT_FOR_WRITERS
            assert "Leave these columns out" in told.message_hint
        rows = io.StringIO("1\t2\t" + value.strip("'") + "\n")
        with (
            session.cursor() as cursor,
            pytest.raises(errors.RestrictViolation, match="not for writers"),
        ):
            cursor.copy_expert(f"copy {TABLE} (account, amount, {column}) from stdin", rows)
        assert query(shop_all, f"select from {TABLE}") == []
        run(session, INSERT)
        before = query(shop_all, f"select * from {TABLE}")
        told = refusal(session, f"update {TABLE} set {column} = {value}")
        assert told.message_primary == NOT_FOR_WRITERS
        refusal(session, f"begin; {INSERT}; update {TABLE} set {column} = {value}")
        run(session, "rollback")
    assert query(shop_all, f"select * from {TABLE}") == before


def test_a_name_that_is_the_right_one_is_no_error(shop_all, writer):
    """A program that copies all columns of its own row, or names them."""
    with writer() as session:
        run(
            session,
            f"insert into {TABLE} (account, xid, started, staged_by, line, changes) "
            "values ('1', pg_current_xact_id(), now(), session_user, null, null)",
        )
    assert query(shop_all, f"select staged_by from {TABLE}") == [(WRITER,)]


def test_an_id_is_not_changed(shop_all, writer):
    query(shop_all, f"alter table {TABLE} alter id set generated by default")
    with writer() as session:
        run(session, INSERT)
        refusal(session, f"update {TABLE} set id = 7")


def test_the_same_id_twice_in_a_transaction_is_an_error_that_says_so(shop_all, writer):
    twice = f"insert into {TABLE} (account, id) overriding system value values ('1', 7)"
    with writer() as session:
        run(session, f"begin; {twice}")
        with pytest.raises(errors.UniqueViolation, match="balances_id_unique_in_transaction"):
            run(session, twice)
        run(session, "rollback")
        run(session, twice)
        run(session, twice)  # in another transaction it is another row
    assert query(shop_all, f"select count(*), count(distinct xid) from {TABLE}") == [(2, 2)]


def test_a_writer_who_says_that_it_stages_lines_names_rows_of_its_own_transaction_only(
    shop_all, writer
):
    """Our role says so before it stages a file: see `triggers.MAY_SET_LINE`."""
    line = f"insert into {TABLE} (account, line) values ('1', 7)"
    with writer() as session:
        run(session, f"begin; set local datatransfer.stages_lines = 'yes'; {line}")
        with pytest.raises(errors.UniqueViolation):
            run(session, line)
        run(session, "rollback")
        refusal(session, line)
        run(session, f"begin; set local datatransfer.stages_lines = 'yes'; {line}; commit")
        refusal(session, line)
    assert query(shop_all, f"select line, staged_by from {TABLE}") == [(7, WRITER)]


# --- What guards names ----------------------------------------------------------------------------


SWITCH_OFF = (
    "set session_replication_role = replica",
    f"alter table {TABLE} disable trigger all",
    f"alter table {TABLE} alter xid set default '7'",
    f"drop trigger zz_datatransfer_1_insert on {TABLE}",
    f"create or replace trigger zz_datatransfer_1_insert before insert on {TABLE} "
    "for each row execute function lair.leave()",
    "create or replace function datatransfer.refuse_names() returns trigger language plpgsql "
    "as 'begin return new; end'",
    "alter function datatransfer.refuse_names() set search_path = lair",
    "create table datatransfer.other ()",
    "create trigger bait before insert on lair.bait for each row "
    "execute function datatransfer.note_changes()",
)


def test_a_writer_cannot_switch_off_what_guards_names(writer):
    with writer() as session:
        run(
            session,
            "create table lair.bait (); create function lair.leave() returns trigger "
            "language plpgsql as 'begin return new; end'",
        )
        for statement in SWITCH_OFF:
            with pytest.raises(errors.InsufficientPrivilege):
                run(session, statement)


def test_a_session_that_replicates_sets_no_name_either(shop_all):
    """As a superuser's, in which ordinary triggers do not fire."""
    with connected(shop_all) as session:
        run(session, f"set session_replication_role = replica; {INSERT}")
        refusal(session, f"insert into {TABLE} (account, xid) values ('1', '7')")
        refusal(session, f"update {TABLE} set xid = '7'")
        run(session, f"update {TABLE} set amount = 6")
    assert query(shop_all, f"select changes -> 'first' from {TABLE}") == [({"amount": 5},)]


def test_a_trigger_of_the_vendor_that_sets_a_name_is_an_error(shop_all, writer):
    """Ours fire last: their names come after."""
    query(
        shop_all,
        "create function mine() returns trigger language plpgsql as "
        "$$ begin new.xid := '7'; return new; end $$; "
        f"create trigger mine before insert on {TABLE} for each row execute function mine()",
    )
    with writer() as session:
        assert refusal(session, INSERT).message_primary == NOT_FOR_WRITERS


def test_a_writer_reads_and_changes_no_table_of_ours(shop_all, writer):
    tables = query(
        shop_all,
        "select oid::regclass::text from pg_class "
        "where relnamespace = 'datatransfer'::regnamespace and relkind = 'r'",
    )
    assert len(tables) == 7
    allowed = []
    with writer() as session:
        for (name,) in tables:
            for statement in (
                f"select from {name}",
                f"insert into {name} default values",
                f"delete from {name}",
                f"truncate {name}",
            ):
                try:
                    run(session, statement)
                except errors.InsufficientPrivilege:
                    continue
                except psycopg2.Error as error:
                    allowed.append((statement, type(error).__name__))
                else:
                    allowed.append((statement, ""))
    assert allowed == []


# --- Code of the writer ---------------------------------------------------------------------------

# Notes as which role it runs, and never fails.
SPY = """
    create table lair.loot (role text);
    grant usage on schema lair to public;
    grant insert on lair.loot to public;
    create function lair.spy() returns boolean language plpgsql as
        $$ begin insert into lair.loot values (current_user); return true; end $$;
"""
FORGED = f"insert into {TABLE} (account, xid) values ('4100', '7')"
CHANGED = f"update {TABLE} set amount = amount + 1"


TYPES = ("text", "xid8", "name", "uuid", "bool", "timestamptz", "jsonb", "int8")


def test_temporary_types_with_the_names_of_those_of_postgresql_are_not_used(shop_all, writer):
    with writer() as session:
        run(session, SPY)
        for type_ in TYPES:
            run(session, f"create domain pg_temp.{type_} as pg_catalog.{type_} check (lair.spy())")
        run(session, INSERT)
        run(session, "set search_path = pg_temp, lair, pg_catalog")
        refusal(session, FORGED)
        run(session, CHANGED)
    assert query(shop_all, "select role from lair.loot") == []
    assert query(shop_all, f"select changes -> 'first' from {TABLE}") == [({"amount": 5},)]


def test_functions_and_operators_before_those_of_postgresql_are_not_used(shop_all, writer):
    with writer() as session:
        run(session, SPY)
        for left, right in (("text", "text"), ("xid8", "xid8"), ("jsonb", "jsonb")):
            for name, operator in (("same", "="), ("differs", "<>")):
                run(
                    session,
                    f"create function lair.{name}({left}, {right}) returns boolean language sql as "
                    "'select lair.spy()'; "
                    f"create operator lair.{operator} (function = lair.{name}, leftarg = {left}, "
                    f"rightarg = {right})",
                )
        run(
            session,
            "create function lair.pg_current_xact_id() returns xid8 language sql as "
            "$$ select '7'::xid8 from lair.spy() $$; "
            "create function lair.now() returns timestamptz language sql as "
            "'select clock_timestamp() from lair.spy()'; "
            "create function lair.to_jsonb(anyelement) returns jsonb language sql as "
            "$$ select '{}'::jsonb from lair.spy() $$; "
            "create function lair.format(text, text) returns text language sql as "
            "$$ select '' from lair.spy() $$; "
            "create function lair.current_setting(text, boolean) returns text language sql as "
            "$$ select 'yes' from lair.spy() $$; "
            "set search_path = lair, pg_catalog",
        )
        run(session, INSERT)
        told = refusal(session, FORGED)
        assert told.message_primary == NOT_FOR_WRITERS
        refusal(session, f"update {TABLE} set xid = '7'")
        refusal(session, f"insert into {TABLE} (account, line) values ('1', 7)")
        run(session, CHANGED)
    assert query(shop_all, "select role from lair.loot") == []
    assert query(shop_all, f"select changes -> 'first' from {TABLE}") == [({"amount": 5},)]


def test_no_function_of_ours_has_other_rights_than_its_caller(shop_all):
    ours = "select proname from pg_proc where pronamespace = 'datatransfer'::regnamespace and {}"
    assert len(query(shop_all, ours.format("true"))) == 2
    assert query(shop_all, ours.format("prosecdef")) == []


# --- Changed rows ---------------------------------------------------------------------------------


def changes(dsn, table=TABLE):
    """What is kept of the only row before it was changed."""
    ((kept,),) = query(dsn, f"select changes from {table}")
    return kept and kept["first"]


def test_the_values_as_they_were_staged_are_kept_once_they_are_changed(shop_all, writer):
    with writer() as session:
        run(session, INSERT)
        assert changes(shop_all) is None
        run(session, f"update {TABLE} set amount = 7")
        assert changes(shop_all) == {"amount": 5}
        run(session, f"update {TABLE} set amount = 9, comment = 'x'")
        assert changes(shop_all) == {"amount": 5, "comment": None}
        run(session, f"update {TABLE} set amount = 5")
        assert changes(shop_all) == {"amount": 5, "comment": None}
        refusal(session, f"update {TABLE} set changes = null")
        refusal(session, f"update {TABLE} set amount = 8, changes = '{{}}'")
    ((is_now,),) = query(
        shop_all,
        f"select now() - (changes ->> 'at')::timestamptz < interval '1 minute' from {TABLE}",
    )
    assert is_now


def test_a_number_is_kept_digit_for_digit(shop_all, writer):
    exact = "123456789012345678901234567890.123456789012345678901234567890"
    with writer() as session:
        run(session, f"insert into {TABLE} (account, amount) values ('1', {exact})")
        run(session, f"update {TABLE} set amount = 'NaN'")
    kept = query(shop_all, f"select changes #>> '{{first,amount}}' from {TABLE}")
    assert kept == [(exact,)]


def test_of_what_is_no_change_for_a_transfer_no_note_is_kept(shop_all, writer):
    query(shop_all, f"alter table {TABLE} add remark text")
    with writer() as session:
        run(session, f"begin; {INSERT}; update {TABLE} set amount = 7.0; commit")
        assert query(shop_all, f"select amount from {TABLE}") == [(7,)]
        assert changes(shop_all) is None
        for same in ("amount = 7.00", "account = '4100', amount = amount", "remark = 'x'"):
            run(session, f"update {TABLE} set {same}")
            assert changes(shop_all) is None


def test_a_secret_is_never_kept_and_may_be_emptied(shop_all, writer):
    with writer() as session:
        run(session, f"insert into {PINCODES} (account, pincode) values ('1', '4711')")
        run(session, f"update {PINCODES} set pincode = ''")
        assert changes(shop_all, PINCODES) is None
        run(session, f"update {PINCODES} set pincode = '4712'")
        assert changes(shop_all, PINCODES) == {}
        run(session, f"update {PINCODES} set pincode = null")
        assert changes(shop_all, PINCODES) == {}
        run(session, f"update {PINCODES} set pincode = '4713', account = '2'")
        assert changes(shop_all, PINCODES) == {"account": "1"}
    ((row,),) = query(shop_all, f"select changes::text from {PINCODES}")
    assert not {"4711", "4712", "4713"} & {*json.loads(row)["first"].values()}
    assert "471" not in row.partition('"at"')[0]
