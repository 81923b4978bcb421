"""One register: its page, the strip of a week; added, changed, removed."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.chain import many_servers
from tests.pages.look import read
from transfer.models import AccountJob, AuditEntry, CashRegister, RegisterAccount, SeenDay, Shop
from transfer.models.accounts import AccountState
from transfer.pages.shown.task_groups import MANY
from transfer.registers.last_seen import strip
from transfer.servers.checks import old_days

pytestmark = pytest.mark.django_db


def test_the_strip_shows_the_hours_in_the_users_zone(servers, registers, with_accounts):
    with_accounts(servers[0], registers(1))
    account = RegisterAccount.objects.get()
    SeenDay.objects.create(account=account, day=date(2026, 11, 23), hours=1 << 22)
    with timezone.override("Europe/Moscow"):
        days = strip(account, datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert len(days) == 7
    seen = [(str(day.date()), hours.index(True)) for day, hours in days if any(hours)]
    assert seen == [("2026-11-24", 1)]


def test_the_strip_does_not_say_offline_of_hours_that_nobody_knows(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    made = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
    with_accounts(servers[0], [register], created_at=made)
    account = RegisterAccount.objects.get()
    with timezone.override("Europe/Moscow"):
        days = strip(account, datetime(2026, 11, 24, 9, 59, tzinfo=UTC))
    known = [24 - hours.count(None) for _day, hours in days]
    assert known == [15, 13], "of yesterday and today"
    RegisterAccount.objects.update(created_at=timezone.now())
    page = operator.get(register.get_absolute_url()).content.decode()
    assert page.count('class="strip-day"') == 1
    assert "seen in 0 of 1 hours" in page


def test_a_register_that_is_minutes_old_is_not_said_to_have_been_there_for_hours(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    now = timezone.now()
    made = now - timedelta(minutes=59)
    with_accounts(servers[0], [register], created_at=made)
    account = RegisterAccount.objects.get()
    for at in (made, now):
        day, _ = SeenDay.objects.get_or_create(
            account=account, day=at.date(), defaults={"hours": 0}
        )
        day.hours |= 1 << at.hour
        day.save()
    page = operator.get(register.get_absolute_url()).content.decode()
    shares = re.findall(r'<span aria-hidden="true">(\d+\s%)</span>', page)
    assert set(shares) == {"100\N{NO-BREAK SPACE}%"}


def test_days_that_no_strip_shows_are_old(servers, registers, with_accounts):
    with_accounts(servers[0], registers(1))
    account = RegisterAccount.objects.get()
    for back in range(12):
        SeenDay.objects.create(
            account=account, day=timezone.now().date() - timedelta(back), hours=1
        )
    assert old_days(timezone.now()).count() == 3


def test_a_registers_page_names_every_server(operator, servers, one_of_each):
    page = operator.get(one_of_each[AccountState.ONLINE].get_absolute_url())
    states = {part["server"].name: part["state"] for part in page.context["parts"]}
    assert states == {"Server 8": "online", "Server 9": "not_created"}


def test_of_many_servers_a_cause_is_said_once_for_all_that_have_it(
    operator, servers, one_of_each, with_accounts
):
    more = many_servers(MANY)
    register = one_of_each[AccountState.ERROR]
    with_accounts(more[0], [register], last_seen=timezone.now() - timedelta(hours=3))
    with_accounts(more[1], [register], last_seen=timezone.now() - timedelta(hours=5))
    page = operator.get(register.get_absolute_url())
    groups = page.context["groups"]
    assert [(group["state"], len(group["parts"])) for group in groups] == [
        (AccountState.ERROR, 1),
        (AccountState.OFFLINE, 2),
        (AccountState.NOT_CREATED, MANY - 1),
    ]
    words = read(page)
    assert words.count("It has no account on this server") == 1
    assert f"on {MANY - 1} servers" in words
    assert words.count("None of these servers has heard from it since") == 1


def test_of_many_servers_those_alone_with_a_problem_are_open_and_those_that_the_address_names(
    operator, servers, one_of_each
):
    *_others, last = many_servers(MANY)
    url = one_of_each[AccountState.ERROR].get_absolute_url()
    assert opened(operator.get(url)) == ["Server 8"]
    assert opened(operator.get(url, {"open": str(last.pk)})) == ["Server 8", last.name]


def opened(page):
    """The servers whose accounts are shown."""
    return [part["server"].name for part in page.context["parts"] if part["is_open"]]


def test_add_change_and_remove(operator, servers):
    operator.post(reverse("shop_add"), {"code": "111", "name": ""})
    shop = Shop.objects.get()
    operator.post(reverse("register_add"), {"shop": shop.pk, "code": "10.152", "name": ""})
    register = CashRegister.objects.get()
    assert register.name == "10.152"
    operator.post(
        reverse("register_edit", args=[register.pk]),
        {"shop": shop.pk, "code": "10.152", "name": "Касса 10.152", "mothballed": "on"},
    )
    register.refresh_from_db()
    assert (register.name, register.mothballed) == ("Касса 10.152", True)
    operator.post(reverse("shop_remove", args=[shop.pk]))
    assert Shop.objects.exists(), "it has a register"
    operator.post(reverse("register_remove", args=[register.pk]))
    operator.post(reverse("shop_remove", args=[shop.pk]))
    assert not Shop.objects.exists()
    assert AuditEntry.objects.filter(action="delete").count() == 2


@pytest.mark.parametrize("code", ["a/b", "..", "a\nb"])
def test_a_code_that_no_bonus_server_accepts_is_refused(operator, servers, code):
    shop = Shop.objects.create(code="1")
    page = operator.post(reverse("register_add"), {"shop": shop.pk, "code": code, "name": "x"})
    assert page.context["form"].errors.keys() == {"code"}


def test_the_code_stays_while_a_server_knows_the_register_by_it(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    with_accounts(servers[0], [register])
    operator.post(
        reverse("register_edit", args=[register.pk]),
        {"shop": register.shop_id, "code": "another", "name": "x"},
    )
    register.refresh_from_db()
    assert (register.code, register.name) == ("c00000", "x")


def card(client, register):
    """What the card of the first server says: why, and what to do."""
    return client.get(register.get_absolute_url()).context["parts"][0]["why"]


def test_a_card_says_why_since_when_by_whom_and_what_to_do(operator, one_of_each, servers):
    job = AccountJob.objects.create(server=servers[0], action="create", actor="ivan")
    RegisterAccount.objects.update(job=job, created_at=timezone.now())
    blocked = RegisterAccount.objects.get(blocked=True)
    cards = {state: card(operator, register) for state, register in one_of_each.items()}
    assert cards[AccountState.ONLINE] is None
    assert "no reason was given" in cards[AccountState.BLOCKED].sentence
    assert "since" in cards[AccountState.OFFLINE].sentence
    assert "ivan had its account created" in cards[AccountState.NEVER_SEEN].sentence
    assert (
        "Check the address on the register: 127.0.0.1:7771" in cards[AccountState.NEVER_SEEN].hint
    )
    assert "by ivan" in cards[AccountState.WAITING].sentence
    assert "Create one" in cards[AccountState.NOT_CREATED].hint
    blocked.note_block("olga", "the till was stolen")
    blocked.save()
    sentence = card(operator, one_of_each[AccountState.BLOCKED]).sentence
    assert sentence.endswith("by olga: the till was stolen")
    page = operator.get(one_of_each[AccountState.BLOCKED].get_absolute_url()).content.decode()
    assert sentence in page
