"""From eight bonus servers on the pages are compact: what is wrong first, what is fine folded."""

import re
from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import DESKTOP, PHONE, use_language
from tests.chain import TWELVE_DIGITS, many_servers, registers
from tests.databases import stage
from tests.records import a_run, server, wait_for
from transfer.models import Actor, Heartbeat, Settings, TransferTask
from transfer.models.run_base import Trigger
from transfer.pages.links import key_of
from transfer.runs import execute

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]
BUTTONS_AND_NAMES = (
    ".switch, .row-actions > :is(a, button), .row-actions > form, .cell-task, .cell-waits"
)
# A desktop's window, of which a zoom of 200 % leaves half.
ZOOMED = {"width": DESKTOP["width"] // 2, "height": DESKTOP["height"] // 2}
LISTS = (
    *("/", "/scheduler/", "/servers/", "/registers/", "/history/", "/rejects/", "/load/"),
    *("/trace/", "/audit/", "/notifications/", "/settings/", "/users/", "/keys/"),
)
QUIET = pytest.mark.usefixtures("nothing_asked")

# What is wider than the page, and what is cut off without a sign of it.
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Numbers that leave the box that hides the rest, or that go on in a second line.
CUT = r"""() => {
    const cut = [];
    const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node; node = walk.nextNode()) {
        const around = node.parentElement;
        if (!around.checkVisibility() || around.closest(".visually-hidden, svg, time")) continue;
        for (const number of node.data.matchAll(/[+\u2212]?\d[\d\u202f]{4,}(?:[.,]\d+)?/g)) {
            const range = document.createRange();
            range.setStart(node, number.index);
            range.setEnd(node, number.index + number[0].length);
            const box = range.getBoundingClientRect();
            const hides = (around.closest(".tile, .card") ?? document.body).getBoundingClientRect();
            if (range.getClientRects().length > 1 || box.right > hides.right + 1)
                cut.push(`${number[0]} in ${around.textContent.trim()}`);
        }
    }
    return cut;
}"""


@pytest.fixture
def shown(db: None) -> None:
    Settings.load().change(Actor("ivan"), show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")


def height(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollHeight"))


def is_whole(one: Locator) -> bool:
    """Whether no part of it is beyond an edge of the window, or of what scrolls it sideways."""
    return bool(
        one.evaluate(
            """one => {
            const box = one.getBoundingClientRect();
            const around = one.closest(".card").getBoundingClientRect();
            return box.width > 0 && box.left >= around.left && box.right <= around.right
                && box.right <= innerWidth;
        }"""
        )
    )


@QUIET
@pytest.mark.usefixtures("shown")
def test_the_scheduler_shows_what_is_wrong_and_folds_what_is_fine(page: Page, log_in: Callable):
    failing, silent, *fine = many_servers()
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/scheduler/")
    heads = page.locator(".group-head")
    expect(heads).to_have_count(30)
    expect(heads.nth(0)).to_contain_text("Ошибка: Изменения баланса")
    expect(heads.nth(1)).to_contain_text("Нет ответа")
    expect(page.locator(".task-group[open]")).to_have_count(2)
    expect(page.locator(f"#tasks-of-{failing.pk} tbody tr")).to_have_count(3)
    expect(page.locator(".task-group tbody tr")).to_have_count(6)
    assert height(page) < 2200
    folded = page.locator(f"#tasks-of-{fine[3].pk}")
    folded.locator("summary .icon").first.click()
    opened = page.locator(f"#tasks-of-{silent.pk}")
    opened.locator("summary .icon").first.click()
    with page.expect_response(lambda one: "hx-request" in one.request.headers):
        pass
    expect(folded).to_have_attribute("open", "")
    expect(opened).not_to_have_attribute("open", "")


@QUIET
@pytest.mark.usefixtures("shown")
def test_an_opened_group_gets_its_lines_and_is_open_again_after_back_and_a_reload(
    page: Page, log_in: Callable
):
    _failing, _silent, first, second, *_others = many_servers()
    log_in(page, "operator")
    page.goto("/scheduler/?per_page=50")
    groups = [page.locator(f"#tasks-of-{one.pk}") for one in (first, second)]
    for group in groups:
        group.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(group.locator("tbody tr")).to_have_count(3)
        expect(group.locator("summary")).to_be_focused()
    expect(page).to_have_url(re.compile(f"per_page=50&open={first.pk},{second.pk}$"))
    groups[1].locator(".cell-task a").first.click()
    expect(page.locator("#task-live")).to_be_visible()
    page.go_back()
    for group in groups:
        expect(group.locator("tbody tr")).to_have_count(3)
    groups[0].locator("summary .icon").first.click()
    expect(page).to_have_url(re.compile(f"per_page=50&open={second.pk}$"))
    page.reload()
    expect(groups[0]).not_to_have_attribute("open", "")
    expect(groups[1].locator("tbody tr")).to_have_count(3)
    expect(page.locator(".task-group tbody tr")).to_have_count(9)


@QUIET
@pytest.mark.usefixtures("shown")
def test_all_groups_open_at_once_to_be_printed_and_without_that_paper_says_what_is_folded(
    page: Page, log_in: Callable
):
    many_servers()
    log_in(page, "operator")
    use_language(page, "en")
    page.goto("/scheduler/")
    folded = page.get_by_text("The tasks of 28 servers are folded and not printed.")
    expect(folded).to_be_hidden()
    page.emulate_media(media="print")
    expect(folded).to_be_visible()
    expect(page.get_by_text("Show the tasks of this server").first).to_be_hidden()
    page.emulate_media(media="screen")
    page.locator("[data-choose-all=bulk]").click()
    expect(page.locator("[data-bulk=bulk] .chosen")).to_have_text("90")
    page.locator("#open-all").click()
    expect(page.locator(".task-group tbody tr")).to_have_count(90)
    expect(page.locator(".task-group[open]")).to_have_count(30)
    page.emulate_media(media="print")
    expect(folded).to_have_count(0)
    page.emulate_media(media="screen")
    page.locator("#fold-all").click()
    expect(page.locator(".task-group tbody tr")).to_have_count(6)


@QUIET
@pytest.mark.usefixtures("shown")
def test_without_a_script_a_link_in_the_group_shows_its_lines(
    open_page: Callable, log_in: Callable
):
    *_others, last = many_servers()
    page = open_page(java_script_enabled=False)
    log_in(page, "viewer")
    page.goto("/scheduler/")
    group = page.locator(f"#tasks-of-{last.pk}")
    group.locator("summary .icon").first.click()
    group.locator("[data-later] a").click()
    expect(group.locator("tbody tr")).to_have_count(3)


@QUIET
@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("servers", [2, 9])
def test_no_button_and_no_name_of_the_scheduler_is_cut_off(
    open_page: Callable, log_in: Callable, servers: int
):
    *_others, long = many_servers(servers)
    for task in long.tasks.select_related("server"):
        wait_for(task, TWELVE_DIGITS)
        for _number in range(20):
            a_run(long, task.kind, applied=TWELVE_DIGITS)
    page = open_page()
    log_in(page, "operator")
    cut = []
    for language in ("ru", "en"):
        use_language(page, language)
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            page.goto("/scheduler/?open=all")
            row = page.locator(f"#{key_of(long.tasks.get(kind='cards'))}")
            for one in row.locator(BUTTONS_AND_NAMES).all():
                if not is_whole(one):
                    cut.append((language, size["width"], one.evaluate("one => one.outerHTML")))
            pause = row.locator("a[href*='/pause/']")
            expect(pause).to_be_visible()
            if page.evaluate(TOO_WIDE) > 0:
                cut.append((language, size["width"], "the page"))
    assert not cut


@QUIET
@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("servers", [2, 9])
def test_at_200_percent_nothing_is_too_wide_and_pause_is_in_reach(
    open_page: Callable, log_in: Callable, servers: int
):
    docked = many_servers(servers)
    registers(3, docked)
    run = a_run(docked[0], applied=TWELVE_DIGITS, rejected=1)
    page = open_page(viewport=ZOOMED, device_scale_factor=2)
    log_in(page, "administrator")
    use_language(page, "ru")
    about_one = (docked[-1].get_absolute_url(), run.get_absolute_url())
    too_wide = []
    for url in (*LISTS, *about_one):
        page.goto(url)
        if page.evaluate(TOO_WIDE) > 0:
            too_wide.append(url)
    assert too_wide == []
    page.goto("/scheduler/")
    task = docked[0].tasks.get(kind="balances")
    pause = page.locator(f"#{key_of(task)} a[href*='/pause/']")
    pause.scroll_into_view_if_needed()
    assert is_whole(pause)


@QUIET
def test_the_list_of_registers_begins_on_the_first_screen(open_page: Callable, log_in: Callable):
    servers = many_servers()
    registers(40, servers)
    page = open_page()
    log_in(page, "viewer")
    use_language(page, "ru")
    for size, most in ((DESKTOP, 2400), (PHONE, 4500)):
        page.set_viewport_size(size)
        page.goto("/registers/")
        row = page.locator("table.accounts tbody tr")
        expect(row).to_have_count(25)
        expect(row.first).to_be_in_viewport()
        expect(row.first).to_contain_text("Нет записи БС 1")
        expect(page.locator("#servers-fold summary")).to_contain_text("БС 2")
        assert height(page) < most
        assert page.evaluate(TOO_WIDE) <= 0
    page.locator("#servers-fold summary").click()
    expect(page.locator("table.servers tbody tr").first).to_contain_text("БС 2")


@QUIET
@pytest.mark.parametrize("count", [3, 4, 7])
def test_the_list_of_registers_does_not_scroll_sideways(
    open_page: Callable, log_in: Callable, count: int
):
    servers = many_servers(count)
    registers(12, servers)
    page = open_page()
    log_in(page, "viewer")
    for language in ("ru", "en"):
        use_language(page, language)
        page.goto("/registers/")
        around = page.locator("#results .table-wrap")
        assert around.evaluate("one => one.scrollWidth - one.clientWidth") <= 0


@QUIET
def test_thirty_servers_are_lines_with_the_worst_first(open_page: Callable, log_in: Callable):
    servers = many_servers()
    registers(3, servers)
    page = open_page()
    log_in(page, "viewer")
    use_language(page, "ru")
    for size, most in ((DESKTOP, 1500), (PHONE, 4500)):
        page.set_viewport_size(size)
        page.goto("/servers/")
        rows = page.locator("table.servers tbody tr")
        expect(rows).to_have_count(30)
        expect(rows.first).to_contain_text("БС 2")
        if size == DESKTOP:
            assert rows.nth(5).bounding_box()["height"] < 40, "it is more than one line"
        assert height(page) < most
        assert page.evaluate(TOO_WIDE) <= 0


@QUIET
def test_the_overview_names_the_servers_with_something_wrong_and_folds_the_rest(
    open_page: Callable, log_in: Callable
):
    many_servers()
    page = open_page()
    log_in(page, "viewer")
    use_language(page, "ru")
    page.goto("/")
    lines = page.locator("table.receivers").first.locator("tbody tr")
    expect(lines).to_have_count(2)
    expect(lines.first).to_contain_text("Ошибка: Изменения баланса")
    fine = page.locator("#fine-servers")
    expect(fine.locator("summary")).to_contain_text("28 серверов")
    expect(fine.locator("tbody tr")).to_have_count(0)
    fine.locator("summary").click()
    expect(fine.locator("tbody tr")).to_have_count(28)
    page.reload()
    expect(fine.locator("tbody tr")).to_have_count(28)
    fine.locator("summary").click()
    expect(page).not_to_have_url(re.compile("open="))
    expect(page.locator(".scheme .flow")).to_have_count(3)
    for size in (DESKTOP, PHONE):
        page.set_viewport_size(size)
        assert page.evaluate(TOO_WIDE) <= 0


def test_an_account_says_in_one_line_where_a_change_has_arrived(
    open_page: Callable, log_in: Callable, dock: Callable, bonus: str, shop_all: str
):
    servers = [dock(bonus, f"БС {number}") for number in range(1, 10)]
    dead = servers[-1]
    dead.db_host, dead.db_port = "127.0.0.1", 9
    dead.save()
    stage(shop_all, "balances", [("4100000011", "1655868.05")] * 20)
    task = servers[0].tasks.select_related("server").get(kind="balances")
    execute.run_here(task, Trigger.COMMAND)
    page = open_page()
    log_in(page, "viewer")
    use_language(page, "ru")
    for size, most in ((DESKTOP, 3000), (PHONE, 5000)):
        page.set_viewport_size(size)
        page.goto("/trace/?q=4100000011&in=account")
        change = page.locator(".staged-changes > li").first
        expect(change.locator(".figure")).to_have_text("+1\u202f655\u202f868,05")
        expect(change.locator(".arrival")).to_contain_text("дошло на 8 из 9")
        expect(change.locator(".arrival")).to_contain_text("БС 9, нет связи")
        expect(page.locator(".same")).to_contain_text("8 из 9 серверов")
        assert height(page) < most
        assert page.evaluate(TOO_WIDE) <= 0
        assert page.evaluate(CUT) == []
    change.locator("summary").click()
    expect(change.locator(".deliveries li")).to_have_count(9)


@QUIET
def test_no_sum_of_twelve_digits_is_cut_off_or_broken(open_page: Callable, log_in: Callable):
    one = server()
    TransferTask.objects.update(enabled=True)
    for task in one.tasks.select_related("server"):
        wait_for(task, TWELVE_DIGITS)
    sums = {"amount_applied": "999999999999.99", "amount_rejected": "-999999999999.99"}
    rows = {"read": TWELVE_DIGITS, "expected": TWELVE_DIGITS, "applied": TWELVE_DIGITS}
    rows |= {"unchanged": TWELVE_DIGITS, "rejected": 1, "waiting": TWELVE_DIGITS}
    run = a_run(one, queued_at=timezone.now(), **rows, **sums)
    page = open_page()
    log_in(page, "viewer")
    cut = {}
    for language in ("ru", "en"):
        use_language(page, language)
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            for url in ("/", "/history/", run.get_absolute_url()):
                page.goto(url)
                cut[language, size["width"], url] = page.evaluate(CUT)
                assert page.evaluate(TOO_WIDE) <= 0, (language, size, url)
    assert not any(cut.values()), cut
