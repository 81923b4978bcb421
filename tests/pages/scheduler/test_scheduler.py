import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.databases import stage
from tests.pages.look import once_more
from tests.records import a_run, many_tasks, server, user, wait_for
from transfer.errors import TooSlow, Unreachable
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    Heartbeat,
    MaintenanceRun,
    MaintenanceTask,
    Settings,
    TransferRun,
    TransferTask,
)
from transfer.models.run_base import State, Trigger
from transfer.pages.links import key_of
from transfer.pages.scheduler.groups import MANY
from transfer.parties import database_of
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.execute import run_here
from transfer.text import formats

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan", address="10.0.0.7")


@pytest.fixture(autouse=True)
def english(settings, nothing_asked):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def olga(client):
    client.force_login(user("operator"))


@pytest.fixture
def task(shown):
    return server().tasks.select_related("server").get(kind="balances")


@pytest.fixture
def shown(db):
    Settings.load().change(IVAN, show_transfer_tasks=True)


def page(client, url="scheduler", **query):
    response = client.get(reverse(url), query)
    assert response.status_code == 200
    return response.content.decode()


def page_at(client, url):
    return " ".join(client.get(url).content.decode().split())


def press(client, task, what, **data):
    data = {"seen": task.version, "next": reverse("scheduler"), **data}
    return client.post(reverse(f"task_{what}", args=[key_of(task)]), data)


def stored(task):
    return TransferTask.objects.select_related("server").get(pk=task.pk)


class TestTheSettingThatHidesTransferTasks:
    def test_hides_them_in_a_new_installation_and_says_how_many(self, client, olga):
        eight = server()
        eight.tasks.get(kind="cards").switch(True, IVAN)
        html = page(client)
        assert "3 transfer tasks are hidden." in html
        assert "1 of them is enabled" in html
        assert key_of(eight.tasks.first()) not in html
        assert "Purge the history" in html

    def test_has_nothing_to_hide_before_the_first_server_and_says_what_to_do(self, client, olga):
        assert "Dock a bonus server" in page(client)
        assert reverse("server_add") not in page(client)
        client.force_login(user("administrator", "anna"))
        assert reverse("server_add") in page(client)

    def test_is_a_link_for_those_who_may_change_it(self, client):
        server()
        client.force_login(user("administrator"))
        assert f"{reverse('settings')}#other" in page(client)
        client.force_login(user("operator", "ivan"))
        html = page(client)
        assert f"{reverse('settings')}#other" not in html
        assert "an administrator can change" in html

    def test_is_overruled_by_the_schedulers_own_switch_for_this_user_alone(self, client, olga):
        task = server().tasks.first()
        client.post(reverse("scheduler_show"), {"enabled": "1"})
        assert key_of(task) in page(client)
        client.force_login(user("operator", "ivan"))
        assert key_of(task) not in page(client)

    def test_counts_again_once_it_is_changed(self, client, olga, task):
        client.post(reverse("scheduler_show"), {"enabled": "0"})
        assert "You have hidden them yourself" in page(client)
        Settings.load().change(IVAN, show_transfer_tasks=False)
        Settings.load().change(IVAN, show_transfer_tasks=True)
        assert "You have hidden them yourself" in page(client)
        client.post(reverse("scheduler_show"), {"enabled": "1"})
        Settings.load().change(IVAN, show_transfer_tasks=False)
        assert "hidden by the setting" in page(client)

    def test_does_not_hide_what_a_link_leads_to(self, client, olga):
        task = server().tasks.get(kind="cards")
        assert key_of(task) in page(client, kind="cards")


