"""A wrong file is taken back: what the page says before, and what servers and trace show after."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Page, expect

from tests.browser.conftest import use_language
from tests.databases import query
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

ACCOUNT = "4100000011"
LINES = f"account;amount\n{ACCOUNT};100\n4100000012;20\n"


@pytest.fixture
def servers(dock: Callable, bonus: str, second_bonus: str, shop_all: str) -> list[Any]:
    """The second one takes amounts below 50; the member has spent 30 on the first."""
    query(second_bonus, "alter table asset add constraint small check (amount < 50)")
    query(
        bonus, f"insert into asset (account, amount, created_at) values ('{ACCOUNT}', -30, now())"
    )
    return [dock(bonus, "Bonus server 8"), dock(second_bonus, "Bonus server 9")]


def move(servers: list[Any]) -> None:
    for server in servers:
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)


def held(bonus: str) -> list[tuple[Any, ...]]:
    return query(bonus, "select account, sum(amount)::int from asset group by 1 order by 1")


def test_a_wrong_file_is_taken_back(
    page: Page,
    log_in: Callable,
    check_accessible: Callable,
    tmp_path: Path,
    servers: list[Any],
    bonus: str,
    second_bonus: str,
):
    path = tmp_path / "bonus.csv"
    path.write_text(LINES)
    log_in(page, "operator")
    use_language(page, "en")
    page.goto("/load/")
    page.get_by_label("changeAccountBalanceTemp").check()
    page.locator("[name=file]").set_input_files(path)
    page.locator("form[enctype] [type=submit]").click()
    page.get_by_role("button", name="Load 2 lines").click()
    expect(page.locator(".notice-ok")).to_be_visible()
    move(servers)
    cache.clear()

    page.get_by_role("link", name="Take it back").click()
    expect(page.locator("h1")).to_have_text("Take back “bonus.csv”?")
    points = page.locator(".points")
    expect(points).to_contain_text("Bonus server 8: 2 of 2 moved, 0 rejected")
    expect(points).to_contain_text("Bonus server 9: 2 of 2 moved, 1 rejected")
    expect(page.locator("form .notice-warn")).to_contain_text(
        f"below zero on Bonus server 8: 1, for example {ACCOUNT}"
    )
    check_accessible(page)
    page.get_by_role("button", name="Take it back").click()
    expect(page.locator("h1")).to_have_text("Undo of bonus.csv")
    expect(page.locator(".notice-ok")).to_contain_text("Rows of the opposite amount: 2")
    check_accessible(page)

    move(servers)
    cache.clear()
    assert held(bonus) == [(ACCOUNT, -30), ("4100000012", 0)]
    assert held(second_bonus) == [("4100000012", 0)]
    page.get_by_role("link", name="bonus.csv", exact=True).click()
    expect(page.locator("main")).to_contain_text("Taken back")
    expect(page.get_by_role("link", name="Take it back")).to_have_count(0)
    page.goto(f"/trace/?q={ACCOUNT}&in=account")
    changes = page.locator(".staged-changes")
    expect(changes).to_contain_text("takes back row № 1")
    expect(changes).to_contain_text("taken back by row № 3")
