"""A thief among the writers: a role that may only insert rows into one staging table.

It tries to run code with the rights of others, to choose the transaction number of its rows, and
to leave no trace. Each test attacks with a real role, by statements that the role may run.
"""

import html
import io
import json
from contextlib import contextmanager

import psycopg2
import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone
from psycopg2 import errors
from psycopg2.extensions import make_dsn

from tests.administrator import psql, remove_role
from tests.conftest import WORKER
from tests.databases import connected, initialise_shop_all, query, run
from tests.records import user
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.guards import Guards
from transfer.models import RecurringJob
from transfer.parties import SHOP_ALL
from transfer.runs import recurring

THIEF = f"thief_{WORKER}"  # roles belong to the whole server
TABLE = 'public."changeAccountBalanceTemp"'
INSERT = f"insert into {TABLE} (account, amount) values ('4100', 5)"
FORGED = f"insert into {TABLE} (account, amount, xid) values ('4100', 5, '7')"
WITH_NUMBER = "(account, amount, xid, id) overriding system value values ('4100', 5, '7', 1)"


@pytest.fixture
def thief(shop_all):
    """Opens sessions of a role that may insert balance changes, and has a schema of its own.

    There it makes functions and operators, which its `search_path` puts before PostgreSQL's own.
    Until PostgreSQL 15 every role could do so in `public`.
    """
    remove_role(shop_all, THIEF)
    query(
        shop_all,
        f"create role {THIEF} login; grant insert on {TABLE} to {THIEF}; "
        f"create schema lair authorization {THIEF}",
    )

    @contextmanager
    def session():
        with connected(shop_all) as connection:
            run(connection, f"set session authorization {THIEF}")
            yield connection

    yield session
    remove_role(shop_all, THIEF)


def true_xids(dsn):
    """Whether each staged row has the number of the transaction that really wrote it."""
    xmin = "xmin::text::bigint = (xid::text::bigint & 4294967295)"
    return [is_true for (is_true,) in query(dsn, f"select {xmin} from {TABLE} order by id")]


def noted(dsn):
    """Whose name the trace shows for each staged row."""
    note = "datatransfer.writer using (xid)"
    return [name for (name,) in query(dsn, f"select name from {TABLE} left join {note}")]


# Notes as which role it runs, and never fails.
SPY = """
    create table lair.loot (role text);
    grant usage on schema lair to public;
    grant insert on lair.loot to public;
    create function lair.spy() returns boolean language plpgsql as
        $$ begin insert into lair.loot values (current_user); return true; end $$;
"""


class TestCode:
    """Code of the writer never runs with the rights of another role."""

    @pytest.mark.parametrize("type_", ["text", "xid8", "name", "uuid", "bool", "timestamptz"])
    def test_not_by_a_temporary_type_that_has_the_name_of_a_type_of_postgresql(
        self, shop_all, thief, type_
    ):
        with thief() as session:
            run(session, SPY)
            run(session, f"create domain pg_temp.{type_} as pg_catalog.{type_} check (lair.spy())")
            run(session, INSERT)
            run(session, "set search_path = pg_temp, lair, pg_catalog")
            run(session, FORGED)
        assert query(shop_all, "select role from lair.loot") == []
        assert true_xids(shop_all) == [True, True]

    def test_not_by_functions_and_operators_before_those_of_postgresql(self, shop_all, thief):
        with thief() as session:
            run(session, SPY)
            run(
                session,
                "create function lair.same(text, text) returns boolean language sql as "
                "'select lair.spy()'; "
                "create operator lair.= (function = lair.same, leftarg = text, rightarg = text); "
                "create function lair.pg_current_xact_id() returns xid8 language sql as "
                "$$ select '9'::xid8 from lair.spy() $$; "
                "create function lair.current_setting(text) returns text language sql as "
                "$$ select '' from lair.spy() $$; "
                "create function lair.now() returns timestamptz language sql as "
                "'select clock_timestamp() from lair.spy()'; "
                "set search_path = lair, pg_catalog",
            )
            run(session, INSERT)
            run(session, FORGED)
        assert query(shop_all, "select role from lair.loot") == []
        assert true_xids(shop_all) == [True, True]

    def test_no_function_of_ours_has_other_rights_than_its_caller(self, shop_all):
        ours = (
            "select proname from pg_proc where pronamespace = 'datatransfer'::regnamespace and {}"
        )
        assert len(query(shop_all, ours.format("true"))) == 5
        assert query(shop_all, ours.format("prosecdef")) == []


