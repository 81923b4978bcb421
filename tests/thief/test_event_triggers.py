"""Triggers of the vendor that run in our sessions: on his tables, and on what we create.

Both run with the rights of our account. An event trigger fires for each CREATE and DROP in the
database, our temporary tables among them; only a superuser can make one.
"""

import psutil
import pytest
from django.core.management import CommandError, call_command
from psycopg2.extensions import make_dsn

from tests.administrator import remove_role
from tests.causes import raises
from tests.conftest import WORKER
from tests.databases import query, stage
from tests.flow import Flow
from transfer.causes.ledger import POSITION_MOVED
from transfer.causes.tables import NO_RIGHT_FOR_SCHEMA, RIGHTS_MISSING, TOO_MANY_TRIGGERS
from transfer.engine.bonus_server.vendor_tables import MOST_TRIGGERS
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.engine.postgres.deadline import Limits
from transfer.errors import TooSlow
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

OURS = f"account_{WORKER}"
ROWS = {
    "pincodes": [("4100", "73917391")],
    "balances": [("4100", 5)],
    "cards": [("77", "4100", 1)],
}


def on_ddl(body, event="ddl_command_start"):
    return f"""
        create function public.on_ddl() returns event_trigger language plpgsql as
            $$ begin {body} end $$;
        create event trigger on_ddl on {event} execute function public.on_ddl();
    """


RAISES = on_ddl(r"raise exception E'not here\x1b[31m';")


@pytest.mark.django_db(transaction=True)
def test_an_event_trigger_that_raises_stops_that_server_alone(
    dock, bonus, second_bonus, shop_all, in_english
):
    task = dock(bonus).tasks.get(kind="balances")
    other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
    query(bonus, RAISES)
    stage(shop_all, "balances", [("4100", 5)])
    run = run_here(task, Trigger.MANUAL)
    assert (run.error_code, run.error_params["reason"]) == ("query_failed", r"not here\u001b[31m")
    assert query(bonus, "select count(*) from asset") == [(0,)]
    assert run_here(other, Trigger.MANUAL).error_code == ""
    query(bonus, "drop event trigger on_ddl")
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert query(bonus, "select amount::int from asset") == [(5,)]


def test_an_event_trigger_that_is_slow_ends_at_the_limit_of_a_statement(flow, monkeypatch):
    balances = flow("balances")
    balances.stage(("4100", 5))
    with balances.open() as (source, target):
        position = balances.prepare(source, target)
    query(balances.bonus, on_ddl("perform pg_sleep(30);"))
    monkeypatch.setattr(Database, "limits", Limits(statement=1))
    with pytest.raises(TooSlow):
        balances.move(chunk_rows=1)
    query(balances.bonus, "drop event trigger on_ddl")  # it would be as slow for the next test
    assert balances.position() == position
    assert balances.target_rows() == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_trigger_that_changes_the_session_changes_no_row(flow, kind):
    moving = flow(kind)
    query(
        moving.bonus,
        "create schema lair; create function lair.now() returns timestamptz language sql as "
        "$$ select '2000-01-01'::timestamptz $$; "
        + on_ddl(
            "perform set_config('search_path', 'lair, pg_catalog', false); "
            "perform set_config('datestyle', 'German', false); "
            "perform set_config('client_min_messages', 'debug5', false); "
            "perform set_config('synchronous_commit', 'off', false);",
            "ddl_command_end",
        ),
    )
    moving.stage(*ROWS[kind])
    moving.move()
    moving.stage(*ROWS[kind])
    moving.move()
    assert len(moving.target_rows()) == (2 if kind == "balances" else 1)


@pytest.mark.django_db(transaction=True)
def test_one_in_shop_all_that_raises_stops_what_creates_and_no_transfer(
    dock, bonus, shop_all, in_english
):
    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [("4100", 5)])
    query(shop_all, RAISES)
    assert run_here(task, Trigger.MANUAL).error_code == ""
    with pytest.raises(CommandError, match=r"shop All refused a statement(?s:.*)not here\\u001b"):
        call_command("init_shop_all")
    assert query(bonus, "select amount::int from asset") == [(5,)]
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(1,)]


@pytest.fixture
def with_least_rights(flow, bonus):
    """A flow by an account that has the rights on the bonus server which our messages ask for."""
    remove_role(bonus, OURS)
    query(
        bonus,
        f"create role {OURS} login; create table public.payroll (salary integer); "
        f"do $$ begin execute format('revoke temporary on database %I from public', "
        "current_database()); end $$",
    )
    as_ours = make_dsn(bonus, user=OURS)

    def moving(kind) -> Flow:
        moving = Flow(kind, flow(kind).shop_all, as_ours)
        with moving.open() as (_source, target):
            with raises(NO_RIGHT_FOR_SCHEMA) as refused:
                target.ensure_schema()
            query(bonus, refused.value.params["statements"])
            with raises(RIGHTS_MISSING) as refused, target.database.transaction():
                target.tables.check_rights(KINDS[kind])
            query(bonus, refused.value.params["statements"])
        return moving

    yield moving
    remove_role(bonus, OURS)


