import subprocess

import psycopg2
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.databases import as_url, query, stage
from tests.flow import Flow, send_all
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry
from transfer.pages.parts.audit_sentences import sentence

pytestmark = pytest.mark.django_db


@pytest.fixture
def staging(empty_database, settings):
    settings.SHOP_ALL_DATABASE_URL = empty_database
    return empty_database


def columns(dsn, table):
    return dict(
        query(
            dsn,
            "select column_name, data_type || case is_nullable when 'NO' then ' not null' "
            "else '' end from information_schema.columns where table_name = %s",
            [table],
        )
    )


OURS = {
    "id": "bigint not null",
    "line": "bigint",
    "xid": "xid8 not null",
    "started": "timestamp with time zone not null",
    "staged_by": "text not null",
    "changes": "jsonb",
}


def test_it_creates_the_three_tables_and_says_so(staging, capsys):
    call_command("init_shop_all")
    assert columns(staging, "accountpincodeTemp") == {
        "account": "character varying",
        "pincode": "character varying",
        **OURS,
    }
    assert columns(staging, "changeAccountBalanceTemp") == {
        "account": "character varying",
        "amount": "numeric",
        "validfrom": "timestamp with time zone",
        "validto": "timestamp with time zone",
        "comment": "text",
        **OURS,
    }
    assert columns(staging, "changeCardAccountTemp") == {
        "card": "character varying",
        "account": "character varying",
        "status": "integer",
        **OURS,
    }
    output = capsys.readouterr().out
    assert all(kind.staging in output for kind in KINDS.values())


def test_a_second_time_changes_nothing_and_says_so(staging, capsys):
    call_command("init_shop_all")
    stage(staging, "balances", [("4100", 5)])
    before = query(staging, 'select xid::text, started, id from "changeAccountBalanceTemp"')
    origin = query(staging, "select origin from datatransfer.origin")
    capsys.readouterr()
    call_command("init_shop_all")
    assert query(staging, 'select xid::text, started, id from "changeAccountBalanceTemp"') == before
    assert query(staging, "select origin from datatransfer.origin") == origin
    assert len(capsys.readouterr().out.splitlines()) == len(KINDS)


def test_an_existing_table_keeps_its_rows_and_gets_what_is_missing(staging, bonus):
    query(staging, 'create table "accountpincodeTemp" (account varchar(100), pincode text)')
    query(staging, """insert into "accountpincodeTemp" values ('4100', '1111')""")
    call_command("init_shop_all", "--existing-rows", "waiting")
    assert columns(staging, "accountpincodeTemp")["xid"] == "xid8 not null"
    stage(staging, "pincodes", [("4200", "2222")])
    moving = Flow("pincodes", staging, bonus)
    assert moving.move().totals.applied == 2
    assert moving.target_rows() == [("4100", "1111"), ("4200", "2222")]


def test_rows_of_a_table_without_our_columns_are_not_assumed_to_wait(staging, settings):
    settings.LANGUAGE_CODE = "en"
    query(staging, 'create table "accountpincodeTemp" (account varchar(100), pincode text)')
    query(staging, """insert into "accountpincodeTemp" values ('4100', '1111')""")
    with pytest.raises(CommandError, match=r"(?s)has rows and lacks our column.*--existing-rows"):
        call_command("init_shop_all")
    assert set(columns(staging, "accountpincodeTemp")) == {"account", "pincode"}
    assert columns(staging, "changeCardAccountTemp") == {}


def test_rows_that_were_moved_before_are_sent_to_no_server(staging, bonus, dock):
    query(
        staging,
        'create table "changeAccountBalanceTemp" (account varchar(100), amount numeric(15, 2), '
        "validfrom timestamptz, validto timestamptz, comment text)",
    )
    query(staging, """insert into "changeAccountBalanceTemp" values ('4100', 5)""")
    call_command("init_shop_all", "--existing-rows", "moved")
    dock(bonus, decided=False)
    send_all(staging, bonus)
    call_command("transfer", "balances")
    stage(staging, "balances", [("4200", 6)])
    call_command("transfer", "balances")
    assert query(bonus, "select account from asset") == [("4200",)]
    call_command("reconcile")


def test_a_column_of_the_wrong_type_is_refused_by_name_and_nothing_is_done(staging):
    query(staging, 'create table "changeCardAccountTemp" (card text, account text, status text)')
    with pytest.raises(CommandError, match="status text ≠ integer"):
        call_command("init_shop_all")
    assert set(columns(staging, "changeCardAccountTemp")) == {"card", "account", "status"}
    assert columns(staging, "accountpincodeTemp") == {}


