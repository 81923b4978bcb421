from datetime import UTC, datetime, timedelta, timezone as zone

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.utils import translation

from tests.conftest import NOON
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, MaintenanceTask, Settings, TransferRun, TransferTask
from transfer.models.audit import Actor
from transfer.models.run_base import Trigger, attach_runs
from transfer.models.runs import State
from transfer.models.schedules import ChangedMeanwhile
from transfer.models.settings import SettingsChangedMeanwhile
from transfer.models.tasks import create_transfer_tasks
from transfer.pages.parts import audit_words
from transfer.runs.start import open_run

FIVE_PAST = NOON.replace(minute=5, second=0)


def stored(task):
    return TransferTask.objects.get(pk=task.pk)


def test_switching_on_waits_for_the_next_time(task, ivan):
    task.switch(True, ivan, reason="ready", now=NOON)
    assert stored(task).next_run_at == FIVE_PAST
    assert not TransferTask.objects.due(NOON).exists()
    assert not TransferRun.objects.exists()


def test_switching_on_long_after_does_not_make_up_for_what_was_missed(switched_on, ivan):
    switched_on.switch(False, ivan, now=NOON)
    later = NOON + timedelta(days=3)
    switched_on.switch(True, ivan, now=later)
    assert not TransferTask.objects.due(later).exists()
    assert stored(switched_on).next_run_at > later


def test_the_switch_says_who_when_and_why(task, ivan):
    task.switch(True, ivan, reason="the holidays are over", now=NOON)
    held = stored(task)
    assert (held.enabled, held.changed_by, held.changed_at, held.change_reason) == (
        True,
        "ivan",
        NOON,
        "the holidays are over",
    )


def test_the_audit_says_which_way_the_switch_went_and_from_where(task, ivan):
    task.switch(True, ivan, reason="go", now=NOON)
    task.switch(False, ivan, reason="stop", now=NOON)
    off, on = AuditEntry.objects.about(task)
    assert (on.old, on.new, on.reason) == ({"enabled": False}, {"enabled": True}, "go")
    assert (off.old, off.new, off.reason) == ({"enabled": True}, {"enabled": False}, "stop")
    assert (off.who, off.address) == ("ivan", "10.0.0.7")
    with translation.override("en"):
        assert audit_words.subject(off) == "Balance changes → Бонусный сервер 8"
        assert audit_words.changes(off) == [("enabled", "yes", "no")]


def test_switching_to_what_it_is_already_notes_nothing(switched_on, ivan):
    version = switched_on.version
    switched_on.switch(True, ivan, now=NOON)
    assert stored(switched_on).version == version
    assert AuditEntry.objects.about(switched_on).count() == 1


def test_switching_off_takes_the_scheduled_run_out_of_the_queue(switched_on, ivan):
    run = open_run(switched_on, Trigger.SCHEDULE)
    switched_on.switch(False, ivan, now=NOON)
    run.refresh_from_db()
    assert (run.state, run.cancelled_by) == (State.CANCELLED, "ivan")
    assert stored(switched_on).next_run_at is None


def test_switching_off_leaves_a_run_by_hand_in_the_queue(switched_on, ivan):
    run = open_run(switched_on, Trigger.MANUAL)
    switched_on.switch(False, ivan, now=NOON)
    run.refresh_from_db()
    assert run.state == State.QUEUED


def test_the_second_of_two_admins_is_told_what_the_first_did(task, ivan, olga):
    seen_by_both = task.version
    task.switch(True, ivan, reason="go", expected_version=seen_by_both, now=NOON)
    late = stored(task)
    with pytest.raises(ChangedMeanwhile) as caught:
        late.pause(NOON + timedelta(hours=1), olga, expected_version=seen_by_both, now=NOON)
    assert (caught.value.entry.who, caught.value.entry.reason) == ("ivan", "go")
    assert caught.value.task.enabled
    assert stored(task).paused_until is None
    assert AuditEntry.objects.about(task).count() == 1


def test_a_switch_can_be_undone_and_waits_for_the_next_time_too(switched_on, ivan):
    switched_on.switch(False, ivan, now=NOON)
    switched_on.undo_switch(ivan, expected_version=switched_on.version, now=NOON)
    assert stored(switched_on).enabled
    assert stored(switched_on).next_run_at == FIVE_PAST
    assert AuditEntry.objects.about(switched_on).first().action == "undo"


