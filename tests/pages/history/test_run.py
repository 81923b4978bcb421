import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.databases import stage
from tests.records import NOON, POSITION, a_run, user
from transfer.models import AuditEntry, MaintenanceRun, MaintenanceTask, TransferRun
from transfer.models.run_base import State, Trigger

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("operator")]


def squeezed(response):
    """The HTML without its indentation."""
    assert response.status_code == 200
    return re.sub(r"(?<=>) | (?=</)", "", re.sub(r"[ \n]+", " ", response.content.decode()))


def page_of(client, run):
    return squeezed(client.get(run.get_absolute_url()))


def test_the_counts_add_up_on_the_page_of_a_real_run(client, dock, bonus, shop_all):
    from transfer.runs.execute import run_here

    stage(shop_all, "balances", [("4100", 5), ("4200", -7), ("4300", 0), ("", 1)])
    task = dock(bonus).tasks.get(kind="balances")
    run = run_here(task, Trigger.MANUAL)
    page = page_of(client, run)
    for label, number in (("Read", 4), ("Applied", 2), ("Unchanged", 0), ("Rejected", 2)):
        assert f">{label}</dt>" in page
        assert f">{number}</dd>" in page
    assert "of 4 found" in page
    assert "\u22122.00" in page  # +5 and -7 applied
    assert "+1.00" in page  # rejected
    assert "The amount is zero." in page
    assert "The account is missing." in page


def test_no_pin_code_is_on_the_page_of_a_run_that_rejected_it(client, dock, bonus, shop_all):
    from transfer.runs.execute import run_here

    stage(shop_all, "pincodes", [("", "47110815"), ("4100", "47120815")])
    run = run_here(dock(bonus).tasks.get(kind="pincodes"), Trigger.MANUAL)
    assert run.rejected == 1
    assert "47110815" not in page_of(client, run)
    assert "47120815" not in page_of(client, run)


def test_a_failure_says_its_cause_what_to_do_and_when_it_is_tried_again(client, eight):
    good = a_run(eight)
    failed = a_run(
        eight,
        state=State.FAILED,
        error_code="connection_lost",
        error_params={"party": "shop_all:"},
        error_technical="08006 ConnectionException",
        retry_at=timezone.now() + timedelta(minutes=2),
    )
    page = page_of(client, failed)
    assert "The database of shop All: the connection was lost." in page
    assert "The next run continues where this one stopped." in page
    assert "It is tried again" in page
    assert "08006 ConnectionException" in page
    assert f'The last success before it: <a href="{good.get_absolute_url()}">' in page


@pytest.mark.parametrize(
    ("code", "answered_at"),
    [
        ("shop_all_went_back", "/restored/"),
        ("rows_differ", "/missing/"),
        ("beginning_undecided", None),
        ("unreachable", ""),
    ],
)
def test_a_question_that_has_stopped_the_last_run_is_a_press_away(client, eight, code, answered_at):
    run = a_run(eight, state=State.FAILED, error_code=code)
    found = re.search('<a href="([^"]+)">Decide</a>', page_of(client, run))
    expected = eight.get_absolute_url() if answered_at is None else answered_at
    assert (found[1] if found else "") == expected
    a_run(eight)
    assert ">Decide</a>" not in page_of(client, run)


def test_a_failure_does_not_say_that_nothing_waits(client, eight):
    run = a_run(eight, state=State.FAILED, error_code="unreachable")
    page = squeezed(client.get(run.get_absolute_url()))
    assert re.search(r"Waiting</dt><dd[^>]*>\s*—\s*</dd>", page)
    assert "of 0 found" not in page


def test_a_failure_that_was_tried_again_leads_to_that_run(client, eight):
    failed = a_run(eight, state=State.FAILED, error_code="connection_lost")
    again = a_run(eight)
    assert f'It was tried again: <a href="{again.get_absolute_url()}">' in page_of(client, failed)


