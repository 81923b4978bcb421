"""On a phone: cards of two lines, and filters folded until one is used."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.records import a_run, server
from transfer.models import CashRegister, MaintenanceRun, MaintenanceTask, Shop
from transfer.models.run_base import State, Trigger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]


@pytest.fixture
def shops() -> None:
    shop = Shop.objects.create(code="111")
    for number in range(10):
        CashRegister.objects.create(shop=shop, code=f"17.{number}", name=f"Касса {number}")


def test_the_history_of_25_runs_is_a_few_screens_long(open_page: Callable, log_in: Callable):
    eight = server()
    for number in range(30):
        a_run(eight, "cards", applied=number, rejected=number % 3)
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/history/")
    expect(page.locator("table.runs tbody tr")).to_have_count(25)
    assert page.evaluate("document.documentElement.scrollHeight") < 3000


def test_no_number_of_a_run_is_cut_off_or_written_over(open_page: Callable, log_in: Callable):
    a_run(server(), "balances", applied=123456, rejected=54321)
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/history/")
    cells = page.locator("table.runs tbody td:not(.number, .unchanged)").all()
    boxes = [box for cell in cells if (box := cell.bounding_box())]
    card = page.locator("table.runs tbody tr").bounding_box()
    assert max(box["x"] + box["width"] for box in boxes) <= card["x"] + card["width"]
    inner = page.locator("table.runs td.applied, table.runs td.rejected")
    assert not any(
        cell.evaluate("one => one.scrollWidth > one.clientWidth") for cell in inner.all()
    )


def test_the_history_of_25_maintenance_runs_is_a_few_screens_long(
    open_page: Callable, log_in: Callable
):
    task = MaintenanceTask.objects.get(kind="check_connections")
    runs = [MaintenanceRun.of(task, Trigger.SCHEDULE) for _number in range(30)]
    for run in runs:
        run.state, run.report = State.SUCCEEDED, {"servers": 2, "failing": 0, "registers": 11}
    MaintenanceRun.objects.bulk_create(runs)
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/history/maintenance/")
    expect(page.locator("table.runs tbody tr")).to_have_count(25)
    assert page.evaluate("document.documentElement.scrollHeight") < 3000


def test_a_filter_is_folded_until_one_filters(open_page: Callable, log_in: Callable, shops: None):
    page: Page = open_page(viewport=PHONE, has_touch=True)
    log_in(page, "viewer")
    page.goto("/registers/")
    field = page.locator("#filter [name=q]")
    expect(field).to_be_hidden()
    heights = [row.bounding_box()["height"] for row in page.locator("tbody tr").all()]
    assert max(heights) < 80
    page.locator("#filter-fold summary").click()
    field.fill("Касса 3")
    page.locator("#filter button").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(field).to_have_value("Касса 3")
    page.set_viewport_size(DESKTOP)
    page.goto("/registers/")
    expect(field).to_be_visible()
    expect(page.locator("#filter-fold summary")).to_be_hidden()
