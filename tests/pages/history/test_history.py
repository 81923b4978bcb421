from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import _trans

from tests.records import NOON, a_run, server, user
from transfer.models import MaintenanceRun, MaintenanceTask
from transfer.models.run_base import State, Trigger
from transfer.pages.keyset_page import COUNTED

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("viewer")]


ALL = {"hours": "all"}


def filtered(client, **filters):
    """The numbers of the runs that the page shows, in its order; from the beginning on."""
    response = client.get(reverse("history"), {"hours": "all"} | filters)
    assert response.status_code == 200
    return [row.record.pk for row in response.context["table"].paginated_rows]


def test_the_newest_run_comes_first(client, eight):
    first, second = a_run(eight), a_run(eight)
    assert filtered(client) == [second.pk, first.pk]


def test_runs_are_found_by_server_kind_state_trigger_and_user(client, eight):
    nine = server("Бонусный сервер 9")
    ivan = user("operator", "ivan")
    a_run(eight)
    other = a_run(
        nine, "cards", state=State.FAILED, trigger=Trigger.MANUAL, actor=ivan, error_code="too_slow"
    )
    for name, value in {
        "server": nine.pk,
        "kind": "cards",
        "state": "failed",
        "trigger": "manual",
        "actor": ivan.pk,
    }.items():
        assert filtered(client, **{name: value}) == [other.pk], name


def test_more_runs_on_the_page_look_up_no_more_words(client, eight, monkeypatch):
    asked = []
    gettext = _trans.gettext
    monkeypatch.setattr(_trans, "gettext", lambda text: asked.append(text) or gettext(text))

    def looked_up():
        asked.clear()
        client.get(reverse("history"), {"hours": "all", "per_page": "250"})
        return len(asked)

    for _ in range(2):
        a_run(eight, started_at=NOON, finished_at=NOON + timedelta(milliseconds=250))
    looked_up()  # the first page of a process
    few = looked_up()
    for seconds in range(60):
        a_run(eight, started_at=NOON, finished_at=NOON + timedelta(seconds=seconds % 5 + 0.3))
    looked_up()
    assert looked_up() == few


@pytest.mark.parametrize(
    ("group", "states"),
    [
        ("good", [State.SUCCEEDED, State.REJECTS]),
        ("bad", [State.FAILED, State.INTERRUPTED]),
        ("open", [State.QUEUED, State.RUNNING]),
    ],
)
def test_states_are_found_by_what_they_mean_too(client, eight, group, states):
    made = {}
    for state, kind in zip(State, ["balances", "cards"] * 4, strict=True):
        made[state] = a_run(eight, kind, state=state).pk
    assert sorted(filtered(client, state=group)) == sorted(made[state] for state in states)


def test_days_are_those_of_the_users_time_zone(client, eight):
    late = a_run(eight, queued_at=datetime(2026, 11, 20, 21, 30, tzinfo=UTC))  # 00:30 in Moscow
    assert filtered(client, since="2026-11-21", until="2026-11-21") == [late.pk]
    assert filtered(client, since="2026-11-20", until="2026-11-20") == []
    client.cookies["timezone"] = "UTC"
    assert filtered(client, since="2026-11-20", until="2026-11-20") == [late.pk]


def test_filters_that_make_no_sense_do_no_harm(client, eight):
    run = a_run(eight)
    nonsense = {"server": "x", "state": "x", "actor": "999", "since": "yesterday", "sort": "x"}
    assert filtered(client, **nonsense, page="x", per_page="1e9") == [run.pk]


def numbers(response):
    return [row.record.pk for row in response.context["table"].paginated_rows]


