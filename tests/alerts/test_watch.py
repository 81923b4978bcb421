"""Which messages go to whom, and when: at the beginning, while it lasts, and at the end."""

from datetime import time, timedelta

import psycopg2
import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.databases import stage
from tests.records import a_reject, a_run, server
from transfer.alerts import words
from transfer.alerts.watch import watch
from transfer.causes.connections import UNREACHABLE
from transfer.causes.ledger import BEGINNING_UNDECIDED, ROWS_PURGED, SHOP_ALL_WENT_BACK
from transfer.causes.runs import DIFFERENCE
from transfer.errors import ServerUndecided, ShopAllWentBack, TransferError, Unreachable
from transfer.models import (
    Actor,
    AuditEntry,
    CashRegister,
    Heartbeat,
    MaintenanceRun,
    MaintenanceTask,
    RecurringJob,
    RegisterAccount,
    Settings,
    Shop,
    TaskBacklog,
    User,
)
from transfer.models.alerts import Incident, Notice, Recipient, Topic
from transfer.models.failing import failure
from transfer.models.logins import OF_A_NAME, LoginKey, lift_locks
from transfer.models.planned_work import PlannedWork
from transfer.parties import database_of
from transfer.problems import incidents, kinds, taking
from transfer.problems.find import find_problems
from transfer.queue.locks import Space
from transfer.runs import backlog
from transfer.runs.recurring import ask_backlogs
from transfer.tick import tick

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan")
NOW = timezone.now()


@pytest.fixture
def recipient():
    return Recipient.objects.create(
        name="Olga", channel="mail", address="olga@shop", language="en", topics=Topic.values
    )


@pytest.fixture
def task(db):
    task = server().tasks.select_related("server").get(kind="balances")
    task.switch(True, IVAN)
    cache.clear()
    for one in task.server.tasks.all():
        backlog.store_backlogs({one.pk: backlog.Backlog(0)})
    return task


def failing(task, times, error=None):
    error = error or Unreachable(UNREACHABLE, party=database_of("БС 8"), reason="x")
    a_run(task.server, state="failed", queued_at=NOW - timedelta(seconds=2), **failure(error))
    type(task).objects.filter(pk=task.pk).update(failures=times)


def others():
    """Incidents but those of the scheduler, which does not run in most tests here."""
    return Incident.objects.exclude(topic="scheduler")


def notices():
    return [
        (notice.event, words.subject(notice))
        for notice in Notice.objects.order_by("pk").select_related("incident", "recipient")
    ]


def test_a_task_that_fails_is_told_of_when_it_has_failed_often_enough(task, recipient, in_english):
    failing(task, 2)
    watch(NOW)
    assert notices() == []
    failing(task, 3)
    watch(NOW)
    watch(NOW + timedelta(minutes=1))
    assert notices() == [("began", "Balance changes → Бонусный сервер 8: the last 3 runs failed")]


def test_what_is_well_again_is_said_once_and_how_long_it_lasted(task, recipient, in_english):
    failing(task, 3)
    watch(NOW)
    type(task).objects.update(failures=0)
    watch(NOW + timedelta(minutes=90))
    watch(NOW + timedelta(minutes=91))
    _began, ended = notices()
    assert ended[0] == "ended"
    assert ended[1].startswith("Resolved: Balance changes → Бонусный сервер 8")
    notice = Notice.objects.select_related("incident").first()
    assert words.body(notice).startswith("It lasted 1\xa0h\xa030\xa0min")
    assert not others().filter(ended_at=None).exists()


@pytest.mark.parametrize(("reminders", "after"), [("hourly", 1), ("daily", 24)])
def test_it_is_repeated_while_it_lasts(task, recipient, in_english, reminders, after):
    Recipient.objects.update(reminders=reminders)
    failing(task, 3)
    watch(NOW)
    watch(NOW + timedelta(hours=after, minutes=-1))
    assert len(notices()) == 1
    watch(NOW + timedelta(hours=after))
    watch(NOW + timedelta(hours=2 * after))
    assert [event for event, _subject in notices()] == ["began", "reminder", "reminder"]
    assert notices()[1][1].startswith("Still: Balance changes")


def test_without_reminders_it_is_said_once(task, recipient):
    Recipient.objects.update(reminders="none")
    failing(task, 3)
    watch(NOW)
    watch(NOW + timedelta(days=3))
    assert len(notices()) == 1


