"""Pages that refresh themselves: whole after Back and Forward, and nothing on them jumps."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Response, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.records import a_run
from transfer.models import AccountJob, BonusServer, Settings, Upload
from transfer.models.run_base import State
from transfer.pages.links import key_of

pytestmark = pytest.mark.django_db(transaction=True)


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


@pytest.mark.parametrize("is_cached", [True, False], ids=["cached", "uncached"])
def test_back_leads_to_the_whole_page_after_a_part_of_it_has_refreshed(
    open_page: Callable, log_in: Callable, addresses: dict[str, str], is_cached: bool
):
    page = open_page()
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": not is_cached})
    log_in(page, "administrator")
    for name in PAGES:
        page.goto(addresses[name])
        with page.expect_response(is_part):
            page.evaluate("htmx.trigger(document.querySelector('[data-poll]'), 'poll')")
        for _ in range(2):
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


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
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
