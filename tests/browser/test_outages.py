"""A night with a dead server, and swapped ports, as a store manager meets them."""

from collections.abc import Callable

import pytest
from django.core.cache import cache
from django.utils import timezone
from playwright.sync_api import Page, expect

from tests.browser.conftest import fill_server
from tests.databases import stage
from tests.proxy import Cut, Proxy
from tests.records import server as a_server
from tests.reference_server import TOKEN, reference_server
from transfer.alerts.watch import watch
from transfer.causes.connections import PORT_CLOSED
from transfer.errors import Unreachable
from transfer.models import Actor, BonusServer, Heartbeat, RecurringJob, TransferTask
from transfer.parties import database_of, server as server_named
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.execute import run_here
from transfer.runs.recurring import ask_backlogs
from transfer.servers.checks import check_connections

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]


class Night:
    """A server whose database can be cut off, and what looks at it every minute."""

    server: BonusServer
    is_cut = False

    def tamper(self, _message: object) -> bool:
        if self.is_cut:
            raise Cut
        return True

    def look(self) -> None:
        """What the jobs and the tick of a minute do."""
        self.server.refresh_from_db()
        cache.clear()  # a page asks a silent server again after half a minute
        check_connections()
        ask_backlogs(RecurringJob())
        Heartbeat.beat("shop: cron")
        watch(timezone.now())

    def run(self) -> list[str]:
        """Runs the three tasks by schedule; returns how they ended."""
        tasks = self.server.tasks.select_related("server")
        return [run_here(task, "schedule").state for task in tasks]


def test_a_night_with_a_dead_server(
    page: Page, log_in: Callable, dock: Callable, reference, bonus_of_reference: str, shop_all: str
):
    night = Night()
    with Proxy(bonus_of_reference, night.tamper) as line:
        night.server = server = dock(line.dsn)
        with reference_server(bonus_of_reference) as process:
            ports = {"admin_port": process.admin_port, "work_port": process.work_port}
            for name, value in {**ports, "host": "127.0.0.1", "api_token": TOKEN}.items():
                setattr(server, name, value)
            server.save()
            for task in server.tasks.select_related("server"):
                task.switch(True, Actor("olga"))
            night.look()
            process.process.kill()
            process.process.wait()
        night.is_cut = True
        stage(shop_all, "balances", [("a1", "5"), ("a2", "7")])
        assert night.run() == ["failed"] * 3
        night.look()
        log_in(page, "administrator")
        page.goto("/?ask=1")
        problems = page.locator(".problems > ul > li")
        expect(problems).to_have_count(1)
        expect(problems).to_contain_text("Бонусный сервер 8 не отвечает с")
        expect(problems).to_contain_text("3 трансфера ждут, строки не пропадут")
        problems.locator("summary", has_text="Причины").click()
        expect(problems.locator(".folded-lines > li")).to_have_count(6)
        page.goto(server.get_absolute_url())
        expect(page.locator("#doors > .bad")).to_have_count(3)
        expect(page.locator("#live")).not_to_contain_text("На трансфер это не влияет")

        again = ("--admin-port", str(ports["admin_port"]), "--work-port", str(ports["work_port"]))
        with reference_server(bonus_of_reference, *again):
            night.is_cut = False
            night.look()
            page.goto("/?ask=1")
            expect(problems).to_contain_text("снова отвечает с")
            assert night.run() == ["succeeded"] * 3
            night.look()
            page.goto("/?ask=1")
            expect(problems).to_have_count(0)
            line_of_night = page.locator("[aria-labelledby=night] > ul > li")
            expect(line_of_night).to_contain_text("Бонусный сервер 8 не отвечал")
            expect(line_of_night).to_contain_text("Ждали 2 строки, догнал к")
            for url in (server.get_absolute_url(), "/notifications/"):
                page.goto(url)
                row = page.locator("table tbody tr", has_text="не отвечал")
                expect(row).to_have_count(1)
                expect(row.locator("td").nth(4)).to_have_text("2")
            page.goto(server.get_absolute_url())
            expect(page.locator("#doors > .ok")).to_have_count(3)


@pytest.mark.usefixtures("nothing_asked")
def test_thirty_dead_servers_are_one_line_whose_names_are_folded(page: Page, log_in: Callable):
    where = {"host": "10.0.0.1", "port": "5432", "seconds": "3", "reason": "x"}
    for number in range(1, 31):
        one = a_server(f"Бонусный сервер {number}")
        now = timezone.now()
        one.note_failure(now, Unreachable(PORT_CLOSED, party=server_named(one.name), **where))
        silent = Backlog(error=Unreachable(PORT_CLOSED, party=database_of(one.name), **where))
        backlog.store_backlogs({task.pk: silent for task in one.tasks.all()})
    TransferTask.objects.update(enabled=True)
    Heartbeat.beat("shop: cron")
    log_in(page, "viewer")
    page.goto("/")
    problems = page.locator(".problems > ul > li")
    expect(problems).to_have_count(1)
    expect(problems).to_contain_text("Не отвечают 30 бонусных серверов с")
    expect(problems.get_by_text("Бонусный сервер 17")).to_be_hidden()
    problems.locator("summary", has_text="Какие именно").click()
    expect(problems.get_by_text("Бонусный сервер 17")).to_be_visible()
    assert problems.locator(".folded-lines > li").count() == 30


def test_swapped_ports_are_said_and_swapped_by_one_button(
    page: Page, log_in: Callable, shop_all: str, reference, bonus_of_reference: str
):
    log_in(page, "administrator")
    fill_server(page, reference, bonus_of_reference)
    page.fill("[name=admin_port]", str(reference.work_port))
    page.fill("[name=work_port]", str(reference.admin_port))
    page.get_by_role("button", name="Проверить соединение").click()
    expect(page.locator(".stages .bad")).to_contain_text(
        f"{reference.work_port} — это порт для работы"
    )
    page.get_by_role("button", name="Поменять порты местами").click()
    expect(page.locator("[name=admin_port]")).to_have_value(str(reference.admin_port))
    expect(page.locator("[name=work_port]")).to_have_value(str(reference.work_port))
    expect(page.locator(".stages .ok")).to_have_count(6)
    expect(page.locator("[name=api_token]")).to_have_value(TOKEN)
