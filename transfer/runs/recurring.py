"""What the recurring jobs do: they wait for shop All and the bonus servers."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from transfer.causes.ledger import ROWS_CHANGED
from transfer.engine.postgres.relations import check_ordinary
from transfer.engine.shop_all.changes import Changes
from transfer.engine.shop_all.schema.rights import Guards
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import RecurringJob, ServerDay, TransferTask
from transfer.queue.worker import Stopped
from transfer.rejects.changed import read_up_to
from transfer.runs import backlog, surroundings
from transfer.runs.mirroring import mirror_overdue
from transfer.servers.ask import bonus_db, shop_all
from transfer.statements.copies import write_server_days

SECONDS = 5.0  # that shop All has to answer


def work(job: RecurringJob, _stopped: Stopped) -> None:
    """Does the job, and notes that it went well. Raises TransferError."""
    WORK[RecurringJob.Kind(job.kind)](job)
    job.note_success()


def ask_backlogs(_job: RecurringJob) -> None:
    """Asks what waits for each task, for some seconds at most, and stores the answers."""
    tasks = list(TransferTask.objects.select_related("server"))
    backlog.store(backlog.backlogs(tasks))


def check_guards(_job: RecurringJob) -> None:
    """Raises GuardsOutdated, which the row of the job keeps for `problems`."""
    with shop_all(SECONDS, secret=True) as source, source.snapshot():
        Guards(source.database, installed_kinds().values()).check()


def check_changes(_job: RecurringJob) -> None:
    """Raises ROWS_CHANGED."""
    kinds = installed_kinds().values()
    with shop_all(SECONDS, secret=True) as source, source.snapshot(*kinds):
        changes = Changes(source)
        if rows := sum(changes.count(kind, read_up_to(kind)) for kind in kinds):
            raise TransferError(ROWS_CHANGED, rows=rows)


def check_tables(job: RecurringJob) -> None:
    """Raises TABLES_FOREIGN about the tables of the job's server, or of shop All."""
    if job.server is None:
        tables = [kind.staging_table for kind in installed_kinds().values()]
        with shop_all(SECONDS, secret=False) as source, source.database.transaction(commit=False):
            check_ordinary(source.database, tables)
    else:
        tables = [kind.target_table for kind in job.server.kinds.values()]
        with (
            bonus_db(job.server, SECONDS, secret=False) as target,
            target.database.transaction(commit=False),
        ):
            check_ordinary(target.database, tables)


def check_mail(_job: RecurringJob) -> None:
    """Raises Unreachable."""
    if surroundings.mails_anyone():
        surroundings.check_mail()


def check_pages(_job: RecurringJob) -> None:
    """Raises what is wrong with the address, likewise. Without SITE_URL there is none to ask."""
    if settings.SITE_URL:
        surroundings.check_pages(settings.SITE_URL.rstrip("/"))


def check_certificate(job: RecurringJob) -> None:
    """Raises CERTIFICATE_ENDS."""
    if job.server is not None and surroundings.has_certificate(job.server):
        surroundings.check_certificate(job.server)


def copy_days(_job: RecurringJob) -> None:
    """Write today's sums of servers, and yesterday's, into shop All. Raises TransferError."""
    yesterday = timezone.now().date() - timedelta(1)
    days = ServerDay.objects.filter(day__gte=yesterday)
    if days.exists():
        with shop_all(SECONDS, secret=False) as source, source.database.transaction():
            write_server_days(source, days)


def mirror_rejects(job: RecurringJob) -> None:
    if job.server is not None:
        mirror_overdue(job.server, timezone.now())


WORK: dict[RecurringJob.Kind, Callable[[RecurringJob], None]] = {
    RecurringJob.Kind.ASK_BACKLOGS: ask_backlogs,
    RecurringJob.Kind.CHECK_CHANGES: check_changes,
    RecurringJob.Kind.CHECK_GUARDS: check_guards,
    RecurringJob.Kind.CHECK_CERT: check_certificate,
    RecurringJob.Kind.CHECK_MAIL: check_mail,
    RecurringJob.Kind.CHECK_PAGES: check_pages,
    RecurringJob.Kind.CHECK_TABLES: check_tables,
    RecurringJob.Kind.COPY_DAYS: copy_days,
    RecurringJob.Kind.MIRROR_REJECTS: mirror_rejects,
}
