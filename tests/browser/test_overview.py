"""The scheme of the overview can be read, however many servers there are."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, use_language
from tests.records import a_run, many_tasks, wait_for
from transfer.models import BonusServer, TransferTask
from transfer.pages.overview.flows import DRAWN_AT_MOST

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]

# Words that leave their box, or their arrow, or that are written over each other.
UNREADABLE = """() => {
    const cut = [...document.querySelectorAll(".scheme-box, .scheme-box *")]
        .filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth)
        .map(one => one.textContent.trim());
    for (const box of document.querySelectorAll(".scheme-box"))
        if (box.scrollHeight > box.clientHeight) cut.push(box.textContent.trim());
    for (const flow of document.querySelectorAll(".scheme .flow")) {
        const place = name => flow.querySelector(name).getBoundingClientRect();
        const arrow = place(".hit"), waits = place(".flow-waits"), arrived = place(".flow-arrived");
        if (place(".flow-kind").right > arrow.right || waits.right + 4 > arrived.left)
            cut.push(flow.textContent.trim());
    }
    return cut;
}"""


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> int:
    """Servers with long names that nobody has tested yet, and with many rows on their way."""
    many_tasks(3 * request.param)
    for server in BonusServer.objects.all():
        server.name = f"Бонусный сервер {server.pk}"
        server.save()
        a_run(server, "balances", applied=123_456)
    for task in TransferTask.objects.all():
        wait_for(task, 30_320)
    return int(request.param)


@pytest.mark.parametrize("servers", [1, 3, 7, 8, 20], indirect=True)
def test_no_word_of_the_scheme_is_cut_off(open_page: Callable, log_in: Callable, servers: int):
    page: Page = open_page()
    log_in(page, "viewer")
    cut = {}
    for language in ("ru", "en"):
        use_language(page, language)
        page.goto("/")
        expect(page.locator(".scheme foreignObject")).to_have_count(1 + min(servers, DRAWN_AT_MOST))
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            cut[language, size["width"]] = page.evaluate(UNREADABLE)
            table = page.locator("#flows").evaluate("one => one.scrollWidth - one.clientWidth")
            assert table <= 0
    assert not any(cut.values()), cut
