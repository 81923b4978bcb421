"""One list of what is wrong, which every page, message and machine reads."""

import tempfile
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import override
from django_tasks_db.models import DBTaskResult
from prometheus_client.parser import text_string_to_metric_families

from tests.records import a_reject, a_run, server, user
from transfer.alerts.watch import watch
from transfer.causes.connections import PORT_CLOSED, UNREACHABLE
from transfer.causes.installation import CERTIFICATE_ENDS, PAGES_STOPPED
from transfer.causes.ledger import POSITION_INVALID, ROWS_CHANGED
from transfer.causes.runs import DIFFERENCE, UNEXPECTED
from transfer.causes.tables import GUARDS_OF_ANOTHER, TABLES_FOREIGN
from transfer.engine.received import Totals
from transfer.errors import GuardsOfAnother, TransferError, Unreachable
from transfer.models import (
    Actor,
    Approval,
    Approver,
    AuditEntry,
    CashRegister,
    FailedStep,
    FlowHour,
    Heartbeat,
    LeftBehind,
    MaintenanceRun,
    MaintenanceTask,
    Recipient,
    RecurringJob,
    RegisterAccount,
    Settings,
    Shop,
    TransferTask,
    Upload,
    User,
)
from transfer.models.alerts import Incident, Notice, Topic
from transfer.models.failing import failure
from transfer.models.logins import OF_A_NAME, LoginKey
from transfer.parties import SHOP_ALL, Party, PartyKind, database_of
from transfer.problems import kinds
from transfer.problems.find import problems
from transfer.problems.kinds import KINDS, STEPS as NAMED_STEPS, Code
from transfer.problems.of_tasks import is_late
from transfer.problems.outages import DOORS
from transfer.queue.jobs import work_off
from transfer.runs import backlog
from transfer.runs.backlog import Backlog
from transfer.runs.purge_history import purge_history
from transfer.tick import STEPS

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan")
DOWN = Unreachable(UNREACHABLE, party=database_of("БС 8"), reason="timeout")


@pytest.fixture(autouse=True)
def in_english(settings, nothing_asked):
    settings.LANGUAGE_CODE, settings.BACKUP_FOLDER = "en", ""  # which `no_backup` names
    with override("en"):
        yield


@pytest.fixture
def task():
    """Balance changes of a server, switched on; nothing waits, and nothing is wrong."""
    Heartbeat.beat("shop: cron")
    task = server("БС 8").tasks.select_related("server").get(kind="balances")
    task.switch(True, IVAN)
    backlog.store({one.pk: Backlog(0) for one in TransferTask.objects.all()})
    return task


def hour_ago():
    return timezone.now() - timedelta(hours=1)


def guards(_task):
    job = RecurringJob.objects.create(kind="check_guards")
    job.fail(
        GuardsOfAnother(GUARDS_OF_ANOTHER, names="writer_guard", script="alter function guard")
    )


def never(_task):
    Heartbeat.objects.all().delete()


def silent(_task):
    Heartbeat.objects.update(at=hour_ago())


def set_back(_task):
    Heartbeat.objects.update(at=timezone.now() + timedelta(hours=1))


def stuck(_task):
    work_off.enqueue("transferrun", 1)
    DBTaskResult.objects.update(enqueued_at=hour_ago())


def slow_server(task):
    """Its job takes three minutes, during which one of another server waits."""
    a_turn(task.server_id, waits=0, from_minute=5, to_minute=8)
    a_turn(task.server_id + 1, waits=3, from_minute=8, to_minute=8)


def a_turn(server, waits, from_minute, to_minute):
    """An entry that waited for some minutes, and was worked off; minutes after 20 ago."""
    began = timezone.now() - timedelta(minutes=20)
    work_off.using(queue_name=f"server {server}").enqueue("transferrun", 1)
    at = {name: began + timedelta(minutes=minute) for name, minute in {
        "enqueued_at": from_minute - waits, "started_at": from_minute, "finished_at": to_minute,
    }.items()}  # fmt: skip
    DBTaskResult.objects.filter(status="READY").update(status="SUCCESSFUL", **at)


