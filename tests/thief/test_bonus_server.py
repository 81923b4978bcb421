"""A bonus server that writes into its own tables what no transfer has written."""

import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.pages.look import send_again, words
from tests.records import user
from transfer.engine.bonus_server import positions
from transfer.engine.move import transfer
from transfer.models import BonusServer, RejectedRow, TransferTask
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
]

FORGED = {"account": "66 66", "amount": "1000000.00", "comment": "stolen"}


@pytest.fixture
def operator(client, settings):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("operator", "olga"))
    return client


@pytest.fixture
def thief(dock, bonus):
    return dock(bonus, "Thief")


@pytest.fixture
def honest(dock, second_bonus):
    return dock(second_bonus, "Honest")


def move(*servers: BonusServer):
    for server in servers:
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)


def landed(dsn):
    return query(dsn, "select account, amount::int, comment from asset order by amount")


def forge_payload(bonus, **values):
    """The thief writes over the row that it has rejected; our database lost it, and pulls it."""
    query(bonus, "update datatransfer.reject set payload = %s", [json.dumps(FORGED | values)])
    RejectedRow.objects.all().delete()
    TransferTask.objects.update(mirrored_version=None)


def forge_reject(bonus, shop_all, code="account_has_spaces", payload=FORGED):
    """The thief says that it has rejected the first row, which it has taken."""
    ((changeset, row),) = query(
        shop_all,
        'select changeset::text, id from "changeAccountBalanceTemp" '
        "join datatransfer.log using (xid, started) order by id limit 1",
    )
    query(
        bonus,
        'insert into datatransfer.reject (origin, kind, changeset, "row", code, payload, '
        "changed_in) select origin, kind, %s, %s, %s, %s, version from datatransfer.position "
        "where kind = 'balances'",
        [changeset, row, code, json.dumps(payload)],
    )


@pytest.mark.parametrize("press", ["alone", "many", "spaces", "all the spaces", "table"])
def test_a_forged_row_is_never_written(
    thief, honest, bonus, second_bonus, shop_all, operator, press
):
    """The true row has an account with a space, and both servers have rejected it."""
    stage(shop_all, "balances", [("41 00", 7)])
    move(thief, honest)
    forge_payload(bonus)
    move(thief, honest)
    one = RejectedRow.objects.get(server=thief)
    assert one.payload["account"] == "66 66"
    if press == "alone":
        form = operator.get(one.get_absolute_url()).context["form"]
        shown = {name: form[name].value() or "" for name in ("account", "amount", "comment")}
        hidden = {f"initial-{name}": value for name, value in shown.items()}
        address = reverse("reject_resend", args=[one.pk])
        send_again(operator, address, {**shown, **hidden, "account": "4100"})
    elif press == "spaces":
        operator.post(reverse("reject_resend", args=[one.pk]), {"fix": "spaces"})
    elif press == "table":
        address = f"{reverse('rejects_grid')}?id={one.pk}"
        (section,) = operator.get(address).context["sections"]
        (field,) = section.forms[0]
        assert field.value() == "6666"  # the suggestion, which stays as it is
        shown = {field.html_name: "6666", field.html_initial_name: "66 66", "row": one.pk}
        operator.post(address, shown)
    elif press == "many":
        operator.post(f"{reverse('rejects_resend')}?id={one.pk}", {"account": "4100"})
    else:
        operator.post(f"{reverse('rejects_resend')}?id={one.pk}&fix=spaces")
    move(thief, honest)
    assert landed(bonus) == landed(second_bonus) == [("4100", 7, None)]


@pytest.mark.parametrize("code", ["account_has_spaces", "refused_by_server"])
def test_a_row_that_others_have_taken_is_not_credited_to_them_again(
    thief, honest, bonus, second_bonus, shop_all, operator, code
):
    stage(shop_all, "balances", [("4100", 7)])
    move(thief, honest)
    forge_reject(bonus, shop_all, code)
    move(thief)
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    stage(shop_all, "balances", [("4200", 8)])
    move(thief)
    one = RejectedRow.objects.get()
    operator.post(reverse("reject_resend", args=[one.pk]), {"fix": "spaces"})
    one.refresh_from_db()
    assert one.state == RejectedRow.State.RESENT
    move(thief, honest)
    assert landed(second_bonus) == [("4100", 7, None), ("4200", 8, None)]
    assert all(amount < 10 for _, amount, _ in landed(bonus))


