"""On a phone: cards of two lines, and filters that are folded, with chips for what is chosen."""

from collections.abc import Callable

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.records import a_recipient, a_reject, a_run, server
from transfer.alerts.send import mail_server
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import Actor, CashRegister, MaintenanceRun, MaintenanceTask, Settings, Shop
from transfer.models.run_base import State, Trigger

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]


@pytest.fixture
def shops() -> None:
    shop = Shop.objects.create(code="111")
    for number in range(10):
        CashRegister.objects.create(shop=shop, code=f"17.{number}", name=f"Касса {number}")


def test_no_number_of_a_run_is_cut_off_or_written_over(phone: Page, log_in: Callable):
    a_run(server(), "balances", applied=123456, rejected=54321)
    log_in(phone, "viewer")
    phone.goto("/history/")
    cells = phone.locator("table.runs tbody td:not(.number, .unchanged)").all()
    boxes = [box for cell in cells if (box := cell.bounding_box())]
    card = phone.locator("table.runs tbody tr").bounding_box()
    assert max(box["x"] + box["width"] for box in boxes) <= card["x"] + card["width"]
    inner = phone.locator("table.runs td.applied, table.runs td.rejected")
    assert not any(
        cell.evaluate("one => one.scrollWidth > one.clientWidth") for cell in inner.all()
    )


def test_the_history_of_25_maintenance_runs_is_a_few_screens_long(phone: Page, log_in: Callable):
    task = MaintenanceTask.objects.get(kind="check_connections")
    runs = [MaintenanceRun.of(task, Trigger.SCHEDULE) for _number in range(30)]
    for run in runs:
        run.state, run.report = State.SUCCEEDED, {"servers": 2, "failing": 0, "registers": 11}
    MaintenanceRun.objects.bulk_create(runs)
    log_in(phone, "viewer")
    phone.goto("/history/maintenance/")
    expect(phone.locator("table.runs tbody tr")).to_have_count(25)
    assert phone.evaluate("document.documentElement.scrollHeight") < 3000


def heights(page: Page) -> list[float]:
    """About the cards that show a table's rows."""
    boxes = [row.bounding_box() for row in page.locator("tbody tr").all()]
    return [box["height"] for box in boxes if box]


def test_how_many_rows_wait_stands_apart_from_its_word(phone: Page, log_in: Callable):
    Settings.load().change(Actor("anna"), show_transfer_tasks=True)
    server()
    log_in(phone, "viewer")
    phone.goto("/scheduler/")
    gap = phone.locator("td.cell-waits").first.evaluate(
        "cell => parseFloat(getComputedStyle(cell, '::before').marginInlineEnd)"
    )
    assert gap >= 3  # px


def test_a_register_is_a_card_of_two_lines_with_its_state_on_each_server(
    phone: Page, log_in: Callable, shops: None
):
    for name in ("Бонусный сервер 8", "Бонусный сервер 9"):
        server(name)
    log_in(phone, "viewer")
    use_language(phone, "ru")
    phone.goto("/registers/")
    states = phone.locator("tbody tr").first.locator("td:has(.badge)")
    assert [one.inner_text() for one in states.all()] == ["Нет записи", "Нет записи"]
    assert [one.get_attribute("data-label") for one in states.all()] == ["8", "9"]
    assert max(heights(phone)) < 70


@pytest.mark.parametrize("servers", [1, 2])
def test_a_rejected_row_is_a_card_of_two_lines(phone: Page, log_in: Callable, servers: int):
    docked = [server(f"Бонусный сервер {8 + number}") for number in range(servers)]
    for kind in ("balances", "pincodes"):
        for number, one in enumerate(docked):
            a_reject(one, kind, row=30_001, duplicates_open=number > 0)
    log_in(phone, "operator")
    use_language(phone, "ru")
    phone.goto("/rejects/")
    assert max(heights(phone)) < 80


def test_the_state_of_a_recipient_is_one_line(phone: Page, log_in: Callable):
    one = a_recipient("mail", "olga@example.com", failing_since=timezone.now())
    one.note_error(Unreachable(UNREACHABLE, party=mail_server(), reason="refused"))
    one.save()
    log_in(phone, "administrator")
    use_language(phone, "ru")
    phone.goto("/notifications/")
    badge = phone.locator("#recipients .badge")
    expect(badge).to_have_text("Не доходит")
    assert badge.bounding_box()["height"] < 30


@pytest.mark.parametrize("address", ["/registers/", "/history/"])
def test_a_filter_folds_again_once_it_was_used_and_a_chip_says_by_what(
    phone: Page, log_in: Callable, shops: None, address: str
):
    a_run(server(), state=State.FAILED)
    log_in(phone, "viewer")
    use_language(phone, "ru")
    phone.goto(address)
    summary, state = phone.locator("main summary").first, phone.locator("#filter [name=state]")
    expect(state).to_be_hidden()
    summary.click()
    state.focus()
    state.select_option(index=1)
    expect(phone.locator("#chips a", has_text="Состояние")).to_be_visible()
    expect(state).to_be_hidden()
    expect(summary).to_be_focused()
    phone.locator("#chips a", has_text="Состояние").click()
    expect(phone.locator("#chips a", has_text="Состояние")).to_have_count(0)


def test_a_filter_stays_open_while_another_field_is_filled_in(
    phone: Page, log_in: Callable, shops: None
):
    log_in(phone, "viewer")
    phone.goto("/registers/")
    phone.locator("#filter-fold summary").click()
    phone.locator("#filter [name=q]").fill("Касса 3")
    phone.locator("#filter [name=shop]").focus()
    expect(phone.locator("tbody tr")).to_have_count(1)
    expect(phone.locator("#filter [name=shop]")).to_be_focused()
    phone.keyboard.type("111")
    phone.keyboard.press("Enter")
    expect(phone.locator("#chips .chip")).to_have_count(2)
    expect(phone.locator("#filter")).to_be_hidden()


def test_on_a_desktop_a_filter_is_a_row_of_fields_which_need_no_chips(
    page: Page, log_in: Callable, shops: None
):
    log_in(page, "viewer")
    page.goto("/registers/?q=3")
    expect(page.locator("#filter [name=q]")).to_have_value("3")
    expect(page.locator("#filter [name=q]")).to_be_visible()
    expect(page.locator("#filter-fold summary")).to_be_hidden()
    expect(page.locator("#chips")).to_be_hidden()
