"""The whole way, over real TCP: dock a server, make accounts, move rows, ask as a register."""

from collections.abc import Callable
from datetime import timedelta

import httpx2
import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import fill_fields, fill_server, use_language
from tests.databases import query, stage
from tests.reference_server import SIX
from transfer.models import BonusServer, IssuedSecret, TransferTask
from transfer.queue.worker import drain
from transfer.runs.execute import run_here
from transfer.servers.checks import check_connections
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.long
def test_from_docking_to_a_register_that_gets_its_new_balance_status_and_pin(
    page: Page,
    log_in: Callable,
    shop_all: str,
    reference,
    bonus_of_reference: str,
    six: list,
):
    log_in(page, "administrator")
    fill_server(page, reference, bonus_of_reference)
    page.locator("button[formaction]").click()
    expect(page.locator(".stages .ok")).to_have_count(6)
    page.locator("main button[type=submit]").first.click()

    server = BonusServer.objects.get()
    page.wait_for_url(f"**/servers/{server.pk}/")
    facts = page.locator("#live dl.facts")
    for label, value in {
        "Идентификатор": str(server.pk),
        "Название": "Бонусный сервер 8",
        "Хост": "127.0.0.1",
    }.items():
        term = facts.locator("dt", has_text=label).first
        assert term.evaluate("one => one.nextElementSibling.innerText") == value
    for door, label, port in (
        ("admin", "Порт для администрирования", reference.admin_port),
        ("service", "Порт для работы", reference.work_port),
    ):
        expect(page.locator(f"#door-{door}")).to_contain_text(f"{label} {port}")
    rows = page.locator("#accounts tbody tr")
    expect(rows).to_have_count(6)
    for code_name_shop in SIX:
        row = rows.filter(has=page.get_by_role("link", name=code_name_shop[1], exact=True))
        expect(row.locator("td").nth(2)).to_have_text(code_name_shop[2])
        expect(row).to_contain_text("Нет записи")

    page.locator("button[value=create_all]").click()
    page.wait_for_url("**/accounts/**")
    drain(lambda: False)
    expect(page.get_by_role("status").get_by_text("6")).to_be_visible()
    with page.expect_download() as download:
        page.locator("form[action$='/download/'] button").click()
    lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert len(lines) == 7
    shop, code, _name, login, secret = next(
        line.split(";") for line in lines if ";Касса 17;" in line
    )
    assert (shop, code) == ("111", "17")
    assert not IssuedSecret.objects.exists()

    page.goto(server.get_absolute_url())
    page.locator("#switch-on").click()
    expect(page.locator("#tasks .switch.on")).to_have_count(3)
    stage(shop_all, "cards", [("1001", "a1", 1)])
    stage(shop_all, "balances", [("a1", "100.25", None, None, "Подарок")])
    stage(shop_all, "pincodes", [("a1", "4711")])
    tick("test", timezone.now() + timedelta(minutes=6))
    drain(lambda: False)

    with httpx2.Client(base_url=reference.work_url, auth=(login, secret), trust_env=False) as call:
        card = call.get("/cards/1001").json()
        assert (card["account"], card["status_name"], card["balance"]) == (
            "a1",
            "EARN_PAY",
            "100.25",
        )
        assert call.post("/cards/1001/pin", json={"pin": "4711"}).json()["right"] is True

    check_connections()
    page.goto(f"{server.get_absolute_url()}?state=online")
    expect(page.locator("#accounts tbody tr")).to_have_count(1)
    expect(page.locator("#accounts tbody tr")).to_contain_text("Касса 17")
    page.locator("#count-now").click()
    expect(page.locator("#reconciliation > .table-wrap .badge-ok")).to_have_count(3)


