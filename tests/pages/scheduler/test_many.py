"""Many tasks: groups, orders, and how much the page reads."""

import re
from datetime import timedelta

import pytest
from django.db.models.signals import post_init
from django.urls import reverse
from django.utils import timezone

from tests.chain import many_servers
from tests.databases import stage
from tests.pages.scheduler.presses import page
from tests.records import a_run, many_tasks, server, unsaved_run, wait_for
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import BonusServer, TransferRun, TransferTask
from transfer.pages.links import key_of
from transfer.pages.shown.task_groups import MANY
from transfer.parties import database_of
from transfer.runs import backlog

pytestmark = pytest.mark.django_db


@pytest.fixture
def read_runs():
    yield from read_of(TransferRun)


@pytest.fixture
def read_tasks():
    yield from read_of(TransferTask)


def read_of(model):
    """The numbers of the objects of the model that are read while the test goes on."""
    numbers = set()

    def note(instance, **_):
        numbers.add(instance.pk)

    post_init.connect(note, sender=model)
    yield numbers
    post_init.disconnect(note, sender=model)


def with_a_run_each(count):
    many_tasks(count)
    for task in TransferTask.objects.select_related("server"):
        a_run(task.server, task.kind)


@pytest.mark.parametrize("sort", ["server", "-task", "schedule", "next"])
def test_it_reads_the_tasks_that_it_shows_and_their_runs(
    client, olga, shown, read_runs, read_tasks, sort
):
    with_a_run_each(60)
    read_runs.clear()
    read_tasks.clear()
    response = client.get(reverse("scheduler"), {"sort": sort})
    rows = [row.record for row in response.context["table"].paginated_rows]
    assert len(rows) == 25
    assert read_tasks == {row.task.pk for row in rows}
    assert read_runs == {row.last_run.pk for row in rows}


def groups_of(client, **query):
    """The servers of the groups, and whether each group is open."""
    html = page(client, **query)
    opened = re.findall(r'id="tasks-of-(\d+)"\s+(open)?', html)
    return [(BonusServer.objects.get(pk=pk), bool(is_open)) for pk, is_open in opened]


def test_many_servers_are_groups_with_the_wrong_ones_open_and_first(client, olga, shown):
    many_tasks(3 * MANY)
    *_fine, ill = BonusServer.objects.all()
    wait_for(
        ill.tasks.get(kind="cards"),
        error=Unreachable(UNREACHABLE, party=database_of("8"), reason="refused"),
    )
    groups = groups_of(client)
    assert groups[0] == (ill, True)
    assert [is_open for _server, is_open in groups[1:]] == [False] * (MANY - 1)


def test_the_group_of_a_task_that_was_just_changed_is_open(client, olga, shown):
    many_tasks(3 * MANY)
    last = TransferTask.objects.select_related("server").last()
    assert dict(groups_of(client, changed=key_of(last), v=last.version))[last.server]


def lines_of(html):
    """The keys of the tasks that have a line."""
    return set(re.findall(r'<tr role="row" id="(transfer-\d+)"', html))


def keys_of(server):
    return {key_of(task) for task in server.tasks.all()}


def test_a_folded_group_has_no_lines_until_the_address_opens_it(client, olga, shown):
    many_tasks(3 * MANY)
    first, second, *_others = BonusServer.objects.all()
    assert lines_of(page(client)) == set()
    assert lines_of(page(client, open=f"{second.pk}")) == keys_of(second)
    both = page(client, open=f"{first.pk},{second.pk},999999,x")
    assert lines_of(both) == keys_of(first) | keys_of(second)
    assert len(lines_of(page(client, open="all"))) == 3 * MANY


def test_to_choose_all_chooses_the_tasks_of_folded_groups_too(client, olga, shown):
    many_tasks(3 * MANY)
    html = page(client, open=BonusServer.objects.first().pk)
    boxes = re.findall(r'form="bulk" name="task" id="choose-(transfer-\d+)"', html)
    assert sorted(boxes) == sorted(key_of(task) for task in TransferTask.objects.all())