def test_in_quiet_hours_nobody_is_told_and_what_lasts_is_told_after_them(task, recipient):
    zone = Settings.load().zone
    night = NOW.astimezone(zone).replace(hour=23, minute=30)
    Recipient.objects.update(quiet_from=time(22), quiet_until=time(7))
    failing(task, 3)
    watch(night)
    watch(night + timedelta(hours=7, minutes=29))
    assert notices() == []
    watch(night + timedelta(hours=7, minutes=30))
    assert [event for event, _subject in notices()] == ["began"]


def test_outages_and_refusals_are_told_in_quiet_hours_to_whoever_wants_that(
    task, recipient, in_english
):
    night = timezone.now().astimezone(Settings.load().zone).replace(hour=23)
    Recipient.objects.update(
        quiet_from=time(22), quiet_until=time(7), urgent_always=True, reminders="hourly"
    )
    a_reject(task.server)
    failing(task, 3)
    watch(night)
    watch(night + timedelta(hours=2))
    assert [subject for _event, subject in notices()] == [
        "Balance changes → Бонусный сервер 8: the last 3 runs failed"
    ]
    type(task).objects.update(failures=0)
    watch(night + timedelta(hours=3))
    watch(night + timedelta(hours=3, minutes=1))  # a minute before, it was only well again
    assert [event for event, _subject in notices()] == ["began", "ended"]
    watch(night + timedelta(hours=9))
    assert [event for event, _subject in notices()] == ["began", "ended", "began"]
    assert notices()[2][1] == "1 rejected row waits for a decision"


def test_a_recipient_of_some_servers_is_told_of_these_and_of_what_concerns_no_server(
    task, recipient, in_english
):
    nine = server("БС 9")
    other = nine.tasks.select_related("server").get(kind="balances")
    other.switch(True, IVAN)
    for one in nine.tasks.all():
        backlog.store_backlogs({one.pk: backlog.Backlog(0)})
    recipient.servers.set([nine])
    a_reject(task.server)
    failing(task, 3)
    failing(other, 3)
    watch(NOW)
    assert {subject for _event, subject in notices()} == {
        "Balance changes → БС 9: the last 3 runs failed",
        "1 rejected row waits for a decision",
    }


def test_a_recipient_of_some_shops_is_told_of_their_registers_and_of_what_concerns_no_shop(
    task, recipient, in_english
):
    near, far = (Shop.objects.create(code=code, name=f"Shop {code}") for code in ("1", "2"))
    task.server.accounts_at = NOW
    task.server.save()
    for shop in (near, far):
        register = CashRegister.objects.create(shop=shop, code=shop.code, name=f"Till {shop.code}")
        RegisterAccount.objects.create(
            register=register,
            server=task.server,
            state="created",
            last_seen=NOW - timedelta(days=2),
        )
    recipient.shops.set([near])
    a_reject(task.server)
    watch(NOW)
    subjects = {subject for _event, subject in notices()}
    assert any("Shop 1" in one for one in subjects)
    assert not any("Shop 2" in one for one in subjects)
    assert "1 rejected row waits for a decision" in subjects


def test_what_began_and_ended_in_quiet_hours_is_not_told(task, recipient):
    night = NOW.astimezone(Settings.load().zone).replace(hour=23, minute=30)
    Recipient.objects.update(quiet_from=time(22), quiet_until=time(7))
    failing(task, 3)
    watch(night)
    type(task).objects.update(failures=0)
    watch(night + timedelta(hours=1))
    watch(night + timedelta(hours=9))
    assert notices() == []


def test_only_who_wants_to_hear_of_it_is_told(task, recipient):
    Recipient.objects.update(topics=["rejects"])
    failing(task, 3)
    watch(NOW)
    assert notices() == []


def test_two_ticks_at_once_tell_once(task, recipient, own_database):
    """The other one holds the lock; and if both had looked, the database would refuse."""
    failing(task, 3)
    with psycopg2.connect(own_database) as other, other.cursor() as cursor:
        cursor.execute("select pg_advisory_lock(%s, 0)", [Space.WATCH])
        watch(NOW)
        assert not Notice.objects.exists()
        cursor.execute("select pg_advisory_unlock(%s, 0)", [Space.WATCH])
    other.close()
    watch(NOW)
    assert Notice.objects.count() == 1


