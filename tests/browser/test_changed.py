"""Rows that were changed after their transfer, decided on in a browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.databases import query, stage
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def eight(dock, bonus, shop_all):
    """A PIN code and two amounts, changed after they were moved."""
    eight = dock(bonus)
    stage(shop_all, "pincodes", [("4100", "4711")])
    stage(shop_all, "balances", [("4100", 5), ("4200", 500)])
    for kind in ("balances", "pincodes"):
        run_here(eight.tasks.get(kind=kind), Trigger.MANUAL)
    query(shop_all, "update \"accountpincodeTemp\" set pincode = '8888'")
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = amount + 2')
    return eight


def test_the_difference_of_an_amount_is_sent_and_a_pin_is_left(
    page: Page, log_in: Callable, check_accessible: Callable, bonus, eight
):
    log_in(page, "operator")
    use_language(page, "ru")
    page.goto("/rejects/changed/")
    check_accessible(page)
    page.get_by_role("link", name="Оставить все: Пин-коды").click()
    page.get_by_role("button", name="Оставить как есть").click()
    expect(page.locator(".notice-ok")).to_contain_text("1 строка остаётся как есть.")
    page.get_by_role("link", name="Отправить разницу: № 1").click()
    check_accessible(page)
    page.get_by_role("button", name="Отправить разницу").click()
    expect(page.locator(".notice-ok")).to_contain_text("Отправлена ещё раз 1 строка.")
    expect(page.locator("tbody tr")).to_have_count(1)
    run_here(eight.tasks.get(kind="balances"), Trigger.MANUAL)
    assert query(bonus, "select account, amount::int from asset order by 1, 2") == [
        ("4100", 2),
        ("4100", 5),
        ("4200", 500),
    ]