class TestTheSwitch:
    def test_is_pressed_once_and_says_what_it_means(self, client, olga, task):
        response = press(client, task, "switch", enabled="1")
        assert stored(task).enabled
        html = client.get(response.url).content.decode()
        assert "Switched on." in html
        assert "Next run" in html

    def test_says_who_when_and_why(self, client, olga, task):
        press(client, task, "switch", enabled="1", reason="the holidays are over")
        html = page(client)
        assert "olga" in html
        assert "the holidays are over" in html
        entry = AuditEntry.objects.about(task).first()
        assert (entry.who, entry.address, entry.new) == ("olga", "127.0.0.1", {"enabled": True})

    def test_never_runs_anything_at_once(self, client, olga, task):
        press(client, task, "switch", enabled="1")
        assert not TransferRun.objects.exists()
        assert stored(task).next_run_at > timezone.now()

    def test_off_says_that_rows_wait(self, client, olga, task):
        task.switch(True, IVAN)
        wait_for(task)
        response = press(client, task, "switch", enabled="0")
        html = client.get(response.url).content.decode()
        assert "Switched off." in html
        assert "wait until it is switched on again" in html

    def test_can_be_undone_from_what_is_shown_then(self, client, olga, task):
        response = press(client, task, "switch", enabled="1")
        assert (
            reverse("task_undo", args=[key_of(task)]) in client.get(response.url).content.decode()
        )
        press(client, stored(task), "undo", enabled="0")
        assert not stored(task).enabled
        assert AuditEntry.objects.about(task).first().action == "undo"

    def test_takes_its_reason_afterwards_too(self, client, olga, task):
        press(client, task, "switch", enabled="1")
        press(client, stored(task), "explain", reason="go")
        assert stored(task).change_reason == "go"
        assert AuditEntry.objects.about(task).first().reason == "go"

    def test_goes_back_to_where_it_was_pressed_with_the_filter(self, client, olga, task):
        response = press(client, task, "switch", enabled="1", next="/scheduler/?state=disabled")
        assert response.url.startswith("/scheduler/?state=disabled&")
        assert response.url.endswith(f"#{key_of(task)}")

    def test_never_leads_to_another_site(self, client, olga, task):
        response = press(client, task, "switch", enabled="1", next="https://example.com/")
        assert "example.com" not in response.url


class TestTwoAdminsAtOnce:
    def test_the_second_sees_what_the_first_did_and_nothing_is_done(self, client, olga, task):
        seen_by_both = stored(task)
        task.pause(timezone.now() + timedelta(hours=1), IVAN, reason="inventory")
        response = press(client, seen_by_both, "switch", enabled="1")
        html = response.content.decode()
        assert response.status_code == 409
        assert "ivan" in html
        assert "inventory" in html
        assert not stored(task).enabled

    def test_and_may_do_it_all_the_same(self, client, olga, task):
        seen_by_both = stored(task)
        task.pause(timezone.now() + timedelta(hours=1), IVAN)
        asked = press(client, seen_by_both, "switch", enabled="1")
        client.post(asked.wsgi_request.path, once_more(asked))
        assert stored(task).enabled

    def test_what_the_other_did_already_is_told_and_not_asked(self, client, olga, task):
        seen_by_both = stored(task)
        task.switch(True, IVAN)
        response = press(client, seen_by_both, "switch", enabled="1")
        assert response.status_code == 302
        assert "It was done already" in client.get(response.url).content.decode()

    def test_an_undo_never_takes_back_what_somebody_else_did(self, client, olga, task):
        press(client, task, "switch", enabled="1")
        seen = stored(task)
        stored(task).pause(timezone.now() + timedelta(hours=1), IVAN)
        assert press(client, seen, "undo", enabled="0").status_code == 409
        assert stored(task).enabled