def test_chosen_accounts_are_blocked_after_a_question(
    page: Page,
    log_in: Callable,
    docked,
    six: list,
    ordered: Callable,
):
    ordered("create", six)
    log_in(page, "operator")
    page.goto(docked.get_absolute_url())
    for name in ("Касса 17", "Касса 2"):
        row = page.locator("#accounts tbody tr").filter(
            has=page.get_by_role("link", name=name, exact=True)
        )
        row.locator("[name=register]").check()
    page.locator("button[value=block]").click()
    expect(page.locator(".points li")).to_have_text(["Касса 17", "Касса 2"])
    page.locator("[name=reason]").fill("stolen")
    page.locator("form.confirm button").click()
    page.wait_for_url("**/accounts/**")
    drain(lambda: False)
    page.goto(f"{docked.get_absolute_url()}?state=blocked")
    expect(page.locator("#accounts tbody tr")).to_have_count(2)


@pytest.mark.long
@pytest.mark.usefixtures("nothing_asked")
def test_a_server_is_paused_with_a_reason_on_its_own_page_and_resumed(
    page: Page, log_in: Callable, docked
):
    TransferTask.objects.update(enabled=True)
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto(docked.get_absolute_url())
    page.locator(".actions").get_by_role("link", name="Пауза…").click()
    page.get_by_role("button", name="Пауза").click()
    expect(page.get_by_label("Причина")).to_be_focused()  # the browser asks for it
    page.get_by_label("Причина").fill("Замена диска")
    page.get_by_label("на 1 час").check()
    page.get_by_role("button", name="Пауза").click()
    banner = page.locator("#live .notice-warn")
    expect(banner).to_contain_text("Бонусный сервер на паузе.")
    expect(banner).to_contain_text("Причина: Замена диска.")
    expect(page.locator("#tasks tbody tr", has_text="до ")).to_have_count(3)
    page.goto("/")
    expect(page.locator("#work")).to_contain_text("Замена диска")
    page.goto(docked.get_absolute_url())
    banner.get_by_role("button", name="Возобновить").click()
    expect(page.locator("main")).to_contain_text("Пауза снята: Бонусный сервер 8.")
    expect(banner).to_have_count(0)
    assert not TransferTask.objects.exclude(paused_until=None).exists()


def test_a_dead_database_does_not_hang_the_page(page: Page, log_in: Callable, docked):
    BonusServer.objects.update(db_host="127.0.0.1", db_port=1)
    log_in(page, "viewer")
    page.goto(docked.get_absolute_url())
    expect(page.locator("#live")).to_be_visible()
    page.locator("#count-now").click()
    expect(page.locator("#reconciliation .server-cause")).to_have_count(1)


CLICKS_FROM_ADD_TO_ROWS = 4


@pytest.mark.long
def test_from_add_server_to_rows_that_have_arrived_in_so_many_clicks(
    page: Page, log_in: Callable, reference, server, shop_all: str, second_bonus: str
):
    """Rows of all three kinds are staged, and the new server's tables are empty."""
    stage(shop_all, "cards", [("1001", "a1", 1)])
    stage(shop_all, "balances", [("a1", "10"), ("a2", "20")])
    stage(shop_all, "pincodes", [("a1", "4711")])
    log_in(page, "administrator")
    use_language(page, "en")
    page.goto("/servers/")
    page.evaluate("sessionStorage.setItem('clicks', 0)")
    page.add_init_script(
        "addEventListener('click', () => sessionStorage.setItem('clicks', "
        "Number(sessionStorage.getItem('clicks')) + 1), true)"
    )
    page.reload()
    page.get_by_role("link", name="Dock a server").click()
    fill_fields(page, reference, second_bonus, name="Бонусный сервер 9")
    page.get_by_role("button", name="Dock", exact=True).click()

    page.wait_for_url("**/beginning/")
    expect(page.get_by_label("Nothing yet: send all 4 rows")).to_be_checked()
    expect(page.locator("main")).not_to_contain_text("lost or sent twice")
    expect(page.locator("#beginning fieldset:visible")).to_have_count(1)
    page.get_by_role("button", name="Begin").click()

    new = BonusServer.objects.get(name="Бонусный сервер 9")
    page.wait_for_url(f"**/servers/{new.pk}/")
    expect(page.locator("#test .stages > .ok")).to_have_count(6)
    expect(page.locator("#doors > .ok")).to_have_count(3)
    expect(page.locator("#live .facts")).to_contain_text("Available")
    expect(page.locator("#first-run")).to_contain_text("4 rows are ready for it.")
    button = page.get_by_role("button", name="Switch the tasks on")
    expect(button).to_be_in_viewport()
    button.click()
    expect(page.locator("#tasks .switch.on")).to_have_count(3)
    expect(page.locator("#first-run")).to_contain_text("4 rows are on their way.")
    expect(page.locator("#first-run")).to_contain_text("The first run begins")
    assert page.evaluate("Number(sessionStorage.getItem('clicks'))") == CLICKS_FROM_ADD_TO_ROWS

    tick("test", timezone.now() + timedelta(minutes=6))
    drain(lambda: False)
    assert query(second_bonus, "select account, amount::int from asset order by 1") == [
        ("a1", 10),
        ("a2", 20),
    ]
    assert query(second_bonus, "select count(*) from pincode") == [(1,)]
    assert query(second_bonus, 'select count(*) from "cardAccounting"') == [(1,)]
    expect(page.locator("#first-run")).to_have_count(0)  # the page was left open