class TestTransactionNumber:
    """A row has the id of the transaction that wrote it, even if the writer claims another."""

    @pytest.mark.parametrize(
        "statement",
        [
            FORGED,
            f"insert into {TABLE} {WITH_NUMBER}",
            f"insert into {TABLE} {WITH_NUMBER} on conflict do nothing",
            f"prepare forged as {FORGED}; execute forged",
            f"merge into {TABLE} using (select) as one on false when not matched then "
            "insert (account, amount, xid) values ('4100', 5, '7')",
            f"do $do$ begin execute $${FORGED}$$; end $do$",
            f"savepoint a; {FORGED}; release savepoint a",
        ],
    )
    def test_it_is_not_what_a_statement_says(self, shop_all, thief, statement):
        with thief() as session:
            session.autocommit = False
            if statement.startswith("merge") and session.server_version < 150000:
                pytest.skip("this PostgreSQL has no MERGE")
            run(session, statement)
            ((xid,),) = run(session, "select pg_current_xact_id()::text")
            session.commit()
        assert query(shop_all, f"select xid::text from {TABLE}") == [(xid,)]

    def test_it_is_not_what_copy_says(self, shop_all, thief):
        with thief() as session, session.cursor() as cursor:
            copy = f"copy {TABLE} (account, amount, xid, id) from stdin"
            cursor.copy_expert(copy, io.StringIO("4100\t5\t7\t1\n4100\t5\t8\t2\n"))
        assert len({xid for (xid,) in query(shop_all, f"select xid::text from {TABLE}")}) == 1
        assert query(shop_all, f"select 1 from {TABLE} where xid < '10'") == []

    def test_it_is_not_what_a_function_of_the_writer_says(self, shop_all, thief):
        with thief() as session:
            run(
                session,
                "create function lair.pg_current_xact_id() returns xid8 "
                "language sql as $$ select '7'::xid8 $$; set search_path = lair, pg_catalog",
            )
            run(session, FORGED.replace("'7'", "'8'"))
        assert query(shop_all, f"select 1 from {TABLE} where xid < '10'") == []

    def test_a_writer_who_may_update_gets_no_row_moved_twice(self, shop_all, thief):
        """By an operator after which an update looks like an insert, and gets a new number."""
        query(shop_all, f"{INSERT}; grant select, update on {TABLE} to {THIEF}")
        before = query(shop_all, f"select xid::text, id from {TABLE}")
        with thief() as session:
            run(
                session,
                "create function lair.same(text, text) returns boolean language sql as "
                "'select true'; "
                "create operator lair.= (function = lair.same, leftarg = text, rightarg = text); "
                "set search_path = lair, pg_catalog",
            )
            run(session, f"update {TABLE} set xid = '7', amount = 6")
        assert query(shop_all, f"select xid::text, id from {TABLE}") == before

    def test_two_rows_of_a_transaction_never_have_the_same_number(self, shop_all, thief):
        """At the end of a chunk, the second of them would be taken for moved."""
        with thief() as session:
            session.autocommit = False
            run(session, f"insert into {TABLE} {WITH_NUMBER}")
            with pytest.raises(errors.UniqueViolation):
                run(session, f"insert into {TABLE} {WITH_NUMBER}")

    @pytest.mark.parametrize(
        "statement",
        [
            "set session_replication_role = replica",
            f"alter table {TABLE} disable trigger all",
            f"alter table {TABLE} disable trigger datatransfer_stamp",
            f"drop trigger datatransfer_stamp on {TABLE}",
            f"create or replace trigger datatransfer_stamp before insert on {TABLE} "
            "for each row execute function lair.leave()",
            "create or replace function datatransfer.stamp() returns trigger language plpgsql "
            "as 'begin return new; end'",
            "alter function datatransfer.stamp() set search_path = lair",
            "create table datatransfer.other ()",
        ],
    )
    def test_what_guards_it_cannot_be_switched_off(self, shop_all, thief, statement):
        with thief() as session:
            run(
                session,
                "create function lair.leave() returns trigger language plpgsql as "
                "'begin return new; end'",
            )
            with pytest.raises(errors.InsufficientPrivilege):
                run(session, statement)


