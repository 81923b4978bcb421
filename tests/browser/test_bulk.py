"""What is done to many rows at once: off until something is chosen, and said how much that is."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.records import a_reject, server
from transfer.models import MaintenanceTask, RejectedRow, Settings

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

COLOUR = "one => getComputedStyle(one).color"


@pytest.fixture
def operator(page: Page, log_in: Callable) -> Page:
    log_in(page, "operator")
    use_language(page, "en")
    return page


@pytest.fixture
def administrator(page: Page, log_in: Callable) -> Page:
    log_in(page, "administrator")
    use_language(page, "en")
    return page


def bulk_of(page: Page, count: int, form: str = "bulk") -> None:
    """The buttons of a form are on, or off, and the counter says of how many."""
    bulk = page.locator(f"[data-bulk={form}]")
    expect(bulk.locator(".chosen")).to_have_text(str(count))
    for button in bulk.locator("[type=submit]").all():
        if count:
            expect(button).to_be_enabled()
        else:
            expect(button).to_be_disabled()


def test_nothing_can_be_discarded_with_nothing_ticked_and_all_by_a_choice_of_its_own(
    operator: Page,
):
    eight = server()
    for _ in range(27):
        a_reject(eight)
    a_reject(eight, "cards")
    operator.goto("/rejects/?kind=balances")
    bulk_of(operator, 0)
    boxes = operator.get_by_role("checkbox", name="Choose row")
    boxes.first.check()
    bulk_of(operator, 1)
    boxes.first.uncheck()
    bulk_of(operator, 0)
    operator.get_by_role("button", name="Choose all").click()
    bulk_of(operator, 25)
    operator.get_by_label("all 27 that match the filter").check()
    bulk_of(operator, 27)
    operator.get_by_role("button", name="Discard…", exact=True).click()
    expect(operator.locator("h1")).to_have_text("Discard 27 rows?")
    operator.go_back()
    bulk_of(operator, 27)
    operator.get_by_label("all 27 that match the filter").uncheck()
    bulk_of(operator, 25)
    operator.get_by_role("button", name="Discard…", exact=True).click()
    expect(operator.locator("h1")).to_have_text("Discard 25 rows?")
    operator.get_by_label("Reason").fill("zeros")
    operator.get_by_role("button", name="Discard").click()
    expect(operator.locator(".notice-ok")).to_contain_text("Discarded: 25 rows.")
    operator.wait_for_url("**/rejects/?kind=balances")
    assert RejectedRow.objects.open().count() == 3


def test_all_that_match_a_filter_are_not_all_that_match_another(operator: Page):
    eight = server()
    for kind in ("balances", "cards", "cards"):
        a_reject(eight, kind)
    operator.goto("/rejects/")
    operator.get_by_role("button", name="Choose all").click()
    operator.get_by_label("all 3 that match the filter").check()
    bulk_of(operator, 3)
    operator.get_by_label("Transfer").select_option("cards")
    expect(operator.get_by_label("all 2 that match the filter")).not_to_be_checked()
    bulk_of(operator, 2)


def test_the_filter_that_was_just_chosen_is_there_after_the_action(
    operator: Page, dock: Callable, bonus, shop_all, olga
):
    Settings.load().change(olga, show_transfer_tasks=True)
    dock(bonus)
    operator.goto("/scheduler/")
    operator.get_by_label("Transfer", exact=True).select_option("cards")
    operator.wait_for_url("**/scheduler/?*kind=cards*")
    rows = operator.locator("table.tasks").first.locator("tbody tr")
    expect(rows).to_have_count(1)
    rows.locator(".choose input").check()
    operator.locator("#bulk-on").click()
    operator.get_by_role("main").get_by_role("button", name="Switch on").click()
    expect(operator.locator(".notice-ok")).to_contain_text("1 task is switched on.")
    assert "kind=cards" in operator.url


def test_all_of_a_table_are_those_of_that_table(
    operator: Page, dock: Callable, bonus, shop_all, olga
):
    Settings.load().change(olga, show_transfer_tasks=True)
    dock(bonus)
    of_maintenance = MaintenanceTask.objects.count()
    operator.goto("/scheduler/")
    of_both(operator, 0, 0)
    transfers, maintenance = operator.get_by_role("button", name="Choose all").all()
    maintenance.click()
    of_both(operator, 0, of_maintenance)
    transfers.click()
    of_both(operator, 3, of_maintenance)
    maintenance.click()
    of_both(operator, 3, 0)
    maintenance.click()
    with operator.expect_response(lambda one: "hx-request" in one.request.headers):
        operator.evaluate("htmx.trigger(document.querySelector('#tasks'), 'poll')")
    of_both(operator, 3, of_maintenance)
    pause = operator.locator("#bulk-maintenance-pause")
    pause.click()
    expect(operator.locator("main form li")).to_have_count(of_maintenance)


def of_both(page: Page, transfers: int, maintenance: int) -> None:
    bulk_of(page, transfers)
    bulk_of(page, maintenance, "bulk-maintenance")


def test_registers_that_match_a_filter_are_blocked_all_at_once(
    operator: Page, docked, six, ordered, check_accessible: Callable
):
    ordered("create", six)
    operator.goto(docked.get_absolute_url())
    bulk_of(operator, 0)
    operator.locator("#accounts [name=q]").fill("10.")
    operator.locator("#accounts [name=q]").press("Enter")
    operator.get_by_label("all 4 that match the filter").check()
    bulk_of(operator, 4)
    check_accessible(operator)
    operator.get_by_role("button", name="Block…", exact=True).click()
    expect(operator.locator("main .points li")).to_have_count(4)


def test_what_blocks_discards_or_deletes_looks_alike_everywhere(
    administrator: Page, docked, six, ordered, check, shop_all
):
    ordered("create", six[:1])
    one = a_reject(docked)
    waiting = check("balances", b"account;amount\n4100;5\n")
    colours = set()
    for address, names in {
        docked.get_absolute_url(): ("Block…", "Delete accounts…"),
        six[0].get_absolute_url(): ("Block…", "Delete the account…"),
        "/rejects/": ("Discard…", "Discard all: The amount is zero."),
        one.get_absolute_url(): ("Discard",),
        waiting.get_absolute_url(): ("Discard",),
    }.items():
        administrator.goto(address)
        for box in administrator.locator("main .choose input").all()[:1]:
            box.check()  # what is off has no colour
        for name in names:
            button = administrator.locator("main .button").filter(has_text=name.partition(":")[0])
            colours.add(button.first.evaluate(COLOUR))
    assert len(colours) == 1
    others = administrator.locator("main .button:not(.danger)")
    assert {one.evaluate(COLOUR) for one in others.all()}.isdisjoint(colours)