class TestRunNow:
    def test_puts_a_run_into_the_queue_under_ones_name(self, client, olga, task):
        press(client, task, "run")
        run = TransferRun.objects.get()
        assert (run.state, run.trigger, run.actor.username) == (State.QUEUED, "manual", "olga")

    def test_says_when_it_starts_where_no_worker_is_there(self, client, olga, task):
        response = press(client, task, "run")
        assert (
            "It waits: there is no background worker" in client.get(response.url).content.decode()
        )
        Heartbeat.beat("shop: cron")
        run_page = client.get(TransferRun.objects.get().get_absolute_url()).content.decode()
        assert "It starts within a minute, " in run_page

    def test_a_second_press_opens_no_second_run(self, client, olga, task):
        press(client, task, "run")
        response = press(client, task, "run")
        run = TransferRun.objects.get()
        assert client.get(response.url).context["started"] == [run]

    def test_says_what_becomes_of_the_run_for_as_long_as_the_page_is_open(self, client, olga, task):
        back = press(client, task, "run").url
        run = client.get(back).context["started"][0]
        assert "It waits: there is no background worker" in page_at(client, back)
        run.start()
        run.finish(State.REJECTS, applied=360, rejected=1)
        html = page_at(client, back)
        assert "It waits" not in html
        assert "Succeeded with rejects" in html
        assert "361 rows" in html

    def test_a_queued_run_is_cancelled_at_once(self, client, olga, task):
        press(client, task, "run")
        press(client, task, "cancel")
        run = TransferRun.objects.get()
        assert (run.state, run.cancelled_by) == (State.CANCELLED, "olga")

    def test_a_running_one_ends_after_its_chunk(self, client, olga, task):
        run = a_run(task.server, state=State.RUNNING)
        response = press(client, task, "cancel")
        run.refresh_from_db()
        assert (run.state, run.cancelled_by) == (State.RUNNING, "olga")
        assert "ends after this step" in client.get(response.url).content.decode()

    def test_there_may_be_nothing_to_cancel_any_more(self, client, olga, task):
        response = press(client, task, "cancel")
        assert "no run is open any more" in client.get(response.url).content.decode()


class TestThePause:
    def test_of_an_hour_has_a_reason_and_an_end(self, client, olga, task):
        task.switch(True, IVAN)
        press(client, task, "pause", until="hour", reason="inventory")
        held = stored(task)
        left = held.paused_until - timezone.now()
        assert timedelta(minutes=59) < left <= timedelta(hours=1)
        assert (held.paused_by, held.pause_reason) == ("olga", "inventory")
        html = page(client)
        assert "paused until" in html
        assert "inventory" in html

    def test_until_tomorrow_ends_at_eight_of_the_users_clock(self, client, olga, task):
        client.cookies["timezone"] = "Asia/Vladivostok"
        press(client, task, "pause", until="tomorrow")
        end = stored(task).paused_until.astimezone(ZoneInfo("Asia/Vladivostok"))
        assert (end.hour, end.minute) == (8, 0)

    @pytest.mark.parametrize(
        ("moment", "error"),
        [("", "Enter an end time."), ("2020-01-01T08:00", "The pause has to end in the future.")],
    )
    def test_until_another_time_names_what_is_wrong_with_it(
        self, client, olga, task, moment, error
    ):
        response = press(client, task, "pause", until="other", moment=moment)
        assert response.context["form"].errors == {"moment": [error]}
        assert stored(task).paused_until is None

    def test_ends_by_hand_too(self, client, olga, task):
        press(client, task, "pause", until="hour")
        press(client, stored(task), "resume")
        assert stored(task).paused_until is None