def test_a_switch_that_somebody_else_followed_cannot_be_undone(switched_on, ivan, olga):
    version = switched_on.version
    switched_on.pause(NOON + timedelta(hours=1), olga, now=NOON)
    with pytest.raises(ChangedMeanwhile):
        switched_on.undo_switch(ivan, expected_version=version, now=NOON)
    assert stored(switched_on).enabled


def test_a_paused_task_goes_on_by_itself_at_the_first_time_after_the_pause(switched_on, ivan):
    end = NOON.replace(hour=14, minute=2, second=0)
    switched_on.pause(end, ivan, reason="inventory", now=NOON)
    held = stored(switched_on)
    assert (held.paused_by, held.pause_reason) == ("ivan", "inventory")
    assert held.next_run_at == NOON.replace(hour=14, minute=5, second=0)
    assert not TransferTask.objects.due(end).exists()


def test_a_pause_in_the_past_is_refused_at_its_field(switched_on, ivan):
    with pytest.raises(ValidationError) as caught:
        switched_on.pause(NOON, ivan, now=NOON)
    assert list(caught.value.message_dict) == ["paused_until"]


def test_a_pause_of_centuries_is_refused_at_its_field(switched_on, ivan):
    with pytest.raises(ValidationError) as caught:
        switched_on.pause(NOON + timedelta(days=40_000), ivan, now=NOON)
    assert [error.code for error in caught.value.error_dict["paused_until"]] == ["far"]


def test_a_pause_may_be_given_in_a_zone_that_postgresql_does_not_know(switched_on, ivan):
    until = NOON + timedelta(days=1)
    far = zone(-timedelta(hours=19, minutes=27))
    switched_on.pause(until.astimezone(far), ivan, now=NOON)
    assert stored(switched_on).paused_until == until


def test_resuming_waits_for_the_next_time(switched_on, ivan):
    switched_on.pause(NOON + timedelta(days=1), ivan, now=NOON)
    switched_on.resume(ivan, now=NOON)
    assert stored(switched_on).paused_until is None
    assert stored(switched_on).next_run_at == FIVE_PAST


def test_a_task_switched_on_during_its_pause_waits_for_the_end(task, ivan):
    task.pause(NOON + timedelta(hours=1), ivan, now=NOON)
    task.switch(True, ivan, now=NOON)
    assert stored(task).next_run_at > NOON + timedelta(hours=1)


def test_a_new_schedule_is_planned_anew_and_audited(switched_on, ivan):
    switched_on.reschedule(" 0  15 * * * ", ivan, now=NOON)
    assert stored(switched_on).schedule == "0 15 * * *"
    assert stored(switched_on).next_run_at == NOON.replace(hour=12, minute=0, second=0) + timedelta(
        days=1
    )  # 15:00 in Moscow was half a minute ago
    assert AuditEntry.objects.about(switched_on).first().new == {"schedule": "0 15 * * *"}


def test_the_next_run_is_the_earliest_of_several_expressions(switched_on, ivan):
    switched_on.reschedule("0 9 * * 1-5\n30 15 * * 1-5\n", ivan, now=NOON)
    assert stored(switched_on).schedule == "0 9 * * 1-5; 30 15 * * 1-5"
    assert stored(switched_on).next_run_at == NOON.replace(minute=30, second=0)  # in Moscow 15:30
    switched_on.reschedule(";".join(f"{n} 23 * * 1,3,5" for n in range(24)), ivan, now=NOON)
    assert stored(switched_on).next_run_at == NOON.replace(hour=20, minute=0, second=0)


def test_a_wrong_schedule_changes_nothing(switched_on, ivan):
    with pytest.raises(ValidationError) as caught:
        switched_on.reschedule("61 * * * *", ivan, now=NOON)
    assert list(caught.value.message_dict) == ["schedule"]
    assert stored(switched_on).schedule == "*/5 * * * *"


def test_another_time_zone_moves_the_next_times(switched_on, ivan):
    switched_on.reschedule("0 15 * * *", ivan)
    Settings.load().change(ivan, time_zone="Asia/Vladivostok")
    times = [at.hour for at in switched_on.next_times(2, NOON)]
    assert times == [15, 15]
    assert stored(switched_on).next_run_at.astimezone(UTC).hour == 5


