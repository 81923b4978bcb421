"""The commands `statement` and `verify`."""

import json
import os
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from tests.databases import ROOT, query, stage
from tests.management.exit_codes import exit_code
from transfer.models import AuditEntry, Settings, Statement
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.statements.document import write_new_key


@pytest.fixture
def moved(task, shop_all, month, last_days):
    """A month with rows; returns the arguments that name it."""
    stage(shop_all, "balances", [("4100", 5), ("", 3)])
    run_here(task, Trigger.MANUAL)
    month(40)
    period = last_days(45, 31)
    return ["--from", str(period.first), "--to", str(period.last)]


def made(capsys, *arguments):
    """Make a statement, and return its file."""
    capsys.readouterr()
    call_command("statement", "--json", *arguments)
    return capsys.readouterr().out


def verified(capsys, *arguments):
    """The exit code, and what was said."""
    capsys.readouterr()
    code = exit_code("verify", "--json", *arguments)
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_statement_is_true_with_its_key_and_by_the_databases(moved, key, tmp_path, capsys):
    file = tmp_path / "statement.json"
    file.write_text(made(capsys, *moved))
    code, said = verified(capsys, file, "--key", key, "--against")
    assert code == 0
    assert said[0]["holds"] is said[1]["kept"] is True
    assert said[1]["changes"] == []
    entry = AuditEntry.objects.get(action="statement")
    assert entry.new == {"digest": said[0]["digest"]}


def test_a_later_statement_names_the_kept_one_and_what_has_changed(
    moved,
    key,
    shop_all,
    capsys,
):
    first = json.loads(made(capsys, *moved))["statement"]
    query(shop_all, "update datatransfer.log set withdrawn = true")
    second = json.loads(made(capsys, *moved))["statement"]
    assert (first["before"], first["changes"]) == (None, [])
    assert second["before"]["number"] == 1
    assert second["before"]["digest"] == second["previous"]
    assert {"what": "balances / log / withdrawn / rows", "before": 0, "now": 2} in second["changes"]


def test_a_statement_that_is_missing_between_two_is_false(moved, key, tmp_path, capsys):
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file in files:
        file.write_text(made(capsys, *moved))
    assert verified(capsys, *files)[0] == 0
    code, said = verified(capsys, files[0], files[2])
    assert (code, said[-1]) == (1, {"holds": False, "missing": 2})
    Statement.objects.filter(number=2).delete()
    code, said = verified(capsys, files[2], "--against")
    assert (code, said[-1]["missing"]) == (1, [2])


def test_a_new_key_proves_the_statements_of_the_old_one(moved, key, tmp_path, settings, capsys):
    """But only with all statements between: each names the one before."""
    files = [tmp_path / f"{number}.json" for number in range(3)]
    files[0].write_text(made(capsys, *moved))
    files[1].write_text(made(capsys, *moved))
    settings.STATEMENT_KEY = str(tmp_path / "new.pem")
    new_key = tmp_path / "new_public.pem"
    new_key.write_text(write_new_key(settings.STATEMENT_KEY))
    files[2].write_text(made(capsys, *moved))
    assert verified(capsys, *files, "--key", new_key, "--against")[0] == 0
    code, said = verified(capsys, files[0], files[2], "--key", new_key)
    assert (code, [one["holds"] for one in said]) == (1, [False, True])
    for arguments in (["--key", key], []):
        code, said = verified(capsys, *files, *arguments)
        assert (code, [one["holds"] for one in said]) == (1, [True, True, False])
        code, said = verified(capsys, files[0], *arguments, "--against")
        assert (code, said[-1]["missing"]) == (1, [3])


def test_no_byte_of_a_statement_can_be_changed(moved, key, tmp_path, capsys):
    file = made(capsys, *moved).encode()
    changed = tmp_path / "changed.json"
    for place in range(0, len(file), 499):
        changed.write_bytes(file[:place] + bytes([file[place] ^ 1]) + file[place + 1 :])
        assert verified(capsys, changed, "--key", key) == (
            1,
            [{"file": str(changed), "holds": False}],
        )


