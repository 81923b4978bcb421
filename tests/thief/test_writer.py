"""A thief among the writers: a role that may write rows into one staging table, and nothing else.

It names no row and runs no code with the rights of others: tests/engine/shop_all/test_writers.py.
Here: what its rows can do to transfers, and that somebody is told where what guards them differs.
"""

import html
import json

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.utils import timezone
from psycopg2.extensions import make_dsn

from tests.administrator import psql, remove_role, role
from tests.conftest import WORKER
from tests.databases import query, run
from tests.records import user
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.schema.rights import Guards
from transfer.models import RecurringJob
from transfer.parties import SHOP_ALL
from transfer.runs import recurring

THIEF = f"thief_{WORKER}"  # roles belong to the whole server
TABLE = 'public."changeAccountBalanceTemp"'
INSERT = f"insert into {TABLE} (account, amount) values ('4100', 5)"
# So that a role may give rows of one transaction any name within it.
AS_LINES = "set datatransfer.stages_lines = 'yes'"
BIGGEST = 2**63 - 1


@pytest.fixture
def thief(shop_all):
    """Opens sessions of a role that may do with the rows of one table what it likes."""
    grants = f"grant select, insert, update, delete on {TABLE} to {THIEF}"
    with role(shop_all, THIEF, grants) as session:
        yield session


@pytest.fixture
def balances(flow, thief):
    """Has moved a row of another writer's."""
    balances = flow("balances")
    balances.stage(("1", 1))
    balances.move()
    return balances


def amounts(flow):
    return sorted(int(row[1]) for row in flow.target_rows())


# --- Rows -----------------------------------------------------------------------------------------


def test_rows_of_any_id_and_line_are_moved_once(balances, thief):
    with thief() as session:
        run(session, AS_LINES)
        for number in (BIGGEST, -BIGGEST - 1, 0, -1):
            run(session, f"insert into {TABLE} (account, amount, line) values ('2', 2, {number})")
            run(
                session,
                f"insert into {TABLE} (id, account, amount) overriding system value "
                f"values ({number}, '3', 3)",
            )
    balances.move(chunk_rows=1)
    balances.stage(("4", 4))
    balances.move()
    assert amounts(balances) == [1, *[2] * 4, *[3] * 4, 4]


def test_a_row_that_is_deleted_and_staged_again_is_a_new_one(balances, thief):
    """So it is moved: whoever may stage rows can stage the same values twice anyway."""
    with thief() as session:
        run(session, f"delete from {TABLE}; {INSERT}")
    balances.move()
    assert amounts(balances) == [1, 5]


# --- What guards the names of rows ----------------------------------------------------------------

CLERK, VENDOR = f"clerk_{WORKER}", f"vendor_{WORKER}"
HARM = """
    alter function datatransfer.refuse_names() security definer;
    create or replace function datatransfer.note_changes() returns trigger language plpgsql as
        'begin return new; end';
    grant insert on datatransfer.log to public;
"""
NAMES = "datatransfer.note_changes(), datatransfer.log"
OWNERS = """
    select distinct rolname, prosecdef from pg_proc join pg_roles on pg_roles.oid = proowner
     where pronamespace = 'datatransfer'::regnamespace
"""


@pytest.fixture
def clerk(shop_all, settings):
    """The account of Data Transfer where the vendor owns the tables: it has the rights it needs.

    A superuser has set it up, and somebody has changed what guards the names of rows.
    """
    query(shop_all, HARM)
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
    with (
        Database(dsn, SHOP_ALL, "tests", secret=False) as database,
        database.transaction(commit=False),
    ):
        return Guards(database, KINDS.values()).differences()


@pytest.mark.django_db
@pytest.mark.usefixtures("in_english")
class TestADifference:
    def test_is_repaired_by_init_shop_all_where_its_role_may(self, shop_all, capsys):
        query(shop_all, HARM)
        assert len(found(shop_all)) == 3
        call_command("init_shop_all")
        assert NAMES in capsys.readouterr().out
        assert found(shop_all) == []

    def test_is_urgent_where_a_superuser_made_it_and_the_sql_is_printed(
        self, shop_all, clerk, capsys
    ):
        with pytest.raises(CommandError, match=r"^Urgent: .* datatransfer.note_changes\(\)") as no:
            call_command("init_shop_all")
        assert "Let a superuser of that server run this SQL" in str(no.value)
        psql(shop_all, capsys.readouterr().out)
        assert query(shop_all, OWNERS) == [(VENDOR, False)]
        assert found(clerk) == []
        call_command("init_shop_all")

    @pytest.mark.long
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