def test_settings_are_audited_and_refuse_nonsense(db, ivan, olga):
    held = Settings.load()
    held.change(ivan, expected_version=1, show_transfer_tasks=True)
    assert AuditEntry.objects.about(held).first().new == {"show_transfer_tasks": True}
    with pytest.raises(SettingsChangedMeanwhile) as caught:
        Settings.load().change(olga, expected_version=1, show_transfer_tasks=False)
    assert caught.value.entry.who == "ivan"
    with pytest.raises(ValidationError) as caught:
        Settings.load().change(ivan, time_zone="Mars/Olympus")
    assert list(caught.value.message_dict) == ["time_zone"]
    assert Settings.load().show_transfer_tasks


def test_transfer_tasks_are_hidden_in_a_new_installation(db):
    assert Settings.load().show_transfer_tasks is False


@pytest.mark.parametrize(
    "statement", ["update transfer_auditentry set who = 'x'", "delete from transfer_auditentry"]
)
def test_the_database_refuses_to_change_or_remove_an_audit_entry(switched_on, statement):
    with (
        pytest.raises(DatabaseError, match="only ever added"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert AuditEntry.objects.get().who == "ivan"


def test_an_audit_entry_outlives_its_user(task):
    user = User.objects.create_user("anna")
    task.switch(True, Actor.user_at(user, "10.0.0.9"), now=NOON)
    user.delete()
    assert AuditEntry.objects.get().who == "anna"


def test_the_audit_masks_secrets(server, ivan):
    entry = AuditEntry.record(
        ivan,
        AuditEntry.Action.CHANGE,
        server,
        old={"db_password": "hunter2", "name": "a"},
        new={"db_password": "hunter3", "name": "b"},
    )
    entry.refresh_from_db()
    assert entry.old == {"db_password": "••••", "name": "a"}
    assert entry.new == {"db_password": "••••", "name": "b"}


def test_a_new_installation_tidies_up_its_own_and_nothing_of_head_offices(db):
    tasks = dict(MaintenanceTask.objects.values_list("kind", "enabled"))
    assert tasks == {
        "check_connections": True,
        "purge_history": True,
        "purge_staging": False,
        "reconcile": True,
        "statement": True,
    }


def test_tasks_get_their_runs_in_two_queries_however_many_there_are(
    task, django_assert_num_queries
):
    old = TransferRun.of(task, Trigger.SCHEDULE)
    old.start()
    old.finish(State.SUCCEEDED)
    failed = TransferRun.of(task, Trigger.SCHEDULE)
    failed.start()
    failed.finish(State.FAILED)
    skipped = TransferRun.of(task, Trigger.SCHEDULE)
    skipped.state = State.SKIPPED
    skipped.save()
    queued = open_run(task, Trigger.MANUAL)
    with django_assert_num_queries(2):
        tasks = {one.kind: one for one in attach_runs(TransferTask.objects.with_runs())}
    mine = tasks["balances"]
    assert (mine.last_run, mine.last_success, mine.open_run) == (failed, old, queued)
    assert tasks["cards"].last_run is None


def test_rows_between_moments_are_counted_in_one_query(task, django_assert_num_queries):
    midnights = [datetime(2026, 6, 28 + n, 21, tzinfo=UTC) for n in range(2)]  # in Moscow
    midnights += [datetime(2026, 6, 30, 21, tzinfo=UTC), datetime(2026, 7, 1, 21, tzinfo=UTC)]
    for queued_at, applied in [
        (datetime(2026, 6, 30, 20, 59, tzinfo=UTC), 1),
        (datetime(2026, 6, 30, 21, 0, tzinfo=UTC), 10),
        (datetime(2026, 7, 1, 12, 0, tzinfo=UTC), 100),
    ]:
        run = TransferRun.of(task, Trigger.SCHEDULE)
        run.state, run.queued_at, run.applied = State.SUCCEEDED, queued_at, applied
        run.save()
    with django_assert_num_queries(1):
        days = TransferRun.objects.between(midnights)
    assert [(day["applied_rows"], day["good"]) for day in days] == [(0, 0), (1, 1), (110, 2)]


def test_a_docked_server_gets_a_task_of_a_kind_that_a_new_version_brings(task, ivan):
    task.switch(True, ivan, now=NOON)
    task.server.tasks.get(kind="cards").delete()
    create_transfer_tasks(sender=None, using="default")
    assert not task.server.tasks.get(kind="cards").enabled
    assert stored(task).enabled
    assert task.server.tasks.count() == len(KINDS)