def test_a_row_that_is_gone_is_sent_with_typed_values_to_the_server_that_rejected_it(
    thief, honest, bonus, second_bonus, shop_all, operator
):
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    stage(shop_all, "balances", [("4100", 700)])
    move(thief, honest)
    forge_payload(bonus, account="6666")
    move(thief)
    query(shop_all, 'delete from "changeAccountBalanceTemp"')
    one = RejectedRow.objects.get()
    address = reverse("reject_resend", args=[one.pk])
    answer = operator.post(address, {"account": "6666", "amount": "99", "initial-account": "6666"})
    assert answer.status_code == 422
    page = words(answer)
    assert "The rejected row is no longer in shop All." in page
    assert 'value="6666"' not in page
    assert 'name="row_is_gone" value="on"' in page
    send_again(operator, address, {"account": "4100", "amount": "99", "row_is_gone": "on"})
    move(thief, honest)
    assert landed(bonus) == [("4100", 99, None)]
    assert landed(second_bonus) == [("4100", 700, None)]


# --- What it has received -------------------------------------------------------------------------

BIGGEST = 2**63 - 1


@pytest.fixture
def moved(thief, honest, shop_all):
    """Both have received two lines; a third one waits."""
    stage(shop_all, "balances", [("4100", 1)])
    move(thief, honest)
    stage(shop_all, "balances", [("4100", 2), ("4200", 3)])
    move(thief, honest)
    stage(shop_all, "balances", [("4100", 4)])
    return thief.tasks.get(kind="balances")


EXCEPTION = """
    insert into datatransfer.exception (origin, kind, changeset, last, rows, amount)
    select origin, kind, changesets[1], 5, 1, 1
      from datatransfer.receipt where kind = 'balances' and last = 1
"""
FORK = "update datatransfer.position set mark = gen_random_uuid()"


def as_other_type(bonus, table, column, value):
    """A table of ours in which a column has another type, and the same value in all rows."""
    key = f"{table}_pkey"
    query(
        bonus,
        f"alter table datatransfer.{table} drop constraint {key}; "
        "drop index datatransfer.exception_incomplete; "
        f"alter table datatransfer.{table} alter {column} type {value.rpartition('::')[2]} "
        f"using {value}",
    )


# What is written, then the column of another type → the column that the refusal names; None where
# PostgreSQL refuses to compare the values.
OF_NO_TRANSFER = {
    "a position beyond all lines": (
        f"update datatransfer.position set number = {BIGGEST}",
        None,
        "number",
    ),
    "a mark that is none": ("", ("position", "mark", "'x'::text"), "mark"),
    "a receipt below zero": (
        f"{FORK}; update datatransfer.receipt set last = -5 where last = 1",
        None,
        "receipt.last",
    ),
    "a receipt of a mark that is none": (
        FORK,
        ("receipt", "mark", "repeat(chr(27), 1000)::text"),
        "receipt.mark",
    ),
    "a receipt of changesets that are none": (
        FORK,
        ("receipt", "changesets", "'{thief}'::text[]"),
        None,
    ),
    "an exception with too large a number": (
        EXCEPTION,
        ("exception", "last", "(-1e30)::numeric"),
        "exception.changeset, exception.last",
    ),
    "an exception with a text for a number": (
        EXCEPTION,
        ("exception", "last", "'all'::text"),
        None,
    ),
    "an exception of a changeset that is none": (
        EXCEPTION,
        ("exception", "changeset", "'thief'::text"),
        "exception.changeset, exception.last",
    ),
}


