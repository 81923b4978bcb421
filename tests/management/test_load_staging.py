import fcntl
import os
import pty
import re
import struct
import termios
from functools import partial

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from tests.databases import stage
from tests.management.exit_codes import exit_code
from transfer.models import AuditEntry, RejectedRow, Upload
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

GOOD = "Счет;Сумма\n4100;10,50\n4200;-3\n".encode("cp1251")
MIXED = b"account;amount\n4100;10\n4200;0\n"

code_of = partial(exit_code, "load_staging")


@pytest.fixture(autouse=True)
def in_english(db, shop_all):
    with translation.override("en"):
        yield


@pytest.fixture
def file(tmp_path):
    def file(content, name="bonus.csv"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return file


def test_it_loads_and_says_what(file, staged, capsys):
    assert code_of("balances", file(GOOD)) == 0
    assert len(staged("balances")) == 2
    output = capsys.readouterr().out
    assert "Lines 2 = good 2 + bad 0" in output
    assert "2 rows loaded into changeAccountBalanceTemp" in output
    assert AuditEntry.objects.get(action="load").who.endswith("(manage.py)")


def test_the_table_goes_by_its_own_name_too(file, staged):
    assert code_of("changeAccountBalanceTemp", file(GOOD)) == 0
    assert len(staged("balances")) == 2


def test_a_bad_line_is_named_and_nothing_is_loaded(file, staged, capsys):
    assert code_of("balances", file(MIXED)) == 1
    assert staged("balances") == []
    assert "Line 3: Amount=0: The amount is zero." in capsys.readouterr().err
    assert not Upload.objects.exists()


def test_the_good_lines_alone_are_loaded_when_that_is_said(file, staged):
    assert code_of("balances", file(MIXED), "--good-only") == 0
    assert len(staged("balances")) == 1


def test_a_dry_run_checks_and_keeps_nothing(file, staged, capsys):
    assert code_of("balances", file(GOOD), "--dry-run") == 0
    assert (staged("balances"), Upload.objects.count()) == ([], 0)
    assert "nothing was loaded" in capsys.readouterr().out


def test_the_same_content_needs_to_be_asked_for_twice(file, staged, capsys):
    code_of("balances", file(GOOD))
    assert code_of("balances", file(GOOD, "other.csv")) == 1
    assert "were loaded before" in capsys.readouterr().err
    assert code_of("balances", file(GOOD), "--again") == 0
    assert len(staged("balances")) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"MZ\x90", "a program"), (b"", "empty"), (b"1;2\n", "Account, Amount"), (b"\n", "no line")],
)
def test_what_can_not_be_read_is_said_in_one_line(file, content, words):
    with pytest.raises(CommandError, match=words):
        call_command("load_staging", "balances", str(file(content)))
    assert not Upload.objects.exists()


def test_a_file_that_is_not_there_and_an_unknown_table_are_usage(file):
    assert code_of("balances", "nowhere.csv") == 2
    with pytest.raises(CommandError):
        call_command("load_staging", "cash", str(file(GOOD)))


def test_a_corrected_file_of_rejected_rows_closes_them(dock, bonus, shop_all, file, staged, capsys):
    stage(shop_all, "balances", [("4100", 0)])
    run_here(dock(bonus).tasks.get(kind="balances"), Trigger.MANUAL)
    reject = RejectedRow.objects.get()
    corrected = file(f"Rejected row no.;account;amount\n{reject.key};4100;5\n".encode())
    assert code_of("balances", corrected, "--dry-run") == 0
    assert RejectedRow.objects.open().exists()
    assert code_of("balances", corrected) == 0
    reject.refresh_from_db()
    assert reject.state == RejectedRow.State.RESENT
    assert reject.closed_by.endswith("(manage.py)")
    assert "correct rejected rows, and close them: 1" in capsys.readouterr().out
    assert code_of("balances", corrected, "--again") == 1
    assert len(staged("balances")) == 2
    assert "The rejected row is closed already" in capsys.readouterr().err


@pytest.mark.django_db(transaction=True)
class TestProgress:
    def progress_of(self, manage, file, terminal=None):
        lines = b"account;amount\n" + b"4100000001;1\n" * 20_000
        return manage("load_staging", "balances", str(file(lines)), terminal=terminal).communicate()

    def test_on_a_terminal_a_bar_shows_share_and_time_left(self, manage, file):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        out, _ = self.progress_of(manage, file, theirs)
        os.close(theirs)
        bar = os.read(ours, 65536).decode()
        os.close(ours)
        for title in ("Checking", "Loading"):
            assert re.search(rf"{title}: 100%.*\[\d\d:\d\d<\d\d:\d\d\]", bar)
        assert "20000 rows loaded" in out

    def test_elsewhere_there_is_none(self, manage, file):
        out, errors = self.progress_of(manage, file)
        assert "20000 rows loaded" in out
        assert "%" not in errors


def test_pin_codes_stay_unsaid(file, capsys):
    code_of("pincodes", file(b"account;pin\n;73519\n4100;73519;73519\n"))
    output = capsys.readouterr()
    assert "73519" not in output.out + output.err
    assert "••••" in output.err or "missing" in output.err