def test_a_button_leads_back_to_the_groups_that_were_open(client, olga, shown):
    many_tasks(3 * MANY)
    one = BonusServer.objects.first()
    assert f'name="next" value="/scheduler/?open={one.pk}"' in page(client, open=one.pk)


def test_what_is_not_printed_is_said_on_paper(client, olga, shown):
    many_tasks(3 * MANY)
    html = page(client, open=BonusServer.objects.first().pk)
    assert f"The tasks of {MANY - 1} servers are folded and not printed." in words_of(html)
    assert "folded and not printed" not in page(client, open="all")


def words_of(html):
    return " ".join(html.split())


def test_a_page_of_thirty_servers_is_as_heavy_as_what_is_wrong(client, olga, shown):
    many_servers()  # two of them fail
    TransferRun.objects.bulk_create(
        unsaved_run(task, applied=number)
        for task in TransferTask.objects.select_related("server")
        for number in range(20)
    )
    html = page(client)
    assert len(lines_of(html)) == 6
    assert len(html.encode()) < 78_000 + 6 * 9_000


def test_few_servers_or_a_filter_or_an_order_show_plain_lines(client, olga, shown):
    many_tasks(3 * MANY)
    for query in ({"sort": "waits"}, {"kind": "cards"}, {"server": BonusServer.objects.first().pk}):
        assert groups_of(client, **query) == []
    BonusServer.objects.first().delete()
    assert groups_of(client) == []


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("server", ["b: pincodes", "b: balances", "b: cards", "a: pincodes"]),
        ("task", ["a: pincodes", "b: pincodes", "a: balances", "b: balances"]),
        ("-schedule", ["b: cards", "a: cards", "b: balances", "a: balances"]),
        ("next", ["a: balances", "b: balances", "b: cards", "a: pincodes"]),
    ],
)
def test_it_orders_by_what_a_column_shows(client, olga, shown, sort, expected):
    for name in ("b", "a"):  # docked in this order
        server(name).tasks.exclude(kind__in=("pincodes", "balances", "cards")).delete()
    tasks, now = TransferTask.objects.all(), timezone.now()
    tasks.update(enabled=True, schedule="0 3 * * *", next_run_at=now + timedelta(hours=2))
    tasks.filter(kind="balances").update(retry_at=now + timedelta(minutes=5))
    tasks.filter(kind="pincodes", server__name="b").update(enabled=False)
    tasks.filter(kind="cards", server__name="b").update(
        schedule="5 3 * * *", next_run_at=now + timedelta(hours=1)
    )
    response = client.get(reverse("scheduler"), {"sort": sort})
    rows = [row.record.task for row in response.context["table"].paginated_rows]
    assert [f"{task.server.name}: {task.kind}" for task in rows][:4] == expected


def test_by_their_last_runs_all_tasks_are_sorted(client, olga, shown):
    with_a_run_each(60)
    for number, run in enumerate(TransferRun.objects.order_by("-pk")):
        run.finished_at = timezone.now() - timedelta(minutes=number * 7 % 61)
        run.save(update_fields=["finished_at"])
    latest = TransferRun.objects.order_by("-finished_at").values_list("task_id", flat=True)[:25]
    response = client.get(reverse("scheduler"), {"sort": "-runs"})
    rows = [row.record for row in response.context["table"].paginated_rows]
    assert [row.task.pk for row in rows] == [*latest]


def test_after_a_press_it_is_asked_what_waits_now_and_not_what_did_a_moment_ago(
    client, olga, shown, dock, bonus, shop_all
):
    task = dock(bonus).tasks.get(kind="balances")
    page(client, ask=1)
    assert backlog.known([task])[task.pk].rows == 0
    stage(shop_all, "balances", [("4100", 1), ("4100", 2), ("4100", 3)])
    url = reverse("task_switch", args=[key_of(task)])
    html = client.post(url, {"enabled": "1", "next": "/scheduler/?ask=1"}, follow=True).text
    assert "3 rows wait; next run" in " ".join(html.split())