class TestTheChosenOnes:
    def chosen(self, *tasks):
        return [f"{key_of(task)}:{task.version}" for task in tasks]

    def bulk(self, client, action, tasks, **data):
        return client.post(
            reverse("scheduler_bulk"), {"action": action, "task": self.chosen(*tasks), **data}
        )

    def test_are_asked_about_first_with_what_it_means(self, client, olga, task):
        wait_for(task)
        html = self.bulk(client, "on", [task]).content.decode()
        assert "its first run would be" in html
        assert "412" in html
        assert not stored(task).enabled

    def test_are_switched_on_together_with_one_reason(self, client, olga, task):
        tasks = list(task.server.tasks.all())
        self.bulk(client, "on", tasks, confirmed="1", reason="opening day")
        assert {(one.enabled, one.change_reason) for one in TransferTask.objects.all()} == {
            (True, "opening day")
        }

    def test_are_paused_together(self, client, olga, task):
        self.bulk(client, "pause", [task], confirmed="1", until="hour")
        assert stored(task).is_paused()

    def test_are_run_at_once(self, client, olga, task):
        response = self.bulk(client, "run", list(task.server.tasks.all()))
        assert TransferRun.objects.queued().count() == 3
        shown = client.get(response.url)
        assert len(shown.context["started"]) == 3
        assert "They wait: there is no background worker" in shown.content.decode()

    def test_what_somebody_else_changed_meanwhile_is_asked_about_again(self, client, olga, task):
        other = task.server.tasks.select_related("server").get(kind="cards")
        data = [stored(task), stored(other)]
        other.pause(timezone.now() + timedelta(hours=1), IVAN, reason="inventory")
        response = self.bulk(client, "on", data, confirmed="1")
        assert response.status_code == 409
        assert "inventory" in response.content.decode()
        assert (stored(task).enabled, stored(other).enabled) == (True, False)

    def test_the_first_run_is_that_of_a_task_that_was_changed(self, client, olga, task):
        other = task.server.tasks.select_related("server").get(kind="cards")
        data = [stored(task), stored(other)]
        other.switch(True, IVAN)
        TransferTask.objects.filter(pk=other.pk).update(next_run_at=timezone.now())
        html = self.bulk(client, "on", data, confirmed="1").content.decode()
        assert f"The first run: {formats.moment(stored(task).upcoming_at)}." in html

    def test_none_is_said(self, client, olga, task):
        response = self.bulk(client, "off", [])
        assert "Choose at least one task" in client.get(response.url).content.decode()

    def test_nonsense_is_left_out(self, client, olga, task):
        response = client.post(
            reverse("scheduler_bulk"), {"action": "run", "task": ["user-1:1", "transfer-x:1", "x"]}
        )
        assert response.status_code == 302
        assert not TransferRun.objects.exists()


def test_a_viewer_sees_everything_and_no_button(client, task):
    client.force_login(user("viewer"))
    html = page(client)
    assert "Balance changes" in html
    for name in ("switch", "run", "pause", "undo"):
        assert reverse(f"task_{name}", args=[key_of(task)]) not in html
    assert reverse("scheduler_bulk") not in html


def test_the_schedule_stands_in_words_with_its_next_five_times_and_their_zone(client, olga, task):
    html = page(client)
    assert "every 5 minutes" in html
    row = next(r.record for r in client.get("/scheduler/").context["table"].paginated_rows)
    assert len(row.times) == 5
    assert "MSK" in html


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("enabled", {"cards", "pincodes"}),
        ("disabled", {"balances"}),
        ("paused", {"cards"}),
        ("failing", {"pincodes"}),
        ("open", {"balances"}),
    ],
)
def test_tasks_are_found_by_their_state(client, olga, task, state, kinds):
    of = {one.kind: one for one in task.server.tasks.all()}
    of["cards"].switch(True, IVAN)
    of["cards"].pause(timezone.now() + timedelta(hours=1), IVAN)
    of["pincodes"].switch(True, IVAN)
    a_run(task.server, "balances", state=State.RUNNING)
    TransferTask.objects.filter(kind="pincodes").update(failures=2)
    table = client.get(reverse("scheduler"), {"state": state}).context["table"]
    assert {row.record.task.kind for row in table.paginated_rows} == kinds


def test_a_task_that_no_tick_has_planned_yet_shows_no_time(client, olga, task):
    TransferTask.objects.filter(pk=task.pk).update(enabled=True, next_run_at=None)
    assert '<span class="muted">not planned yet</span>' in page(client, kind="balances")


def test_a_server_that_does_not_answer_leaves_the_number_unknown(client, olga, task):
    error = Unreachable(party=database_of(task.server.name), reason="timeout")
    wait_for(task, error=error)
    html = page(client)
    assert "unknown" in html
    assert "does not answer" in html


def test_what_a_run_has_just_counted_is_newer_than_what_was_asked(client, olga, task):
    wait_for(task)
    a_run(task.server, queued_at=timezone.now(), waiting=7)
    assert "7 rows" in page(client)
    assert "412" not in page(client)