@pytest.mark.parametrize(
    ("refusal", "command"),
    [
        (ShopAllWentBack(SHOP_ALL_WENT_BACK), "confirm_shop_all"),
        (
            ServerUndecided(
                BEGINNING_UNDECIDED, database="БС 8", kind="balances", table="asset", rows=2, held=0
            ),
            "begin 'БС 8' balances",
        ),
        (
            ServerUndecided(ROWS_PURGED, database="БС 8", kind="balances", rows=2),
            "skip_rows 'БС 8' balances",
        ),
    ],
    ids=["shop_all_went_back", "beginning_undecided", "rows_purged"],
)
def test_a_refusal_is_told_at_the_first_failure_with_what_to_do(
    task, recipient, in_english, refusal, command
):
    failing(task, 1, refusal)
    watch(NOW)
    incident = others().get()
    assert incident.topic == "refusal"
    assert command in kinds.hint(incident.code, incident.params)


def test_rows_that_wait_for_too_long_are_told_of_if_the_task_should_run(
    receiver, shop_all, recipient, in_english
):
    cache.clear()
    stage(shop_all, "balances", [("1", 1), ("2", 1)])
    task = receiver.tasks.get(kind="balances")
    now = timezone.now()
    later = now + timedelta(minutes=16)
    watch(later)
    assert notices() == []  # the task is off
    task.switch(True, IVAN)
    ask_backlogs(RecurringJob())
    watch(now + timedelta(minutes=14))
    assert notices() == []
    watch(later)
    ((event, subject),) = notices()
    assert event == "began"
    assert "2 rows wait, the oldest since" in subject


def test_a_flow_that_nobody_can_ask_any_more_is_not_well_again(task, recipient):
    old = timezone.now() - timedelta(hours=2)
    backlog.store({task.pk: backlog.Backlog(2, old)})
    watch(NOW)
    backlog.store(
        {
            task.pk: backlog.Backlog(
                error=Unreachable(UNREACHABLE, party=database_of("x"), reason="y")
            )
        }
    )
    watch(NOW)
    assert others().filter(ended_at=None, topic="late").exists()
    TaskBacklog.objects.update(asked_at=NOW - timedelta(minutes=10))  # the job has stopped
    watch(NOW)
    assert others().filter(ended_at=None, topic="late").exists()
    backlog.store({task.pk: backlog.Backlog(0)})
    watch(NOW)
    assert not others().filter(ended_at=None).exists()


def test_a_silent_scheduler_is_told_of(recipient, in_english):
    Heartbeat.beat("shop: cron", NOW - timedelta(minutes=4))
    watch(NOW)
    ((_event, subject),) = notices()
    assert subject.startswith("The scheduler has been silent since")


def test_a_scheduler_whose_clock_was_set_back_is_silent_since_now(recipient, in_english):
    Heartbeat.beat("shop: cron", NOW + timedelta(hours=1))
    watch(NOW)
    ((_event, subject),) = notices()
    assert "the clock was set back" in subject
    assert Incident.objects.get(topic="scheduler").began_at == NOW


@pytest.mark.parametrize("name", ["olga", "nobody"])
def test_a_log_in_that_is_locked_is_told_of_until_somebody_lifts_it(recipient, in_english, name):
    User.objects.create_user("olga", password="correct horse battery")
    key = LoginKey(name, "10.0.0.66")
    for _try in range(OF_A_NAME):
        key.refuse(key.guess())
    now = timezone.now()
    watch(now)
    watch(now + timedelta(minutes=1))
    ((event, subject),) = notices()
    assert event == "began"
    assert subject.startswith("Too many wrong passwords for")
    assert ("olga" in subject) == (name == "olga")
    assert "nobody" not in subject  # people type passwords there
    assert "came from 10.0.0.66" in words.body(Notice.objects.get())
    lift_locks(IVAN)
    watch(now + timedelta(minutes=2))
    assert notices()[1][0] == "ended"


def test_a_difference_of_the_reconciliation_is_told_of(recipient, in_english):
    reconcile = MaintenanceTask.objects.get(kind="reconcile")
    run = MaintenanceRun.of(reconcile, "schedule")
    run.state = "failed"
    run.note_error(TransferError(DIFFERENCE, tasks="Balance changes → БС 8"))
    run.save()
    watch(NOW)
    ((_event, subject),) = notices()
    assert subject == "Staged and moved rows differ: Balance changes → БС 8"


def test_new_rejects_are_told_in_a_digest_once_an_hour_at_most(task, recipient, in_english):
    Recipient.objects.update(reminders="none")
    a_reject(task.server)
    watch(NOW)
    a_reject(task.server)
    a_reject(task.server)
    watch(NOW + timedelta(minutes=59))
    assert len(notices()) == 1
    watch(NOW + timedelta(minutes=60))
    watch(NOW + timedelta(minutes=121))
    assert [subject for _event, subject in notices()] == [
        "1 rejected row waits for a decision",
        "Still: 3 rejected rows wait for a decision",
    ]


