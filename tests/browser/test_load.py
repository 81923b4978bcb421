from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.databases import query
from transfer.models import TransferRun, Upload
from transfer.queue.worker import drain

pytestmark = pytest.mark.django_db(transaction=True)

LINES = (
    "Отчёт за ноябрь;;;\nСчёт;ФИО;Сумма;Действует по\n4100000011;Иванова;1 250,50;31.12.2026\n"
    "4100000012;Петров;0;31.12.2026\n;Сидоров;100;\n4100000013;Кузнецов;сто;\n"
    "4100000014;Орлова;-25,50;\nИтого;;1325,00;\n"
)


@pytest.fixture
def bonus_file(tmp_path: Path) -> Path:
    path = tmp_path / "Бонусы за ноябрь.csv"
    path.write_bytes(LINES.encode("cp1251"))
    return path


def choose(page: Page, file: Path, table: str) -> None:
    page.goto("/load/")
    page.get_by_label(table).check()
    page.locator("[name=file]").set_input_files(file)
    page.locator("form[enctype] [type=submit]").click()


def test_a_file_with_three_bad_lines_is_looked_at_confirmed_and_staged(
    page: Page, log_in: Callable, check_accessible: Callable, bonus_file: Path, shop_all: str
):
    log_in(page, "operator")
    choose(page, bonus_file, "changeAccountBalanceTemp")
    expect(page.locator("h1")).to_have_text("Бонусы за ноябрь.csv")
    expect(page.locator("#upload .tile").nth(1)).to_contain_text("3")
    page.locator("#confirm").get_by_role("button").first.click()
    expect(page.locator(".notice-ok")).to_be_visible()
    check_accessible(page)
    assert query(shop_all, 'select account, amount::text from "changeAccountBalanceTemp"') == [
        ("4100000011", "1250.50"),
        ("4100000014", "-25.50"),
    ]


@pytest.mark.long
def test_the_bad_lines_of_a_file_are_downloaded_corrected_and_loaded_on_their_own(
    page: Page, log_in: Callable, check_accessible: Callable, bonus_file: Path, shop_all: str
):
    log_in(page, "operator")
    use_language(page, "en")
    choose(page, bonus_file, "changeAccountBalanceTemp")
    page.get_by_role("link", name="What happens to the bad lines").click()
    bad = page.get_by_role("region", name="Lines that can't be loaded")
    expect(bad).to_contain_text("The other lines can be loaded without them.")
    check_accessible(page)
    page.get_by_role("button", name="Load 2 lines").click()
    expect(page.locator(".notice-ok")).to_contain_text("3 bad lines were not loaded.")
    expect(bad).to_contain_text("All other lines of the file are in shop All.")
    with page.expect_download() as download:
        bad.get_by_role("link", name="CSV").click()
    text = download.value.path().read_text("utf-8-sig")
    corrected = bonus_file.with_name("corrected.csv")
    text = text.replace("4100000012,0", "4100000012,7").replace("\n,100", "\n4100000019,100")
    corrected.write_text(text.replace("сто", "100"), encoding="utf-8")
    bad.get_by_role("link", name="Load the corrected file").click()
    expect(page.get_by_label("changeAccountBalanceTemp")).to_be_checked()
    page.locator("[name=file]").set_input_files(corrected)
    page.get_by_role("button", name="Check the file").click()
    page.get_by_role("button", name="Load 3 lines").click()
    expect(page.locator(".notice-ok")).to_contain_text("3 rows are in")
    rows = query(shop_all, 'select account, amount::text from "changeAccountBalanceTemp"')
    assert sorted(rows) == [
        ("4100000011", "1250.50"),
        ("4100000012", "7"),
        ("4100000013", "100"),
        ("4100000014", "-25.50"),
        ("4100000019", "100"),
    ]


def test_columns_are_chosen_where_they_are_not_recognised(
    page: Page, log_in: Callable, tmp_path: Path, shop_all: str
):
    file = tmp_path / "cards.csv"
    file.write_text("7780000000011;4100000011\n7780000000012;4100000012\n")
    log_in(page, "operator")
    choose(page, file, "changeCardAccountTemp")
    expect(page.locator("[name=column_card]")).to_be_visible()
    page.locator("[name=column_card]").select_option("0")
    page.locator("[name=column_account]").select_option("1")
    page.locator("form[action$='reading/'] [type=submit]").first.click()
    expect(page.locator("#confirm")).to_be_visible()


@pytest.mark.long
def test_while_a_worker_checks_the_page_refreshes_itself(
    page: Page, log_in: Callable, check_accessible: Callable, tmp_path: Path, shop_all: str
):
    file = tmp_path / "large.csv"
    file.write_text("account;amount\n" + "4100000011;1\n" * 60_000)
    log_in(page, "operator")
    choose(page, file, "changeAccountBalanceTemp")
    expect(page.locator("[data-poll] progress")).to_be_visible()
    check_accessible(page)
    drain(lambda: False)
    expect(page.locator("#confirm")).to_be_visible()
    assert Upload.objects.get().good == 60_000