class TestTrace:
    """The writer of a row is noted, and no writer can forge it."""

    def test_a_writer_does_not_hide_by_a_setting(self, shop_all, thief):
        with thief() as session:
            session.autocommit = False
            run(
                session,
                "select set_config('datatransfer.noted', pg_current_xact_id()::text, false)",
            )
            run(session, INSERT)
            session.commit()
        assert noted(shop_all) == [THIEF]

    def test_a_writer_does_not_hide_by_a_savepoint_or_a_note_of_its_own(self, shop_all, thief):
        with thief() as session:
            session.autocommit = False
            run(session, f"savepoint a; {INSERT}; rollback to a; {INSERT}")
            session.commit()
            run(
                session,
                "insert into datatransfer.writer (origin) values (gen_random_uuid()); "
                "insert into datatransfer.writer (origin) select origin from datatransfer.origin",
            )
            run(session, INSERT)
            session.commit()
        known = "select name from datatransfer.writer join datatransfer.origin using (origin)"
        assert query(shop_all, known) == [(THIEF,)] * 2

    @pytest.mark.parametrize(
        "statement",
        [
            "insert into datatransfer.writer (origin, name) values (gen_random_uuid(), 'olga')",
            "insert into datatransfer.writer (origin, xid) values (gen_random_uuid(), '7')",
            "insert into datatransfer.writer (origin, program) values (gen_random_uuid(), 'x')",
            "insert into datatransfer.writer values (gen_random_uuid(), '7', 'olga', 'x', now())",
            "update datatransfer.writer set name = 'olga'",
            "delete from datatransfer.writer",
            "truncate datatransfer.writer",
            "select * from datatransfer.writer",
        ],
    )
    def test_a_writer_notes_nobody_else_and_changes_no_note(self, thief, statement):
        with thief() as session:
            run(session, INSERT)
            with pytest.raises(errors.InsufficientPrivilege):
                run(session, statement)

    def test_a_trigger_of_the_writer_that_calls_our_function_notes_the_writer(
        self, shop_all, thief
    ):
        with thief() as session:
            run(
                session,
                "create table lair.bait (); "
                "create trigger bait after insert on lair.bait execute function "
                "datatransfer.note_writer(); insert into lair.bait default values",
            )
        assert query(shop_all, "select name from datatransfer.writer") == [(THIEF,)]


def test_a_writer_reads_and_changes_no_table_of_ours(shop_all, thief):
    """But for the identity of shop All, which is no secret, and the note of its own name."""
    tables = query(
        shop_all,
        "select c.oid::regclass::text from pg_class c "
        "where relnamespace = 'datatransfer'::regnamespace and relkind = 'r'",
    )
    allowed = []
    with thief() as session:
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
    assert sorted(allowed) == [
        ("insert into datatransfer.writer default values", "NotNullViolation"),
        ("select from datatransfer.origin", ""),
    ]


# What the version before made: run by `init_shop_all`, or by the administrator during `setup`.
VERSION_BEFORE = """
create or replace function datatransfer.stamp() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        new.xid := pg_current_xact_id();
    else
        new.xid := old.xid;
        new.id := old.id;
    end if;
    return new;
end $$;
create or replace function datatransfer.note_writer() returns trigger language plpgsql
    security definer set search_path = '' as $$
begin
    insert into datatransfer.writer (origin, xid, name, program)
        select origin, pg_current_xact_id(), session_user, current_setting('application_name')
          from datatransfer.origin
            on conflict do nothing;
    perform set_config('datatransfer.noted', pg_current_xact_id()::text, true);
    return null;
end $$;
create or replace trigger datatransfer_writer after insert on {table} for each statement
    when (current_setting('datatransfer.noted', true) is distinct from pg_current_xact_id()::text)
    execute function datatransfer.note_writer();
alter table datatransfer.writer
    alter xid drop default, alter name drop default, alter program drop default;
revoke usage on schema datatransfer from public;
revoke select on datatransfer.origin from public;
revoke insert (origin) on datatransfer.writer from public;
"""
CLERK, VENDOR = f"clerk_{WORKER}", f"vendor_{WORKER}"
OWNERS = """
    select distinct rolname, prosecdef from pg_proc join pg_roles on pg_roles.oid = proowner
     where pronamespace = 'datatransfer'::regnamespace
"""


def make_version_before(dsn):
    for kind in KINDS.values():
        query(dsn, VERSION_BEFORE.format(table=f'"{kind.staging}"'))


@pytest.fixture
def clerk(shop_all, settings):
    """The account of Data Transfer where the vendor owns the tables: it has the rights it needs.

    A superuser has set it up, with the version before.
    """
    make_version_before(shop_all)
    remove_role(shop_all, CLERK)
    remove_role(shop_all, VENDOR)
    tables = ", ".join(f'"{kind.staging}"' for kind in KINDS.values())
    owned = "; ".join(f'alter table "{kind.staging}" owner to {VENDOR}' for kind in KINDS.values())
    query(
        shop_all,
        f"create role {CLERK} login; create role {VENDOR} login; {owned}; "
        f"grant usage on schema datatransfer to {CLERK}; grant select, insert, update, delete "
        f"on all tables in schema datatransfer to {CLERK}; "
        f"grant select, insert, update, delete on {tables} to {CLERK}",
    )
    settings.SHOP_ALL_DATABASE_URL = make_dsn(shop_all, user=CLERK)
    cache.clear()
    yield settings.SHOP_ALL_DATABASE_URL
    cache.clear()
    query(shop_all, f"reassign owned by {VENDOR} to current_user")
    remove_role(shop_all, CLERK)
    remove_role(shop_all, VENDOR)