def test_paging_to_the_end_and_back_shows_every_run_once(client, eight):
    """Among runs of the same moment, too, and while new ones come."""
    runs = [a_run(eight).pk for _ in range(60)][::-1]
    seen, query = [], {"hours": "all"}
    while True:
        response = client.get(reverse("history"), query)
        seen += numbers(response)
        page = response.context["table"].page
        if not page.has_next:
            break
        query["page"] = page.next
        a_run(eight, "cards")
    assert seen == runs
    assert filtered(client, page="last") == runs[-25:]
    back = client.get(reverse("history"), {"hours": "all", "page": page.previous})
    assert numbers(back) == runs[25:50]


def test_before_the_first_page_there_is_the_first_page(client, eight):
    runs = [a_run(eight).pk for _ in range(30)][::-1]
    assert filtered(client, page=f"before-{runs[10]}") == runs[:25]
    assert filtered(client, page="after-999999999") == runs[:25], "a run that is no longer there"
    assert filtered(client, page=f"after-{runs[-1]}") == runs[:25], "nothing is left behind it"


def test_the_oldest_come_first_when_asked_for(client, eight):
    runs = [a_run(eight).pk for _ in range(30)]
    assert filtered(client, sort="queued_at") == runs[:25]
    assert filtered(client, sort="queued_at", page="last") == runs[5:]


def test_without_a_period_it_is_the_last_30_days_which_a_chip_says_and_takes_back(client, eight):
    old = a_run(eight, queued_at=timezone.now() - timedelta(days=31))
    new = a_run(eight, queued_at=timezone.now())
    response = client.get(reverse("history"))
    assert numbers(response) == [new.pk]
    (chip,) = response.context["filter"].chips()
    assert chip.value == "Last 30 days"
    everything = client.get(f"{reverse('history')}?{chip.query}")
    assert numbers(everything) == [new.pk, old.pk]
    assert everything.context["filter"].chips() == []


def test_runs_without_data_are_left_out_when_asked_for(client, eight):
    a_run(eight)
    with_data = a_run(eight, applied=1)
    assert filtered(client, data_only="on") == [with_data.pk]


def test_a_page_is_found_by_the_index_and_counts_some_rows_at_most(client, eight):
    runs = [a_run(eight).pk for _ in range(30)]
    with CaptureQueriesContext(connection) as captured:
        filtered(client, page=f"after-{runs[20]}")
    (counted,) = [one["sql"] for one in captured if "COUNT(" in one["sql"]]
    assert f"LIMIT {COUNTED + 1})" in counted


def test_the_chart_is_of_what_is_found_and_stands_as_a_table_too(client, eight):
    a_run(eight, queued_at=timezone.now(), applied=40, rejected=2)
    a_run(eight, "cards", queued_at=timezone.now(), applied=7)
    context = client.get(reverse("history"), {"kind": "balances"}).context
    chart = context["chart"]
    assert [sum(one.values) for one in chart.series] == [40, 0, 2]
    assert (context["totals"]["runs"], context["totals"]["rejected_rows"]) == (1, 2)
    assert len(chart.labels) == 31
    assert "kind=balances" in chart.urls[-1]
    assert "hours" not in chart.urls[-1]
    assert '<th scope="row">' in client.get(reverse("history")).content.decode()


def test_the_chart_shows_the_days_of_the_filter_and_not_more_than_fit(client, eight):
    days = {"since": "2020-01-01", "until": "2026-11-20"}
    a_run(eight, applied=5)
    chart = client.get(reverse("history"), days).context["chart"]
    assert (len(chart.labels), chart.totals[-1]) == (31, 5)
    days["since"] = "2026-11-14"
    assert len(client.get(reverse("history"), days).context["chart"].labels) == 7


def test_a_day_has_a_chart_by_the_hour_as_long_as_it_is(client, eight, settings):
    a_run(eight, applied=5)  # 15:00 in Moscow
    day = {"since": "2026-11-20", "until": "2026-11-20"}
    chart = client.get(reverse("history"), day).context["chart"]
    assert (chart.labels[15], chart.totals[15], len(chart.labels)) == ("15:00", 5, 24)
    client.cookies["timezone"] = "Europe/Berlin"
    day = {"since": "2026-10-25", "until": "2026-10-25"}  # the clock is put back
    assert len(client.get(reverse("history"), day).context["chart"].labels) == 25
    assert len(client.get(reverse("history"), {"hours": 24}).context["chart"].labels) == 25


