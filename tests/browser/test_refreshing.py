"""Pages that refresh themselves: whole after Back and Forward, and nothing on them jumps."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Page, Response, expect

from tests.browser.conftest import DESKTOP, PHONE, use_language
from tests.chain import many_servers, registers
from tests.databases import query
from tests.records import a_run
from transfer.models import AccountJob, BonusServer, CashRegister, Heartbeat, Settings, Upload
from transfer.models.run_base import State
from transfer.pages.links import key_of

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
QUIET = pytest.mark.usefixtures("nothing_asked")


PAGES = [
    "overview",
    "scheduler",
    "task",
    "server",
    "run",
    "history",
    "upload",
    "arrival",
    "job",
    "servers",
]
# How far what is in sight has moved, in parts of the window: https://web.dev/articles/cls
SHIFTS = """
    window.shifts = [];
    new PerformanceObserver(list => {
        for (const one of list.getEntries()) window.shifts.push([
            one.value, ...one.sources.map(source => source.node?.outerHTML?.slice(0, 120)),
        ]);
    }).observe({ type: "layout-shift", buffered: true });
"""
NOTHING_SEEN = 0.01


@pytest.fixture
def addresses(dock: Callable, shop_all: str, bonus: str, load: Callable, olga) -> dict[str, str]:
    """Every page that refreshes itself, by its name."""
    server: BonusServer = dock(bonus)
    Settings.load().change(olga, show_transfer_tasks=True)
    run = a_run(server, "balances", state=State.RUNNING, expected=100, applied=40)
    upload = Upload.objects.create(kind="balances", name="a.csv", created_by="olga")
    job = AccountJob.objects.create(server=server, action="create", actor="olga", total=3)
    return {
        "overview": "/",
        "scheduler": "/scheduler/",
        "task": f"/scheduler/{key_of(run.task)}/",
        "server": server.get_absolute_url(),
        "run": run.get_absolute_url(),
        "history": "/history/",
        "upload": upload.get_absolute_url(),
        "arrival": load("balances", b"account;amount\n4100;5\n").get_absolute_url(),
        "job": job.get_absolute_url(),
        "servers": "/servers/",
    }


def is_part(response: Response) -> bool:
    return "hx-request" in response.request.headers


# A browser that caches nothing asks for the page again, in which the pages do not differ.
@pytest.mark.parametrize(
    ("is_cached", "pages"),
    [
        pytest.param(True, PAGES[:3], id="cached"),
        pytest.param(True, PAGES[3:], id="cached, the others"),
        pytest.param(False, PAGES[:3], id="uncached"),
    ],
)
def test_back_leads_to_the_whole_page_after_a_part_of_it_has_refreshed(
    open_page: Callable,
    log_in: Callable,
    addresses: dict[str, str],
    is_cached: bool,
    pages: list[str],
):
    page = open_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": not is_cached})
    log_in(page, "administrator")
    for name in pages:
        page.goto(addresses[name])
        with page.expect_response(is_part):
            page.evaluate("htmx.trigger(document.querySelector('[data-poll]'), 'poll')")
        page.goto("/account/")
        page.go_back()
        page.wait_for_url(f"**{addresses[name]}")
        assert_whole(page)
        page.go_forward()
        assert_whole(page)
        page.go_back()
        assert_whole(page)


def assert_whole(page: Page) -> None:
    expect(page.locator("body > *").first).to_be_attached()
    expect(page.locator("link[rel=stylesheet]")).not_to_have_count(0)
    expect(page.locator("nav").first).to_be_attached()


@pytest.mark.parametrize(
    "viewport",
    [
        pytest.param(DESKTOP, id="desktop"),
        pytest.param(PHONE, id="phone"),
    ],
)
def test_nothing_jumps_when_parts_arrive(
    open_page: Callable, log_in: Callable, addresses: dict[str, str], viewport: dict[str, int]
):
    page = open_page(viewport=viewport)
    page.add_init_script(SHIFTS)
    log_in(page, "administrator")
    jumps = {}
    for name in PAGES:
        page.goto(addresses[name])
        expect(page.locator("[data-poll='0.2']")).to_have_count(0)
        with page.expect_response(is_part):
            page.evaluate("htmx.trigger(document.querySelector('[data-poll]'), 'poll')")
        expect(page.locator(".htmx-request")).to_have_count(0)
        page.evaluate("new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        shifts = page.evaluate("window.shifts")
        if sum(value for value, *_ in shifts) > NOTHING_SEEN:
            jumps[name] = shifts
    assert jumps == {}


@QUIET
def test_a_refresh_sends_nothing_until_something_is_new(page: Page, log_in: Callable, olga):
    servers = many_servers(9)
    Settings.load().change(olga, show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")
    log_in(page, "viewer")
    for url in ("/", "/scheduler/", "/servers/"):
        page.goto(url)
        expect(page.locator("[data-poll='0.2']")).to_have_count(0)
        answers = [refreshed(page).status for _time in range(4)]
        assert answers[0] == 200
        assert answers.count(304) >= 2, "at most one minute ends in between"
        expect(page.locator("main")).to_contain_text("БС 1")
    a_run(servers[-1], state=State.RUNNING, expected=100)
    page.goto("/scheduler/")
    refreshed(page)
    a_run(servers[-2], state=State.RUNNING, expected=100)
    assert refreshed(page).status == 200


def refreshed(page: Page) -> Response:
    with page.expect_response(is_part) as answer:
        page.evaluate("htmx.trigger(document.querySelector('[data-poll]'), 'poll')")
    expect(page.locator(".htmx-request")).to_have_count(0)
    return answer.value


@QUIET
@pytest.mark.parametrize(("language", "words"), [("en", "2 minutes ago"), ("ru", "2 минуты назад")])
def test_relative_times_go_on_by_themselves(
    page: Page, log_in: Callable, language: str, words: str
):
    registers(1, many_servers(2))
    log_in(page, "viewer")
    use_language(page, language)
    page.clock.install()
    page.goto(CashRegister.objects.get().get_absolute_url())
    seen = page.locator("dd time[data-ago]").first
    expect(seen).to_contain_text("назад" if language == "ru" else "ago")
    page.clock.fast_forward(125_000)
    expect(seen).to_have_text(words)


@contextmanager
def no_own_database(other: str, since: datetime) -> Iterator[None]:
    """Our own database takes no connections, and has ended those that were made since then."""
    name = connection.settings_dict["NAME"]
    query(other, f'alter database "{name}" allow_connections false')
    query(
        other,
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = %s and backend_start > %s",
        (name, since),
    )
    try:
        yield
    finally:
        query(other, f'alter database "{name}" allow_connections true')


@pytest.mark.usefixtures("addresses")
def test_a_page_that_can_not_be_refreshed_says_so_within_ten_seconds_and_recovers(
    page: Page, log_in: Callable, shop_all: str, expected_trouble: list[str]
):
    expected_trouble.append("Response Status Error Code 503")
    log_in(page, "viewer")
    begun = timezone.now()
    page.goto("/")
    expect(page.locator(".as-of")).to_be_visible()
    with no_own_database(shop_all, begun):
        expect(page.locator("#offline")).to_be_visible(timeout=10_000)
        expect(page.locator("#offline")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d"))
        expect(page.locator(".as-of")).to_be_hidden()
    expect(page.locator("#offline")).to_be_hidden()
    expect(page.locator(".as-of")).to_be_visible()


def test_a_button_pressed_while_the_database_is_down_leads_back_to_what_was_typed(
    page: Page, log_in: Callable, shop_all: str
):
    log_in(page, "operator")
    begun = timezone.now()
    page.goto("/load/by-hand/balances/")
    page.locator("[name=account]").fill("4100000011")
    page.locator("[name=amount]").fill("250,50")
    with no_own_database(shop_all, begun):
        page.locator("main form[method=post] [type=submit]").first.click()
        expect(page.locator("main")).to_contain_text("Нажатие могло не сработать.")
    page.get_by_role("link", name="Вернуться на страницу").click()
    expect(page.locator("[name=account]")).to_have_value("4100000011")
    expect(page.locator("[name=amount]")).to_have_value("250,50")
    expect(page.locator("#form-again")).to_be_visible()


def test_so_does_a_button_that_changes_a_part_of_the_page(
    page: Page, log_in: Callable, shop_all: str, expected_trouble: list[str]
):
    expected_trouble.append("Response Status Error Code 503")
    log_in(page, "administrator")
    begun = timezone.now()
    page.goto("/servers/add/")
    page.locator("[name=name]").fill("Бонусный сервер 8")
    with no_own_database(shop_all, begun):
        page.get_by_role("button", name="Проверить соединение").click()
        expect(page.locator("main")).to_contain_text("Нажатие могло не сработать.")
    page.get_by_role("link", name="Вернуться на страницу").click()
    expect(page.locator("[name=name]")).to_have_value("Бонусный сервер 8")
