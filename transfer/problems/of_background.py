"""Problems of what runs by itself: the scheduler, the queue, the steps of background loops."""

from collections.abc import Callable, Container, Iterator
from datetime import datetime, timedelta

from django.conf import settings

from transfer.causes.connections import NO_CONNECTION
from transfer.causes.installation import (
    ADDRESS_INVALID,
    ADDRESS_REFUSED,
    CERTIFICATE_ENDS,
    DOCTOR_ANOTHER_PROGRAM,
    PAGES_SILENT,
    PAGES_STOPPED,
)
from transfer.causes.ledger import ROWS_CHANGED
from transfer.causes.tables import GUARDS_OF_ANOTHER, GUARDS_OUTDATED, TABLES_FOREIGN
from transfer.models import AuditEntry, FailedStep, Heartbeat, RecurringJob
from transfer.models.addresses import address
from transfer.models.alerts import Severity
from transfer.problems.kinds import KINDS, Code
from transfer.problems.problem import Problem, Unknown, of_error
from transfer.problems.signs import Sign
from transfer.runs import workers
from transfer.runs.slow_servers import slow_servers

BACKUP_MISSED = timedelta(days=2)  # of one a night
RESTORED_LATELY = timedelta(hours=1)

SURROUNDINGS = {
    RecurringJob.Kind.CHECK_CERT: Code.CERTIFICATE,
    RecurringJob.Kind.CHECK_MAIL: Code.MAIL,
    RecurringJob.Kind.CHECK_PAGES: Code.PAGES,
}
# What their jobs find, apart from defects and our own database.
AROUND = {
    *(ADDRESS_INVALID, ADDRESS_REFUSED, DOCTOR_ANOTHER_PROGRAM, PAGES_SILENT, PAGES_STOPPED),
    CERTIFICATE_ENDS,
    *NO_CONNECTION,
}


def problems_of_background(now: datetime, found: Container[Sign]) -> Iterator[Problem | Unknown]:
    """Yield them. Asks only for those of which there are signs."""
    if Sign.FAILED_JOB in found:
        yield from of_jobs()
    yield from of_scheduler(now)
    if Sign.WAITING_ENTRY in found:
        yield from of_queue()
    if Sign.LONG_WAIT in found:
        yield from of_slow_servers(now)
    if Sign.FAILING_STEP in found:
        yield from of_steps()
    yield from of_backup(now)


def of_jobs() -> Iterator[Problem | Unknown]:
    """What recurring jobs have found, or could not find out."""
    failed = RecurringJob.objects.exclude(error_code="").select_related("server")
    for job in failed.order_by("kind", "pk"):
        if of_job := OF_JOBS.get(RecurringJob.Kind(job.kind)):
            yield of_job(job)


def _url() -> str:
    """The part of the overview that says who looks at the schedule, and which workers there are."""
    return f"{address('overview')}#scheduler"


def of_guards(job: RecurringJob) -> Problem | Unknown:
    """The last result of the recurring job that checks the guards of the staging tables."""
    if job.error_code in (GUARDS_OUTDATED.code, GUARDS_OF_ANOTHER.code):
        return Problem(Code.GUARDS, "guards", address("overview"), of_error(job))
    return Unknown(KINDS[Code.GUARDS].topic, "guards")


def of_changes(job: RecurringJob) -> Problem | Unknown:
    """The last result of the recurring job that looks for rows changed after their transfer."""
    if job.error_code == ROWS_CHANGED.code:
        return Problem(Code.CHANGED, "changed", address("changed"), of_error(job))
    return Unknown(KINDS[Code.CHANGED].topic, "changed")


def of_tables(job: RecurringJob) -> Problem | Unknown:
    """The last result of the recurring job that looks for tables to be refused later."""
    key = f"tables:{job.server_id or 'shop_all'}"
    url = job.server.get_absolute_url() if job.server else address("overview")
    if job.error_code == TABLES_FOREIGN.code:
        return Problem(Code.TABLES, key, url, of_error(job))
    return Unknown(KINDS[Code.TABLES].topic, key)


def of_surroundings(job: RecurringJob) -> Problem | Unknown:
    """The last result of the job that checks the mail server, the pages or a certificate."""
    code = SURROUNDINGS[RecurringJob.Kind(job.kind)]
    key = f"{code}:{job.server_id or ''}"
    url = job.server.get_absolute_url() if job.server else address("overview")
    if job.error and job.error.cause in AROUND:
        return Problem(code, key, url, of_error(job), server_id=job.server_id)
    return Unknown(KINDS[code].topic, key)


OF_JOBS: dict[RecurringJob.Kind, Callable[[RecurringJob], Problem | Unknown]] = {
    RecurringJob.Kind.CHECK_GUARDS: of_guards,
    RecurringJob.Kind.CHECK_CHANGES: of_changes,
    **dict.fromkeys(SURROUNDINGS, of_surroundings),
    RecurringJob.Kind.CHECK_TABLES: of_tables,
}


def of_scheduler(now: datetime) -> Iterator[Problem]:
    beats = list(Heartbeat.objects.all())
    beat = Heartbeat.last_of(beats)
    if beat is None:
        # In a database that comes from a backup and was restored lately, nothing ran yet.
        restores = AuditEntry.objects.filter(action=AuditEntry.Action.RESTORE)
        is_just_restored = restores.filter(at__gt=now - RESTORED_LATELY).exists()
        severity = Severity.WARN if is_just_restored else None
        yield Problem(Code.SCHEDULER_NEVER, "", _url(), own_severity=severity, notify=False)
    elif not beat.is_alive(now):
        code = Code.CLOCK if beat.at > now else Code.SCHEDULER
        params = {"since": beat.at.isoformat(), "by": "cron" if beat.drains else "service"}
        yield Problem(code, "", _url(), params, since=min(beat.at, now))
    elif host := Heartbeat.by_cron_and_service(beats):
        yield Problem(Code.TWO_SCHEDULERS, "two", _url(), {"host": host})


def of_queue() -> Iterator[Problem]:
    if since := workers.stuck_since():
        params = {"since": since.isoformat()}
        yield Problem(Code.QUEUE, Code.QUEUE, _url(), params, since=since)


def of_slow_servers(now: datetime) -> Iterator[Problem]:
    """Servers whose jobs take up the workers: the rows of others come late."""
    for server, since in slow_servers(now).items():
        yield Problem(
            Code.SLOW_SERVER,
            f"slow_server:{server.pk}",
            server.get_absolute_url(),
            {"server": server.name},
            since=since,
            server_id=server.pk,
        )


def of_steps() -> Iterator[Problem]:
    """One problem for each step, however many of its items fail."""
    failing = FailedStep.objects.failing().order_by("failing_since")
    first: dict[str, FailedStep] = {}
    for row in failing:
        first.setdefault(row.step, row)
    for step, row in first.items():
        params = {"step": step, "item": row.item, "error": row.error}
        yield Problem(Code.STEP, f"step:{step}", _url(), params, since=row.failing_since)


def of_backup(now: datetime) -> Iterator[Problem]:
    """The nightly backup, if this installation has a folder for it."""
    if not settings.BACKUP_FOLDER:
        return
    at = AuditEntry.objects.last_backup_at()
    if at is None or now - at > BACKUP_MISSED:
        params = {"at": at and at.isoformat()}
        url = f"{address('audit')}?action={AuditEntry.Action.BACKUP}"
        yield Problem(Code.BACKUP, Code.BACKUP, url, params)
