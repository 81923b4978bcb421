"""Guards at the edges: PINs stay secret, errors say what to do."""

import socket

import pytest
from django.core.management import call_command
from psycopg2.extensions import make_dsn

from tests.databases import query, stage
from tests.flow import Flow
from transfer.engine.postgres import connection, database as postgres
from transfer.engine.postgres.deadline import Limits
from transfer.errors import Unreachable
from transfer.models import RejectedRow, TransferRun
from transfer.models.runs import State
from transfer.parties import SHOP_ALL
from transfer.runs import execute

# A run closes its connection where it broke: no transaction may be around it.
pytestmark = pytest.mark.django_db(transaction=True)

PIN = "47110815-secret"


def run_task(server, kind, **options):
    task = server.tasks.get(kind=kind)
    return execute.run_here(task, TransferRun.Trigger.COMMAND, **options)


# --- PIN codes ----------------------------------------------------------------------------------

LOUD_TRIGGER = """
    create function tell() returns trigger language plpgsql as $$ begin
        raise exception 'PIN %', new.pincode
              using detail = 'it was ' || new.pincode, hint = new.pincode;
    end $$;
    create trigger tell before insert on pincode for each row execute function tell()
"""
LOUD_CONSTRAINT = (
    "alter table pincode add constraint no_such_pin check (pincode not like '47110815%')"
)
LOUD_CAST = """
    create function tell() returns trigger language plpgsql as $$ begin
        perform new.pincode::integer; return new;
    end $$;
    create trigger tell before insert on pincode for each row execute function tell()
"""


@pytest.mark.parametrize(
    ("harm", "refusal"),
    [
        (LOUD_TRIGGER, ("P0001", "")),
        (LOUD_CONSTRAINT, ("23514", "no_such_pin")),
        (LOUD_CAST, ("22P02", "")),
    ],
)
def test_a_refusal_that_quotes_the_pin_becomes_a_reject_without_it(
    dock, shop_all, bonus, harm, refusal, capsys, caplog
):
    dock(bonus)
    query(bonus, harm)
    stage(shop_all, "pincodes", [("1", PIN)])
    call_command("transfer", "pincodes", "--json")
    reject = RejectedRow.objects.get()
    assert (reject.code, reject.sqlstate, reject.constraint) == ("refused_by_server", *refusal)
    output = capsys.readouterr()
    stored = str([*TransferRun.objects.values(), *RejectedRow.objects.values()])
    held = str(query(bonus, "select reject::text from datatransfer.reject as reject"))
    assert "47110815" not in stored + held + output.out + output.err + caplog.text


def test_an_error_that_quotes_the_pin_is_told_without_it(dock, shop_all, bonus, capsys, caplog):
    dock(bonus)
    query(bonus, LOUD_TRIGGER.replace("using ", "using errcode = 'disk_full', "))
    stage(shop_all, "pincodes", [("1", PIN)])
    with pytest.raises(SystemExit):
        call_command("transfer", "pincodes", "--json")
    run = TransferRun.objects.get()
    assert (run.state, run.error_code) == (State.FAILED, "query_failed")
    output = capsys.readouterr()
    stored = str(TransferRun.objects.values()) + output.out + output.err + caplog.text
    assert output.err
    assert "47110815" not in stored


def test_a_reject_keeps_the_account_and_masks_the_pin(dock, shop_all, bonus, capsys):
    dock(bonus)
    stage(shop_all, "pincodes", [("with space", PIN), ("1", "")])
    call_command("transfer", "pincodes")
    payloads = {reject.code: reject.payload for reject in RejectedRow.objects.all()}
    assert payloads == {
        "account_has_spaces": {"account": "with space", "pincode": "••••"},
        "pin_missing": {"account": "1", "pincode": "••••"},
    }
    output = capsys.readouterr()
    assert "47110815" not in output.out + output.err


def test_a_lost_connection_quotes_no_pin(dock, shop_all, bonus, caplog):
    server = dock(bonus)
    query(
        bonus,
        "create function die() returns trigger language plpgsql as $$ begin "
        "perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
        "create trigger die before insert on pincode for each row execute function die()",
    )
    stage(shop_all, "pincodes", [("1", PIN)])
    run = run_task(server, "pincodes")
    assert (run.state, run.error_code) == (State.FAILED, "connection_lost")
    assert "47110815" not in str(TransferRun.objects.values()) + caplog.text


# --- Errors that say what to do -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"dbname": "no_such"}, "The database of bonus server does not exist: "),
        (
            {"user": "nobody_here"},
            "The database of bonus server refuses the log-in of the user nobody_here.",
        ),
        (
            {"host": "127.0.0.1", "port": "1"},
            "The database of bonus server does not answer: nothing listens at 127.0.0.1, port 1.",
        ),
        (
            {"host": "no-such-host.invalid"},
            "The database of bonus server does not answer: the name no-such-host.invalid is not ",
        ),
    ],
)
def test_why_there_is_no_connection_is_said_in_plain_words(shop_all, bonus, parts, says):
    with pytest.raises(Unreachable) as caught:
        Flow("balances", shop_all, make_dsn(bonus, **parts)).prepare_alone()
    assert str(caught.value).startswith(says)
    assert caught.value.technical  # what libpq said


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('база данных "x" не существует', "database_missing"),
        ('пользователь "x" не прошёл проверку подлинности (по паролю)', "login_refused"),
        ('роль "x" не существует', "login_refused"),
        ("в pg_hba.conf нет записи для компьютера", "login_refused"),
        ("извините, уже слишком много клиентов", "too_many_connections"),
    ],
)
def test_a_server_that_speaks_russian_is_understood_too(message, code):
    assert connection.unreachable("dbname=x", SHOP_ALL, message, 5).code == code


def test_a_server_that_accepts_and_never_answers_is_unreachable(shop_all, monkeypatch):
    monkeypatch.setattr(postgres.Database, "limits", Limits(connect=2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        flow = Flow("balances", shop_all, f"postgresql://nobody@127.0.0.1:{port}/bonus")
        with pytest.raises(Unreachable) as caught:
            flow.prepare_alone()
    assert str(caught.value) == (
        "The database of bonus server does not answer: no connection to 127.0.0.1, "
        f"port {port}, within 2 s."
    )
