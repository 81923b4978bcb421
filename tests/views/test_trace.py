import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.databases import stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def viewer(client: Client, dock, bonus, shop_all) -> Client:
    dock(bonus)
    user = User.objects.create_user("vera")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    client.cookies["django_language"] = "en"
    return client


def ask(client, **query):
    return client.get(reverse("trace"), query, follow=True).content.decode()


def test_an_exact_number_leads_to_its_changes(viewer, shop_all):
    stage(shop_all, "balances", [("4100", 250)])
    shown = ask(viewer, q=" 4100 ")
    assert "Account 4100" in shown
    assert "+250.00" in shown
    assert "Waiting" in shown


def test_a_part_of_a_number_offers_what_may_be_meant(viewer, shop_all):
    stage(shop_all, "balances", [("4100000011", 1), ("4200000011", 1)])
    shown = ask(viewer, q="0011")
    assert "4100000011" in shown
    assert "4200000011" in shown


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


def test_a_viewer_is_not_offered_changes(viewer, shop_all):
    stage(shop_all, "balances", [("4100", 250)])
    assert "by-hand" not in ask(viewer, q="4100")