@pytest.mark.parametrize("forgery", OF_NO_TRANSFER)
def test_what_no_transfer_can_have_written_is_refused_and_stops_that_server_alone(
    moved, honest, bonus, second_bonus, operator, forgery
):
    statement, other, column = OF_NO_TRANSFER[forgery]
    if statement:
        query(bonus, statement)
    if other:
        as_other_type(bonus, *other)
    run = run_here(moved, Trigger.MANUAL)
    if column is None:
        assert run.error_code == "query_failed"
    else:
        assert (run.error_code, run.error_params["column"]) == ("position_invalid", column)
        page = words(operator.get(run.get_absolute_url()))
        assert "holds a position that no transfer can have written" in page
    assert landed(bonus) == [("4100", 1, None), ("4100", 2, None), ("4200", 3, None)]
    assert run_here(honest.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""
    assert ("4100", 4, None) in landed(second_bonus)
    for address in (reverse("overview"), reverse("metrics"), moved.server.get_absolute_url()):
        answer = operator.get(address, follow=True)
        assert answer.status_code == 200
        assert b"\x1b" not in answer.content


OURS = ("position", "receipt", "exception", "reject", "seen")


@pytest.mark.parametrize("table", OURS)
def test_a_view_in_place_of_a_table_of_ours_is_refused_by_its_name_before_it_is_read(
    moved, bonus, operator, table
):
    query(
        bonus,
        f"alter table datatransfer.{table} rename to hidden; create view datatransfer.{table} as "
        "select hidden.* from datatransfer.hidden, generate_series(1, 1000000000)",
    )
    run = run_here(moved, Trigger.MANUAL)
    assert run.error_code == "position_invalid"
    assert run.error_params["column"] == f"datatransfer.{table}"
    for address in (reverse("overview"), reverse("metrics"), moved.server.get_absolute_url()):
        assert operator.get(address, follow=True).status_code == 200


@pytest.mark.parametrize("column", ["amount = 'NaN'", "rows = -1", "rows = 9000000000000000000"])
def test_an_exception_with_sums_that_are_none_breaks_no_page_and_is_refused(
    moved, honest, bonus, operator, column
):
    query(bonus, EXCEPTION)
    query(bonus, f"update datatransfer.exception set last = {BIGGEST}, {column}")
    for address in (
        reverse("overview"),
        moved.server.get_absolute_url(),
        reverse("server_reconciliation", args=[moved.server.pk]),
        f"{reverse('trace')}?q=4100",
    ):
        assert operator.get(address, follow=True).status_code == 200
    with pytest.raises(SystemExit):
        call_command("reconcile")
    run = run_here(moved, Trigger.MANUAL)
    assert (run.error_code, run.error_params["column"]) == ("position_invalid", "exception")
    assert run_here(honest.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def test_exceptions_without_end_are_refused(moved, bonus, monkeypatch):
    monkeypatch.setattr(positions, "MOST_INCOMPLETE", 50)
    query(
        bonus,
        "insert into datatransfer.exception (origin, kind, changeset, last) "
        "select origin, kind, gen_random_uuid(), 1 from datatransfer.position, "
        "generate_series(1, 51) where kind = 'balances'",
    )
    run = run_here(moved, Trigger.MANUAL)
    assert (run.error_code, run.error_params["column"]) == ("position_invalid", "exception")


AT_COMMIT = """
    create function public.put_back() returns trigger language plpgsql as $$ begin
        if current_setting('lair.put_back', true) is distinct from pg_current_xact_id()::text then
            perform set_config('lair.put_back', pg_current_xact_id()::text, false);
            update datatransfer.position set {values} where kind = 'balances';
        end if;
        return null;
    end $$;
    create constraint trigger put_back after update on datatransfer.position
        deferrable initially deferred for each row execute function public.put_back()
"""
BACK = "number = 0, mark = '00000000-0000-0000-0000-000000000000'"
# What the trigger makes of the position when a chunk is committed → the code of the refusal.
PUT_BACK = {
    "the place": (BACK, "position_invalid"),
    # It has receipts of these lines already.
    "the place, with another version": (f"{BACK}, version = gen_random_uuid()", "query_failed"),
    "the mark": ("mark = gen_random_uuid()", "position_invalid"),
    "the mark, with another version": (
        "mark = gen_random_uuid(), version = gen_random_uuid()",
        "position_moved",
    ),
}


@pytest.mark.parametrize("what", PUT_BACK)
def test_a_trigger_that_puts_the_position_back_does_not_let_a_run_go_on_for_ever(
    moved, honest, bonus, second_bonus, monkeypatch, what
):
    """The vendor's table then has rows twice: it is his."""
    monkeypatch.setattr(transfer, "MOST_MOVED_BY_OTHERS", 5)
    values, code = PUT_BACK[what]
    query(bonus, AT_COMMIT.format(values=values))
    run = run_here(moved, Trigger.MANUAL)
    assert run.error_code == code
    assert len(landed(bonus)) < 50
    assert run_here(honest.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""
    assert len(landed(second_bonus)) == 4


def test_a_fork_after_each_fork_ends_the_run(moved, bonus):
    query(bonus, AT_COMMIT.format(values="mark = gen_random_uuid()"))
    query(bonus, FORK)
    run = run_here(moved, Trigger.MANUAL)
    assert run.error_code == "position_moved"
    assert len(landed(bonus)) == 3