def test_a_statement_of_another_installation_is_not_compared(moved, key, tmp_path, capsys):
    file = tmp_path / "statement.json"
    file.write_text(made(capsys, *moved))
    Settings.objects.update(installation="11111111-1111-4111-8111-111111111111")
    with pytest.raises(CommandError, match="другой установкой"):
        call_command("verify", str(file), "--against")
    assert verified(capsys, file)[0] == 0


def test_without_a_key_that_only_we_may_read_nothing_is_made(moved, settings, tmp_path):
    with pytest.raises(CommandError, match="STATEMENT_KEY"):
        call_command("statement", *moved)
    settings.STATEMENT_KEY = str(tmp_path / "key.pem")
    call_command("statement", "--new-key", settings.STATEMENT_KEY)
    (tmp_path / "key.pem").chmod(0o644)
    with pytest.raises(CommandError, match="644"):
        call_command("statement", *moved)
    assert not Statement.objects.exists()


def test_a_period_that_is_not_over_or_turned_round_is_refused(server, key):
    for days in (["2026-01-02", "2026-01-01"], ["2026-01-01", "2999-01-01"]):
        with pytest.raises(CommandError):
            call_command("statement", "--from", days[0], "--to", days[1])
    assert not Statement.objects.exists()


def test_verify_needs_no_database(forking, tmp_path, moved, key, capsys):
    file = tmp_path / "statement.json"
    file.write_text(made(capsys, *moved))
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
    env = {
        "DATABASE_URL": nowhere,
        "SHOP_ALL_DATABASE_URL": nowhere,
        "SECRET_KEY": "none",
        "DTADMIN_LANGUAGE": "en",
    }
    ended = forking.run("verify", str(file), "--key", str(key), env=env)
    assert ended.returncode == 0, ended.stderr
    assert "true, statement 1" in ended.stdout
    file.write_text(file.read_text().replace('"rows": 2', '"rows": 3', 1))
    assert forking.run("verify", str(file), env=env).returncode == 1


A_MILLION = """
    with day as (select now() - interval '40 days' as began)
    insert into datatransfer.log (kind, number, mark, changeset, xid, started, appended_at, rows,
                                  amount, rows_to, amount_to, gone, gone_amount, withdrawn, depends)
    select 'balances', 1000 + n, md5('append ' || n / 3)::uuid, md5('line ' || n)::uuid,
           (1000000 + n)::text::xid8, began + n * interval '1 second',
           began + n / 3 * 3 * interval '1 second', 2, 3, 2 * n, 3 * n,
           case when n % 100 = 1 then 1 else 0 end, case when n % 100 = 1 then 1 else 0 end,
           n % 100 = 2, n % 100 = 3
      from day cross join generate_series(1, 1000000) as n;
    insert into datatransfer.dependent (kind, changeset, "row", effect, of_changeset, of_row,
                                        root_changeset, root_row, first)
    select kind, changeset, "row", 'replaces', changeset, "row", changeset, "row", 5
      from datatransfer.log cross join generate_series(1, 2) as "row" where depends;
    update datatransfer.head set number = 1001000 where kind = 'balances';
    analyze datatransfer.log; analyze datatransfer.dependent;
"""
MEGABYTES = 100


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.django_db(transaction=True)
def test_a_million_lines_take_less_than_100_megabytes(
    task, shop_all, key, environment, settings, last_days
):
    """Of the whole process, from its begin: libraries, the count, the days, the signature."""
    query(shop_all, A_MILLION)
    period = last_days(45, 20)
    command = ["statement", "--from", str(period.first), "--to", str(period.last), "--json"]
    made = subprocess.run(
        [sys.executable, "-m", "bench.peak", sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=os.environ | environment | {"STATEMENT_KEY": settings.STATEMENT_KEY},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    (log,) = [
        one["log"]
        for one in json.loads(made.stdout)["statement"]["kinds"]
        if one["kind"] == "balances"
    ]
    assert log["staged"] == {"rows": 2_000_000, "amount": "3000000.00"}
    assert log["withdrawn"] == {"rows": 20_000, "amount": "30000.00"}
    assert log["deleted_by_hand"] == {"rows": 10_000, "amount": "10000.00"}
    assert log["corrections"] == {"rows": 20_000, "amount": "100000.00"}
    kilobytes = int(made.stderr.rpartition(":")[2])
    assert kilobytes < MEGABYTES * 1024