def step(_task):
    FailedStep.note_failure("due_tasks", "transfertask 7", KeyError())


def refuses(task, error=None, times=1):
    error = error or TransferError(POSITION_INVALID, database="БС 8", column="mark")
    a_run(task.server, state="failed", **failure(error))
    type(task).objects.filter(pk=task.pk).update(failures=times)


def fails(task):
    refuses(task, DOWN, 3)


def differs(_task):
    run = MaintenanceRun.of(MaintenanceTask.objects.get(kind="reconcile"), "schedule")
    run.state, run.finished_at = "failed", timezone.now()
    run.note_error(TransferError(DIFFERENCE, tasks="Balance changes → БС 8"))
    run.save()


def database(task):
    answers = {one.pk: Backlog(error=DOWN) for one in task.server.tasks.all()}
    backlog.store(answers)


def failing_server(task):
    task.server.note_failure(timezone.now(), DOWN)


def failing_service_port(task):
    task.server.note_service_port(timezone.now(), DOWN)


def waits(task, rows=5):
    backlog.store({task.pk: Backlog(rows, hour_ago())})


def slow(task):
    """Of 100 rows, 6 took a minute more than allowed."""
    Settings.objects.update_or_create(pk=1, defaults={"delay_limit": 60})
    for rows, seconds in ((94, 1.2), (6, 61)):
        FlowHour.objects.add(task.pk, Totals(applied=rows), timezone.now(), seconds)


def left_behind(task):
    LeftBehind.objects.create(task=task, at=timezone.now(), by="olga", reason="disk")


def writing(task):
    backlog.store({task.pk: Backlog(0, writing_since=hour_ago())})


def changed(_task):
    RecurringJob.objects.create(kind="check_changes").fail(TransferError(ROWS_CHANGED, rows=3))


def foreign(task):
    error = TransferError(TABLES_FOREIGN, database="БС 8", tables="asset")
    RecurringJob.objects.create(kind="check_tables", server=task.server).fail(error)


def sections(task):
    """The name of the server is mistyped."""
    file = Path(tempfile.mkdtemp()) / "tables.toml"
    file.write_text('[servers."БC 8".balances]\ntable = "asset"\n')  # with a Latin letter
    django_settings.DTADMIN_TABLES = str(file)


def rejects(task):
    a_reject(task.server)


def registers(task):
    """The shop's number in our own database is not its code, and another shop has that code."""
    shop = Shop.objects.create(code="A17", name="На углу")
    Shop.objects.create(code=str(shop.pk), name="Another shop")
    one = CashRegister.objects.create(code="5", name="Касса 5", shop=shop)
    type(task.server).objects.update(accounts_at=timezone.now())
    at = timezone.now() - timedelta(hours=25)
    RegisterAccount.objects.create(server=task.server, register=one, state="created", last_seen=at)


def messages(_task):
    Recipient.objects.create(
        name="Olga",
        channel="mail",
        address="o@x.example",
        failing_since=hour_ago(),
        **failure(DOWN),
    )


def no_mail(_task):
    RecurringJob.objects.create(kind="check_mail").fail(
        Unreachable(
            PORT_CLOSED, party=Party(PartyKind.MAIL, "mail.shop"), host="mail.shop", port=25
        )
    )


def no_pages(_task):
    RecurringJob.objects.create(kind="check_pages").fail(
        TransferError(PAGES_STOPPED, address="https://dt.shop", code=502)
    )


def certificate(task):
    RecurringJob.objects.create(kind="check_cert", server=task.server).fail(
        TransferError(CERTIFICATE_ENDS, server="БС 8", days=3)
    )


def two_schedulers(_task):
    Heartbeat.beat("shop: run_scheduler")


