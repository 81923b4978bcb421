import re

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import reverse

from tests.databases import stage

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def docked(dock, bonus, shop_all):
    """A server that is asked, too."""
    dock(bonus)


def ask(client, **query):
    return client.get(reverse("trace"), query, follow=True).content.decode()


def test_an_exact_number_leads_to_its_changes(viewer, shop_all):
    stage(shop_all, "balances", [("4100", 250)])
    shown = ask(viewer, q=" 4100 ")
    assert "Account 4100" in shown
    assert "+250.00" in shown
    assert "Waiting" in shown


@pytest.mark.parametrize(
    ("end", "shown_as"),
    [
        ("infinity", "∞"),
        ("-infinity", "−∞"),
        ("12026-01-01 00:00:00+00", "12026-01-01"),
        ("0044-03-15 00:00:00+00 BC", "0044-03-15"),
    ],
)
def test_a_moment_that_no_calendar_of_ours_has_is_shown(viewer, shop_all, end, shown_as):
    begin = end if end.startswith("-") or end.endswith("BC") else None
    stage(shop_all, "balances", [("4100", 250, begin, end)])
    assert shown_as in ask(viewer, q="4100")
    call_command("transfer", "balances")
    assert shown_as in ask(viewer, q="4100")


def test_a_beginning_offers_what_may_be_meant(viewer, shop_all):
    stage(shop_all, "balances", [("4100000011", 1), ("4100000012", 1), ("4200000011", 1)])
    call_command("transfer", "balances")
    shown = ask(viewer, q="4100")
    assert "<b>4100</b>000011" in shown
    assert "<b>4100</b>000012" in shown
    assert "4200000011" not in shown


def test_where_nothing_begins_so_the_servers_can_be_asked(viewer):
    shown = ask(viewer, q="0011")
    assert "Nothing found" in shown
    assert 'href="/trace/?q=0011&amp;in=card"' in shown


def test_who_has_not_answered_in_time_is_named(viewer, dock, bonus, shop_all):
    stage(shop_all, "balances", [("4100-55-11", 1)])
    dock(bonus.replace("dbname=", "dbname=no_"), "Server 9")
    assert "No answer in time from: Server 9." in ask(viewer, q="4100")
    call_command("transfer", "balances", "--server", "Бонусный сервер 8")
    shown = ask(viewer, q="4100")
    assert "<b>4100</b>-55-11" in shown
    assert "No answer in time from: Server 9." in shown


@pytest.mark.parametrize("text", ["nothing", "%", "\x00", "'; drop table x", "9" * 500, "№ 5"])
def test_whatever_is_asked_there_is_a_page(viewer, text):
    assert viewer.get(reverse("trace"), {"q": text}).status_code == 200
    assert viewer.get(reverse("trace"), {"q": text, "in": "account"}).status_code == 200


@pytest.mark.parametrize("page", ["x", "-1", "0", "99999999", "2"])
def test_a_page_that_makes_no_sense_does_no_harm(viewer, page):
    query = {"q": "4100", "in": "account", "page": page}
    assert viewer.get(reverse("trace"), query).status_code == 200


def test_a_pin_code_is_not_there(viewer, shop_all):
    stage(shop_all, "pincodes", [("4100", "73519")])
    shown = ask(viewer, q="4100")
    assert "••••" in shown
    assert "73519" not in shown


def test_without_shop_all_the_page_says_so(viewer, settings):
    settings.SHOP_ALL_DATABASE_URL = "postgresql://localhost:9/nowhere"
    assert "does not answer" in ask(viewer, q="4100")


@pytest.mark.parametrize(
    ("column", "offered"),
    [
        ("account", [("balances", "Change the balance"), ("pincodes", "Set a PIN code")]),
        ("card", [("cards", "Change the card")]),
    ],
)
def test_an_operator_is_offered_the_forms_of_the_number(viewer, column, offered):
    User.objects.get().groups.set([Group.objects.get(name="operator")])
    shown = ask(viewer, q="4100", **{"in": column})
    links = re.findall(r'href="/load/by-hand/(\w+)/\?(\w+)=4100"><svg.*?</svg>(.*?)</a>', shown)
    assert links == [(kind, column, words) for kind, words in offered]


def test_a_viewer_is_not_offered_changes(viewer, shop_all):
    stage(shop_all, "balances", [("4100", 250)])
    assert "by-hand" not in ask(viewer, q="4100")


@pytest.mark.parametrize("query", [{"q": "4100"}, {"q": "4100", "in": "account"}])
def test_a_shop_all_that_was_never_initialised_is_said_so(viewer, settings, empty_database, query):
    settings.SHOP_ALL_DATABASE_URL = empty_database
    shown = ask(viewer, **query)
    assert "In the database of shop All" in shown
    assert "manage.py init_shop_all" in shown
    assert "refused a query" not in shown
