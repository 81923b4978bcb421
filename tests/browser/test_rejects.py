import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, use_language
from tests.databases import query, stage
from tests.records import a_reject, a_run, server
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rejects(dock, bonus, shop_all):
    """Two changes by zero and a PIN code without an account."""
    eight = dock(bonus)
    stage(shop_all, "balances", [("4100", 0), ("4200", 0)])
    stage(shop_all, "pincodes", [("", "4711")])
    for kind in ("balances", "pincodes"):
        run_here(eight.tasks.get(kind=kind), Trigger.MANUAL)
    return list(RejectedRow.objects.order_by("pk"))


@pytest.mark.long
def test_their_file_is_corrected_and_loaded_which_closes_them(
    page: Page, log_in: Callable, check_accessible: Callable, shop_all, rejects, tmp_path
):
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/rejects/?kind=balances")
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    file = tmp_path / "rejects.csv"
    text = download.value.path().read_text("utf-8-sig")
    file.write_bytes(text.replace(";0;", ";12,50;").encode("cp1251"))
    page.goto("/load/")
    page.get_by_label("changeAccountBalanceTemp").check()
    page.locator("[name=file]").set_input_files(file)
    page.get_by_role("button", name="Проверить файл").click()
    expect(page.locator("#confirm")).to_contain_text("2 строки исправляют отклонённые")
    check_accessible(page)
    page.get_by_role("button", name="Загрузить 2 строки").click()
    expect(page.locator(".notice-ok")).to_contain_text("закрыты 2 отклонённые строки")
    page.get_by_role("link", name="Отправленные снова").click()
    expect(page.locator("table.rejects tbody tr")).to_have_count(2)
    rows = query(shop_all, 'select account, amount::text from "changeAccountBalanceTemp"')
    assert sorted(rows)[1::2] == [("4100", "12.50"), ("4200", "12.50")]


@pytest.mark.long
def test_eleven_sums_with_three_decimals_are_corrected_in_a_table_at_one_press(
    page: Page, log_in: Callable, check_accessible: Callable, dock: Callable, bonus, shop_all
):
    eight = dock(bonus)
    stage(shop_all, "balances", [(f"41{n:02}", f"250.{n:02}9") for n in range(11)])
    run_here(eight.tasks.get(kind="balances"), Trigger.MANUAL)
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/rejects/?kind=balances")
    page.get_by_role("link", name="Исправить в таблице: В сумме больше двух знаков").click()
    rows = page.locator("table.correcting tbody tr")
    expect(rows).to_have_count(11)
    (row,) = [one for one in rows.all() if "4105" in one.inner_text()]
    expect(row).to_contain_text("Округлить до копеек: было 250,059, станет 250,06")
    expect(row.get_by_role("textbox")).to_have_value("250,06")
    row.get_by_role("textbox").fill("250,0599")
    check_accessible(page)
    page.get_by_role("button", name="Проверить и отправить исправленные строки").first.click()
    expect(page.locator(".notice-ok")).to_contain_text("10 строк")
    expect(rows).to_have_count(1)
    expect(rows.get_by_role("textbox")).to_have_value("250,0599")
    expect(rows.locator(".errorlist")).to_contain_text("больше двух знаков")
    rows.get_by_role("textbox").fill("250,06")
    page.get_by_role("button", name="Проверить и отправить исправленные строки").first.click()
    page.wait_for_url("**/rejects/?kind=balances")
    sent = query(
        shop_all,
        'select account, amount::text from "changeAccountBalanceTemp" '
        "where id > 11 order by account",
    )
    assert sent == [(f"41{n:02}", f"{250 + (10 * n + 9) / 1000:.2f}") for n in range(11)]
    assert not RejectedRow.objects.open().exists()


@pytest.mark.parametrize("script", [pytest.param(True, marks=pytest.mark.long), False])
def test_one_is_corrected_one_is_discarded_with_and_without_a_script(
    open_page: Callable, log_in: Callable, shop_all, rejects, script
):
    page: Page = open_page(java_script_enabled=script)
    log_in(page, "operator")
    use_language(page, "en")
    page.goto("/rejects/")
    page.get_by_role("link", name=str(rejects[0].row), exact=True).last.click()
    page.get_by_label("Amount").fill("0")
    page.get_by_role("button", name="Check").click()
    expect(page.locator(".errorlist")).to_contain_text("The amount is zero.")
    page.get_by_label("Amount").fill("12,50")
    page.get_by_role("button", name="Check").click()
    expect(page.get_by_role("form", name="What is sent in place")).to_contain_text("0 → 12.50")
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("The next run moves it")).to_be_visible()
    rows = query(
        shop_all, 'select account, amount::text from "changeAccountBalanceTemp" order by 2'
    )
    assert rows == [("4100", "0"), ("4200", "0"), ("4100", "12.50")]

    page.goto("/rejects/?kind=balances")
    page.get_by_role("checkbox", name="Choose row").check()
    page.get_by_role("button", name="Discard…").click()
    page.get_by_label("Reason").fill("a test of the till")
    page.get_by_role("button", name="Discard").click()
    page.wait_for_url("**/rejects/?kind=balances")
    page.goto("/rejects/?state=discarded")
    expect(page.get_by_role("row").nth(1)).to_contain_text("4200")


def test_a_staged_row_is_one_line_that_says_what_is_wrong_and_names_its_servers(
    page: Page, log_in: Callable, nothing_asked
):
    eight, ten = server("Бонусный сервер 8"), server("Бонусный сервер 10")
    payload = {"account": "4100000013", "amount": "0", "validfrom": None, "validto": None,
               "comment": "Возврат товара"}  # fmt: skip
    for duplicates, at in enumerate((eight, ten)):
        a_reject(at, run=a_run(at), row=30168, payload=payload, duplicates_open=duplicates)
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/rejects/")
    (line,) = page.locator("table.rejects tbody tr").all()
    assert page.viewport_size == DESKTOP
    assert line.bounding_box()["height"] < 45
    expect(line.locator(".wrong")).to_have_text("0")
    expect(line.locator(".reason")).to_have_text("Сумма равна нулю.")
    expect(line.locator(".server a")).to_have_text(["8", "10"])
    expect(line.locator(".payload")).to_have_attribute("title", re.compile("Возврат товара"))
    line.get_by_role("link", name="Бонусный сервер 10, запуск").click()
    expect(page.locator("h1")).to_contain_text("Изменения баланса")
