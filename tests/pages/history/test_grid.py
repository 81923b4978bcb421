"""The grid of time: what every task did in the last hours, on one axis, so that "it began
everywhere at once" is seen.
"""

import gzip
import re
from copy import copy
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.chain import many_servers
from tests.pages.look import queries_of, words
from tests.records import a_run, server
from transfer.models import BonusServer, MaintenanceRun, MaintenanceTask, TransferRun
from transfer.models.run_base import State, Trigger
from transfer.pages.shown.time_grid import WINDOWS, edges_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("viewer")]
GRID = "/history/grid/"


def ago(**since):
    return timezone.now() - timedelta(**since)


def hrefs(response):
    """Where the squares lead to."""
    return re.findall(r'<a class="cell" href="([^"]+)"', response.content.decode())


def test_a_square_leads_to_its_run_and_says_what_it_was(client):
    run = a_run(server(), queued_at=ago(hours=1), applied=5, read=5)
    response = client.get(GRID)
    assert hrefs(response) == [run.get_absolute_url()]
    assert "Succeeded" in words(response)


def test_of_many_runs_in_a_square_the_first_that_failed_is_told(client):
    one, at = server(), edges_of(6)[10]
    a_run(one, queued_at=at + timedelta(minutes=1))
    failed = a_run(one, queued_at=at + timedelta(minutes=3), state=State.FAILED)
    a_run(one, queued_at=at + timedelta(minutes=5), state=State.INTERRUPTED)
    a_run(one, queued_at=at + timedelta(minutes=7))
    response = client.get(GRID)
    assert hrefs(response) == [failed.get_absolute_url()]
    local = timezone.localtime(failed.queued_at)
    page = words(response).replace("\u00a0", " ")
    assert re.search(rf"2 of 4 runs failed, the first ([\w ]+ )?{local:%H:%M}", page)


def test_that_it_began_on_all_servers_at_once_is_said_with_the_minute(client):
    servers = many_servers(30)
    TransferRun.objects.all().delete()
    at = edges_of(6)[20] + timedelta(minutes=6)
    for number, one in enumerate(servers):
        a_run(one, queued_at=at - timedelta(minutes=30))
        a_run(one, queued_at=at + timedelta(seconds=number), state=State.FAILED)
        a_run(one, queued_at=at + timedelta(minutes=15), state=State.FAILED)
    page = words(client.get(GRID)).replace("\u00a0", " ")
    local = timezone.localtime(at)
    assert f"{local:%H:%M}</time></a>: failures began on 30 of 30 servers" in page
    assert page.count("failures began") == 1, "a failure that goes on is not a new one"


def test_what_begins_at_the_end_of_a_square_and_in_the_next_one_is_one_beginning(client):
    first, second = server(), server("Бонусный сервер 9")
    edge = edges_of(6)[20]
    a_run(first, queued_at=edge - timedelta(minutes=1), state=State.FAILED)
    a_run(second, queued_at=edge + timedelta(minutes=1), state=State.FAILED)
    page = words(client.get(GRID))
    assert page.count("failures began") == 1
    assert f"failures began on {first.name}, {second.name}" in page


def test_what_failed_and_fails_again_after_a_success_began_twice(client):
    one, edges = server(), edges_of(6)
    for place, state in ((3, State.FAILED), (8, State.SUCCEEDED), (12, State.FAILED)):
        a_run(one, queued_at=edges[place], state=state)
    assert words(client.get(GRID)).count("failures began") == 2


@pytest.mark.parametrize(("hours", "shown"), [("6", 1), ("12", 2), ("24", 3)])
def test_the_window_is_in_the_address(client, hours, shown):
    one = server()
    for before in (3, 9, 20, 30):
        a_run(one, queued_at=ago(hours=before))
    assert len(hrefs(client.get(GRID, {"hours": hours}))) == shown


@pytest.mark.parametrize("hours", ["", "7", "x", "-1", "9" * 50, "6\x00"])
def test_a_window_that_there_is_not_is_the_first(client, hours):
    response = client.get(GRID, {"hours": hours, "open": hours})
    assert response.status_code == 200
    assert response.context["grid"].hours == WINDOWS[0]


def test_the_last_square_holds_now(client):
    for hours in WINDOWS:
        edges = edges_of(hours)
        assert edges[-2] <= timezone.now() < edges[-1]
        assert edges[-1] - edges[0] == timedelta(hours=hours)


def test_maintenance_is_there_too(client):
    task = MaintenanceTask.objects.first()
    run = MaintenanceRun(
        task=task, kind=task.kind, trigger=Trigger.SCHEDULE, queued_at=ago(hours=1)
    )
    run.state = State.FAILED
    run.save()
    server()
    assert run.get_absolute_url() in hrefs(client.get(GRID))


def test_a_table_says_the_same_for_those_who_do_not_see_the_squares(client):
    one = server()
    failed = a_run(one, queued_at=ago(hours=2), state=State.FAILED)
    a_run(one, queued_at=ago(hours=1))
    page = client.get(GRID).content.decode()
    table = page[page.index("<table") : page.index("</table>")]
    assert f'href="{failed.get_absolute_url()}"' in table
    assert re.findall(r'<td [^>]*class="num"[^>]*>(\d+)</td>', table)[:2] == ["0", "0"]
    assert "Balance changes" in table


def test_of_many_servers_each_is_one_line_until_it_is_opened(client):
    servers = many_servers(30)
    run = a_run(servers[5], "cards", queued_at=ago(hours=1))
    folded = client.get(GRID)
    assert run.get_absolute_url() not in hrefs(folded)
    opened = client.get(GRID, {"open": servers[5].pk})
    assert run.get_absolute_url() in hrefs(opened)
    assert f'href="/history/grid/?open={servers[5].pk}#server-{servers[5].pk}"' in words(folded)


def test_thirty_servers_take_as_many_queries_as_three_and_a_light_page(client):
    few = queries_of_filled(client, 3)
    BonusServer.objects.all().delete()
    assert queries_of_filled(client, 30) == few
    content = client.get(GRID).content
    assert content.count(b'id="server-') == 30
    assert len(gzip.compress(content)) < 20_000
    assert len(content) < 150_000


def queries_of_filled(client, count):
    """The queries of the page with so many servers, every square of which has a failure."""
    runs = []
    for one in many_servers(count):
        for task in one.tasks.select_related("server"):
            run = TransferRun.of(task, Trigger.SCHEDULE)
            run.state = State.FAILED
            for run.queued_at in edges_of(6)[:-1]:
                runs.append(copy(run))
    TransferRun.objects.bulk_create(runs)
    return queries_of(client, GRID)


def test_without_a_server_the_page_says_what_to_do(client):
    assert client.get(GRID).status_code == 200


def test_history_and_scheduler_lead_to_it(client):
    server()
    for page in ("history", "scheduler"):
        assert f'href="{GRID}' in client.get(reverse(page)).content.decode()
