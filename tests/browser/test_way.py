"""The whole way, as the store admin goes it, in both languages."""

import csv
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import translation
from playwright.sync_api import Page, expect

from tests.browser.conftest import PASSWORD, make_user, use_language
from tests.databases import query, stage
from transfer.models import Actor, Heartbeat, Settings, TransferRun
from transfer.models.run_base import State
from transfer.pages.links import key_of

pytestmark = pytest.mark.django_db(transaction=True)

WORDS = {
    "ru": {
        "scheduler": "Планировщик",
        "wait": "3 строки ждут; следующий запуск",
        "run": "Запустить",
        "queued": "В очереди",
        "history": "История",
        "state": "Состояние",
    },
    "en": {
        "scheduler": "Scheduler",
        "wait": "3 rows wait; next run",
        "run": "Run now",
        "queued": "Queued",
        "history": "History",
        "state": "State",
    },
}


@pytest.fixture
def task(dock, shop_all, bonus):
    """Balance changes, switched off. Three rows wait, of which one will be rejected."""
    cache.clear()
    stage(shop_all, "balances", [("1", 10), ("2", 20), (None, 30)])
    Settings.load().change(Actor("anna"), show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")
    return dock(bonus).tasks.select_related("server").get(kind="balances")


@pytest.mark.parametrize("language", ["ru", pytest.param("en", marks=pytest.mark.long)])
def test_from_the_log_in_to_the_file(
    page: Page, task: Any, bonus: str, manage: Callable, language: str
):
    words = WORDS[language]
    with translation.override(language):
        done = str(State.REJECTS.label)
    make_user("olga", "operator")
    page.goto("/login/")
    use_language(page, language)
    page.reload()

    # Log in; the overview says what waits and why.
    page.fill("[name=username]", "olga")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    expect(page.locator(f"#flow-{key_of(task)}")).to_have_text("3")

    # Enable the task: one click.
    page.locator(".side").get_by_role("link", name=words["scheduler"]).click()
    row = page.locator(f"#{key_of(task)}")
    row.get_by_role("switch", checked=False).click()
    expect(row.get_by_role("switch", checked=True)).to_be_visible()
    expect(page.locator(".toast")).to_contain_text(words["wait"])

    # Run it, and watch it finish: a worker takes the run, and the row tells by itself.
    row.get_by_role("button", name=words["run"]).click()
    expect(page.get_by_role("status").first).to_contain_text(words["queued"])
    worker = manage("db_worker", "--batch")
    output = worker.communicate(timeout=30)
    assert worker.returncode == 0, output
    expect(row).to_contain_text(done)
    assert sorted(query(bonus, "select amount from asset")) == [(10,), (20,)]

    # Open its run.
    run = TransferRun.objects.get()
    row.get_by_role("link", name=done).click()
    expect(page).to_have_url(run.get_absolute_url())
    expect(page.locator("main")).to_contain_text(done)

    # Filter the history, and take the file of what is found.
    page.locator(".side").get_by_role("link", name=words["history"]).click()
    page.wait_for_load_state()
    page.locator(".folded-filter summary").click()
    page.get_by_label(words["state"], exact=True).select_option("failed")
    expect(page.locator(f"#run-{run.pk}")).to_have_count(0)
    page.get_by_label(words["state"], exact=True).select_option("rejects")
    expect(page).to_have_url(re.compile("state=rejects"))
    expect(page.locator(f"#run-{run.pk}")).to_be_visible()
    page.locator(".folded-filter summary").click()  # it lies over what is below it
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    with open(download.value.path(), encoding="utf-8-sig", newline="") as file:
        _heading, *lines = list(csv.reader(file, delimiter=";" if language == "ru" else ","))
    assert len(lines) == 1
    assert str(run.pk) in lines[0]
