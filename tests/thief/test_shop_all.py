"""Who controls the database of shop All changes our tables there, or puts others in their place.

It may send rows: that is its job. Beyond that each change is refused with a sentence, or harms
nothing: no page breaks, no loop has no end, and what others do goes on.
"""

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.pages.look import words
from tests.proxy import Message, Proxy
from tests.restores import say_that_it_is_right
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.models import RecurringJob, RejectedRow, TransferRun
from transfer.models.run_base import Trigger
from transfer.runs import recurring
from transfer.runs.execute import run_here

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
]

ACCOUNT = "4100"
TABLE = '"changeAccountBalanceTemp"'
ESCAPE = "E'thief\\x1b[31m\\n<b>' || repeat('x', 1000000)"
BIGGEST = 2**63 - 1


def on_log(body):
    """A trigger that changes each line that we write."""
    return f"""
        create function public.change() returns trigger language plpgsql as
            $$ begin {body} end $$;
        create trigger change before insert on datatransfer.log
            for each row execute function public.change();
    """


@pytest.fixture
def task(dock, bonus, shop_all):
    """Has moved a row and rejected another; as many wait."""
    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [(ACCOUNT, 5), (ACCOUNT, 0)])
    assert run_here(task, Trigger.MANUAL).error_code == ""
    stage(shop_all, "balances", [(ACCOUNT, 7), (ACCOUNT, 0)])
    cache.clear()
    return task


def amounts(dsn):
    return [int(amount) for (amount,) in query(dsn, "select amount from asset order by id")]


def positions(dsn):
    """As a transfer reads them, which refuses impossible ones."""
    with (
        BonusDatabase(dsn, "bonus server", "tests", secret=False) as target,
        target.database.transaction(),
    ):
        origins = target.database.rows("select distinct origin::text from datatransfer.position")
        return [target.positions.get(origin, task_kind()) for (origin,) in origins]


def task_kind():
    return TransferRun.objects.first().task.kind_spec


# A change → what the error says that it found.
STOP_ONE_FLOW = {
    "no line is taken": (on_log("return null;"), "datatransfer.log: number"),
    "a line below zero": (
        on_log("new.number := -5; return new;"),
        "datatransfer.log: number",
    ),
    "a line with the largest number": (
        on_log(f"new.number := {BIGGEST}; return new;"),
        "datatransfer.log: number",
    ),
    "fewer rows than none": (
        on_log("new.rows := -5; return new;"),
        "datatransfer.log, balances, 2",
    ),
    "more rows than there can be": (
        on_log(f"new.rows := {BIGGEST}; return new;"),
        "datatransfer.log, balances, 2",
    ),
    "a sum that is none": (
        on_log("new.amount := 'NaN'; return new;"),
        "datatransfer.log, balances, 2",
    ),
    "more rows gone than there are": (
        on_log("new.gone := 9; return new;"),
        "datatransfer.log, balances, 2",
    ),
    "a time before Christ": (
        on_log("new.started := '0044-03-15 BC'; return new;"),
        "datatransfer.log, balances, 2",
    ),
    "rows of no transaction": (
        on_log("new.xid := null; return new;"),
        "datatransfer.log, balances, 2",
    ),
}


@pytest.mark.parametrize("change", STOP_ONE_FLOW)
def test_a_log_that_changes_what_is_written_stops_that_flow(
    task, bonus, shop_all, administrator, change
):
    statement, what = STOP_ONE_FLOW[change]
    query(shop_all, statement)
    before = query(bonus, "select * from datatransfer.position")
    run = run_here(task, Trigger.MANUAL)
    assert (run.error_code, run.error_params["what"]) == ("answer_invalid", what)
    assert amounts(bonus) == [5]
    assert query(bonus, "select * from datatransfer.position") == before
    page = words(administrator.get(run.get_absolute_url()))
    assert "The database of shop All gave an impossible answer: datatransfer.log" in page
    assert_pages(administrator, task)
    query(
        shop_all,
        "drop trigger change on datatransfer.log; "
        "delete from datatransfer.log where kind = 'balances' and number <> 1; "
        "update datatransfer.head set number = 1, seen = null where kind = 'balances'",
    )
    say_that_it_is_right()  # our history has seen the line that is gone now
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert amounts(bonus) == [5, 7]


