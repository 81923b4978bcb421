"""Back and Forward show whole pages, whatever has refreshed itself on them meanwhile."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Response, expect

from tests.records import a_run
from transfer.models import AccountJob, BonusServer, Settings, Upload
from transfer.models.run_base import State
from transfer.pages.links import key_of

pytestmark = pytest.mark.django_db(transaction=True)


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
@pytest.mark.parametrize(
    "name",
    [
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
    ],
)
def test_leads_to_the_whole_page_after_a_part_of_it_has_refreshed(
    page: Page, log_in: Callable, addresses: dict[str, str], name: str, is_cached: bool
):
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": not is_cached})
    log_in(page, "administrator")
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
