"""What all lists have in common: where their downloads are, and what their links look like."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.chain import registers
from tests.records import a_reject, a_run, server
from transfer.models import Actor, AuditEntry, Settings

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]

# Links that look otherwise: buttons and what is like them, headings that sort, drawings.
LIKE_BUTTONS = ".button, .tile, .chip, .segments a, .tabs a, .drop a, thead a, .table-foot a, .help"
NOT_LIKE_LINKS = """others => {
    const accent = document.createElement("i");
    accent.style.color = "var(--accent)";
    document.body.append(accent);
    const colour = getComputedStyle(accent).color;
    return [...document.querySelectorAll("main a[href]")]
        .filter(one => one.checkVisibility() && !one.closest(`svg, .breadcrumbs, ${others}`))
        .filter(one => {
            const style = getComputedStyle(one);
            return style.color !== colour || !style.textDecorationLine.includes("underline");
        })
        .map(one => one.outerHTML);
}"""


@pytest.fixture
def filled(db: None) -> None:
    one = server()
    a_run(one, applied=3, rejected=1)
    a_reject(one)
    registers(3, [one])
    Settings.load().change(Actor("ivan"), show_transfer_tasks=True)
    AuditEntry.record(Actor("ivan"), AuditEntry.Action.CREATE, one)


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("address", ["/history/", "/registers/", "/audit/", "/rejects/"])
def test_downloads_are_above_the_list(page: Page, log_in: Callable, address: str):
    log_in(page, "administrator")
    page.goto(address)
    download = page.locator("main a[href*='.csv']").first.bounding_box()
    table = page.locator("main table").last.bounding_box()
    assert download
    assert table
    assert 0 < table["y"] - download["y"] < 500


@pytest.mark.usefixtures("filled")
def test_links_look_like_links_in_one_way(page: Page, log_in: Callable):
    log_in(page, "operator")
    wrong = {}
    for address in ("/", "/history/", "/registers/", "/rejects/", "/servers/", "/scheduler/"):
        page.goto(address)
        expect(page.locator("[data-poll='0.2']")).to_have_count(0)
        wrong[address] = page.evaluate(NOT_LIKE_LINKS, LIKE_BUTTONS)
    assert not any(wrong.values()), wrong
