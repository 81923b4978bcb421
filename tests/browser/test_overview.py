"""The scheme of the overview can be read, however many servers there are."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE, use_language
from tests.chain import TWELVE_DIGITS
from tests.records import a_run, many_tasks, server, wait_for
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import BonusServer, TransferTask
from transfer.pages.shown.task_groups import MANY
from transfer.parties import server as server_named
from transfer.text.zones import midnight

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
    for one in BonusServer.objects.all():
        one.name = f"Бонусный сервер {one.pk}"
        one.save()
        a_run(one, "balances", queued_at=midnight(timezone.localdate()), applied=1_001_111_711)
    for task in TransferTask.objects.all():
        wait_for(task, TWELVE_DIGITS if task.kind == "cards" else 30_320)
    return int(request.param)


@pytest.mark.long
@pytest.mark.parametrize("servers", [1, 3, 7, 20], indirect=True)
def test_no_word_of_the_scheme_is_cut_off(open_page: Callable, log_in: Callable, servers: int):
    page: Page = open_page()
    log_in(page, "viewer")
    cut = {}
    for language in ("ru", "en"):
        use_language(page, language)
        page.goto("/")
        expect(page.locator(".scheme foreignObject")).to_have_count(
            1 + (servers if servers < MANY else 1)
        )
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            cut[language, size["width"]] = page.evaluate(UNREADABLE)
            for fold in page.locator("#flows-table, #fine-servers").all():
                fold.evaluate("one => { one.open = true; }")
            if page.locator("#fine-servers").count():
                expect(page.locator("#fine-servers tbody tr").first).to_be_visible()
            for table in page.locator("#flows, #fine-servers .table-wrap").all():
                assert table.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
    assert not any(cut.values()), cut


def test_a_screen_reader_hears_of_a_new_problem_once(page: Page, log_in: Callable):
    a_problem(server("БС 1"))
    log_in(page, "viewer")
    page.goto("/")
    expect(page.locator("[data-poll='0.2']")).to_have_count(0)
    announced = page.locator("#announced")
    refresh(page)
    expect(announced).not_to_contain_text("БС 2")
    a_problem(server("БС 2"))
    refresh(page)
    expect(announced).to_contain_text("БС 2")
    expect(announced).not_to_contain_text("БС 1")
    announced.evaluate("one => one.replaceChildren()")  # as if it had been read out
    a_run(BonusServer.objects.get(name="БС 1"))  # where nothing is new, nothing is replaced
    refresh(page)
    expect(page.locator("[data-problem]", has_text="БС 2")).to_have_count(1)
    assert announced.inner_text() == ""


def a_problem(of: BonusServer) -> None:
    of.note_failure(
        timezone.now(), Unreachable(UNREACHABLE, party=server_named(of.name), reason="refused")
    )


def refresh(page: Page) -> None:
    page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("htmx:afterSettle", () => done(), { once: true });
            htmx.trigger("#overview", "poll");
        })"""
    )


def test_a_chart_says_the_value_of_a_bar_on_hover_and_on_focus(page: Page, log_in: Callable):
    a_run(server(), queued_at=timezone.now(), applied=1234, rejected=5)
    log_in(page, "viewer")
    use_language(page, "ru")
    page.goto("/")
    bar = page.locator(".chart-values g").last
    value = bar.locator(".chart-value")
    expect(value).to_be_hidden()
    bar.hover()
    expect(value).to_contain_text("1\u202f239")
    page.mouse.move(0, 0)
    expect(value).to_be_hidden()
    bar.focus()
    expect(value).to_contain_text("Отклонено 5")
