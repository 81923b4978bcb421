from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.databases import stage
from tests.records import a_run, many_tasks
from transfer.models import Actor, Heartbeat, Settings, TransferRun, TransferTask
from transfer.models.run_base import State
from transfer.pages.links import key_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("nothing_asked")]
IVAN = Actor("ivan", address="10.0.0.7")


@pytest.fixture
def task(dock, shop_all, bonus):
    """Balance changes; three rows wait. One of the others is paused, and one runs."""
    stage(shop_all, "balances", [("1", 10), ("2", 20), ("3", -5)])
    Settings.load().change(IVAN, show_transfer_tasks=True)
    Heartbeat.beat("shop: cron")
    server = dock(bonus)
    cards, pins = server.tasks.get(kind="cards"), server.tasks.get(kind="pincodes")
    cards.switch(True, IVAN, reason="2026")
    cards.pause(timezone.now() + timedelta(hours=1), IVAN, reason="2027")
    pins.switch(True, IVAN)
    a_run(server, "pincodes", state=State.RUNNING, expected=100, applied=40)
    return server.tasks.select_related("server").get(kind="balances")


def settled(page: Page) -> None:
    """Until the servers have been asked what waits."""
    expect(page.locator("[data-poll='0.2']")).to_have_count(0)


def test_one_click_switches_and_says_what_it_means_and_undo_takes_it_back(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "operator")
    page.goto("/scheduler/")
    settled(page)
    row = page.locator(f"#{key_of(task)}")
    expect(row).to_contain_text("3 строки")
    row.get_by_role("switch", checked=False).click()
    expect(row.get_by_role("switch", checked=True)).to_be_visible()
    toast = page.locator(".toast")
    expect(toast).to_contain_text("3 строки ждут; следующий запуск")
    expect(toast).to_be_in_viewport()
    expect(row).to_contain_text("olga")
    toast.get_by_role("button", name="Вернуть как было").click()
    expect(row.get_by_role("switch", checked=False)).to_be_visible()


@pytest.mark.long
@pytest.mark.parametrize("script", [True, False])
def test_everything_is_done_without_a_script_too(
    open_page: Callable, log_in: Callable, task: TransferTask, script: bool
):
    page = open_page(java_script_enabled=script)
    log_in(page, "operator")
    page.goto("/scheduler/?ask=1")
    row = page.locator(f"#{key_of(task)}")
    expect(row).to_contain_text("3 строки")
    row.get_by_role("switch", checked=False).click()
    page.locator(".toast").get_by_placeholder("Причина").fill("праздники")
    page.locator(".toast").get_by_role("button", name="Сохранить причину").click()
    expect(row).to_contain_text("праздники")
    row.get_by_role("link", name="Изменить расписание").click()
    page.get_by_label("По дням недели").check()
    page.get_by_label("Время суток").nth(1).fill("07:15, 13.30")
    page.get_by_role("button", name="Показать ближайшие запуски").click()
    expect(page.locator("#preview")).to_contain_text("по будням в 07:15 и 13:30")
    page.get_by_role("button", name="Сохранить расписание").click()
    expect(page.locator("main")).to_contain_text(f"Расписание задачи «{task}» изменено")
    expect(row).to_contain_text("по будням в 07:15 и 13:30")
    row.get_by_role("link", name="Пауза").click()
    page.get_by_label("Причина").fill("инвентаризация")
    page.locator("main").get_by_role("button", name="Пауза").click()
    expect(row).to_contain_text("инвентаризация")
    row.get_by_role("button", name="Возобновить").click()
    expect(row).not_to_contain_text("инвентаризация")


def test_the_editor_shows_what_a_schedule_means_while_one_chooses(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "operator")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"/scheduler/{key_of(task)}/schedule/")
    expect(page.locator("#preview")).to_contain_text("каждые 5 минут")
    page.get_by_label("Минут между запусками").select_option("2")
    expect(page.locator("#preview")).to_contain_text("каждые 2 минуты")
    page.locator('[name="begin"]').fill("08:00")
    expect(page.locator("#preview")).to_contain_text("Заполните и «С», и «До»")
    page.locator('[name="end"]').fill("20:00")
    expect(page.locator("#preview")).to_contain_text("каждые 2 минуты с 08:00 до 20:00")
    page.get_by_label("По выражениям cron").check()
    page.get_by_label("Выражения cron").fill("61 * * * *")
    expect(page.locator("#preview")).to_contain_text("«61» не подходит")
    page.get_by_label("Выражения cron").fill("0 9 * * 1-5")
    expect(page.locator("#preview")).to_contain_text("по будням в 09:00")
    expect(page.locator("#preview ol li")).to_have_count(5)
    page.get_by_role("button", name="Показать ближайшие").click()
    settled(page)
    expect(page.locator("#preview ol li")).to_have_count(5)
    task.refresh_from_db()
    assert task.schedule == "*/5 * * * *"
    assert not [url for url in asked if "csrfmiddlewaretoken" in url]