def test_different_for_one_of_them_opens_a_question_for_each(
    page: Page, log_in: Callable, dock: Callable, shop_all: str, second_bonus: str
):
    for kind, row in {
        "cards": ("1001", "a1", 1), "balances": ("a1", "10"), "pincodes": ("a1", "4711"),
    }.items():  # fmt: skip
        stage(shop_all, kind, [row])
    new = dock(second_bonus, "Бонусный сервер 9", decided=False)
    log_in(page, "administrator")
    use_language(page, "en")
    page.goto(f"{new.get_absolute_url()}beginning/")
    expect(page.locator("fieldset:visible")).to_have_count(1)
    page.get_by_label("Different for one of them").check()
    expect(page.locator("fieldset:visible")).to_have_count(4)
    page.get_by_label("Nothing yet: send all 3 rows").check()
    expect(page.locator("fieldset:visible")).to_have_count(1)


def test_a_new_server_is_asked_about_and_gets_what_was_decided(
    page: Page, log_in: Callable, reference, server, shop_all: str, second_bonus: str
):
    """Its tables are a copy of server 8's, whose tasks are off; a row was staged since."""
    stage(shop_all, "balances", [("a1", "10")])
    run_here(server.tasks.get(kind="balances"), "manual")
    stage(shop_all, "balances", [("a2", "10")])
    query(second_bonus, "insert into asset (account, amount) values ('a1', 10)")
    log_in(page, "administrator")
    fill_server(page, reference, second_bonus)
    page.fill("[name=name]", "Бонусный сервер 9")
    page.locator("main button[type=submit]").first.click()

    page.wait_for_url("**/beginning/")
    expect(page.locator(".group")).to_have_count(1)
    page.get_by_label("То же, что другой сервер").check()
    page.get_by_role("button", name="Показать, что это значит").click()
    expect(page.locator(".group")).to_contain_text("Выберите сервер.")
    page.locator("select[name=balances_server]").select_option(label=server.name)
    page.get_by_role("button", name="Показать, что это значит").click()
    expect(page.locator("main .points")).to_contain_text("Следующий запуск отправит: 1 строка")
    page.get_by_role("button", name="Начать").click()

    new = BonusServer.objects.get(name="Бонусный сервер 9")
    page.wait_for_url(f"**/servers/{new.pk}/")
    run_here(new.tasks.get(kind="balances"), "manual")
    received = query(second_bonus, "select account, amount from asset order by account")
    assert [(account, int(amount)) for account, amount in received] == [("a1", 10), ("a2", 10)]
