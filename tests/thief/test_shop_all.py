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
from tests.records import user
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.models import RecurringJob, RejectedRow, TransferRun
from transfer.models.run_base import Trigger
from transfer.runs import recurring
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]

ACCOUNT = "4100"
TABLE = '"changeAccountBalanceTemp"'
ESCAPE = "E'thief\\x1b[31m\\n<b>' || repeat('x', 1000000)"
BIGGEST = 2**63 - 1


def on_batch(body):
    """A trigger that changes each batch that we write."""
    return f"""
        alter table datatransfer.batch drop constraint batch_check;
        create function public.change() returns trigger language plpgsql as
            $$ begin {body} end $$;
        create trigger change before insert on datatransfer.batch
            for each row execute function public.change();
    """


@pytest.fixture
def administrator(client, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator", "anna"))
    return client


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
    with BonusDatabase(dsn, "bonus server", "tests") as target, target.database.transaction():
        origins = target.database.rows("select distinct origin::text from datatransfer.position")
        return [target.positions.get(origin, task_kind()) for (origin,) in origins]


def task_kind():
    return TransferRun.objects.first().task.kind_spec


# A change → what the error says that it found.
STOP_ONE_FLOW = {
    "no batch is taken": (on_batch("return null;"), "datatransfer.batch: number"),
    "a batch of the future": (
        on_batch("new.snapshot := '999999999:999999999:'; return new;"),
        "datatransfer.batch: token, xid, snapshot",
    ),
    "a batch in which a writer has ended that has not": (
        on_batch("new.snapshot := '3:' || pg_snapshot_xmax(new.snapshot) || ':'; return new;"),
        "datatransfer.batch: token, xid, snapshot",
    ),
    "another token": (
        on_batch("new.token := gen_random_uuid(); return new;"),
        "datatransfer.batch: token, xid, snapshot",
    ),
    "a batch below zero": (
        on_batch("new.number := -5; return new;"),
        "datatransfer.batch: number",
    ),
    "a batch with the largest number": (
        on_batch(f"new.number := {BIGGEST}; return new;"),
        "datatransfer.batch: number",
    ),
}


@pytest.mark.parametrize("change", STOP_ONE_FLOW)
def test_a_log_of_batches_that_changes_what_is_written_stops_that_flow(
    task, bonus, shop_all, administrator, change
):
    statement, what = STOP_ONE_FLOW[change]
    query(shop_all, statement)
    before = query(bonus, "select * from datatransfer.position")
    run = run_here(task, Trigger.MANUAL)
    assert (run.error_code, run.error_params["what"]) == ("answer_invalid", what)
    assert amounts(bonus) == [5]
    assert query(bonus, "select * from datatransfer.position") == before
    assert query(shop_all, "select max(number) from datatransfer.batch") == [(1,)]
    page = words(administrator.get(run.get_absolute_url()))
    assert "The database of shop All gave an impossible answer: datatransfer.batch" in page
    query(shop_all, "drop trigger change on datatransfer.batch")
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert amounts(bonus) == [5, 7]


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
        call_command("set_position", task.server.name, "balances", "--now", "--dry-run")
    assert_pages(administrator, task)


PURGED = {
    "not a number": "('balances', 5, 'NaN')",
    "an endless amount": "('balances', 5, 'Infinity')",
    "more rows than there can be": f"('balances', {BIGGEST}, 1)",
    "fewer rows than none": f"('balances', -{BIGGEST}, 1)",
}


@pytest.mark.parametrize("forged", PURGED.values(), ids=PURGED)
def test_a_forged_count_of_purged_rows_is_not_written_into_a_position(
    task, shop_all, second_bonus, dock, administrator, forged
):
    query(shop_all, f"insert into datatransfer.purged values {forged}")
    other = dock(second_bonus, "Бонусный сервер 9", decided=False)
    with pytest.raises(CommandError, match=r"impossible answer: datatransfer.purged, balances"):
        call_command("set_position", other.name, "balances", "--start")
    assert query(second_bonus, "select to_regclass('datatransfer.position') is null") == [(True,)]
    assert run_here(task, Trigger.MANUAL).error_code == ""
    assert_pages(administrator, task)
    query(shop_all, "delete from datatransfer.purged")
    call_command("set_position", other.name, "balances", "--start")
    assert run_here(other.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""
    assert amounts(second_bonus) == [5, 7]


# What is read of these tables is only shown, or means nothing once it is looked at.
HARMLESS = f"""
    insert into datatransfer.batch (reader, number, token, kind, server, at)
        values (gen_random_uuid(), {BIGGEST}, gen_random_uuid(), {ESCAPE}, {ESCAPE}, 'infinity');
    update datatransfer.writer set name = {ESCAPE}, program = {ESCAPE}, at = '-infinity';
    insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, sent_at, sent_by)
        select origin, 'balances', number, {BIGGEST}, '18446744073709551615', 'infinity', {ESCAPE}
          from datatransfer.origin, generate_series(1, 9) as number;
    insert into datatransfer.resending (xid, kind, sent_by)
        values ('5', 'stolen', {ESCAPE}), ('18446744073709551615', 'balances', {ESCAPE});
    alter table datatransfer.loaded alter token type text;
    insert into datatransfer.loaded (token, kind, rows, origin, xid)
        select E'thief\\x1b[31m', 'balances', 1, origin, staged.xid
          from datatransfer.origin, {TABLE} as staged where staged.id = 1;
    insert into datatransfer.purge_note (origin, kind, number, rows, latest, late)
        values (gen_random_uuid(), 'balances', {BIGGEST}, {BIGGEST}, '18446744073709551615',
                '{{1}}');
    insert into {TABLE} (id, account, amount) overriding system value
        values (-{BIGGEST} - 1, '{ACCOUNT}', 0), ({BIGGEST}, '{ACCOUNT}', 0), (0, '{ACCOUNT}', 0);
    insert into {TABLE} (account, amount, created_at)
        values ('{ACCOUNT}', 0, 'infinity'), ('{ACCOUNT}', 0, '-infinity'),
               ('{ACCOUNT}', 0, '4713-01-01 BC'), ('{ACCOUNT}', 0, '290000-01-01');
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
    assert RejectedRow.objects.open().count() == 9
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


def test_a_forged_note_of_an_unfinished_resend_does_not_keep_others_from_being_finished(
    task, shop_all
):
    """A process has died between staging a corrected row and closing its reject."""
    (reject,) = RejectedRow.objects.open()
    query(
        shop_all,
        f"insert into datatransfer.resending (xid, kind, sent_by) "
        f"values ('4', 'stolen', 'thief'), ('5', 'balances', {ESCAPE}); "
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, sent_by) "
        f"values ('{reject.origin}', 'balances', {reject.staging_id}, 4, '5', {ESCAPE})",
    )
    recurring.close_resent(RecurringJob(kind=RecurringJob.Kind.CLOSE_RESENT))
    reject.refresh_from_db()
    assert (reject.state, reject.resent_id) == ("resent", 4)
    assert reject.closed_by.startswith("thief")
    assert query(shop_all, "select kind from datatransfer.resending") == [("stolen",)]


def test_a_view_in_place_of_a_staging_table_stops_its_flow_alone(
    task, bonus, shop_all, administrator
):
    query(shop_all, f"alter table {TABLE} rename to hidden; create view {TABLE} as table hidden")
    assert run_here(task, Trigger.MANUAL).error_code == "wrong_columns"
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