@pytest.mark.long
def test_a_loaded_file_says_live_at_each_server_how_much_of_it_has_arrived(
    page: Page, log_in: Callable, check_accessible: Callable, dock: Callable, bonus: str,
    second_bonus: str, shop_all: str, load: Callable,
):  # fmt: skip
    dock(bonus, "Бонусный сервер 8")
    dock(second_bonus, "Бонусный сервер 9")
    lines = "".join(f"77800000000{n:02};41000000{n:02};1\n" for n in range(39))
    upload = load("cards", f"card;account;status\n{lines}7780000000099;;2\n".encode())
    log_in(page, "operator")
    use_language(page, "en")
    page.goto(upload.get_absolute_url())
    first, second = page.locator(".arrivals > li").all()
    for one in (first, second):
        expect(one).to_contain_text("0 of 40 moved")
    first.get_by_role("button", name="Run now").click()
    expect(first).to_contain_text("Queued")
    drain(lambda: False)
    run = TransferRun.objects.get()
    expect(first).to_contain_text("40 of 40 moved")
    expect(first.get_by_role("link", name=f"run {run.pk}")).to_be_visible()
    expect(second).to_contain_text("0 of 40 moved")
    check_accessible(page)
    first.get_by_role("link", name="1 rejected").click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    expect(page.locator("main tbody")).to_contain_text("7780000000099")
    page.go_back()
    expect(page.locator("h1")).to_be_visible()
    page.get_by_role("button", name="Run now").click()
    drain(lambda: False)
    expect(second).to_contain_text("40 of 40 moved")
    expect(page.locator("[data-poll]")).to_have_count(0)


def posts_of(page: Page) -> list[str]:
    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    return sent


def test_a_file_that_is_refused_is_sent_once_and_the_page_says_why(
    page: Page, log_in: Callable, tmp_path: Path, bonus_file: Path, shop_all: str
):
    file = tmp_path / "cards.csv"
    file.write_text("7780000000011;4100000011\n")
    log_in(page, "operator")
    use_language(page, "en")
    sent = posts_of(page)
    page.goto("/load/")
    page.locator("[name=file]").set_input_files(file)
    page.get_by_role("button", name="Check the file").click()
    expect(page.locator(".errorlist")).to_contain_text(
        "The headings don’t say what this file contains"
    )
    assert len(sent) == 1
    choose(page, bonus_file, "changeAccountBalanceTemp")
    expect(page.locator("#upload")).to_be_visible()
    assert len(sent) == 2


class TestWhereTheConnectionBreaks:
    @pytest.fixture
    def expected_trouble(self) -> list[str]:
        return ["net::ERR_FAILED"]

    def test_a_file_is_not_sent_again_by_itself_and_the_form_can_be_used_again(
        self, page: Page, log_in: Callable, check_accessible: Callable, bonus_file: Path,
        shop_all: str,
    ):  # fmt: skip
        log_in(page, "operator")
        use_language(page, "en")
        sent = posts_of(page)
        page.goto("/load/")
        page.get_by_label("changeAccountBalanceTemp").check()
        page.locator("[name=file]").set_input_files(bonus_file)
        page.route("**/*", lambda route: route.abort(), times=1)
        page.get_by_role("button", name="Check the file").click()
        expect(page.get_by_role("alert")).to_contain_text("The connection broke off")
        expect(page.locator(".sending")).to_be_hidden()
        assert len(sent) == 1
        check_accessible(page)
        page.get_by_role("button", name="Check the file").click()
        expect(page.locator("#upload")).to_be_visible()
        assert len(sent) == 2


def test_without_a_script_it_works_as_well(
    open_page: Callable, log_in: Callable, bonus_file: Path, shop_all: str
):
    page = open_page(java_script_enabled=False)
    log_in(page, "operator")
    choose(page, bonus_file, "changeAccountBalanceTemp")
    page.locator("#confirm").get_by_role("button").first.click()
    expect(page.locator(".notice-ok")).to_be_visible()


def test_a_single_change_by_hand_leads_to_where_it_is(page: Page, log_in: Callable, shop_all: str):
    log_in(page, "operator")
    page.goto("/load/by-hand/balances/")
    page.locator("[name=account]").fill("4100000011")
    page.locator("[name=amount]").fill("0")
    page.locator("main [type=submit]").first.click()
    expect(page.locator("[name=amount]")).to_have_attribute("aria-invalid", "true")
    page.locator("[name=amount]").fill("250")
    page.locator("main [type=submit]").first.click()
    page.locator("main [type=submit]").first.click()
    expect(page).to_have_url("/trace/?q=4100000011&in=account")
    expect(page.locator(".staged-changes")).to_contain_text("250")


def test_a_change_below_zero_shows_the_balance_and_is_asked_about_once_more(
    page: Page, log_in: Callable, dock: Callable, bonus: str, shop_all: str
):
    query(bonus, "insert into asset (account, amount) values ('4100000011', 1100.02)")
    dock(bonus)
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/load/by-hand/balances/")
    page.locator("[name=account]").fill("4100000011")
    page.locator("[name=amount]").fill("-12 345 678,90")
    page.get_by_role("button", name="Проверить и продолжить").click()
    points = page.locator("main .points")
    expect(points).to_contain_text("баланс 1\u202f100,02, станет \u221212\u202f344\u202f578,88")
    expect(page.get_by_text("баланс станет отрицательным")).to_be_visible()
    page.get_by_role("button", name="Внести").click()
    expect(page.locator("[name=sure]")).to_be_focused()  # the browser asks for it
    assert query(shop_all, 'select from "changeAccountBalanceTemp"') == []
    page.locator("[name=sure]").check()
    page.get_by_role("button", name="Внести").click()
    expect(page).to_have_url("/trace/?q=4100000011&in=account")
    assert query(shop_all, 'select amount::text from "changeAccountBalanceTemp"') == [
        ("-12345678.90",)
    ]


def test_the_list_of_single_changes_is_closed_by_escape_and_by_a_click_beside_it(
    page: Page, log_in: Callable, shop_all: str
):
    log_in(page, "operator")
    page.goto("/load/")
    change = page.locator(".drop a").first
    for close in (lambda: page.keyboard.press("Escape"), lambda: page.locator("h1").click()):
        page.locator(".drop summary").click()
        expect(change).to_be_visible()
        close()
        expect(change).not_to_be_visible()