def no_backup(_task):
    """One is wanted each night; that of last night failed, and the one before is too old."""
    django_settings.BACKUP_FOLDER = "/var/backups/dtadmin"
    begun, done = timezone.now() - timedelta(hours=1), timezone.now() - timedelta(hours=49)
    about = {"who": "root", "action": "backup", "subject_type": "settings"}
    AuditEntry.objects.create(**about, at=done, new={"bytes": 1})
    AuditEntry.objects.create(**about, at=begun)


def locked(_task):
    User.objects.create_user("masha", password="correct horse battery")
    key = LoginKey("masha", "10.0.0.66")
    for _try in range(OF_A_NAME):
        key.refuse(key.guess())


def a_load_waits(_task):
    """And nobody may approve it."""
    upload = Upload.objects.create(kind="balances", name="bonus.csv", state="waiting")
    Approval.objects.create(upload=upload, asked_by="oleg", rows=1, largest=5, total=5)
    Approver.objects.create(user=user("viewer", "vera"))


def nobody_may_approve(_task):
    user("operator", "oleg")
    Settings.load().change(Actor("tests"), row_limit=10_000)


# What goes wrong → its code, and the subject that the linked page shows. An outage has a cause.
WRONG = {
    guards: (Code.GUARDS, "alter function guard"),
    never: (Code.SCHEDULER_NEVER, 'id="scheduler"'),
    silent: (Code.SCHEDULER, 'id="scheduler"'),
    set_back: (Code.CLOCK, 'id="scheduler"'),
    stuck: (Code.QUEUE, 'id="scheduler"'),
    slow_server: (Code.SLOW_SERVER, "БС 8"),
    step: (Code.STEP, 'id="scheduler"'),
    refuses: (Code.REFUSAL, "БС 8"),
    differs: (Code.DIFFERENCE, "Balance changes → БС 8"),
    fails: (Code.FAILURES, "БС 8"),
    database: (Code.DATABASE, "БС 8"),
    failing_server: (Code.SERVER, "БС 8"),
    failing_service_port: (Code.SERVICE_PORT, "БС 8"),
    messages: (Code.MESSAGES, "Olga"),
    no_mail: (Code.MAIL, "mail.shop"),
    no_pages: (Code.PAGES, "https://dt.shop"),
    certificate: (Code.CERTIFICATE, "БС 8"),
    two_schedulers: (Code.TWO_SCHEDULERS, 'id="scheduler"'),
    no_backup: (Code.BACKUP, "made a backup of our own database"),
    waits: (Code.LATE, "Balance changes → БС 8"),
    slow: (Code.SLOW, "Balance changes → БС 8"),
    left_behind: (Code.LEFT_BEHIND, "БС 8"),
    writing: (Code.WRITING, "Balance changes → БС 8"),
    changed: (Code.CHANGED, "Changed after the transfer"),
    foreign: (Code.TABLES, "БС 8"),
    sections: (Code.SECTIONS, "БС 8"),
    rejects: (Code.REJECTS, "Amount"),
    nobody_may_approve: (Code.NO_APPROVER, "oleg"),
    a_load_waits: (Code.APPROVALS, "bonus.csv"),
    registers: (Code.REGISTERS, "Касса 5"),
    locked: (Code.LOCKED, "masha"),
}
each = pytest.mark.parametrize("go_wrong", WRONG, ids=lambda one: one.__name__)


def test_each_kind_of_problem_is_tried_here():
    tried = {code for code, _subject in WRONG.values()}
    assert tried == set(Code) - {Code.OUTAGE}


@each
def test_a_door_of_a_server_is_reported_as_its_outage_and_all_else_by_itself(task, go_wrong):
    """So alerts and the paper name the codes of doors nowhere."""
    code, _subject = WRONG[go_wrong]
    go_wrong(task)
    (problem,) = problems()
    is_folded = code in DOORS or go_wrong is fails  # a transfer's runs are part of its outage
    assert problem.code == (Code.OUTAGE if is_folded else code)
    assert bool(KINDS[code].means) == (code not in DOORS)


