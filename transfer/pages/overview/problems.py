"""What is wrong, the worst first: each problem is a sentence, and a link to where it is mended."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.alerts.words import HINTS, SENTENCES
from transfer.engine.errors import REFUSALS
from transfer.errors import QueueStuck, TransferError
from transfer.models import BonusServer, Heartbeat, Recipient, RejectedRow
from transfer.models.alerts import Topic
from transfer.pages import links
from transfer.pages.scheduler.status import TaskStatus
from transfer.runs import workers
from transfer.runs.writers import guards_error
from transfer.words import formats
from transfer.words.commands import as_typed_here
from transfer.words.explain import explain, explain_code

# A row that waits longer than this, and longer than two runs, waits too long.
LONG = timedelta(minutes=15)
# A transaction that has been open for so long hides rows from us.
OPEN_LONG = timedelta(minutes=10)


class Problem(NamedTuple):
    tone: str  # bad, warn
    what: str
    detail: str
    url: str
    rank: int  # the lower, the worse
    sql: str = ""  # by which an administrator of the database repairs it


def problems(rows: list[TaskStatus], heartbeat: Heartbeat | None, seconds: float) -> list[Problem]:
    """Lists problems of these tasks, of the bonus servers, and of what was rejected.

    Shop All may take `seconds` to say whether the guards of its staging tables are up to date.
    """
    listed = [*of_writers(seconds), *of_scheduler(heartbeat), *of_queue(), *of_databases(rows)]
    listed.extend([*of_servers(), *of_rejects(), *of_recipients()])
    for row in rows:
        listed.extend(of_task(row))
    fitting = [one._replace(detail=as_typed_here(one.detail)) for one in listed]
    return sorted(fitting, key=lambda one: one.rank)


def of_writers(seconds: float) -> Iterator[Problem]:
    """The SQL that another role has to run is shown below the hint."""
    if error := guards_error(seconds):
        sentence, hint = explain_code(error.code, {**error.params, "script": ""})
        url, script = reverse("overview"), error.params.get("script", "")
        yield Problem("bad", sentence.rstrip("."), hint.rstrip(), url, 0, script)


def of_scheduler(heartbeat: Heartbeat | None) -> Iterator[Problem]:
    url = f"{reverse('scheduler')}#tasks"
    if heartbeat is None:
        hint = _(
            "Nothing runs by schedule. Run: manage.py crontab add, or without cron: manage.py "
            "run_scheduler"
        )
        yield Problem("bad", _("The scheduler has never run"), hint, url, 0)
    elif not heartbeat.is_alive():
        if heartbeat.is_from_future:
            text = _("The scheduler is silent, and the clock was set back: it last ran %(at)s")
        else:
            text = _("The scheduler is silent: it last ran %(ago)s")
        times = {"ago": formats.ago(heartbeat.at), "at": formats.moment(heartbeat.at)}
        hint = HINTS[Topic.SCHEDULER]({})
        yield Problem("bad", text % times, hint, url, 0)


def of_queue() -> Iterator[Problem]:
    """A queue whose entries nothing takes: runs, files and messages wait in it."""
    if since := workers.stuck_since():
        words = explain(QueueStuck(since=formats.moment(since)))
        url = f"{reverse('scheduler')}#tasks"
        yield Problem("bad", words.sentence.rstrip("."), words.hint, url, 0)


def of_databases(rows: list[TaskStatus]) -> Iterator[Problem]:
    """Servers that could not be asked: one line each, not one for each of their tasks."""
    silent: dict[str, TaskStatus] = {}
    for row in rows:
        if row.backlog.error:
            silent.setdefault(row.error_words, row)
    for words, row in silent.items():
        url = links.scheduler(server=row.task.server_id)
        hint = explain(row.backlog.error).hint if row.backlog.error else ""
        detail = f"{hint} {_('What waits is not known, and stays.')}".strip()
        yield Problem("bad", words.rstrip("."), detail, url, 10)


def of_servers() -> Iterator[Problem]:
    """Servers with which no register can work, or whose accounts can't be looked after."""
    for server in BonusServer.objects.failing():
        words = server.explained or explain(TransferError())
        since = _("Since %(since)s.") % {"since": formats.moment(server.failing_since)}
        url = server.get_absolute_url()
        yield Problem("bad", words.sentence.rstrip("."), f"{since} {words.hint}", url, 12)


def of_rejects() -> Iterator[Problem]:
    """Counts each row once, as the list does, however many servers have rejected it."""
    if rejects := RejectedRow.objects.open().filter(follows=False).count():
        text, hint = SENTENCES[Topic.REJECTS]({"n": rejects}), HINTS[Topic.REJECTS]({})
        yield Problem("warn", text, hint, reverse("rejects"), 50)


def of_recipients() -> Iterator[Problem]:
    """Yields recipients who should be told what is wrong, and are not."""
    for recipient in Recipient.objects.filter(enabled=True).exclude(failing_since=None):
        names = {"name": recipient, "since": formats.moment(recipient.failing_since)}
        text = _("Messages to %(name)s have not arrived since %(since)s") % names
        url = recipient.get_absolute_url()
        yield Problem("bad", text, str(recipient.explained or ""), url, 13)


def of_task(row: TaskStatus) -> Iterator[Problem]:
    task, names = row.task, {"task": row.name, "waits": row.backlog_sentence}
    now = timezone.now()
    if task.failures and row.failure and task.enabled:
        text = SENTENCES[Topic.FAILURES]({"task": row.name, "n": task.failures})
        detail, rank = f"{row.failure.sentence} {next_attempt(row)}".strip(), 5
        if row.last_run.error_code in REFUSALS:
            text = f"{row.name}: {row.failure.sentence}".rstrip(".")
            detail, rank = row.failure.hint, 1
        yield Problem("bad", text, detail, row.last_run.get_absolute_url(), rank)
    if row.backlog.rows and not task.enabled:
        text = _("%(task)s is switched off, and %(waits)s") % names
        yield Problem("warn", text, row.oldest_words, row.url, 20)
    elif row.backlog.rows and row.is_paused:
        until = {**names, "until": formats.moment(task.paused_until)}
        text = _("%(task)s is paused until %(until)s, and %(waits)s") % until
        yield Problem("warn", text, task.pause_reason, row.url, 30)
    elif waits_long(row, now) and not task.failures:
        text = _("%(task)s: %(waits)s for too long") % names
        yield Problem("warn", text, f"{row.oldest_words} {row.why}", row.url, 15)
    if row.backlog.writing_since and now - row.backlog.writing_since > OPEN_LONG:
        since = {**names, "ago": formats.ago(row.backlog.writing_since)}
        text = _("%(task)s: somebody began to write rows %(ago)s and has not finished") % since
        yield Problem(
            "warn", text, _("They can’t be seen, let alone moved, until then."), row.url, 40
        )


def next_attempt(row: TaskStatus) -> str:
    at = row.task.upcoming_at
    return _("Next attempt: %(at)s.") % {"at": formats.moment(at)} if at else ""


def waits_long(row: TaskStatus, now: datetime) -> bool:
    """Whether the oldest row has outlived two runs."""
    if row.oldest is None or not row.task.enabled or row.is_paused or row.is_running:
        return False
    between = row.times[1] - row.times[0]
    return now - row.oldest > max(LONG, 2 * between)