def found(dsn):
    with Database(dsn, SHOP_ALL, "tests") as database, database.transaction(commit=False):
        return Guards(database, KINDS.values()).differences()


@pytest.mark.django_db
@pytest.mark.usefixtures("in_english")
class TestAnInstallationOfTheVersionBefore:
    def test_is_repaired_by_init_shop_all_where_its_role_may(self, shop_all, thief, capsys):
        make_version_before(shop_all)
        assert len(found(shop_all)) == 6
        call_command("init_shop_all")
        output = capsys.readouterr().out
        assert "datatransfer.stamp(), datatransfer.note_writer(), datatransfer.writer" in output
        assert output.count("trigger created that notes who writes") == 3
        assert found(shop_all) == []
        with thief() as session:
            run(session, INSERT)
        assert noted(shop_all) == [THIEF]
        call_command("init_shop_all")
        assert "replaced" not in capsys.readouterr().out

    def test_is_urgent_where_a_superuser_made_it_and_the_sql_is_printed(
        self, shop_all, clerk, capsys
    ):
        with pytest.raises(CommandError, match=r"^Urgent: .* datatransfer.stamp\(\)") as failure:
            call_command("init_shop_all")
        assert "Let a superuser of that server run this SQL" in str(failure.value)
        assert len(found(clerk)) == 6
        psql(shop_all, capsys.readouterr().out)
        assert query(shop_all, OWNERS) == [(VENDOR, False)]
        assert found(clerk) == []
        call_command("init_shop_all")
        assert capsys.readouterr().out.count("nothing was missing") == 3

    def test_is_urgent_for_doctor_whose_sql_is_enough(self, shop_all, clerk, capsys):
        def line():
            with pytest.raises(SystemExit):
                call_command("doctor", "--json")
            lines = map(json.loads, capsys.readouterr().out.splitlines())
            return next(one for one in lines if one["label"] == "Writers")

        before = line()
        assert before["state"] == "failed"
        assert before["sentence"].startswith("Urgent: ")
        psql(shop_all, before["hint"][before["hint"].index("begin;") :])
        assert line()["state"] == "ok"
        assert query(shop_all, OWNERS) == [(VENDOR, False)]

    def test_is_urgent_on_the_overview_until_it_is_repaired(
        self, shop_all, clerk, client, settings
    ):
        settings.LANGUAGE_CODE = "en"
        client.force_login(user("viewer"))

        def overview():
            """The page, once the recurring job has looked at the functions and triggers."""
            kind, now = RecurringJob.Kind.CHECK_GUARDS, timezone.now()
            job, _ = RecurringJob.objects.update_or_create(kind=kind, defaults={"due_at": now})
            job.do(lambda: recurring.work(job, None))
            return client.get("/", {"ask": "1"}).content.decode()

        page = overview()
        assert "Urgent: the functions and triggers" in page
        shown = html.unescape(page[page.index("begin;") : page.index("commit;") + 7])
        psql(shop_all, shown)
        assert "Urgent: the functions and triggers" not in overview()


@pytest.mark.parametrize(
    ("harm", "name"),
    [
        ("alter function datatransfer.stamp() set search_path = public", "datatransfer.stamp()"),
        ("alter function datatransfer.stamp() security definer", "datatransfer.stamp()"),
        ("alter function datatransfer.stamp() owner to a_third_role", "datatransfer.stamp()"),
        (
            "create or replace function datatransfer.note_writer() returns trigger "
            "language plpgsql as 'begin return null; end'",
            "datatransfer.note_writer()",
        ),
        ("revoke usage on schema datatransfer from public", "datatransfer.writer"),
        ("grant insert on datatransfer.writer to public", "datatransfer.writer"),
        ("alter table datatransfer.writer alter name drop default", "datatransfer.writer"),
        (
            f"alter table {TABLE} enable trigger datatransfer_stamp",
            '"changeAccountBalanceTemp".datatransfer_stamp',
        ),
        (
            f"create or replace trigger datatransfer_stamp before insert on {TABLE} for each row "
            "when (new.xid < '5') execute function datatransfer.stamp()",
            '"changeAccountBalanceTemp".datatransfer_stamp',
        ),
        (
            f"drop trigger datatransfer_writer on {TABLE}",
            '"changeAccountBalanceTemp".datatransfer_writer',
        ),
    ],
)
def test_each_difference_is_noticed_and_repaired(shop_all, harm, name):
    remove_role(shop_all, CLERK)
    query(shop_all, f"create role {CLERK}")
    query(shop_all, harm.replace("a_third_role", CLERK))
    assert found(shop_all) == [name]
    query(shop_all, "alter function datatransfer.stamp() owner to current_user")
    initialise_shop_all(shop_all)
    assert found(shop_all) == []
    remove_role(shop_all, CLERK)
