import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from functools import partial

import pytest
from django.core.management import call_command

from tests.databases import ROOT, connected, query, run, stage
from tests.management.exit_codes import exit_code
from transfer.engine.kinds import KINDS
from transfer.models import RejectedRow, TransferRun
from transfer.models.runs import State
from transfer.runs import execute

SERVER = "Бонусный сервер 8"

exit_code_of = partial(exit_code, "transfer")


def moved(capsys):
    """What `--json` said, a dictionary a transfer."""
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line[:1] == "{"]


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def assets(bonus):
    return query(bonus, "select account, amount from asset order by id")


def test_all_moves_each_kind_and_says_what_it_did(server, bonus, shop_all, capsys):
    stage(shop_all, "pincodes", [("4100", "1234"), ("4100", "4321")])
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("", 3)])
    stage(shop_all, "cards", [("7001", "4100", 1)])
    assert exit_code_of("all", "--json") == 0
    report = moved(capsys)
    states = {line["kind"]: line["state"] for line in report}
    assert states == {**dict.fromkeys(KINDS, "succeeded"), "balances": "rejects"}
    assert report[1] == {
        "kind": "balances",
        "server": SERVER,
        "state": "rejects",
        "read": 3,
        "applied": 1,
        "unchanged": 0,
        "rejected": 2,
        "waiting": 0,
        "seconds": report[1]["seconds"],
    }
    assert (report[0]["applied"], report[0]["unchanged"]) == (1, 1)
    assert query(bonus, "select account, pincode from pincode") == [("4100", "4321")]
    assert assets(bonus) == [("4100", 5)]


@pytest.mark.parametrize("by", ["id", "name"])
def test_a_server_is_named_by_number_or_name(server, dock, second_bonus, shop_all, capsys, by):
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 5)])
    call_command(
        "transfer", "balances", "--json", "--server", str(getattr(server, by.replace("id", "pk")))
    )
    assert [line["server"] for line in moved(capsys)] == [SERVER]
    assert query(second_bonus, "select count(*) from asset") == [(0,)]


def test_without_a_server_every_one_is_served(server, dock, second_bonus, bonus, shop_all):
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 5)])
    assert exit_code_of("balances") == 0
    assert assets(bonus) == assets(second_bonus) == [("4100", 5)]


def test_a_run_stands_in_the_history_with_its_counts_and_positions(server, shop_all):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("4100", 7)])
    exit_code_of("balances", "--chunk", "2")
    run_ = TransferRun.objects.get()
    assert (run_.state, run_.trigger, run_.server_name) == (State.REJECTS, "command", SERVER)
    assert (run_.expected, run_.read, run_.applied, run_.rejected) == (3, 3, 2, 1)
    assert (run_.chunks, run_.amount_applied) == (2, 12)
    assert (run_.position_from["number"], run_.position_to["number"]) == (0, 1)
    assert run_.position_to["totals"]["applied"] == "2"
    assert run_.started_at <= run_.finished_at


def test_rejects_are_kept_with_reason_row_and_run(server, shop_all):
    stage(shop_all, "pincodes", [("41 00", "1234")])
    exit_code_of("pincodes")
    reject = RejectedRow.objects.get()
    assert (reject.code, reject.row) == ("account_has_spaces", 1)
    assert reject.payload == {"account": "41 00", "pincode": "••••"}
    assert reject.run == TransferRun.objects.get()
    assert reject.server == server


def test_nothing_to_do_is_a_success(server, capsys):
    assert exit_code_of("all", "--json") == 0
    assert [(line["state"], line["read"]) for line in moved(capsys)] == [("succeeded", 0)] * len(
        KINDS
    )


def test_a_dry_run_tells_the_counts_and_changes_nothing(server, bonus, shop_all, capsys):
    stage(shop_all, "balances", [("4100", 5), ("4100", 0)])
    assert exit_code_of("balances", "--dry-run", "--json") == 0
    (report,) = moved(capsys)
    assert (report["read"], report["applied"], report["rejected"]) == (2, 1, 1)
    assert assets(bonus) == []
    assert not TransferRun.objects.exists()
    assert not RejectedRow.objects.exists()


