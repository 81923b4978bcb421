"""One outage has one begin, on all pages, for programs, in messages and in the story of the night.

The databases and ports of these tests are real. They are closed and opened, and time is let go on.
"""

import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone, translation
from django.utils.html import strip_tags

from tests.databases import stage
from tests.http_api.conftest import Program, a_key
from tests.proxy import Cut, Proxy
from tests.records import user
from tests.reference_server import TOKEN, Reference, reference_server
from transfer.alerts import words
from transfer.alerts.watch import watch
from transfer.models import (
    Actor,
    BonusServer,
    Heartbeat,
    Incident,
    OutagePart,
    RecurringJob,
    Settings,
)
from transfer.models.alerts import Notice, Recipient, Topic
from transfer.models.outage_parts import Part, Seen
from transfer.runs.execute import run_here
from transfer.runs.recurring import ask_backlogs
from transfer.servers.checks import check_connections

pytestmark = [pytest.mark.long, pytest.mark.django_db]
PLACES = ("overview", "page", "list", "scheduler", "problems", "moments of the API")
NAME = "Бонусный сервер 8"
CLOCK = re.compile(r"[Ss]ince\W+(?:today\W+|yesterday\W+)?(\d\d:\d\d)")


class Site:
    """A bonus server whose ports and database can be closed, and all that looks at it."""

    def __init__(self, monkeypatch: Any, dsn: str, client: Client) -> None:
        self.patch, self.dsn, self.client = monkeypatch, dsn, client
        self.program = Program(a_key().secret)
        self.is_cut = False
        self.processes: Any = None
        self.server: BonusServer

    def tamper(self, _message: object) -> bool:
        if self.is_cut:
            raise Cut
        return True

    def at(self, moment: datetime) -> None:
        """It is this time now."""
        self.patch.setattr("django.utils.timezone.now", lambda: moment)
        cache.clear()  # as if the answers of a moment ago were older
        self.now = moment

    def open(self, *ports: str) -> Reference:
        self.is_cut = False
        self.processes = reference_server(self.dsn, *ports)
        reference: Reference = self.processes.__enter__()
        return reference

    def close(self) -> None:
        """Closes the database; the ports, if they are open."""
        self.is_cut = True
        if self.processes:
            self.processes.__exit__(None, None, None)
            self.processes = None

    def reopen(self) -> None:
        ports = ("--admin-port", f"{self.server.admin_port}")
        self.open(*ports, "--work-port", f"{self.server.work_port}")

    def check(self) -> None:
        """What the jobs of a minute ask."""
        check_connections()
        ask_backlogs(RecurringJob())

    def tick(self) -> None:
        Heartbeat.beat("shop: cron")
        watch(timezone.now())

    def run(self) -> list[str]:
        tasks = self.server.tasks.select_related("server")
        return [run_here(task, "schedule").state for task in tasks]

    def text(self, url: str, begin: str = "<main", end: str = "</main>") -> str:
        page = self.client.get(url).text
        return strip_tags(page.partition(begin)[2].partition(end)[0])

    def lines(self) -> list[str]:
        """The lines of the overview that say what is wrong with the server."""
        drawn = self.client.get("/?ask=1").text
        found = re.findall(r'data-problem="failures:server:\d+">(.*?)</a>', drawn)
        return [strip_tags(line) for line in found]

    def told(self) -> dict[str, set[str]]:
        """The time at which each place says that the outage began."""
        program, page = self.program, f"/servers/{self.server.pk}/"
        of_server = program.ask("servers").json()["items"][0]
        (problem,) = [one for one in program.ask("problems").json() if one["server"]]
        in_zone = {clock(datetime.fromisoformat(one)) for one in
                   (of_server["failing_since"], problem["since"])}  # fmt: skip
        return {
            "overview": {at for line in self.lines() for at in times(line)},
            "page": times(self.text(page, 'id="doors"', "</ul>")),
            "list": times(self.text("/servers/", 'id="servers"')),
            "scheduler": times(self.text("/scheduler/?ask=1", 'id="tasks"', "<table")),
            "problems": times(problem["message"]),
            "moments of the API": in_zone,
        }