def test_dark_registers_are_told_of_by_their_shop(recipient, in_english):
    eight, nine = server(), server("БС 9")
    shop = Shop.objects.create(code="111", name="На углу")
    type(eight).objects.update(accounts_at=NOW)
    seen = {"Касса 1": 25, "Касса 2": 26, "Касса 3": 23}
    for name, hours in seen.items():
        register = CashRegister.objects.create(code=name, name=name, shop=shop)
        for one in (eight, nine):
            RegisterAccount.objects.create(
                server=one,
                register=register,
                state="created",
                last_seen=NOW - timedelta(hours=hours),
            )
    watch(NOW)
    ((_event, subject),) = notices()
    assert subject == "На углу: 2 registers have not been seen for a day"
    incident = others().get()
    assert kinds.hint(incident.code, incident.params) == "Касса 1, Касса 2"


def test_while_a_server_is_worked_on_nobody_is_told_of_it_and_its_tasks_stop(task, recipient):
    failing(task, 3)
    work = PlannedWork(
        server=task.server,
        begins_at=NOW - timedelta(minutes=1),
        ends_at=NOW + timedelta(hours=1),
        reason="a new disk",
    )
    work.plan(IVAN)
    watch(NOW)
    task.refresh_from_db()
    assert (task.paused_until, task.pause_reason) == (work.ends_at, "a new disk")
    assert notices() == []
    assert not others().filter(ended_at=None).exists(), "a pause is no problem"
    watch(NOW + timedelta(hours=1))
    assert [event for event, _subject in notices()] == ["began"]


def test_planned_work_that_ends_early_lets_the_tasks_go_on(task):
    work = PlannedWork(
        server=None,
        begins_at=NOW - timedelta(minutes=1),
        ends_at=NOW + timedelta(hours=1),
        reason="a new disk",
    )
    work.plan(IVAN)
    watch(NOW)
    work.refresh_from_db()
    work.end(IVAN, NOW + timedelta(minutes=5))
    task.refresh_from_db()
    assert not task.is_paused()
    assert work.ends_at == NOW + timedelta(minutes=5)


def test_work_during_which_transfers_go_on_pauses_nothing(task):
    PlannedWork(
        server=task.server,
        begins_at=NOW - timedelta(minutes=1),
        ends_at=NOW + timedelta(hours=1),
        reason="x",
        stops=False,
    ).plan(IVAN)
    watch(NOW)
    task.refresh_from_db()
    assert not task.is_paused()


def test_the_tick_watches(task, recipient):
    failing(task, 3)
    tick("cron")
    assert Notice.objects.get().queue_entry is not None


def test_an_open_incident_is_saved_when_it_changes_and_recipients_cost_no_query(task, recipient):
    failing(task, 3)
    a_reject(task.server)
    watch(NOW)

    def again(minutes):
        with CaptureQueriesContext(connection) as queries:
            watch(NOW + timedelta(minutes=minutes))
        return [one["sql"] for one in queries]

    few = again(0.3)  # before a job in the queue has waited for long
    assert not any(sql.startswith(("UPDATE", "INSERT")) for sql in few)
    for number in range(5):
        Recipient.objects.create(name=f"{number}", channel="mail", address="x@y", topics=[])
        a_run(server(f"server {number}"), state="succeeded")
    again(0.5)  # notes of each recipient that its letters begin tomorrow
    assert len(again(0.6)) == len(few)
    assert sum('FROM "transfer_transfertask"' in sql for sql in few) == 1
    failing(task, 4)
    assert any('UPDATE "transfer_incident"' in sql for sql in again(3))


def test_of_a_muted_problem_nobody_is_told_and_of_another_one_everybody_is(task, recipient):
    failing(task, 3)
    incidents.note_incidents(find_problems(NOW), NOW)
    mute(others().get(), until=NOW + timedelta(hours=2))
    a_reject(task.server)
    watch(NOW + timedelta(minutes=1))
    assert [one.incident.topic for one in Notice.objects.all()] == ["rejects"]
    watch(NOW + timedelta(hours=3))
    assert {one.incident.topic for one in Notice.objects.all()} == {"rejects", "failures"}


