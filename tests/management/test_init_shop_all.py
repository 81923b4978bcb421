import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.databases import initialise_shop_all, query, stage
from tests.flow import Flow
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry
from transfer.pages.audit.sentences import sentence

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
    "xid": "xid8 not null",
    "created_at": "timestamp with time zone",
    "changed_xid": "xid8",
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
    before = query(staging, 'select xid::text, id from "changeAccountBalanceTemp"')
    origin = query(staging, "select origin from datatransfer.origin")
    capsys.readouterr()
    call_command("init_shop_all")
    assert query(staging, 'select xid::text, id from "changeAccountBalanceTemp"') == before
    assert query(staging, "select origin from datatransfer.origin") == origin
    assert len(capsys.readouterr().out.splitlines()) == 3


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


def test_rows_are_found_by_an_index_on_transaction_and_number(staging):
    call_command("init_shop_all")
    plan = query(
        staging,
        'explain select * from "accountpincodeTemp" '
        "where xid >= '5'::xid8 and xid < '9'::xid8 order by xid, id limit 10",
    )
    assert "xid_id_idx" in str(plan)


def test_an_unreachable_database_is_one_sentence_that_names_it(settings):
    settings.SHOP_ALL_DATABASE_URL = "postgresql://someone:hidden@127.0.0.1:1/shop_all"
    with pytest.raises(CommandError, match="магазина All") as failure:
        call_command("init_shop_all")
    assert "hidden" not in str(failure.value)
    assert failure.value.returncode == 1


BEFORE_THE_LOG = """
    drop table datatransfer.batch, datatransfer.purge_note;
    alter table datatransfer.origin drop xid;
    alter table datatransfer.resent drop where_rejected, drop sent_by;
"""
SERVER_BEFORE_THE_LOG = """
    alter table datatransfer.position drop reader, drop number, drop token, drop purge_accepted,
        drop rejects_removed;
    drop table datatransfer.reject;
"""


class TestAnInstallationFromBeforeTheLog:
    @pytest.fixture
    def old(self, flow, dock, bonus, shop_all):
        """Two batches moved, a third under way, a row that waits: as the first version left it."""
        server, moving = dock(bonus), flow("balances")
        for rows in ([("1", 1), ("2", 0)], [("3", 1)]):
            moving.stage(*rows)
            moving.move()
        moving.stage(("4", 1), ("5", 1))
        moving.move_one(chunk_rows=1)
        moving.stage(("6", 1))
        query(shop_all, BEFORE_THE_LOG)
        query(bonus, SERVER_BEFORE_THE_LOG)
        moving.reader = None
        return moving, server

    @pytest.mark.parametrize("asked", [True, False])
    def test_moves_no_row_twice_and_loses_none(self, old, asked):
        moving, server = old
        if asked:
            call_command("init_shop_all")
            (number, is_original) = query(
                moving.shop_all,
                "select number, xmin::text::bigint = xid::text::bigint from datatransfer.batch",
            )[0]
            assert (number, is_original) == (1, True)
        else:  # the server did not answer then
            initialise_shop_all(moving.shop_all)
        call_command("transfer", "balances")
        call_command("transfer", "balances")
        assert [row[0] for row in moving.target_rows()] == ["1", "3", "4", "5", "6"]
        call_command("reconcile")
        assert moving.position().number > 0
        assert server.tasks.get(kind="balances").readers

    def test_pages_read_such_a_position(self, old):
        moving, _ = old
        assert moving.position().totals.read == 4


def test_an_account_that_may_write_batches_may_use_a_table_that_an_upgrade_adds(shop_all):
    """Without it the account of the workers could move nothing any more."""
    query(
        shop_all,
        "drop table datatransfer.restored; drop trigger datatransfer_whole on datatransfer.batch; "
        "drop role if exists worker; create role worker; "
        "grant select, insert on datatransfer.batch to worker",
    )
    try:
        call_command("init_shop_all")
        rights = "select has_table_privilege('worker', 'datatransfer.restored', %s)"
        for right in ("select", "insert", "delete"):
            assert query(shop_all, rights, [right]) == [(True,)]
    finally:
        query(shop_all, "drop owned by worker; drop role worker")


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