def everywhere(moment: datetime) -> dict[str, set[str]]:
    """What `told` returns where all places tell this time."""
    return {place: {clock(moment)} for place in PLACES}


def times(text: str) -> set[str]:
    return set(CLOCK.findall(text))


def clock(moment: datetime) -> str:
    return f"{timezone.localtime(moment):%H:%M}"


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


@pytest.fixture
def died() -> datetime:
    """A time of today, near the end of a minute, so that each later look is in another minute."""
    now = timezone.now()
    at_noon = timezone.localtime(now).replace(hour=12, minute=36, second=50, microsecond=0)
    return at_noon if at_noon < now else at_noon - timedelta(days=1)


@pytest.fixture
def site(
    monkeypatch: Any, client: Client, dock: Callable[..., BonusServer], shop_all: str, bonus: str,
    died: datetime, settings: Any,
) -> Iterator[Site]:  # fmt: skip
    """All doors of the server answer, its tasks are on, and nothing waits."""
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("administrator"))
    client.cookies["django_language"] = "en"
    made = Site(monkeypatch, bonus, client)
    with Proxy(bonus, made.tamper) as line:
        reference = made.open()
        made.at(died - minutes(1))
        made.server = dock(line.dsn, NAME)
        ports = {"admin_port": reference.admin_port, "work_port": reference.work_port}
        for name, value in {**ports, "host": "127.0.0.1", "api_token": TOKEN}.items():
            setattr(made.server, name, value)
        made.server.save()
        for task in made.server.tasks.select_related("server"):
            task.switch(True, Actor("olga"))
        Recipient.objects.create(
            name="Olga", channel="mail", address="olga@shop", language="en", topics=Topic.values
        )
        Settings.load().change(Actor("anna"), show_transfer_tasks=True)
        made.check()
        made.tick()
        yield made
        made.close()
    cache.clear()


def of_overview(site: Site) -> object:
    return site.client.get("/?ask=1")


def of_scheduler(site: Site) -> object:
    return site.client.get("/scheduler/?ask=1")


WITNESSES = {
    "a run": Site.run,
    "a check": Site.check,
    "the overview": of_overview,
    "the scheduler": of_scheduler,
}


@pytest.mark.parametrize("first", WITNESSES)
def test_who_sees_it_first_says_for_all_when_it_began(
    site: Site, shop_all: str, died: datetime, first: str
):
    stage(shop_all, "balances", [("a1", "5")])
    site.close()
    site.at(died)
    WITNESSES[first](site)
    for number, other in enumerate(WITNESSES, start=1):
        site.at(died + minutes(number / 2))
        WITNESSES[other](site)
        site.tick()
    expected = {clock(died)}
    assert site.told() == everywhere(died)
    translation.activate("en")
    message = Notice.objects.get(event="began")
    assert times(words.subject(message)) == expected
    assert times(words.body(message)) <= expected
    assert message.incident
    assert message.incident.began_at == died
    for later in (5, 10, 17):
        site.at(died + minutes(later))
        site.check()
        site.run()
        site.tick()
    assert site.told() == everywhere(died)


def test_an_earlier_failure_that_is_noted_later_wins(site: Site, died: datetime):
    site.close()
    site.at(died + minutes(1))
    site.check()
    site.tick()
    assert site.told()["overview"] == {clock(died + minutes(1))}
    OutagePart.note_failures([Seen(site.server.pk, Part.RUNS, died)])
    assert site.told() == everywhere(died)
    site.tick()
    assert Incident.objects.get(code="outage").began_at == died
    OutagePart.note_failures([Seen(site.server.pk, Part.RUNS, died + minutes(2))])
    assert site.told() == everywhere(died)