def test_an_unreachable_database_is_one_sentence_that_names_it(settings):
    settings.SHOP_ALL_DATABASE_URL = "postgresql://someone:hidden@127.0.0.1:1/shop_all"
    with pytest.raises(CommandError, match="магазина All") as failure:
        call_command("init_shop_all")
    assert "hidden" not in str(failure.value)
    assert failure.value.returncode == 1


@pytest.fixture
def worker(staging):
    """A role that may only connect, beside one that owns a staging table; both are dropped."""
    query(
        staging,
        "drop role if exists worker; create role worker login;"
        "drop role if exists shop_owner; create role shop_owner",
    )
    yield f"{staging} user=worker"
    query(
        staging,
        "drop owned by worker, shop_owner cascade; drop role worker; drop role shop_owner",
    )


def test_an_account_without_rights_gets_the_sql_for_an_administrator_which_is_all_it_needs(
    staging, worker, settings, capsys, bonus
):
    settings.LANGUAGE_CODE = "en"
    query(staging, 'create table "accountpincodeTemp" (account varchar(100), pincode text)')
    query(staging, """insert into "accountpincodeTemp" values ('4100', '1111')""")
    query(staging, 'alter table "accountpincodeTemp" owner to shop_owner')
    settings.SHOP_ALL_DATABASE_URL = as_url(worker)
    with pytest.raises(CommandError, match="Let a superuser of that server run this SQL"):
        call_command("init_shop_all", "--existing-rows", "waiting")
    by_psql(staging, capsys.readouterr().out)
    call_command("init_shop_all")
    said = capsys.readouterr().out
    assert all(f"{kind.staging}: nothing was missing" in said for kind in KINDS.values())
    moving = Flow("pincodes", worker, bonus)
    assert moving.move().totals.applied == 1
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(worker, "update datatransfer.origin set origin = gen_random_uuid()")


def by_psql(dsn, script):
    """As an administrator pastes it."""
    done = subprocess.run(
        ["psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", dsn],
        input=script.replace("\\connect", "\\echo"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_shop_all_of_0_1_0_is_refused_by_name_with_the_sql_that_removes_its_parts(
    staging, settings
):
    settings.LANGUAGE_CODE = "en"
    query(
        staging,
        "create schema datatransfer; create table datatransfer.batch (number bigint);"
        'create table "accountpincodeTemp" (account varchar(100), pincode text, id bigint not null,'
        " xid xid8 not null, created_at timestamptz, changed_xid xid8)",
    )
    with pytest.raises(CommandError, match=r"set up by Data Transfer 0\.1\.0") as refused:
        call_command("init_shop_all")
    query(staging, str(refused.value).partition("moved\n")[2])
    call_command("init_shop_all")
    assert columns(staging, "accountpincodeTemp")["started"] == OURS["started"]


def test_it_says_nothing_of_pin_codes_where_nothing_was_missing(staging, settings, capsys):
    settings.LANGUAGE_CODE = "en"
    hint = "PIN codes can be read in the staging table until they are purged."
    call_command("init_shop_all")
    assert hint in capsys.readouterr().out
    call_command("init_shop_all")
    assert hint not in capsys.readouterr().out


def test_it_is_in_the_audit_with_the_tables_that_lacked_something(staging, settings):
    settings.LANGUAGE_CODE = "en"
    call_command("init_shop_all")
    entry = AuditEntry.objects.get()
    assert entry.who.endswith("(manage.py)")
    assert sentence(entry).endswith("set up the staging tables of shop All")
    assert {kind.staging for kind in KINDS.values()} <= set(entry.new["tables"])
    call_command("init_shop_all")
    assert "tables" not in AuditEntry.objects.latest("pk").new


def test_the_answer_about_existing_rows_is_in_the_audit(staging):
    query(staging, 'create table "accountpincodeTemp" (account varchar, pincode varchar)')
    query(staging, """insert into "accountpincodeTemp" values ('4100', '1234')""")
    call_command("init_shop_all", existing_rows="moved")
    assert AuditEntry.objects.latest("pk").new["existing_rows"] == "moved"


def test_without_our_own_database_the_tables_are_set_up_and_it_says_that_nothing_is_noted(
    staging, capsys, settings
):
    settings.LANGUAGE_CODE = "en"
    with connection.cursor() as cursor:  # taken back with the test
        cursor.execute("alter table transfer_auditentry rename to of_no_version")
    call_command("init_shop_all")
    assert columns(staging, "accountpincodeTemp")["id"] == "bigint not null"
    assert "could not be noted in the audit" in capsys.readouterr().err