def test_a_muted_problem_that_gets_worse_is_told_at_once_and_is_not_muted_any_more(
    task, recipient, in_english
):
    failing(task, 1)
    watch(NOW)
    incident = others().get()
    assert (incident.severity, notices()) == ("warn", [])
    mute(incident, until=NOW + timedelta(hours=2))
    failing(task, 3)
    watch(NOW + timedelta(minutes=1))
    incident.refresh_from_db()
    assert not incident.is_muted
    assert [event for event, _subject in notices()] == ["began"]
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.who, entry.new) == ("unmute", "", {"worse": True})


def test_whoever_knew_of_a_muted_problem_is_told_that_it_got_worse(task, recipient):
    failing(task, 3)
    watch(NOW)
    incident = others().get()
    mute(incident, until=None)
    Incident.objects.filter(pk=incident.pk).update(muted_level=[False, False, 0])
    failing(task, 4)
    watch(NOW + timedelta(minutes=1))
    assert [event for event, _subject in notices()] == ["began", "worse"]
    watch(NOW + timedelta(minutes=2))
    assert len(notices()) == 2


def test_the_end_of_a_muted_problem_is_told_to_whoever_was_told_of_it(task, recipient):
    failing(task, 3)
    watch(NOW)
    mute(others().get(), until=None)
    watch(NOW + timedelta(days=2))
    type(task).objects.update(failures=0)
    watch(NOW + timedelta(days=2, minutes=1))
    assert [event for event, _subject in notices()] == ["began", "ended"]


def mute(incident, until):
    taking.mute(incident, IVAN, until=until, reason="known")


def told():
    """Who has been told that a problem began, in the order of the messages."""
    began = Notice.objects.filter(event="began").order_by("pk").select_related("recipient")
    return [one.recipient.name for one in began]


@pytest.fixture
def in_order(recipient):
    """Olga, after 10 minutes Peter, after 10 more Roman; a second one beside Olga."""
    Settings.load().change(IVAN, escalation_minutes=10)
    for name, place in (("Peter", 2), ("Roman", 5), ("Oleg", 1)):
        Recipient.objects.create(
            name=name, place=place, channel="mail", address="x@shop", topics=Topic.values
        )


def test_the_next_recipients_are_told_of_what_nobody_takes_one_after_the_other(task, in_order):
    failing(task, 3)
    watch(NOW)
    watch(NOW + timedelta(minutes=9))
    assert told() == ["Oleg", "Olga"]
    watch(NOW + timedelta(minutes=10))
    assert told() == ["Oleg", "Olga", "Peter"]
    watch(NOW + timedelta(minutes=19))
    assert len(told()) == 3
    watch(NOW + timedelta(minutes=20))
    watch(NOW + timedelta(minutes=21))
    assert told() == ["Oleg", "Olga", "Peter", "Roman"]


def test_what_somebody_has_taken_goes_no_further_until_it_is_given_back(task, in_order):
    failing(task, 3)
    watch(NOW)
    taking.take(others().get(), IVAN)
    watch(NOW + timedelta(hours=1))
    assert told() == ["Oleg", "Olga"]
    taking.give_back(others().get(), IVAN)
    watch(NOW + timedelta(hours=1, minutes=1))
    watch(NOW + timedelta(hours=1, minutes=10))
    assert told() == ["Oleg", "Olga"]
    watch(NOW + timedelta(hours=1, minutes=11))
    assert told() == ["Oleg", "Olga", "Peter"]


def test_of_what_is_only_a_warning_the_next_recipients_are_not_told(task, in_order):
    a_reject(task.server)
    watch(NOW)
    watch(NOW + timedelta(days=1))
    assert set(told()) == {"Oleg", "Olga"}


def test_where_nobody_of_the_first_place_wants_it_the_second_is_told_at_once(task, in_order):
    Recipient.objects.filter(place=1).update(topics=[])
    failing(task, 3)
    watch(NOW)
    assert told() == ["Peter"]


def test_quiet_hours_of_the_first_do_not_delay_the_next(task, in_order):
    night = NOW.astimezone(Settings.load().zone).replace(hour=23, minute=0)
    Recipient.objects.filter(place=1).update(quiet_from=time(22), quiet_until=time(7))
    failing(task, 3)
    watch(night)
    watch(night + timedelta(minutes=10))
    assert told() == ["Peter"]


def test_the_end_is_told_to_those_who_were_told_of_the_begin(task, in_order):
    failing(task, 3)
    watch(NOW)
    watch(NOW + timedelta(minutes=10))
    type(task).objects.update(failures=0)
    watch(NOW + timedelta(minutes=11))
    ended = Notice.objects.filter(event="ended").select_related("recipient")
    assert {one.recipient.name for one in ended} == {"Oleg", "Olga", "Peter"}
