"""The first card of a server's page says what is true of all three doors."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from tests.records import a_run, server, user
from transfer.causes.connections import PORT_CLOSED
from transfer.engine.kinds import KINDS
from transfer.errors import Unreachable
from transfer.models import Actor, BonusServer, OutagePart
from transfer.models.alerts import Incident, Topic
from transfer.models.failing import failure
from transfer.parties import database_of, server as server_named
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.servers.checks import check_connections

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english", "nothing_asked")]
NAME = "БС 12"
WHERE = {"host": "10.0.0.12", "port": "7770", "seconds": "3", "reason": "x"}
NO_PORT = Unreachable(PORT_CLOSED, "[Errno 111]", party=server_named(NAME), **WHERE)
NO_DATABASE = Unreachable(PORT_CLOSED, "Connection refused", party=database_of(NAME), **WHERE)


@pytest.fixture
def bs12():
    """All its doors answer, and its tasks are on."""
    made = server(NAME)
    for task in made.tasks.select_related("server"):
        task.switch(True, Actor("ivan"))
    made.note_answer(timezone.now(), 0.02, 0, "1.0")
    made.note_service_port(timezone.now(), None)
    hear(made)
    return made


def hear(made, error=None):
    asked = Backlog(error=error) if error else Backlog(0)
    backlog.store({task.pk: asked for task in made.tasks.all()})


@pytest.fixture
def card(client, bs12, log_in):
    """The first card: each door with its state, and all that is said."""
    log_in("viewer")

    def card():
        response = client.get(reverse("server_live", args=[bs12.pk]))
        doors = {door.name: door.state for door in response.context["doors"]}
        return doors, " ".join(response.text.split()), response.context["state"]

    return card


def test_all_answer(card):
    doors, text, state = card()
    assert doors == {"admin": "ok", "service": "ok", "database": "ok"}
    assert state == "available"
    assert "Answers in 20 ms · version 1.0" in " ".join(strip_tags(text).split())


def test_of_a_dead_administration_port_the_transfers_are_not_affected(card, bs12):
    bs12.note_failure(timezone.now(), NO_PORT)
    doors, text, state = card()
    assert doors == {"admin": "failing", "service": "ok", "database": "ok"}
    assert state == "failing"
    assert "Transfers are not affected." in text


def test_it_never_says_so_while_the_database_is_down(card, bs12):
    bs12.note_failure(timezone.now(), NO_PORT)
    hear(bs12, NO_DATABASE)
    doors, text, _state = card()
    assert doors == {"admin": "failing", "service": "ok", "database": "failing"}
    assert "not affected" not in text
    assert f"{len(KINDS)} transfers wait, no row is lost." in text
    assert "Connection refused" in text  # in the technical text


def test_nor_while_transfers_fail(card, bs12):
    bs12.note_failure(timezone.now(), NO_PORT)
    a_run(bs12, state="failed", **failure(NO_DATABASE))
    bs12.tasks.filter(kind="balances").update(failures=1)
    assert "not affected" not in card()[1]


def test_of_a_dead_service_port_registers_are_affected(card, bs12):
    bs12.note_service_port(timezone.now(), NO_PORT)
    doors, text, state = card()
    assert (doors["service"], state) == ("failing", "failing")
    assert "Registers can&#x27;t work with this server." in text


def test_what_was_not_checked_for_minutes_is_not_known(card, bs12):
    backlog.store(
        {
            task.pk: Backlog(0, asked_at=timezone.now() - timedelta(minutes=6))
            for task in bs12.tasks.all()
        }
    )
    doors, text, _state = card()
    assert doors["database"] == "unknown"
    assert "Not checked in the last minutes" in text


KEPT = 'id="kept-back"'


def test_in_the_first_hour_it_is_not_offered_to_go_on_without_the_server(card, bs12):
    hear(bs12, NO_DATABASE)
    _doors, text, _state = card()
    assert KEPT not in text
    OutagePart.objects.update(since=timezone.now() - timedelta(hours=2))
    _doors, text, _state = card()
    assert text.index("Connection refused") < text.index(KEPT), "below the diagnosis"


def test_transfers_that_fail_while_all_answers_are_said(card, bs12):
    a_run(bs12, state="failed", **failure(NO_DATABASE))
    bs12.tasks.filter(kind="balances").update(failures=3)
    doors, text, _state = card()
    assert set(doors.values()) == {"ok"}
    assert "Balance changes → БС 12: the last 3 runs failed" in text


def test_the_list_of_servers_says_the_same(client, bs12, log_in):
    log_in("viewer")
    bs12.note_failure(timezone.now(), NO_PORT)
    hear(bs12, NO_DATABASE)
    text = client.get(reverse("servers")).text
    assert "БС 12 has not answered since" in text
    assert "not affected" not in text


def test_the_page_lists_what_was_wrong_with_this_server(client, bs12):
    client.force_login(user("viewer"))
    now = timezone.now()
    for one in (bs12, server("БС 9")):
        Incident.objects.create(
            topic=Topic.FAILURES,
            code="failures",
            key=f"server:{one.pk}",
            server=one,
            params={"kind": "cards", "server": one.name, "n": 3},
            url="/",
            began_at=now - timedelta(hours=2),
            ended_at=now - timedelta(hours=1),
            waited=412,
            caught_up_at=now - timedelta(minutes=56),
        )
    response = client.get(bs12.get_absolute_url())
    (row,) = response.context["incidents"].rows
    assert row.record.server == bs12
    assert "412" in response.text


def test_a_server_without_a_token_is_available_and_says_what_is_not_managed(
    client, docked, shop_all, log_in
):
    log_in("viewer")
    BonusServer.objects.filter(pk=docked.pk).update(api_token="")
    check_connections()
    for url in ("/", "/servers/", f"/servers/{docked.pk}/"):
        text = strip_tags(client.get(url).text)
        assert "Available, accounts not managed" in text, url
        assert "Not checked yet" not in text, url
    page = client.get(reverse("server_live", args=[docked.pk])).text
    door = page.partition('id="door-admin"')[2].partition("</li>")[0]
    assert "Not asked" in door
    assert "since it has no API token; accounts of registers are not managed here" in door
    assert "checked" not in door
