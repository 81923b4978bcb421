"""Registers and shops: what is shown, found and changed, by whom, in how many queries."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from transfer.connections import forget_old_days, strip
from transfer.models import AuditEntry, BonusServer, CashRegister, RegisterAccount, SeenDay, Shop
from transfer.models.accounts import AccountState

pytestmark = pytest.mark.django_db


def states(page) -> list[str]:
    return [row.record.shown_state for row in page.context["table"].page.object_list]


def names(page) -> set[str]:
    return {row.record.name for row in page.context["table"].page.object_list}


@pytest.fixture
def one_of_each(servers, registers, with_accounts):
    """A register in each state on the first server; none has an account on the second one."""
    server, now = servers[0], timezone.now()
    made = dict(zip(AccountState, registers(len(AccountState)), strict=True))
    fields = {
        AccountState.ERROR: {"state": "error", "login": "", "last_seen": None},
        AccountState.BLOCKED: {"blocked": True},
        AccountState.OFFLINE: {"last_seen": now - timedelta(minutes=6)},
        AccountState.NEVER_SEEN: {"last_seen": None},
        AccountState.WAITING: {"state": "waiting", "login": "", "last_seen": None},
        AccountState.ONLINE: {"last_seen": now - timedelta(minutes=4)},
    }
    for state, changed in fields.items():
        with_accounts(server, [made[state]], **changed)
    return made


def test_every_state_is_the_same_in_sql_and_in_python(servers, one_of_each):
    accounts = RegisterAccount.objects.select_related("server").with_shown()
    for account in accounts:
        assert account.shown == account.shown_state
    beside = CashRegister.objects.beside(servers[0])
    assert {one.pk: one.account.shown if one.account else "not_created" for one in beside} == {
        one.pk: state for state, one in one_of_each.items()
    }


@pytest.mark.parametrize("state", [*AccountState.values, "problem", "mothballed", ""])
def test_the_servers_registers_are_filtered_by_state(operator, servers, one_of_each, state):
    page = operator.get(servers[0].get_absolute_url(), {"state": state})
    expected = {
        "problem": {"error", "blocked", "offline", "never_seen", "not_created"},
        "mothballed": set(),
        "": set(AccountState.values),
    }.get(state, {state})
    assert set(states(page)) == expected


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
    other = Shop.objects.create(code="2")
    assert names(operator.get(url, {"shop": other.pk})) == set()


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


@pytest.mark.parametrize(
    "address",
    [
        "/registers/",
        "/registers/?state=problem",
        "/registers/?state=online&sort=-shop",
        "/registers/?q=c0",
        "/registers/export.csv",
        "/registers/{register}/",
        "/servers/",
        "/servers/{server}/",
        "/servers/{server}/?state=online&sort=shown_state",
        "/servers/{server}/live/",
        "/shops/",
    ],
)
def test_ten_or_a_thousand_registers_take_as_many_queries(
    operator, servers, registers, with_accounts, address
):
    some = registers(10)
    with_accounts(servers[0], some)
    with_accounts(servers[1], some, last_seen=None)
    url = address.format(register=some[0].pk, server=servers[0].pk)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page = operator.get(f"{url}{'&' if '?' in url else '?'}per_page=250")
            assert page.status_code == 200
            assert not page.streaming or b"".join(page.streaming_content)
        return len(captured)

    queries()  # what is asked once
    few = queries()
    more = registers(980)
    with_accounts(servers[0], more)
    Shop.objects.bulk_create([Shop(code=f"s{n}") for n in range(300)])
    assert queries() == few


def test_two_or_twenty_servers_take_as_many_queries(operator, servers, registers, with_accounts):
    some = registers(10)
    with_accounts(servers[0], some)

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            page = operator.get(reverse("registers"), {"state": "problem"})
        assert len(page.context["table"].columns) == BonusServer.objects.count() + 2
        return len(captured)

    queries()  # what is asked once
    few = queries()
    for number in range(10, 28):
        server = BonusServer(name=f"Server {number}", host="127.0.0.1", db_name="x")
        server.dock()
        with_accounts(server, some[:5])
    assert queries() == few


def test_the_list_shows_each_registers_state_on_each_server(
    operator, servers, registers, with_accounts
):
    first, second = registers(2)
    with_accounts(servers[0], [first], last_seen=timezone.now() - timedelta(hours=3))
    with_accounts(servers[1], [second])
    cells = rows_of(operator.get(reverse("registers")))
    assert cells["Касса 00000"] == ["Offline 3 hours ago", "Not created"]
    assert cells["Касса 00001"] == ["Not created", "Online"]


def rows_of(page) -> dict[str, list[str]]:
    """Register → what stands in the columns of the servers."""
    rows = re.findall(r'<tr role="row" .*?</tr>', page.content.decode(), re.DOTALL)
    cells = [[text(cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)] for row in rows]
    return {name.split()[0] + " " + name.split()[1]: states for name, _shop, *states in cells}


def text(html: str) -> str:
    return " ".join(re.sub(r"<.*?>", " ", html).split())


def test_every_list_looks_like_one(operator, servers, registers):
    registers(1)
    for url in (reverse("registers"), servers[0].get_absolute_url(), reverse("shops")):
        assert 'class="table cards' in operator.get(url).content.decode()


def test_names_are_text_and_never_markup(operator, servers, registers, with_accounts):
    shop = Shop.objects.create(code="<b>", name="<script>alert(1)</script>")
    CashRegister.objects.create(code='"><i>', name="<em>x</em>", shop=shop)
    for url in (reverse("registers"), servers[0].get_absolute_url(), reverse("shops")):
        page = operator.get(url).content.decode()
        assert "<script>alert" not in page
        assert "<em>" not in page
        assert '"><i>' not in page
    assert "&lt;em&gt;x&lt;/em&gt;" in operator.get(reverse("registers")).content.decode()


def test_the_chosen_shop_stays_chosen(operator, servers, registers):
    registers(1)
    shop = Shop.objects.get()
    page = operator.get(reverse("registers"), {"shop": shop.pk}).content.decode()
    assert f'<option value="{shop.pk}" selected>Ленина, 5</option>' in page


# --- One register ---------------------------------------------------------------------------------


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


def test_old_days_are_forgotten(servers, registers, with_accounts):
    with_accounts(servers[0], registers(1))
    account = RegisterAccount.objects.get()
    for back in range(12):
        SeenDay.objects.create(
            account=account, day=timezone.now().date() - timedelta(back), hours=1
        )
    assert forget_old_days() == 3
    assert SeenDay.objects.count() == 9


def test_a_registers_page_names_every_server(operator, servers, one_of_each):
    page = operator.get(one_of_each[AccountState.ONLINE].get_absolute_url())
    told = {part["server"].name: part["state"] for part in page.context["parts"]}
    assert told == {"Server 8": "online", "Server 9": "not_created"}


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


# --- Files ----------------------------------------------------------------------------------------


def load(client, content: bytes):
    file = SimpleUploadedFile("registers.csv", content)
    return client.post(reverse("register_import"), {"file": file})


def confirm(client, page):
    data = {"text": page.context["text"], "confirmed": "1"}
    return client.post(reverse("register_import"), data)


FILE = "Магазин;Код;Название кассы\n1;10.152;10.152\n111;17;Касса 17\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1251"])
def test_a_file_is_shown_first_and_saved_when_confirmed(operator, encoding):
    page = load(operator, FILE.encode(encoding))
    assert [line.name for line in page.context["plan"].new] == ["10.152", "Касса 17"]
    assert not CashRegister.objects.exists()
    confirm(operator, page)
    assert set(CashRegister.objects.values_list("code", "name", "shop__code")) == {
        ("10.152", "10.152", "1"),
        ("17", "Касса 17", "111"),
    }
    again = load(operator, FILE.encode(encoding))
    assert len(again.context["plan"].same) == 2
    assert not again.context["may_save"]


def test_a_bad_line_is_named_and_nothing_is_imported(operator):
    page = load(operator, (FILE + "1;a/b;x\n1;17;twice\n;;\n;18;no shop\n").encode())
    problems = {line.number: line.problem for line in page.context["plan"].bad}
    assert set(problems) == {4, 5, 7}
    assert "line 3" in problems[5]
    shown = [line.number for line in page.context["shown"]]
    assert shown == [4, 5, 7, 2, 3], "the bad ones first"
    confirm(operator, page)
    assert not CashRegister.objects.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"a;b\n1;2\n", "Магазин;Код\n".encode()])
def test_what_is_no_table_of_registers_is_refused(operator, content):
    page = load(operator, content)
    assert b"notice-bad" in page.content or b"errorlist" in page.content


def test_one_shop_has_one_name(operator):
    lines = "Магазин;Название магазина;Код\n1;Ленина, 5;a\n1;;b\n1;Пушкина, 10;c\n"
    (bad,) = load(operator, lines.encode()).context["plan"].bad
    assert (bad.number, bad.problem) == (
        4,
        "The shop has another name in line 2: Ленина, 5.",
    )


def test_a_quotation_mark_that_is_never_closed_is_told_of(operator):
    page = load(operator, (FILE + '1;x;"Касса\n' + "1;y;z\n" * 40_000).encode())
    assert "a quotation mark that opens a cell is never closed" in page.text


def test_a_file_of_five_thousand_registers_in_russian_comes_back_with_its_confirmation(operator):
    lines = "".join(f"{n // 5};k{n};Касса самообслуживания № {n}\n" for n in range(20_000))
    page = load(operator, ("Магазин;Код;Название кассы\n" + lines).encode("cp1251"))
    assert b'enctype="multipart/form-data"' in page.content
    confirm(operator, page)
    assert CashRegister.objects.count() == 20_000


@pytest.mark.parametrize(
    ("language", "online", "no", "yes"),
    [("en", "Online", "no", "yes"), ("ru", "На связи", "нет", "да")],
)
def test_what_was_exported_can_be_brought_back_changed(
    operator, servers, registers, with_accounts, language, online, no, yes
):
    some = registers(3)
    with_accounts(servers[0], some[:1])
    operator.cookies["django_language"] = language
    page = operator.get(reverse("register_export"))
    text = b"".join(page.streaming_content).decode("utf-8-sig")
    assert online in text
    changed = text.replace("Касса 00001", "Касса у входа").replace(no, yes, 1)
    page = load(operator, changed.encode())
    plan = page.context["plan"]
    assert (len(plan.new), len(plan.changed), len(plan.same)) == (0, 2, 1)
    assert plan.unread == ["Server 8", "Server 9"]
    assert "Server 8, Server 9." in page.text
    confirm(operator, page)
    assert CashRegister.objects.filter(mothballed=True).count() == 1
    assert CashRegister.objects.filter(name="Касса у входа").count() == 1


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "viewer", "operator_"),
    [
        ("servers", 200, 200),
        ("server", 200, 200),
        ("registers", 200, 200),
        ("register", 200, 200),
        ("shops", 200, 200),
        ("register_export", 200, 200),
        ("register_add", 403, 200),
        ("register_import", 403, 200),
        ("shop_add", 403, 200),
        ("server_add", 403, 403),
        ("server_edit", 403, 403),
        ("server_remove", 403, 403),
    ],
)
def test_who_may_see_what(client, servers, registers, name, viewer, operator_):
    from django.contrib.auth.models import Group, User

    (register,) = registers(1)
    arguments = {"register": [register.pk], "server": [servers[0].pk]}.get(
        name, [servers[0].pk] if name in ("server_edit", "server_remove") else []
    )
    for group, status in (("viewer", viewer), ("operator", operator_), ("administrator", 200)):
        user = User.objects.create_user(group)
        user.groups.add(Group.objects.get(name=group))
        client.force_login(user)
        assert client.get(reverse(name, args=arguments)).status_code == status, group


def test_a_viewer_sees_no_buttons_and_changes_nothing(client, servers, registers):
    from django.contrib.auth.models import Group, User

    registers(1)
    user = User.objects.create_user("viewer")
    user.groups.add(Group.objects.get(name="viewer"))
    client.force_login(user)
    text = client.get(servers[0].get_absolute_url()).content.decode()
    assert 'value="create"' not in text
    for name in ("server_accounts", "server_test"):
        assert client.post(reverse(name, args=[servers[0].pk])).status_code == 403
