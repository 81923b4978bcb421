import pytest
from django.core.management import CommandError, call_command

from tests.databases import Flow, query, stage
from transfer.engine.kinds import KINDS


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


OURS = {"id": "bigint not null", "xid": "xid8 not null", "created_at": "timestamp with time zone"}


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
    said = capsys.readouterr().out
    assert all(kind.staging in said for kind in KINDS.values())


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
    call_command("init_shop_all")
    assert columns(staging, "accountpincodeTemp")["xid"] == "xid8 not null"
    stage(staging, "pincodes", [("4200", "2222")])
    moving = Flow("pincodes", staging, bonus)
    assert moving.move().totals.applied == 2
    assert moving.target_rows() == [("4100", "1111"), ("4200", "2222")]


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
    with pytest.raises(CommandError, match="shop All") as failure:
        call_command("init_shop_all")
    assert "hidden" not in str(failure.value)
    assert failure.value.returncode == 1