# What a trigger on his own table tries, as our account.
ATTEMPTS = {
    "other tables of the vendor": "perform * from public.payroll",
    "a new role": "create role thief",
    "programs of the server": "copy (select 1) to program 'true'",
    "files of the server": "perform pg_read_file('/etc/passwd')",
    "an end of other sessions": "perform pg_terminate_backend(pid) from pg_stat_activity "
    "where usesysid = 10 and pid <> pg_backend_pid()",
    "another table in our schema": "create table datatransfer.thief ()",
    "a trigger of its own on our tables": "create trigger thief before update on "
    "datatransfer.position for each row execute function public.attempt()",
}
TRIGGER = """
    create table public.tried (what text, outcome text);
    grant insert on public.tried to public;
    create function public.attempt() returns trigger language plpgsql as $$
    begin
        {attempts}
        return new;
    end $$;
    create trigger attempt before insert on {table} for each row execute function public.attempt();
"""
ATTEMPT = """
        begin
            {statement};
            insert into public.tried values ('{what}', 'done');
        exception when others then insert into public.tried values ('{what}', sqlstate);
        end;
"""


def test_a_trigger_of_the_vendor_has_no_rights_but_those_of_a_transfer(with_least_rights, bonus):
    moving = with_least_rights("pincodes")
    attempts = "".join(
        ATTEMPT.format(what=what, statement=statement) for what, statement in ATTEMPTS.items()
    )
    query(bonus, TRIGGER.format(attempts=attempts, table="public.pincode"))
    moving.stage(*ROWS["pincodes"])
    moving.move()
    assert dict(query(bonus, "select * from public.tried")) == dict.fromkeys(ATTEMPTS, "42501")
    assert moving.target_rows() == ROWS["pincodes"]


def test_a_trigger_of_the_vendor_reads_the_chunk_that_his_server_is_sent(with_least_rights, bonus):
    """SECURITY.md says so: the PIN codes are his."""
    moving = with_least_rights("pincodes")
    seen = (
        "insert into public.tried "
        "select pincode, kind from pg_temp.incoming, datatransfer.position;"
    )
    query(bonus, TRIGGER.format(attempts=seen, table="public.pincode"))
    moving.stage(*ROWS["pincodes"])
    moving.move()
    assert query(bonus, "select * from public.tried") == [("73917391", "pincodes")]


MOVES = {
    "another version": "update datatransfer.position set version = gen_random_uuid()",
    "no position": "delete from datatransfer.position",
}


@pytest.mark.parametrize("statement", MOVES.values(), ids=MOVES)
def test_a_trigger_of_the_vendor_that_moves_the_position_stops_the_chunk(
    with_least_rights, bonus, statement
):
    moving = with_least_rights("balances")
    query(bonus, TRIGGER.format(attempts=f"{statement};", table="public.asset"))
    moving.stage(*ROWS["balances"])
    with raises(POSITION_MOVED):
        moving.move()
    assert query(bonus, "select count(*) from asset") == [(0,)]
    assert query(bonus, "select number from datatransfer.position") == [(0,)]


def test_messages_of_a_trigger_for_each_row_are_not_sent(flow, bonus):
    """Of one that sets our option back: see test_answer_size.py."""
    talk = "raise notice '%', repeat('x', 1000000);"
    query(bonus, TRIGGER.format(attempts=talk, table="public.asset"))
    balances = flow("balances")
    balances.stage(*[("4100", 5)] * 1000)
    before = psutil.Process().memory_info().rss
    balances.move()
    assert psutil.Process().memory_info().rss - before < 200 << 20
    assert len(balances.target_rows()) == 1000


def add_triggers(dsn, count):
    """All alike, and none of them does anything."""
    query(
        dsn,
        "create function public.nothing() returns trigger language plpgsql "
        "as $$ begin return new; end $$",
    )
    query(
        dsn,
        f"do $$ begin for n in 1..{count} loop execute 'create trigger nothing_' || n || "
        f"' before insert on public.asset for each row execute function public.nothing()'; "
        f"end loop; end $$",
    )


def test_a_table_with_more_triggers_than_any_program_needs_is_refused_before_the_first_row(
    flow, bonus
):
    """With 20,000 a chunk gave no answer within 150 s."""
    balances = flow("balances")
    balances.stage(*[("4100", 5)] * 1000)
    add_triggers(bonus, MOST_TRIGGERS + 1)
    with raises(TOO_MANY_TRIGGERS) as refused:
        balances.move()
    assert str(refused.value) == (
        'The database of bonus server: "asset" has more than 100 triggers.'
    )
    assert balances.target_rows() == []
    query(bonus, "alter table asset disable trigger nothing_1")
    balances.move()
    assert len(balances.target_rows()) == 1000


def test_so_is_a_partition_but_not_many_partitions_with_one_trigger_each(flow, bonus):
    parts = "; ".join(
        f"create table asset_{n} partition of asset for values with (modulus 120, remainder {n})"
        for n in range(120)
    )
    query(
        bonus,
        "alter table asset rename to old; create table asset (like old including defaults "
        f"including identity) partition by hash (account); {parts}",
    )
    add_triggers(bonus, 1)
    balances = flow("balances")
    balances.stage(("4100", 5))
    balances.move()
    assert len(balances.target_rows()) == 1
    query(
        bonus,
        f"do $$ begin for n in 1..{MOST_TRIGGERS} loop execute 'create trigger more_' || n || "
        f"' before insert on public.asset_7 for each row execute function public.nothing()'; "
        f"end loop; end $$",
    )
    balances.stage(("4200", 5))
    with raises(TOO_MANY_TRIGGERS):
        balances.move()