OTHER_TABLES = {
    "marks of any text": f"""
        alter table datatransfer.log alter mark type text;
        update datatransfer.log set mark = {ESCAPE}
    """,
    "names of any text": f"""
        alter table datatransfer.log drop constraint log_kind_changeset_key,
            alter changeset type text;
        update datatransfer.log set changeset = {ESCAPE}
    """,
    "numbers with fractions": """
        alter table datatransfer.log alter number type numeric;
        update datatransfer.log set number = number + 0.5
    """,
    "no log": "drop table datatransfer.log",
    "a view without end for a log": """
        alter table datatransfer.log rename to hidden;
        create view datatransfer.log as select hidden.* from datatransfer.hidden,
            generate_series(1, 2000000)
    """,
    "no head": "delete from datatransfer.head",
    "two heads": """
        alter table datatransfer.head drop constraint head_pkey;
        insert into datatransfer.head select * from datatransfer.head
    """,
    "a head without a number": """
        alter table datatransfer.head alter number drop not null;
        update datatransfer.head set number = null
    """,
}


@pytest.mark.parametrize("change", OTHER_TABLES.values(), ids=OTHER_TABLES)
def test_other_tables_in_place_of_ours_stop_transfers_with_a_sentence_and_break_no_page(
    task, bonus, shop_all, administrator, change
):
    query(shop_all, change)
    before = query(bonus, "select * from datatransfer.position")
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code in (
        *("answer_invalid", "query_failed", "too_many_rows", "not_initialised"),
        *("shop_all_went_back", "answer_too_large"),
    )
    assert amounts(bonus) == [5]
    assert query(bonus, "select * from datatransfer.position") == before
    assert_pages(administrator, task)


STOP_ALL_FLOWS = {
    "another text for the identity": f"""
        alter table datatransfer.origin alter origin drop default, alter origin type text;
        update datatransfer.origin set origin = {ESCAPE}
    """,
    "no identity": """
        alter table datatransfer.origin alter origin drop not null;
        update datatransfer.origin set origin = null
    """,
    "two identities": """
        alter table datatransfer.origin
            drop constraint origin_pkey, drop constraint origin_one_check;
        insert into datatransfer.origin (one) values (false)
    """,
}


@pytest.mark.parametrize("change", STOP_ALL_FLOWS.values(), ids=STOP_ALL_FLOWS)
def test_an_identity_that_is_none_stops_with_a_sentence(
    task, bonus, shop_all, administrator, change
):
    query(shop_all, change)
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code == "answer_invalid"
    assert run.error_params["what"] == "datatransfer.origin: origin"
    assert amounts(bonus) == [5]
    with pytest.raises(CommandError, match="The database of shop All gave an impossible answer"):
        call_command("begin", task.server.name, "balances", "--everything", "--dry-run")
    assert_pages(administrator, task)


SUMS = {
    "not a number": "amount_to = 'NaN'",
    "an endless amount": "amount_to = '-Infinity'",
    "more rows than there can be": f"rows_to = {BIGGEST}",
    "fewer rows than none": f"rows_to = -{BIGGEST}",
}


@pytest.mark.parametrize("forged", SUMS.values(), ids=SUMS)
def test_forged_sums_of_the_log_reach_no_position_and_break_no_page(
    task, bonus, shop_all, administrator, forged
):
    query(shop_all, f"update datatransfer.log set {forged}")
    with pytest.raises(SystemExit):
        call_command("reconcile")
    assert_pages(administrator, task)
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code in ("", "query_failed", "answer_invalid")
    assert all(positions(bonus))
    assert amounts(bonus) in ([5], [5, 7])