def test_one_line_is_shown_from_the_first_failure_until_the_night_tells_it(
    site: Site, shop_all: str, died: datetime
):
    """At each moment the overview has one line, and once it is over, the night has it."""
    stage(shop_all, "balances", [("a1", "5")])
    site.close()
    down: list[tuple[float, Callable[[], object]]] = [
        (0, site.run), (0.5, site.tick), (1, site.check), (1.5, site.tick), (4, site.run),
        (4.5, site.check), (5, site.tick), (15, lambda: None),
    ]  # fmt: skip
    for after, step in down:
        site.at(died + minutes(after))
        step()
        (line,) = site.lines()
        assert f"since {clock(died)}" in line, after
    site.reopen()
    up = f"{NAME} answers again since {clock(died + minutes(16))}"
    for after, step in [(16, site.check), (16.5, site.tick), (16.8, site.run)]:
        site.at(died + minutes(after))
        step()
        (line,) = site.lines()
        assert line.startswith(up), after
        assert 'id="night"' not in site.client.get("/?ask=1").text
    site.at(died + minutes(17))
    site.tick()
    assert site.lines() == []
    night = site.text("/?ask=1", 'aria-labelledby="night"', "</section>")
    assert f"{clock(died)} – {clock(died + minutes(16))}" in " ".join(night.split())
    assert not OutagePart.objects.exists()


def test_all_places_say_how_many_rows_wait_at_least(site: Site, shop_all: str, died: datetime):
    stage(shop_all, "balances", [("a1", "5")])
    assert site.run() == ["succeeded"] * 3
    site.close()
    stage(shop_all, "balances", [("a1", str(n)) for n in range(1, 481)])
    site.at(died)
    site.check()
    task = site.server.tasks.get(kind="balances")
    assert "at least 480" in site.text("/?ask=1", 'id="flows-table"', "</table>")
    assert "480+" in site.text("/?ask=1", 'id="day-waits"', "</a>")
    assert "at least 480" in site.text("/scheduler/?ask=1", f'id="transfer-{task.pk}"', "</tr>")
    assert "at least 480" in site.text(f"/scheduler/transfer-{task.pk}/?ask=1")
    assert "At least 480 rows wait" in site.text("/?ask=1")
    waiting = site.program.ask(f"tasks/{task.pk}").json()["waiting"]
    assert (waiting["rows"], waiting["at_least"]) == (None, 480)


def test_without_runs_meanwhile_there_is_no_gap_either(site: Site, died: datetime):
    site.close()
    site.at(died)
    assert len(site.lines()) == 1
    for after in (0.5, 1.5):
        site.at(died + minutes(after))
        site.check()
        site.tick()
    site.reopen()
    site.at(died + minutes(5))
    assert len(site.lines()) == 1
    site.check()
    (line,) = site.lines()
    assert line == f"{NAME} answers again since {clock(died + minutes(5))}"
    site.at(died + minutes(5.5))
    site.tick()
    assert site.lines() == []
    (line,) = Incident.objects.filter(code="outage")
    assert (line.began_at, line.until) == (died, died + minutes(5))


def test_while_nothing_is_heard_the_line_stays(site: Site, died: datetime):
    """The worker that asks has died, and the first sight of a page asks for too short a time."""
    site.close()
    for after in (0, 1):
        site.at(died + minutes(after))
        site.check()
        site.tick()
    site.at(died + minutes(30))
    message = site.program.ask("problems").json()
    (said,) = [one["message"] for one in message if one["code"] == "outage"]
    assert said.startswith(f"{NAME} has not answered since {clock(died)}")


def test_the_next_outage_has_a_begin_of_its_own(site: Site, died: datetime):
    site.close()
    for after in (0, 1):
        site.at(died + minutes(after))
        site.check()
        site.tick()
    site.reopen()
    site.at(died + minutes(2))
    site.check()
    site.tick()
    site.close()
    site.at(died + minutes(4))
    site.check()
    site.tick()
    assert site.told()["overview"] == {clock(died + minutes(4))}


def test_parts_that_fail_hours_apart_keep_their_own_times(site: Site, died: datetime):
    OutagePart.note_failures([Seen(site.server.pk, Part.ADMIN, died - minutes(300))])
    site.close()
    site.at(died)
    site.check()
    page = site.text(f"/servers/{site.server.pk}/", 'id="doors"', "</ul>")
    assert times(page) == {clock(died - minutes(300)), clock(died)}