def test_a_failure_of_a_task_that_is_off_is_not_said_to_be_tried_again(client, eight):
    failed = a_run(eight, state=State.FAILED, error_code="connection_lost")
    page = page_of(client, failed)
    assert "switched off: it is not tried again by itself" in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State.INTERRUPTED, "The process that executed the run is gone."),
        (State.CANCELLED, "ivan cancelled the run."),
    ],
)
def test_every_other_bad_end_has_a_cause_too(client, eight, state, words):
    assert words in page_of(client, a_run(eight, state=state, cancelled_by="ivan"))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": State.FAILED}, "The run has read no row."),
        ({"state": State.SUCCEEDED}, "The run has read no row."),
        ({"state": State.FAILED, "applied": 5}, "before it ended."),
        ({"state": State.INTERRUPTED, "applied": 5}, "before it ended."),
        ({"state": State.SUCCEEDED, "applied": 5}, "every row that was read passed the checks."),
    ],
)
def test_that_all_rows_passed_is_only_said_of_a_run_that_has_read_all(client, eight, fields, words):
    page = page_of(client, a_run(eight, **fields))
    assert words in page
    assert page.count("passed the checks") == words.count("passed the checks")


def test_what_was_true_when_somebody_pressed_is_not_said_when_it_is_over(client, eight):
    run = a_run(eight, state=State.FAILED, error_code="connection_lost")
    page = client.post(reverse("run_again", args=[run.pk]), follow=True).content.decode()
    assert "waits in the queue" in page
    assert 'class="messages"' not in page
    again = TransferRun.objects.get(state=State.QUEUED)
    again.claim()
    page = client.post(reverse("run_cancel", args=[again.pk]), follow=True).content.decode()
    assert "it ends after the current step" in page
    assert 'class="messages"' not in page


def test_neighbours_are_runs_of_the_same_task(client, eight):
    before, run, after = a_run(eight), a_run(eight), a_run(eight)
    a_run(eight, "cards")
    context = client.get(run.get_absolute_url()).context
    assert (context["previous"], context["following"]) == (before, after)


def test_a_running_run_shows_progress_rate_and_time_left_and_refreshes_itself(client, eight):
    run = a_run(
        eight,
        state=State.RUNNING,
        queued_at=timezone.now() - timedelta(seconds=10),
        expected=1000,
        applied=250,
    )
    page = squeezed(client.get(reverse("run_live", args=[run.pk])))
    assert "data-poll" in page
    assert "250 of 1\u202f000" in page
    assert re.search("(25|2[0-4]) rows a second", page)
    assert re.search("about [2-4][0-9]\u00a0s left", page)
    run.finish(State.SUCCEEDED)
    assert "data-poll" not in page_of(client, run)


def test_positions_are_there_folded(client, eight):
    run = a_run(eight, position_from=POSITION, position_to={**POSITION, "number": 4711})
    page = page_of(client, run)
    assert "4711" in page


def test_cancel_asks_first_and_then_ends_the_run_after_the_chunk(client, eight):
    run = a_run(eight, state=State.RUNNING)
    address = reverse("run_cancel", args=[run.pk])
    assert "Cancel run" in client.get(address).content.decode()
    assert not run.is_cancelled()
    assert client.post(address).headers["Location"] == run.get_absolute_url()
    assert run.is_cancelled()
    assert AuditEntry.objects.get().action == AuditEntry.Action.CANCEL
    page = page_of(client, run)
    assert "olga has cancelled the run: it ends after the current step." in page
    assert address not in page


def test_cancelling_what_has_ended_meanwhile_says_so(client, eight):
    run = a_run(eight)
    response = client.post(reverse("run_cancel", args=[run.pk]), follow=True)
    assert "There is nothing to cancel" in response.content.decode()
    assert not AuditEntry.objects.exists()


def test_run_again_queues_a_run_of_the_same_task_and_leads_to_it(client, eight):
    run = a_run(eight, state=State.FAILED, error_code="connection_lost")
    response = client.post(reverse("run_again", args=[run.pk]))
    started = TransferRun.objects.get(state=State.QUEUED)
    assert (started.task, started.actor.username) == (run.task, "olga")
    assert response.headers["Location"] == started.get_absolute_url()


