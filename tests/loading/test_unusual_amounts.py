"""What the preview of a file says of large amounts, and of balances that would go below zero."""

import pytest

from tests.databases import query
from transfer.loading import below_zero
from transfer.models import Actor, Settings

pytestmark = pytest.mark.django_db(transaction=True)
TAKING = b"account;amount\n4100;-10\n4100;-5\n4200;-20\n4300;-1\n"


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """Account 4100 holds 12 on the first one, and 4200 holds 20 on both; 4300 holds nothing."""
    query(bonus, "insert into asset (account, amount) values ('4100', 12), ('4200', 20)")
    query(second_bonus, "insert into asset (account, amount) values ('4100', 15), ('4200', 20)")
    return [dock(bonus, "БС 8"), dock(second_bonus, "БС 9")]


def warnings(upload):
    return [(code, params) for code, params in upload.report["warnings"]]


def test_accounts_whose_balance_would_go_below_zero_are_counted_for_each_server(servers, check):
    assert warnings(check("balances", TAKING)) == [
        ("below_zero", {"server": "БС 8", "n": 2, "accounts": "4100, 4300"}),
        ("below_zero", {"server": "БС 9", "n": 1, "accounts": "4300"}),
    ]


def test_a_file_that_takes_nothing_asks_no_server(servers, check, monkeypatch):
    monkeypatch.setattr(below_zero, "MOST_SERVERS", 0)
    assert warnings(check("balances", b"account;amount\n4100;5\n")) == []


@pytest.mark.parametrize("name", ["MOST_LINES", "MOST_SERVERS"])
def test_beyond_its_bounds_it_says_that_it_did_not_look(servers, check, monkeypatch, name):
    monkeypatch.setattr(below_zero, name, 1)
    ((code, _params),) = warnings(check("balances", TAKING))
    assert code == "balances_not_compared"


def test_a_server_that_does_not_answer_is_named(servers, check):
    servers[1].db_host, servers[1].db_port = "127.0.0.1", 9
    servers[1].save()
    assert ("balances_unknown", {"server": "БС 9"}) in warnings(check("balances", TAKING))


def test_amounts_above_the_limit_of_the_settings_are_counted(shop_all, check):
    Settings.load().change(Actor("ivan"), large_amount=1000)
    file = b"account;amount\n4100;1000\n4200;1000,01\n4300;-2000\n4400;zero\n;5000\n"
    assert ("large_amounts", {"n": 2, "limit": 1000}) in warnings(check("balances", file))