def test_shop_alls_database_is_reported_as_an_outage(task):
    down = Unreachable(UNREACHABLE, party=SHOP_ALL, reason="timeout")
    backlog.store({one.pk: Backlog(error=down) for one in task.server.tasks.all()})
    assert [one.code for one in problems()] == [Code.OUTAGE]


def test_failures_of_a_maintenance_task_are_reported_by_themselves(task):
    purge = MaintenanceTask.objects.get(kind="purge_staging")
    run = MaintenanceRun.of(purge, "schedule")
    run.state, run.finished_at = "failed", timezone.now()
    run.note_error(TransferError(UNEXPECTED, "KeyError"))
    run.save()
    MaintenanceTask.objects.filter(pk=purge.pk).update(failures=3, enabled=True)
    assert [one.code for one in problems()] == [Code.FAILURES]


def code_of(problem):
    """The code of the problem, or of the one cause of an outage."""
    if problem.code != Code.OUTAGE:
        return problem.code
    (cause,) = problem.causes
    return cause.code


@each
def test_all_say_it_in_the_same_words_and_its_link_shows_its_subject(task, go_wrong, settings):
    """Its message, the overview, the page of notifications and /metrics."""
    settings.SITE_URL = "https://shop.example/"
    code, subject = WRONG[go_wrong]
    go_wrong(task)
    (problem,) = problems()
    assert code_of(problem) == code
    assert "%" not in problem.sentence + problem.hint
    watch(timezone.now())
    incident = Incident.objects.get()
    assert (incident.code, incident.url) == (problem.code, problem.url)
    assert (incident.severity, incident.notify) == (problem.severity, problem.notify)
    assert kinds.sentence(incident.code, incident.params) == problem.sentence
    assert kinds.hint(incident.code, incident.params) == problem.hint
    client = Client()
    client.force_login(user("administrator", "admin"))
    for page in ("overview", "notifications"):
        backlog.store_backlogs(backlog.stored())
        assert problem.sentence in unescape(client.get(reverse(page)).text), page
    assert metrics(client)[(problem.code, str(problem.severity), problem.key)] == 1
    response = client.get(problem.url)
    assert response.status_code == 200
    linked = unescape(response.text).partition("<main")[2]
    assert subject in linked
    assert "Another shop" not in linked


def test_undelivered_messages_rank_below_a_server_that_does_not_answer(task):
    messages(task)
    failing_server(task)
    first, second = problems()
    assert [code_of(first), code_of(second)] == [Code.SERVER, Code.MESSAGES]
    assert (first.severity, second.severity) == ("bad", "warn")


@pytest.mark.parametrize(
    "go_wrong",
    [*(never, silent, set_back, two_schedulers, stuck), *(step, refuses, rejects, locked)],
    ids=lambda one: one.__name__,
)
def test_doctor_says_it_in_the_same_words(task, go_wrong, capsys):
    """Those of the scheduler and of the queue, which have lines of their own, and some of those
    that are all listed alike. At databases and servers doctor looks itself.
    """
    go_wrong(task)
    (problem,) = problems()
    with pytest.raises(SystemExit), override("en"):
        call_command("doctor")
    assert problem.sentence in capsys.readouterr().out


def metrics(client):
    text = client.get("/metrics").content.decode()
    (family,) = [
        one for one in text_string_to_metric_families(text) if one.name == "dtadmin_problem"
    ]
    return {
        (one.labels["problem"], one.labels["severity"], one.labels["subject"]): one.value
        for one in family.samples
    }


def test_where_nothing_is_wrong_nothing_is_listed(task):
    assert problems() == []


def test_a_nightly_backup_is_missed_until_one_is_complete(task, settings):
    settings.BACKUP_FOLDER = "/var/backups/dtadmin"
    AuditEntry.objects.create(who="root", action="backup")
    assert [one.sentence for one in problems()] == ["Our own database has no backup yet"]
    AuditEntry.objects.create(who="root", action="backup", new={"bytes": 1})
    assert problems() == []