def test_a_task_has_a_trend_of_how_long_its_runs_took(client, eight):
    for seconds in (2, 300):
        a_run(eight, finished_at=NOON + timedelta(seconds=seconds))
    a_run(eight, state=State.CANCELLED, finished_at=NOON + timedelta(seconds=5))
    failed = a_run(eight, state=State.FAILED)
    of_task = {"hours": "all", "server": eight.pk, "kind": "balances"}
    trend = client.get(reverse("history"), of_task).context["trend"]
    assert [sum(one.values) for one in trend.series] == [302_000, 0, 2000, 5000]
    assert trend.urls[-1] == failed.get_absolute_url()
    assert client.get(reverse("history"), {"kind": "balances"}).context["trend"] is None


def test_a_failed_run_says_its_cause_in_the_list(client, eight):
    a_run(
        eight,
        state=State.FAILED,
        error_code="unreachable",
        error_params={"party": "database:Бонусный сервер 8"},
    )
    page = client.get(reverse("history"), ALL).content.decode()
    assert "The database of Бонусный сервер 8 does not answer." in page


def test_the_counts_of_a_row_add_up_to_what_was_read(client, eight):
    a_run(eight, "cards", read=1032, applied=1023, unchanged=9, rejected=0)
    row = client.get(reverse("history"), ALL).context["table"].page.object_list[0]
    shown = [str(row.get_cell(name)) for name in ("applied", "unchanged", "rejected")]
    assert shown == ["1\u202f023", "9", '<span class="none muted">0</span>']


def test_times_have_seconds_and_the_heading_names_their_zone_once(client, eight):
    a_run(eight)
    page = client.get(reverse("history"), ALL).content.decode()
    assert "15:00:00</time>" in page
    assert page.count(">When, MSK") == 1
    assert 'title="20\xa0Nov\xa02026, 15:00:00\xa0MSK"' in page


def test_a_server_that_is_gone_keeps_its_name_in_the_history(client, eight):
    run = a_run(eight)
    eight.delete()
    assert filtered(client) == [run.pk]
    assert "Бонусный сервер 8" in client.get(reverse("history"), ALL).content.decode()


def test_maintenance_has_a_history_of_its_own_with_what_it_did(client):
    task = MaintenanceTask.objects.get(kind="purge_history")
    MaintenanceRun.objects.create(
        task=task, kind=task.kind, state=State.SUCCEEDED, trigger="schedule", report={"runs": 1204}
    )
    page = client.get(reverse("history_maintenance")).content.decode()
    assert "Runs of transfers removed: 1\u202f204" in page


def test_an_empty_history_says_what_to_do_next(client, eight):
    for name in ("history", "history_maintenance"):
        assert "Nothing has run yet" in client.get(reverse(name)).content.decode()
    a_run(eight)
    assert "No run fits" in client.get(reverse("history"), {"kind": "cards"}).content.decode()


def test_an_open_run_has_a_row_that_refreshes_itself_and_an_ended_one_has_not(client, eight):
    run = a_run(eight, state=State.RUNNING, expected=10, applied=4)
    row = client.get(reverse("run_row", args=[run.pk])).content.decode()
    assert f'hx-get="{reverse("run_row", args=[run.pk])}"' in row
    assert "data-poll" in row
    run.finish(State.SUCCEEDED)
    assert "data-poll" not in client.get(reverse("run_row", args=[run.pk])).content.decode()


def test_a_dry_run_of_maintenance_is_called_one(client):
    task = MaintenanceTask.objects.get(kind="purge_staging")
    MaintenanceRun.of(task, "manual", dry_run=True).save()
    assert "dry run" in client.get(reverse("history_maintenance")).content.decode()
