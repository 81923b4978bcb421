"""Lists of registers: what is shown and found, in how many queries."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.chain import LONG, many_servers
from tests.pages.look import read
from transfer.models import AuditEntry, BonusServer, CashRegister, RegisterAccount, Shop
from transfer.models.accounts import STATE_BESIDE, AccountState
from transfer.pages.shown.task_groups import MANY

pytestmark = pytest.mark.django_db


def states(page) -> list[str]:
    return [row.record.shown_state for row in page.context["table"].page.object_list]


def names(page) -> set[str]:
    return {row.record.name for row in page.context["table"].page.object_list}


def test_every_state_is_the_same_of_an_account_and_of_a_register_beside_its_server(
    servers, one_of_each
):
    expected = {one.pk: state for state, one in one_of_each.items()}
    accounts = RegisterAccount.objects.filter(server=servers[0])
    of_accounts = {account.register_id: account.shown_state for account in accounts}
    assert {pk: of_accounts.get(pk, "not_created") for pk in expected} == expected
    beside = CashRegister.objects.beside(servers[0])
    shown = beside.annotate(shown_state=STATE_BESIDE)
    assert {one.pk: one.shown_state for one in shown} == expected


@pytest.mark.parametrize("state", [*AccountState.values, "problem", "mothballed", ""])
def test_the_servers_registers_are_filtered_by_state(operator, servers, one_of_each, state):
    page = operator.get(servers[0].get_absolute_url(), {"state": state})
    expected = {
        "problem": {"error", "blocked", "offline", "never_seen", "not_created"},
        "mothballed": set(),
        "": set(AccountState.values),
    }.get(state, {state})
    assert set(states(page)) == expected


def test_registers_are_listed_before_the_first_server_is_docked(operator):
    shop = Shop.objects.create(code="111")
    CashRegister.objects.create(shop=shop, code="17", name="Первая касса")
    assert names(operator.get("/registers/")) == {"Первая касса"}


def test_all_registers_are_filtered_by_problem_server_shop_and_letters(
    operator, servers, one_of_each
):
    url = reverse("registers")
    online = one_of_each[AccountState.ONLINE].name
    on_first = {"server": servers[0].pk}
    assert online not in names(operator.get(url, {"state": "problem", **on_first}))
    assert online in names(operator.get(url, {"state": "problem"})), "no account on the second"
    assert names(operator.get(url, {"state": "online"})) == {online}
    assert names(operator.get(url, {"state": "online", "server": servers[1].pk})) == set()
    assert names(operator.get(url, {"q": online[-3:]})) == {online}
    everywhere = names(operator.get(url))
    Shop.objects.create(code="2", name="Ленина, 52")
    assert names(operator.get(url, {"shop": "2"})) == set(), "the code itself is meant"
    assert names(operator.get(url, {"shop": "ленина"})) == everywhere


def test_a_mothballed_register_is_no_problem_and_gets_no_account_by_itself(
    operator, servers, registers
):
    (old,) = registers(1, mothballed=True)
    page = operator.get(servers[0].get_absolute_url(), {"state": "problem"})
    assert names(page) == set()
    assert page.context["missing"] == 0
    assert operator.get(reverse("registers"), {"state": "mothballed"}).context["table"].rows
    operator.post(reverse("register_mothball", args=[old.pk]), {"mothballed": "0"})
    assert operator.get(servers[0].get_absolute_url()).context["missing"] == 1
    assert AuditEntry.objects.about(old).get().new == {"mothballed": False}


def test_sorting_by_state_puts_the_worst_first(operator, servers, one_of_each):
    page = operator.get(servers[0].get_absolute_url(), {"sort": "shown_state"})
    assert states(page) == list(AccountState.values)


def test_the_list_shows_each_registers_state_on_each_server(
    operator, servers, registers, with_accounts
):
    first, second = registers(2)
    with_accounts(servers[0], [first], last_seen=timezone.now() - timedelta(hours=3))
    with_accounts(servers[1], [second])
    cells = rows_of(operator.get(reverse("registers")))
    assert cells["Касса 00000"] == ["Offline 3 hours ago", "Not created"]
    assert cells["Касса 00001"] == ["Not created", "Online just now"]


def test_the_list_begins_with_what_is_wrong_then_it_is_sorted_by_shop(
    operator, servers, registers, with_accounts
):
    fine, late, gone, bare, old = registers(5)
    for server in servers:
        with_accounts(server, [fine, late, gone, old])
    RegisterAccount.objects.filter(register=gone, server=servers[1]).update(blocked=True)
    hours_ago = timezone.now() - timedelta(hours=3)
    RegisterAccount.objects.filter(register__in=[late, old]).update(
        last_seen=hours_ago, seen_lately=False
    )
    CashRegister.objects.filter(pk=old.pk).update(mothballed=True)
    first = Shop.objects.create(code="0", name="А")
    CashRegister.objects.create(code="z", name="Я", shop=first)  # no account, in the first shop
    url = reverse("registers")
    listed = [row.record.name for row in operator.get(url).context["table"].page.object_list]
    assert listed == [gone.name, late.name, "Я", bare.name, fine.name, old.name]
    page = operator.get(url, {"server": servers[0].pk}).context["table"].page
    on_first = [row.record.name for row in page.object_list]
    assert on_first == [late.name, "Я", bare.name, fine.name, gone.name, old.name]


def test_each_server_says_when_it_last_saw_the_register(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    for server, hours in zip(servers, (3, 5), strict=False):
        seen = timezone.now() - timedelta(hours=hours)
        with_accounts(server, [register], last_seen=seen)
    cells = rows_of(operator.get(reverse("registers")))
    assert cells["Касса 00000"] == ["Offline 3 hours ago", "Offline 5 hours ago"]


def test_of_many_servers_the_states_are_one_column_which_begins_with_the_worst(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    more = many_servers(MANY - 2)
    for server in [servers[0], *more[1:]]:
        with_accounts(server, [register])
    with_accounts(servers[1], [register], last_seen=timezone.now() - timedelta(hours=3))
    cells = rows_of(operator.get(reverse("registers")))
    online = f"Online on {MANY - 2} servers"
    assert cells["Касса 00000"][0] == f"Offline Server 9 3 hours ago Not created БС 1 {online}"
    fold = operator.get(reverse("registers")).context["many"]
    assert fold.rows[0].record.server == more[1], "it does not answer"


def test_from_four_servers_on_the_states_are_one_column_and_the_list_is_never_wider_than_the_page(
    operator, servers, registers, with_accounts
):
    (register,) = registers(1)
    many_servers(2)
    with_accounts(servers[0], [register])
    cells = rows_of(operator.get(reverse("registers")))
    assert cells["Касса 00000"] == [
        "Not created Server 9, БС 1, " + LONG + " Online Server 8 just now"
    ]


def rows_of(page) -> dict[str, list[str]]:
    """Register → the texts in the columns of the servers."""
    body = page.content.decode().partition('id="results"')[2].partition("<tbody")[2]
    rows = re.findall(r'<tr role="row">.*?</tr>', body, re.DOTALL)
    drawn = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in rows]
    cells = [[" ".join(re.sub(r"<.*?>", " ", cell).split()) for cell in row] for row in drawn]
    return {name.split()[0] + " " + name.split()[1]: states for name, _shop, *states in cells}


def test_names_are_text_and_never_markup(operator, servers, registers, with_accounts):
    shop = Shop.objects.create(code="<b>", name="<script>alert(1)</script>")
    CashRegister.objects.create(code='"><i>', name="<em>x</em>", shop=shop)
    for url in (reverse("registers"), servers[0].get_absolute_url(), reverse("shops")):
        page = operator.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<em>" not in page
        assert '"><i>' not in page
    assert "&lt;em&gt;x&lt;/em&gt;" in operator.get(reverse("registers")).content.decode()


def test_the_shop_that_was_looked_for_stays_there(operator, servers, registers):
    registers(1)
    shop = Shop.objects.get()
    page = operator.get(reverse("registers"), {"shop": shop.code}).content.decode()
    assert f'name="shop" value="{shop.code}"' in page


def test_old_states_say_how_old_they_are(operator, servers, registers, with_accounts):
    (register,) = registers(1)
    with_accounts(servers[0], [register])
    old = timezone.now() - timedelta(minutes=40)
    BonusServer.objects.filter(pk=servers[0].pk).update(accounts_at=old, checked_at=old)
    page = read(operator.get(servers[0].get_absolute_url()))
    assert "The last check was 40 minutes ago" in page
    assert "is the scheduler running?" in page
    assert "as they were 40 minutes ago" in page
    assert "as it was 40 minutes ago" in read(operator.get(register.get_absolute_url()))