def test_in_words_it_says_the_sum_and_every_reason(server, shop_all, settings, capsys):
    settings.LANGUAGE_CODE = "en"
    stage(shop_all, "balances", [("4100", 5), ("4100", 0), ("4200", 0)])
    exit_code_of("balances")
    output = capsys.readouterr().out
    assert "Read 3 = applied 1 + unchanged 0 + rejected 2" in output
    assert "2 × The amount is zero. [amount_zero]" in output


def test_a_failure_is_a_sentence_in_the_history_and_exit_code_1(server, shop_all, capsys):
    query(shop_all, 'alter table "changeAccountBalanceTemp" alter amount type double precision')
    assert exit_code_of("balances") == 1
    run_ = TransferRun.objects.get()
    assert (run_.state, run_.error_code) == (State.FAILED, "wrong_columns")
    assert "amount double precision ≠ numeric" in capsys.readouterr().err


def test_an_unreachable_bonus_server_fails_alone_and_is_named(
    server, dock, second_bonus, shop_all, capsys
):
    type(server).objects.update(db_host="127.0.0.1", db_port=1, db_password="s3cret")
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 5)])
    assert exit_code_of("balances") == 1
    output = capsys.readouterr()
    assert SERVER in output.err
    assert "s3cret" not in output.err + output.out
    assert assets(second_bonus) == [("4100", 5)]


def test_what_waits_is_unknown_after_a_failure_and_not_nothing(server, shop_all, capsys):
    type(server).objects.update(db_host="127.0.0.1", db_port=1)
    stage(shop_all, "balances", [("4100", 5)])
    exit_code_of("balances", "--json")
    assert json.loads(capsys.readouterr().out)["waiting"] is None
    exit_code_of("balances")
    assert "ждут: —;" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("balances", "--chunk", "0"),
        ("balances", "--chunk", "many"),
        ("balances", "--server", "nobody"),
        (),
    ],
)
def test_wrong_usage_is_exit_code_2(manage, dock, bonus, arguments):
    dock(bonus)
    process = manage("transfer", *arguments)
    _, output = process.communicate()
    assert process.returncode == 2
    assert "Traceback" not in output


def test_a_task_that_runs_elsewhere_is_exit_code_3(manage, dock, bonus):
    task = dock(bonus).tasks.get(kind="balances")
    with task.lock():
        process = manage("transfer", "balances", "--json")
        output, _ = process.communicate()
    assert process.returncode == 3
    assert json.loads(output)["state"] == "skipped"
    assert not TransferRun.objects.exists()


def test_another_installation_that_moves_the_same_rows_is_exit_code_3_and_no_failure(
    server, bonus, shop_all, capsys
):
    exit_code_of("balances")
    stage(shop_all, "balances", [("4100", 1)])
    with connected(bonus) as other:
        other.autocommit = False
        run(other, "select * from datatransfer.position for update")
        assert exit_code_of("balances") == 3
    assert TransferRun.objects.first().state == State.SKIPPED


def test_on_a_terminal_a_bar_shows_rows_rate_and_time_left(manage, dock, bonus, shop_all):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 1)] * 30)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    process = manage("transfer", "balances", "--chunk", "10", terminal=theirs)
    output, _ = process.communicate()
    os.close(theirs)
    bar = os.read(ours, 65536).decode()
    os.close(ours)
    assert re.search(r"100%.* 30/30 \[\d\d:\d\d<\d\d:\d\d, .*rows/s\]", bar)
    assert "Read 30 = applied 30" in output


def test_elsewhere_there_is_no_bar(manage, dock, bonus, shop_all):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 1)])
    output, errors = manage("transfer", "balances").communicate()
    assert "Read 1 = applied 1" in output
    assert "%" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_after_the_chunk_under_way(manage, dock, bonus, shop_all, number):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 1)] * 400)
    # The trigger holds the second chunk until the signal is on its way.
    query(
        bonus,
        "create function hold() returns trigger language plpgsql as $$ begin "
        "if (select count(*) from asset) > 1 then perform pg_advisory_xact_lock(1); end if; "
        "return null; end $$; "
        "create trigger hold after insert on asset for each statement execute function hold()",
    )
    with connected(bonus) as gate:
        run(gate, "select pg_advisory_lock(1)")
        process = manage("transfer", "balances", "--chunk", "1", "--json")
        wait_until_held(gate, process)
        process.send_signal(number)
    output, _ = process.communicate()
    assert process.returncode == 128 + number
    report = json.loads(output)
    assert (report["state"], report["read"], report["waiting"]) == ("cancelled", 2, 398)
    assert len(assets(bonus)) == 2
    assert TransferRun.objects.get().state == State.CANCELLED