def test_what_waits_is_asked_before_the_page_is_shown(client, olga, shown, receiver, shop_all):
    task = receiver.tasks.get(kind="balances")
    run_here(task, Trigger.MANUAL)  # which leaves nothing waiting
    TransferRun.objects.update(finished_at=timezone.now() - timedelta(minutes=1))
    stage(shop_all, "balances", [("1", 10), ("2", 20)])
    response = client.get(reverse("scheduler"), {"kind": "balances"})
    (row,) = (one.record for one in response.context["table"].paginated_rows)
    assert row.backlog.rows == 2
    response = press(client, task, "switch", enabled="0")
    response = press(client, task, "switch", enabled="1")
    assert "2 rows wait; next run" in page_at(client, response.url)


def test_who_only_is_slow_is_asked_again_before_anything_is_said(client, olga, task, monkeypatch):
    slow = TooSlow(party=database_of(task.server.name), reason="> 0.7 s")
    monkeypatch.setattr(
        backlog, "backlogs", lambda tasks, seconds: {one.pk: Backlog(error=slow) for one in tasks}
    )
    assert "being asked" in page(client)
    assert 'data-poll="0.2"' in page(client)
    assert "unknown" in page(client, ask="1")


def test_each_of_the_last_runs_is_a_mark_that_leads_to_it_and_a_count_in_words(client, olga, task):
    ends = [State.SUCCEEDED] * 20 + [State.REJECTS, State.SKIPPED, State.FAILED]
    runs = [a_run(task.server, state=state, applied=7) for state in ends]
    html = page(client, kind="balances")
    assert all(f'href="{run.get_absolute_url()}"' in html for run in runs[3:])
    assert f'href="{runs[2].get_absolute_url()}"' not in html  # the strip has twenty
    for count in ("Succeeded: 17", "Succeeded with rejects: 1", "Skipped: 1", "Failed: 1"):
        assert count in html
    assert "· Succeeded · 7 rows</title>" in html


def test_a_silent_scheduler_is_said_at_the_top(client, olga, task):
    assert "The scheduler has never run." in page(client)
    Heartbeat.beat("shop: cron", timezone.now() - timedelta(minutes=10))
    assert "The scheduler is silent" in page(client)
    Heartbeat.beat("shop: cron")
    assert "The scheduler is silent" not in page(client)


def test_the_page_looks_again_soon_while_something_runs(client, olga, task):
    for one in task.server.tasks.all():
        wait_for(one)
    assert 'data-poll="10"' in page(client)
    a_run(task.server, state=State.RUNNING)
    assert 'data-poll="2"' in page(client)


def test_a_maintenance_run_that_is_under_way_is_shown(client, olga, shown):
    task = MaintenanceTask.objects.get(kind="check_connections")
    run = MaintenanceRun.of(task, Trigger.SCHEDULE)
    run.state, run.started_at = State.RUNNING, timezone.now()
    run.save()
    assert run.get_absolute_url() in page(client)


@pytest.mark.parametrize(("few", "more"), [(10, 8), (3 * MANY, 50)], ids=["lines", "groups"])
def test_many_tasks_take_no_more_queries_than_few(client, olga, shown, few, more):
    def queries():
        for one in BonusServer.objects.all()[:20]:
            a_run(one, "pincodes")
        page(client)  # the first look after the log-in notes it
        with CaptureQueriesContext(connection) as captured:
            page(client)
        return len(captured)

    many_tasks(few)
    of_few = queries()
    many_tasks(more)
    assert queries() == of_few


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
        ill.tasks.get(kind="cards"), error=Unreachable(party=database_of("8"), reason="refused")
    )
    groups = groups_of(client)
    assert groups[0] == (ill, True)
    assert [is_open for _server, is_open in groups[1:]] == [False] * (MANY - 1)


def test_the_group_of_a_task_that_was_just_changed_is_open(client, olga, shown):
    many_tasks(3 * MANY)
    last = TransferTask.objects.select_related("server").last()
    assert dict(groups_of(client, changed=key_of(last), v=last.version))[last.server]


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
        server(name)
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
