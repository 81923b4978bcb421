"""`manage.py load`: lists loads, and takes one back."""

import json

import pytest
from django.core.management import CommandError, call_command

from tests.databases import query
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = b"account;amount\n4100;10\n4200;20\n"


@pytest.fixture(autouse=True)
def in_english(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def moved(receiver, load, shop_all):
    """A file that the only server has."""
    upload = load("balances", GOOD, "bonus.csv")
    run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    return upload


def amounts(dsn):
    return query(dsn, "select account, amount::int from asset order by account, amount desc")


def test_it_says_what_it_would_do_and_does_nothing(moved, bonus, shop_all, capsys):
    query(bonus, "insert into asset (account, amount, created_at) values ('4200', -5, now())")
    call_command("load", "undo", str(moved.pk), "--dry-run")
    said = capsys.readouterr().out
    assert "Бонусный сервер 8: 2 of 2 moved, 0 rejected" in said
    assert "Rows that no server has read: 0" in said
    assert "below zero on Бонусный сервер 8: 1, for example 4200" in said
    assert "nothing was taken back" in said
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(2,)]


def test_it_takes_a_load_back_and_says_what_it_did(moved, receiver, bonus, capsys):
    call_command("load", "undo", str(moved.pk))
    assert "bonus.csv: rows of the opposite amount 2" in capsys.readouterr().out
    run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    assert amounts(bonus) == [("4100", 10), ("4100", -10), ("4200", 20), ("4200", -20)]
    call_command("load", "list")
    first, second = capsys.readouterr().out.splitlines()
    assert "Undo of bonus.csv: Loaded, 2 rows" in first
    assert "bonus.csv: Taken back, 2 rows, olga" in second


def test_a_second_time_it_says_the_same_and_does_nothing(moved, shop_all, capsys):
    for _ in range(2):
        call_command("load", "undo", str(moved.pk), "--json")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == second
    assert (first["undoes"], first["rows"], first["amount"]) == (moved.pk, 2, "-30")
    assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(4,)]


def test_it_says_who_keeps_pin_codes_and_writes_them_as_a_file_to_load_instead(
    receiver, load, tmp_path, capsys
):
    upload = load("pincodes", b"account;pin\n4100;1111\n4200;2222\n")
    run_here(receiver.tasks.get(kind="pincodes"), Trigger.MANUAL)
    path = tmp_path / "rest.csv"
    call_command("load", "undo", str(upload.pk), "--rest", str(path))
    said = capsys.readouterr().out
    assert "withdrawn. Bonus servers that have not read it do not get it." in said
    assert "Бонусный сервер 8 has read it, and keeps its rows" in said
    assert path.read_text("utf-8-sig").splitlines()[1:] == ["4100;", "4200;"]


def test_a_load_that_there_is_not_is_a_wrong_call(db):
    with pytest.raises(CommandError, match="There is no load 77") as refused:
        call_command("load", "undo", "77")
    assert refused.value.returncode == 2