def test_only_administrators_see_whose_log_in_is_locked(client, task):
    locked(task)
    backlog.store_backlogs(backlog.stored())
    client.force_login(user("operator"))
    assert client.get(reverse("overview")).context["problems"] == []


def test_a_first_failure_is_a_warning_without_a_message_and_grows_into_one(task):
    Recipient.objects.create(
        name="Olga", channel="mail", address="o@x.example", topics=Topic.values
    )
    refuses(task, DOWN, 1)
    (problem,) = problems()
    assert (problem.severity, problem.notify) == ("warn", False)
    now = timezone.now()
    watch(now)
    assert not Notice.objects.exists()
    incident = Incident.objects.get()
    task.__class__.objects.update(failures=3)
    watch(now + timedelta(minutes=2))
    assert Notice.objects.get().incident == incident
    assert problems()[0].severity == "bad"


def test_of_a_hundred_rows_five_may_take_longer_than_the_limit(task):
    slow(task)
    (problem,) = problems()
    assert problem.sentence == (
        "Balance changes → БС 8: 6 of 100 rows of the last 24 hours took longer than 1\u00a0min"
    )
    FlowHour.objects.add(task.pk, Totals(applied=20), timezone.now(), 59)
    assert problems() == []


@pytest.mark.parametrize("change", ["no limit", "switched off", "a day ago"])
def test_rows_that_took_long_are_no_problem(task, change):
    slow(task)
    match change:
        case "no limit":
            Settings.objects.update(delay_limit=None)
        case "switched off":
            task.switch(False, IVAN)
        case "a day ago":
            FlowHour.objects.update(hour=timezone.now() - timedelta(hours=24))
    assert problems() == []


def test_a_daily_task_is_late_only_after_two_of_its_runs(task):
    task.reschedule("0 3 * * *", IVAN)
    backlog.store({task.pk: Backlog(5, timezone.now() - timedelta(hours=20))})
    assert problems() == []
    backlog.store({task.pk: Backlog(5, timezone.now() - timedelta(hours=49))})
    assert [one.code for one in problems()] == ["late"]


def test_a_task_of_working_days_is_not_late_before_its_first_run_on_monday(task):
    task.reschedule("0 9 * * 1-5; 30 13 * * 1-5", IVAN)
    friday = datetime(2026, 7, 3, 11, 0, tzinfo=UTC)  # 14:00 in Moscow: after the last run
    settings = Settings.load()
    assert not is_late(task, friday, settings, friday + timedelta(days=2, hours=18, minutes=50))
    assert not is_late(task, friday, settings, friday + timedelta(days=2, hours=23))  # 13:00
    assert is_late(task, friday, settings, friday + timedelta(days=3))


def test_an_incident_keeps_both_times_as_long_as_the_history(task):
    now = timezone.now()
    rejects(task)
    watch(now)
    task.server.rejects.all().delete()
    watch(now + timedelta(minutes=2))
    incident = Incident.objects.get()
    assert (incident.began_at, incident.ended_at) == (now, now + timedelta(minutes=2))
    days = timedelta(Settings.load().history_days)
    purge_history(now + days)
    assert Incident.objects.exists()
    assert purge_history(now + days + timedelta(minutes=6))["incidents"] == 1


def test_a_problem_of_which_nobody_knows_neither_begins_nor_ends(task):
    waits(task)
    watch(timezone.now())
    backlog.store({task.pk: Backlog(error=DOWN)})
    watch(timezone.now())
    assert {one.code for one in Incident.objects.open()} == {"late", "outage"}
    backlog.store({task.pk: Backlog(0)})
    watch(timezone.now())
    assert not Incident.objects.open().exists()


def test_each_step_of_the_tick_has_a_name_for_people():
    assert set(STEPS) <= set(NAMED_STEPS)