# What is read of these tables is only shown, or means nothing once it is looked at.
HARMLESS = f"""
    update datatransfer.log set staged_by = {ESCAPE}, appended_at = 'infinity';
    insert into datatransfer.load (changeset, kind, xid, started, rows, staged_for)
        select changeset, kind, xid, started, {BIGGEST}, {ESCAPE} from datatransfer.log limit 1;
    insert into datatransfer.load (changeset, kind, xid, started, rows, staged_for)
        values (gen_random_uuid(), 'stolen', '18446744073709551615', 'infinity', -1, {ESCAPE});
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
        select 'balances', changeset, {BIGGEST} - n, 'replaces', gen_random_uuid(), n,
               gen_random_uuid(), -n, 'NaN' from datatransfer.log, generate_series(1, 9) as n;
    insert into datatransfer.installation (id, kind, name, needs_from, mark, at)
        values (gen_random_uuid(), 'stolen', {ESCAPE}, {BIGGEST}, gen_random_uuid(), 'infinity');
    insert into {TABLE} (id, account, amount) overriding system value
        values (-{BIGGEST} - 1, '{ACCOUNT}', 0), ({BIGGEST}, '{ACCOUNT}', 0), (0, '{ACCOUNT}', 0);
    do $$
    declare setting text;
    begin
        foreach setting in array array[
            'standard_conforming_strings = off',
            'transform_null_equals = on', 'array_nulls = off', 'bytea_output = ''escape''',
            'datestyle = ''German''', 'intervalstyle = ''iso_8601''', 'extra_float_digits = -15',
            'default_transaction_isolation = serializable']
        loop
            execute format('alter database %I set ', current_database()) || setting;
        end loop;
    end $$;
"""


def test_what_is_only_shown_harms_nothing(
    task, bonus, shop_all, second_bonus, dock, administrator, capsys
):
    query(shop_all, HARMLESS)
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert amounts(bonus) == [5, 7]
    assert RejectedRow.objects.open().count() == 5
    assert all(positions(bonus))
    other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
    assert run_here(other, Trigger.MANUAL).error_code == ""
    assert amounts(second_bonus) == [5, 7]
    for kind in RecurringJob.Kind:
        recurring.WORK[kind](RecurringJob(kind=kind, server=task.server))
    assert_pages(administrator, task)
    call_command("reconcile")
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err


def test_a_view_in_place_of_a_staging_table_stops_its_flow_alone(
    task, bonus, shop_all, administrator
):
    query(shop_all, f"alter table {TABLE} rename to hidden; create view {TABLE} as table hidden")
    assert run_here(task, Trigger.MANUAL).error_code == "staging_table_foreign"
    other = task.server.tasks.get(kind="pincodes")
    stage(shop_all, "pincodes", [(ACCOUNT, "7391")])
    assert run_here(other, Trigger.MANUAL).error_code == ""
    assert amounts(bonus) == [5]
    assert_pages(administrator, task)


INVENTED = {
    "any text": (b"PIN-\x1b739170", "fault"),
    "another length": (b"PIN-739170", "copy"),
}


@pytest.mark.parametrize("invented", INVENTED.values(), ids=INVENTED)
def test_a_program_in_place_of_postgresql_that_invents_a_reason_is_refused(
    dock, bonus, shop_all, settings, invented
):
    """Shop All judges its rows by our SQL; the reason could be any text, a PIN code among them."""
    reason, what = invented

    def tamper(message: Message) -> bool:
        if message.is_copy_data:
            changed = message.body.replace(b"amount_zero", reason)
            object.__setattr__(message, "body", changed)
        return True

    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [(ACCOUNT, 0), (ACCOUNT, 5)])
    with Proxy(shop_all, tamper) as proxy:
        settings.SHOP_ALL_DATABASE_URL = proxy.dsn
        run = run_here(task, Trigger.MANUAL)
    assert (run.error_code, run.error_params["what"]) == ("answer_invalid", what)
    assert "73917" not in str(run.error_params) + run.error_technical
    assert amounts(bonus) == []
    assert query(bonus, "select count(*) from datatransfer.reject") == [(0,)]


def test_a_row_of_20_mb_is_moved_or_rejected_like_any_other(task, bonus, shop_all):
    query(
        shop_all,
        f"insert into {TABLE} (account, amount, comment) "
        f"values ('{ACCOUNT}', 9, repeat('x', 20000000)), ('{ACCOUNT}', 0, repeat('y', 20000000))",
    )
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert amounts(bonus) == [5, 7, 9]
    assert RejectedRow.objects.latest("pk").payload == {}


def assert_pages(administrator, task):
    """They answer, are short, and hold no control characters of a terminal."""
    for address in (
        reverse("overview"),
        reverse("scheduler"),
        reverse("rejects"),
        reverse("metrics"),
        f"{reverse('trace')}?q={ACCOUNT}",
        task.server.get_absolute_url(),
        reverse("server_reconciliation", args=[task.server.pk]),
        *(run.get_absolute_url() for run in TransferRun.objects.all()),
    ):
        page = administrator.get(address, follow=True)
        assert page.status_code == 200, address
        assert len(page.content) < 1_000_000, address
        assert b"\x1b" not in page.content, address