def test_run_again_leads_to_the_open_run_where_there_is_one(client, eight):
    run, running = a_run(eight), a_run(eight, state=State.RUNNING)
    response = client.post(reverse("run_again", args=[run.pk]))
    assert response.headers["Location"] == running.get_absolute_url()
    assert TransferRun.objects.count() == 2


def test_a_run_whose_server_is_gone_can_be_read_and_not_run_again(client, eight):
    run = a_run(eight)
    eight.delete()
    assert "Бонусный сервер 8" in page_of(client, run)
    assert "Run again" not in page_of(client, run)
    response = client.post(reverse("run_again", args=[run.pk]), follow=True)
    assert "no longer there" in response.content.decode()


def test_a_viewer_sees_no_buttons(client, eight):
    client.force_login(user("viewer", "vera"))
    running, ended = a_run(eight, state=State.RUNNING), a_run(eight)
    for run, name in ((running, "run_cancel"), (ended, "run_again")):
        assert reverse(name, args=[run.pk]) not in page_of(client, run)


def test_a_run_that_does_not_exist_is_a_404(client):
    for name in ("run", "run_live", "run_row", "maintenance_run"):
        assert client.get(reverse(name, args=[404])).status_code == 404


SILENT = {"kind": "cards", "server": "Eight"}


def maintenance_run(**fields):
    task = MaintenanceTask.objects.get(kind="purge_history")
    times = {"started_at": NOON, "finished_at": NOON}
    return MaintenanceRun.objects.create(
        task=task, kind=task.kind, state="succeeded", trigger="manual", **times, **fields
    )


def test_a_dry_run_says_what_a_real_one_would_do_and_is_repeated_as_one(client):
    run = maintenance_run(dry_run=True, report={"audit": 0, "runs": 1204, "checks": 3})
    page = page_of(client, run)
    assert "Purge the history: dry run" in page
    lines = [
        "A dry run, which removes nothing. A real one would say:",
        "Runs of transfers removed: 1\u202f204",
        "Checks of connections removed: 3",
    ]
    assert re.findall("<li>(.*?)</li>", page[page.index('id="report"') :])[:3] == lines
    assert "audit removed" not in page
    client.post(reverse("maintenance_run_again", args=[run.pk]))
    assert MaintenanceRun.objects.queued().get().dry_run


def test_of_a_run_that_found_nothing_to_remove_it_is_said(client):
    assert "Nothing was old enough to be removed." in page_of(
        client, maintenance_run(report={"runs": 0})
    )


def test_maintenance_runs_have_a_page_with_their_report(client):
    task = MaintenanceTask.objects.get(kind="purge_staging")
    report = {
        "accountpincodeTemp": {"rows": 12},
        "changeAccountBalanceTemp": {"rows": 0, "waits_for": "Nine"},
        "changeCardAccountTemp": {"rows": 0, "unread": [SILENT]},
    }
    run = MaintenanceRun.objects.create(
        task=task,
        kind=task.kind,
        state="succeeded",
        trigger="schedule",
        report=report,
        started_at=NOON,
        finished_at=NOON,
    )
    page = page_of(client, run)
    assert "accountpincodeTemp: rows removed: 12" in page
    assert "changeAccountBalanceTemp: all rows are kept: What we know of Nine" in page
    assert "changeCardAccountTemp: what Eight needs is kept" in page
    client.post(reverse("maintenance_run_again", args=[run.pk]))
    assert MaintenanceRun.objects.filter(state=State.QUEUED).count() == 1


def test_a_run_that_gave_way_says_that_it_goes_on_and_how_far_it_is(client, eight):
    run = a_run(eight, state="queued", chunks=2, applied=40, expected=100)
    page = page_of(client, run)
    assert "The run has given way to jobs of other servers, and goes on in its turn." in page
    assert "waits in the queue" not in page
    assert "of 100" in page
