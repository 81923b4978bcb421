"""The scheme of the manual: what waits and what arrived today, of each flow; failures in place."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from tests.records import a_run, many_tasks, server, user, wait_for
from transfer.causes.connections import UNREACHABLE
from transfer.engine.received import Totals
from transfer.errors import Unreachable
from transfer.models import Actor, FlowHour, Heartbeat, TransferTask
from transfer.models.run_base import State
from transfer.pages.shown.task_groups import MANY
from transfer.parties import database_of
from transfer.text.zones import midnight

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan")


@pytest.fixture(autouse=True)
def viewer(client, settings, nothing_asked):
    settings.LANGUAGE_CODE = "en"
    client.force_login(user("viewer"))
    Heartbeat.beat("shop: cron")


@pytest.fixture
def eight():
    """Its tasks are on, and nothing waits."""
    eight = server()
    for task in eight.tasks.all():
        task.switch(True, IVAN)
        wait_for(task, 0)
    return eight


def flows(client):
    """Kind → the flow of the only server."""
    (receiver,) = client.get(reverse("overview")).context["scheme"].receivers
    return {flow.worst.task.kind: flow for flow in receiver.flows}


def test_what_arrived_is_of_today_and_leads_to_the_runs_that_brought_it(client, eight):
    today = midnight(timezone.localdate())
    a_run(eight, queued_at=today, applied=70, unchanged=3, rejected=1)
    a_run(eight, queued_at=today + timedelta(seconds=1), applied=7)
    a_run(eight, queued_at=today + timedelta(seconds=2))
    a_run(eight, queued_at=today - timedelta(seconds=1), applied=1000)
    a_run(eight, "cards", queued_at=today, applied=5)
    balances = flows(client)["balances"]
    assert balances.arrived == 80
    assert len(client.get(balances.arrived_url).context["table"].rows) == 2
    assert flows(client)["pincodes"].arrived == 0


def test_a_task_that_runs_as_rows_arrive_has_no_next_time(client, eight):
    balances = eight.tasks.get(kind="balances")
    balances.reschedule("@rows", IVAN)
    next_at = [row.task.kind for row in client.get(reverse("overview")).context["upcoming"]]
    assert "balances" in next_at
    TransferTask.objects.filter(pk=balances.pk).update(looked_at=timezone.now())
    response = client.get(reverse("overview"))
    assert flows(client)["balances"].words == "at once"
    assert "balances" not in [row.task.kind for row in response.context["upcoming"]]


def table(page):
    """The cells of each line of the table of flows."""
    lines = page[page.index('id="flows"') :].partition("</table>")[0].split('<tr role="row">')
    return [bare(line) for line in lines]


def bare(html):
    return " ".join(strip_tags(html.replace("</dt>", " ")).split())


def test_the_oldest_row_that_waits_and_the_time_that_rows_took_are_said_of_each_flow(client, eight):
    balances = eight.tasks.get(kind="balances")
    wait_for(balances, 5, minutes=3)
    for rows, seconds in ((19, 1.7), (1, 400)):
        FlowHour.objects.add(balances.pk, Totals(applied=rows), timezone.now(), seconds)
    page = client.get(reverse("overview")).content.decode()
    (line,) = [line for line in table(page) if line.startswith("Balance changes")]
    assert line.startswith("Balance changes 5the oldest 3 minutes ago 0 2 s")
    assert "95 of 100 rows arrived within 2 s" in bare(page)
    tiles = bare(page[page.index('id="day"') :])
    assert "Rows waiting now 5 the oldest 3 minutes ago" in tiles
    FlowHour.objects.add(balances.pk, Totals(applied=1), timezone.now(), 90_000)
    page = client.get(reverse("overview")).content.decode()
    assert "95 of 100 rows arrived within 8 min" in bare(page)


def test_of_a_server_among_many_the_slowest_flow_is_shown(client):
    many_tasks(3 * MANY)
    slow = TransferTask.objects.last()
    FlowHour.objects.add(slow.pk, Totals(applied=10), timezone.now(), 50)
    FlowHour.objects.add(
        slow.server.tasks.exclude(pk=slow.pk).first().pk, Totals(applied=1000), timezone.now(), 1
    )
    scheme = client.get(reverse("overview")).context["scheme"]
    seconds = {one.server.pk: one.most_within for one in scheme.receivers}
    assert seconds[slow.server_id] == 60
    assert sum(one is None for one in seconds.values()) == MANY - 1


def test_a_failure_stands_on_its_arrow_and_leads_to_the_run(client, eight):
    run = a_run(eight, state=State.FAILED, error_code="unreachable",
                error_params={"party": "database:8"})  # fmt: skip
    TransferTask.objects.filter(pk=run.task_id).update(failures=2)
    flow = flows(client)["balances"]
    assert (flow.worst.look.tone, flow.words) == ("bad", "has failed")
    assert flow.state_url == run.get_absolute_url()
    assert flows(client)["cards"].worst.look.tone == "ok"


def test_every_other_state_is_said_in_a_word(client, eight):
    balances, cards, pincodes = (
        eight.tasks.get(kind=kind) for kind in ("balances", "cards", "pincodes")
    )
    assert flows(client)["cards"].words.startswith("next ")
    cards.pause(timezone.now() + timedelta(hours=1), IVAN)
    balances.switch(False, IVAN)
    wait_for(pincodes, error=Unreachable(UNREACHABLE, party=database_of("8"), reason="refused"))
    shown = flows(client)
    assert shown["cards"].words.startswith("paused until ")
    assert shown["balances"].words == "switched off"
    assert (shown["pincodes"].worst.look.tone, shown["pincodes"].words) == ("bad", "no answer")
    a_run(eight, "balances", state=State.RUNNING)
    a_run(eight, "cards", state=State.QUEUED)
    shown = flows(client)
    assert (shown["balances"].words, shown["cards"].words) == ("is being moved", "in the queue")


def test_of_many_servers_the_sums_are_drawn_and_the_table_begins_with_the_worst(client):
    many_tasks(3 * MANY)
    for task in TransferTask.objects.filter(kind="balances").select_related("server"):
        wait_for(task, 5)
        a_run(task.server, queued_at=midnight(timezone.localdate()), applied=7)
    ill = TransferTask.objects.select_related("server").last()
    wait_for(ill, error=Unreachable(UNREACHABLE, party=database_of("8"), reason="refused"))
    scheme = client.get(reverse("overview")).context["scheme"]
    assert [one.server for one in scheme.wrong] == [ill.server]
    assert len(scheme.fine) == MANY - 1
    balances = next(one for one in scheme.totals if one.rows[0].task.kind == "balances")
    assert (balances.waiting.rows, balances.arrived) == (5, 7 * MANY)
    assert len(client.get(balances.arrived_url).context["table"].page.records) == MANY
    cards = next(one for one in scheme.totals if one.rows[0].task.kind == ill.kind)
    assert (cards.worst.look.tone, cards.words) == ("bad", f"no answer: 1 of {MANY}")


def test_servers_with_nothing_wrong_are_one_fold_whose_lines_come_once_it_is_opened(client):
    many_tasks(3 * MANY)
    for task in TransferTask.objects.select_related("server"):
        wait_for(task, 0)
    for part in (False, True):
        headers = {"HX-Request": "true"} if part else {}
        folded = client.get(reverse("overview"), headers=headers).content.decode()
        assert folded.count("data-later") == 1
        assert "table cards receivers" not in folded
        opened = client.get(reverse("overview"), {"open": "0"}, headers=headers).content.decode()
        assert "data-later" not in opened
        assert opened.count("table cards receivers") == 1


def test_few_servers_are_drawn_each_and_have_no_sums(client):
    many_tasks(3 * (MANY - 1))
    scheme = client.get(reverse("overview")).context["scheme"]
    assert (len(scheme.receivers), scheme.is_many) == (MANY - 1, False)