HELD = """
    select 1 from pg_locks join pg_database on pg_database.oid = database
     where locktype = 'advisory' and not granted and datname = current_database()
"""


def wait_until_held(gate, process):
    while not run(gate, HELD):
        assert process.poll() is None, process.communicate()


def test_it_imports_no_page(dock, bonus, environment):
    dock(bonus)
    imported = subprocess.run(
        [sys.executable, "-X", "importtime", "manage.py", "transfer", "balances"],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    assert "transfer.models" in imported
    assert "transfer.pages" not in imported


def test_what_a_killed_run_moved_is_counted_by_the_next(
    manage, dock, bonus, shop_all, own_database
):
    task = dock(bonus).tasks.get(kind="balances")
    stage(shop_all, "balances", [("4100", 1)] * 3)
    query(
        own_database,
        "create function die() returns trigger language plpgsql as $$ begin "
        "perform pg_advisory_xact_lock(2); return new; end $$; "
        "create trigger die before update of chunks on transfer_transferrun "
        "for each row when (new.chunks = 1) execute function die()",
    )
    with connected(own_database) as gate:
        run(gate, "select pg_advisory_lock(2)")
        process = manage("transfer", "balances", "--chunk", "2")
        wait_until_held(gate, process)
        process.kill()
        process.communicate()
    query(own_database, "drop function die cascade")
    exit_code_of("balances")
    last, killed = TransferRun.objects.filter(task=task)
    assert (killed.state, killed.applied, killed.amount_applied) == (State.INTERRUPTED, 2, 2)
    assert (last.state, last.applied) == (State.SUCCEEDED, 1)
    assert assets(bonus) == [("4100", 1)] * 3


def test_a_chunk_that_lands_while_the_next_run_starts_is_counted_by_the_run_that_sent_it(
    flow, server, bonus, shop_all
):
    task = server.tasks.get(kind="balances")
    execute.run_here(task, TransferRun.Trigger.COMMAND)  # begins a position
    stage(shop_all, "balances", [("4100", 1)] * 3)
    dying = TransferRun.of(task, TransferRun.Trigger.COMMAND)
    dying.start()
    dying.begin(flow("balances").position(), 3, None)

    def land_meanwhile(run_):
        if not run_.chunks and flow("balances").target_rows() == []:
            flow("balances").move_one(chunk_rows=2)

    execute.run_here(task, TransferRun.Trigger.COMMAND, progress=land_meanwhile)
    last, killed, _first = TransferRun.objects.filter(task=task)
    assert (killed.state, killed.applied) == (State.INTERRUPTED, 2)
    assert (last.state, last.applied) == (State.SUCCEEDED, 1)


def test_what_a_dying_run_still_moves_is_not_counted_for_one_that_was_skipped_meanwhile(
    flow, server, bonus, shop_all
):
    task = server.tasks.get(kind="balances")
    execute.run_here(task, TransferRun.Trigger.COMMAND)  # begins a position
    stage(shop_all, "balances", [("4100", 1)] * 3)
    dying = TransferRun.of(task, TransferRun.Trigger.COMMAND)
    dying.start()
    dying.begin(flow("balances").position(), 3, None)
    with connected(bonus) as chunk:
        run(chunk, "begin; select from datatransfer.position for update")
        execute.run_here(task, TransferRun.Trigger.COMMAND)
        run(chunk, "rollback")
    flow("balances").move_one(chunk_rows=2)
    execute.run_here(task, TransferRun.Trigger.COMMAND)
    last, skipped, killed, _first = TransferRun.objects.filter(task=task)
    assert (killed.state, killed.applied) == (State.INTERRUPTED, 2)
    assert (skipped.state, skipped.read) == (State.SKIPPED, 0)
    assert (last.state, last.applied) == (State.SUCCEEDED, 1)