@pytest.mark.long
def test_what_is_ticked_and_where_the_focus_is_outlives_a_refresh(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "operator")
    page.goto("/scheduler/")
    settled(page)
    box = page.locator(f"#choose-{key_of(task)}")
    box.check()
    with page.expect_response(lambda one: "/scheduler/" in one.url):
        pass
    expect(box).to_be_checked()
    expect(box).to_be_focused()


@pytest.mark.long
def test_everything_about_a_task_refreshes_together(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "operator")
    page.goto(f"/scheduler/{key_of(task)}/")
    page.get_by_role("button", name="Запустить").click()
    expect(page.locator(".started")).to_contain_text("начнётся")
    first_run = page.locator("tbody tr").first
    expect(first_run).to_contain_text("В очереди")
    run = TransferRun.objects.get(task=task)
    run.start()
    expect(first_run).to_contain_text("Выполняется")
    expect(page.get_by_role("button", name="Отменить")).to_be_visible()
    run.finish(State.SUCCEEDED, applied=3)
    expect(first_run).to_contain_text("Успешно")
    expect(page.locator(".started")).to_contain_text("Успешно")
    expect(page.locator("main")).not_to_contain_text("В очереди")
    expect(page.locator("main")).not_to_contain_text("начнётся")


@pytest.mark.long
def test_who_when_and_why_stays_open_while_the_page_refreshes(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "viewer")
    page.goto("/scheduler/")
    cards = task.server.tasks.get(kind="cards")
    page.get_by_role("button", name=f"Кто, когда и почему: {cards}").click()
    about = page.locator(f"#about-{key_of(cards)}")
    expect(about).to_contain_text("ivan")
    expect(about).to_contain_text("2027")
    with page.expect_response(lambda one: "hx-request" in one.request.headers):
        pass
    expect(about).to_be_visible()


def test_five_servers_fit_one_screen(page: Page, log_in: Callable, task: TransferTask):
    many_tasks(12)
    for kind in ("balances", "cards"):
        for _number in range(20):
            a_run(task.server, kind)
    a_run(task.server, "balances", state=State.RUNNING)
    a_run(task.server, "cards", state=State.QUEUED)
    log_in(page, "operator")
    page.goto("/scheduler/")
    rows = page.locator("#tasks section").first.locator("tbody tr")
    expect(rows).to_have_count(15)
    expect(rows.last).to_be_in_viewport(ratio=1)
    heights = {round(row.bounding_box()["height"]) for row in rows.all()}
    assert all(32 <= height <= 48 for height in heights)
    sideways = "one => one.scrollWidth - one.clientWidth"
    assert page.locator("#tasks .table-wrap").first.evaluate(sideways) <= 0


def test_a_screen_reader_meets_a_switch_that_is_on_or_off(
    page: Page, log_in: Callable, task: TransferTask
):
    log_in(page, "operator")
    page.goto("/scheduler/")
    for kind, is_on in (("balances", False), ("cards", True)):
        one = task.server.tasks.select_related("server").get(kind=kind)
        switch = page.get_by_role("switch", name=str(one), exact=True, checked=is_on)
        expect(switch).to_have_count(1)


def test_the_second_of_two_admins_is_asked(
    open_page: Callable, log_in: Callable, task: TransferTask
):
    # A page that does not refresh itself, or it may show in time what the first one did.
    page: Page = open_page(java_script_enabled=False)
    log_in(page, "operator")
    page.goto(f"/scheduler/{key_of(task)}/")
    task.pause(timezone.now() + timedelta(hours=1), IVAN, reason="инвентаризация")
    page.get_by_role("switch", checked=False).click()
    expect(page.locator("h1")).to_contain_text("Кто-то изменил это раньше")
    expect(page.locator("main")).to_contain_text("ivan")
    expect(page.locator("main")).to_contain_text("инвентаризация")
    page.get_by_role("button", name="Всё равно включить").click()
    expect(page.get_by_role("switch", checked=True)).to_be_visible()
