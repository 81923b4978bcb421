import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from transfer.models import AuditEntry, Upload

GOOD = "Счет;Сумма\n4100;10,50\n4200;-3\n".encode("cp1251")
MIXED = b"account;amount\n4100;10\n4200;0\n"


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


def code_of(*arguments):
    try:
        call_command("load_staging", *map(str, arguments))
    except SystemExit as ended:
        return ended.code
    except CommandError as error:
        return error.returncode
    return 0


def test_it_loads_and_says_what(file, staged, capsys):
    assert code_of("balances", file(GOOD)) == 0
    assert len(staged("balances")) == 2
    said = capsys.readouterr().out
    assert "Lines 2 = good 2 + bad 0" in said
    assert "2 rows loaded into changeAccountBalanceTemp" in said
    assert AuditEntry.objects.get(action="load").who.endswith("(manage.py)")


def test_the_table_goes_by_its_own_name_too(file, staged):
    assert code_of("changeAccountBalanceTemp", file(GOOD)) == 0
    assert len(staged("balances")) == 2


def test_a_bad_line_is_named_and_nothing_is_loaded(file, staged, capsys):
    assert code_of("balances", file(MIXED)) == 1
    assert staged("balances") == []
    assert "Line 3: amount=0: The amount is zero." in capsys.readouterr().err
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
    assert "was loaded before" in capsys.readouterr().err
    assert code_of("balances", file(GOOD), "--again") == 0
    assert len(staged("balances")) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"MZ\x90", "a program"), (b"", "empty"), (b"1;2\n", "account, amount"), (b"\n", "no line")],
)
def test_what_can_not_be_read_is_said_in_one_line(file, content, words):
    with pytest.raises(CommandError, match=words):
        call_command("load_staging", "balances", str(file(content)))
    assert not Upload.objects.exists()


def test_a_file_that_is_not_there_and_an_unknown_table_are_usage(file):
    assert code_of("balances", "nowhere.csv") == 2
    with pytest.raises(CommandError):
        call_command("load_staging", "cash", str(file(GOOD)))


def test_pin_codes_stay_unsaid(file, capsys):
    code_of("pincodes", file(b"account;pin\n;73519\n4100;73519;73519\n"))
    said = capsys.readouterr()
    assert "73519" not in said.out + said.err
    assert "••••" in said.err or "missing" in said.err
