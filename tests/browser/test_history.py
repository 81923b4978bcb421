from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.records import POSITION, a_run, server
from transfer.models.run_base import State

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

NOW = timezone.now


@pytest.fixture
def eight():
    return server()


def one_of_each(eight):
    for state, kind in zip(State, ["balances", "cards"] * 4, strict=True):
        a_run(
            eight, kind, state=state, queued_at=NOW(), expected=10, applied=4, rejected=1,
            error_code="connection_lost" if state == State.FAILED else "",
            error_params={"party": "shop_all:"}, error_technical="08006",
        )  # fmt: skip


def test_a_filter_applies_at_once_keeps_the_sorting_and_is_cleared(
    page: Page, log_in: Callable, eight
):
    one_of_each(eight)
    log_in(page, "viewer")
    page.goto("/history/?sort=queued_at&per_page=50")
    page.locator(".folded-filter summary").click()
    page.locator("[name=state]").focus()
    page.locator("[name=state]").select_option("failed")
    expect(page.locator("#results tr[id^=run-]")).to_have_count(1)
    page.wait_for_url("**state=failed**sort=queued_at**per_page=50**")
    expect(page.locator("[name=state]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#filter")).to_be_hidden()
    page.locator("#chips a", has_text="Состояние").click()
    page.wait_for_url(lambda url: "state=failed" not in url and "sort=queued_at" in url)
    expect(page.locator("#results tr[id^=run-]")).to_have_count(len(State))


def test_the_first_runs_are_seen_without_scrolling_and_the_heading_stays_in_sight(
    page: Page, log_in: Callable, eight
):
    for number in range(60):
        a_run(eight, queued_at=NOW() - timedelta(hours=number), applied=number)
    log_in(page, "viewer")
    page.goto("/history/?per_page=100")
    rows = page.locator("#results .runs tbody tr")
    assert rows.nth(5).bounding_box()["y"] < DESKTOP["height"] - 40
    rows.nth(59).scroll_into_view_if_needed()
    assert page.locator(".runs thead th").first.bounding_box()["y"] == 0


def test_a_click_anywhere_in_a_row_leads_to_its_run(page: Page, log_in: Callable, eight):
    run = a_run(eight, queued_at=NOW(), applied=5)
    log_in(page, "viewer")
    page.goto("/history/")
    page.locator(".runs td.took").click(force=True)  # the link lies over it
    page.wait_for_url(f"**{run.get_absolute_url()}")


def test_on_a_phone_a_run_is_a_card_of_two_lines(phone: Page, log_in: Callable, eight):
    for number in range(30):
        a_run(eight, "cards", queued_at=NOW() - timedelta(hours=number), applied=1000, rejected=7)
    log_in(phone, "viewer")
    phone.goto("/history/")
    expect(phone.locator("#results .runs tbody tr")).to_have_count(25)
    size = phone.evaluate("[document.body.scrollHeight, document.documentElement.scrollWidth]")
    assert size[0] < 3000
    assert size[1] <= PHONE["width"]
    assert phone.locator("#results .runs tbody tr").first.bounding_box()["height"] < 70
    server = phone.locator(".whole-row", has_text="Бонусный сервер 8").first.locator("span").last
    expect(server).to_have_text("→ Бонусный сервер 8")
    assert not server.evaluate("one => one.scrollWidth > one.clientWidth")


def test_what_is_found_is_downloaded(page: Page, log_in: Callable, eight):
    one_of_each(eight)
    log_in(page, "viewer")
    page.goto("/history/?state=failed")
    for kind in ("csv", "xlsx"):
        with page.expect_download() as download:
            page.locator(f"a[href*='export.{kind}']").click()
        assert download.value.suggested_filename.endswith(f".{kind}")
        assert "state=failed" in download.value.url


def test_a_run_under_way_moves_on_by_itself_and_keeps_focus_and_open_folds(
    page: Page, log_in: Callable, eight
):
    run = a_run(eight, state=State.RUNNING, expected=1000, applied=100,
                queued_at=NOW() - timedelta(seconds=5), position_from=POSITION,
                position_to=POSITION)  # fmt: skip
    log_in(page, "operator")
    page.goto(run.get_absolute_url())
    page.locator("#positions summary").click()
    page.locator("#cancel").focus()
    expect(page.locator("progress")).to_have_attribute("value", "100")
    type(run).objects.filter(pk=run.pk).update(applied=700)
    expect(page.locator("progress")).to_have_attribute("value", "700")
    expect(page.locator("#cancel")).to_be_focused()
    expect(page.locator("#positions")).to_have_attribute("open", "")
    run.refresh_from_db()
    run.finish(State.SUCCEEDED)
    expect(page.locator(".run-state .badge-ok")).to_be_visible()
    expect(page.locator("#run[data-poll]")).to_have_count(0)


def test_an_open_runs_row_in_the_history_ends_by_itself(page: Page, log_in: Callable, eight):
    run = a_run(eight, state=State.RUNNING, expected=10, applied=1, queued_at=NOW())
    other = a_run(eight, "cards", queued_at=NOW())
    log_in(page, "viewer")
    page.goto("/history/")
    page.locator(f"#to-run-{other.pk}").focus()
    run.finish(State.SUCCEEDED)
    expect(page.locator(f"#run-{run.pk} .badge-ok")).to_be_visible()
    expect(page.locator(f"#run-{run.pk}[data-poll]")).to_have_count(0)
    expect(page.locator(f"#to-run-{other.pk}")).to_be_focused()
