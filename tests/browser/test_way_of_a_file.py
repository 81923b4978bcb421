"""The whole way of a file: loaded, moved, rejected in part, mended, moved again, and traced."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.databases import query
from transfer.models import Actor, RejectedRow, Settings, TransferRun
from transfer.queue.worker import drain
from transfer.tick import tick

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

# Three lines that nobody can load, and three that only a bonus server can judge: it does not know
# these cards, and the file says nothing of their accounts.
LINES = """Карта;Счёт;Статус
7780000000011;4100000011;1
;4100000012;1
7780000000013;;
7780000000014;4100000014;9
7780000000021;;2
7780000000022;;2
7780000000023;;2
7780000000015;4100000015;3
"""
TO_FIX, TO_DISCARD, TO_LEAVE = "7780000000021", "7780000000022", "7780000000023"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "Карты.csv"
    path.write_bytes(LINES.encode("cp1251"))
    return path


@pytest.fixture
def server(dock: Callable, bonus: str, shop_all: str) -> Any:
    Settings.load().change(Actor("anna"), show_transfer_tasks=True)
    return dock(bonus)


def test_three_bad_rows_one_fixed_one_discarded_one_left_and_the_trace_shows_all_of_it(
    page: Page, log_in: Callable, file: Path, server: Any, bonus: str
):
    log_in(page, "operator")
    use_language(page, "en")
    load(page, file)
    switch_on(page)
    run_by_schedule()
    assert held(bonus) == [("7780000000011", "4100000011", 1), ("7780000000015", "4100000015", 3)]

    page.goto("/rejects/")
    expect(page.locator(".reason-count")).to_have_text("3")
    fix(page, "4100000021")
    discard(page, "the card was never issued")
    page.goto("/rejects/")
    expect(page.locator(".reason-count")).to_have_text("1")

    run_by_schedule()
    assert held(bonus) == [
        ("7780000000011", "4100000011", 1),
        ("7780000000015", "4100000015", 3),
        (TO_FIX, "4100000021", 2),
    ]
    first, second = TransferRun.objects.order_by("pk").values_list("pk", flat=True)
    assert traced(page, "7780000000011") == [f"Moved run {first}"]
    assert traced(page, TO_FIX) == [f"Moved run {second}", f"Rejected run {first}"]
    expect(page.locator(".deliveries").last).to_contain_text("Sent again")
    assert traced(page, TO_DISCARD) == [f"Rejected run {first}"]
    expect(page.locator(".deliveries")).to_contain_text("the card was never issued")
    assert traced(page, TO_LEAVE) == [f"Rejected run {first}"]
    page.locator(".deliveries a[href^='/rejects/']").click()
    expect(page.locator("h1")).to_contain_text("Rejected row")


def load(page: Page, file: Path) -> None:
    page.goto("/load/")
    page.get_by_label("changeCardAccountTemp").check()
    page.locator("[name=file]").set_input_files(file)
    page.locator("form[enctype] [type=submit]").click()
    expect(page.locator("#upload .tile").nth(1)).to_contain_text("3")
    for line in (3, 4, 5):
        expect(page.get_by_role("cell", name=str(line), exact=True).first).to_be_visible()
    page.get_by_role("button", name="Load 5 lines").click()
    expect(page.locator(".notice-ok")).to_be_visible()


def switch_on(page: Page) -> None:
    cache.clear()  # what the overview asked before the file was loaded
    page.goto("/scheduler/?kind=cards")
    page.locator(".switch[id^=switch-transfer]").click()
    expect(page.locator(".toast")).to_contain_text("5 rows wait; next run")


def run_by_schedule() -> None:
    """The schedule's next time comes, and the queue is worked off."""
    known = TransferRun.objects.count()
    tick("test", timezone.now() + timedelta(hours=known + 1))
    drain(lambda: False)
    assert TransferRun.objects.count() == known + 1


def held(bonus: str) -> list[tuple[Any, ...]]:
    return query(bonus, 'select card, account, status from "cardAccounting" order by card')


def open_reject(page: Page, card: str) -> None:
    reject = RejectedRow.objects.get(payload__card=card)
    page.goto("/rejects/")
    page.get_by_role("link", name=str(reject.row), exact=True).last.click()
    expect(page.locator("main")).to_contain_text(card)


def fix(page: Page, account: str) -> None:
    open_reject(page, TO_FIX)
    page.locator("[name=account]").fill(account)
    page.get_by_role("button", name="Check").click()
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_text("The next run moves it")).to_be_visible()


def discard(page: Page, reason: str) -> None:
    open_reject(page, TO_DISCARD)
    page.get_by_role("textbox", name="Reason").fill(reason)
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text("is discarded: it is never sent")).to_be_visible()


def traced(page: Page, card: str) -> list[str]:
    """The state of each of the card's staged changes, the latest first."""
    page.goto("/trace/")
    page.locator("main [name=q]").fill(card)
    page.keyboard.press("Enter")
    expect(page.locator(".staged-changes")).to_be_visible()
    deliveries = page.locator(".deliveries > li")
    return [
        f"{one.locator('.badge').inner_text()} {one.locator('a').first.inner_text()}"
        for one in deliveries.all()
    ]
