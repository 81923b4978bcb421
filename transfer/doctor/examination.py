"""All that is looked at, in the order in which a fault explains those after it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.core.checks import run_checks
from django.utils.translation import gettext as _, pgettext

from transfer.causes.bonus_servers import API_SECRET_UNREADABLE
from transfer.causes.installation import DOCTOR_DEPLOYMENT_REMARK, DOCTOR_DISK_FULL
from transfer.doctor import databases, installation, remarks
from transfer.errors import TransferError
from transfer.models import BonusServer, Heartbeat, TransferTask
from transfer.models.alerts import Severity
from transfer.parties import gettext_noop
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem
from transfer.queue.residents import count_workers
from transfer.runs import workers
from transfer.runs.surroundings import has_certificate
from transfer.servers.stages import run_all
from transfer.servers.timed_check import Passed, Result, timed_check
from transfer.text import formats

SCHEDULE = (Code.SCHEDULER_NEVER, Code.SCHEDULER, Code.CLOCK, Code.TWO_SCHEDULERS)
# Problems that have lines of their own.
LOOKED_AT = (
    *SCHEDULE,
    Code.QUEUE,
    Code.GUARDS,
    Code.BACKUP,
    Code.MAIL,
    Code.PAGES,
    Code.CERTIFICATE,
)
SECONDS = 10.0
SCARCE_MB, NONE_MB = 1000, 100


@dataclass(frozen=True)
class Check:
    """One thing to look at; `needs`: areas whose databases it needs, and labels of other checks."""

    area: str
    label: str
    test: Callable[[], Passed]
    needs: tuple[str, ...] = ()


def examine() -> Iterator[tuple[str, Result]]:
    """Yields each check, in the user's language, with its result. Never raises.

    What could only fail because of an earlier line is left out: one cause, one line.
    """
    unusable: set[str] = set()
    for check in _of_installation():
        if unusable.intersection(check.needs):
            continue
        result = timed_check(check.label, check.label, check.test, SECONDS)
        if not result.ok:
            unusable.add(check.label)
            if check.label in {_("Server"), _("Migrations")}:
                unusable.add(check.area)
        yield check.area, result
    if _("Our own database") in unusable:
        return
    yield from _of_problems(problems())
    for server in BonusServer.objects.all():
        for result in _of_server(server):
            yield server.name, result


def _of_installation() -> list[Check]:
    machine, own, shop_all = _("This machine"), _("Our own database"), _("shop All")
    pages, rights, tables, writers = _("Pages"), _("Rights"), _("Tables"), _("Writers")
    behind_proxy = [Check(pages, _("Proxy"), installation.try_proxy)]
    services = [Check(machine, _("Services"), installation.try_services)]
    return [
        Check(machine, _("Settings"), try_settings),
        Check(machine, _("Disk"), try_disk),
        *(services if settings.SYSTEMD else []),
        Check(own, _("Server"), databases.try_own),
        Check(own, _("Migrations"), databases.try_migrations, (own,)),
        Check(own, _("Backup"), installation.try_backup, (own,)),
        Check(shop_all, _("Server"), databases.try_shop_all),
        Check(
            shop_all,
            _("Schemas"),
            lambda: databases.try_schemas(databases.shop_all().database),
            (shop_all,),
        ),
        Check(
            shop_all,
            _("Connections"),
            lambda: databases.try_connections(
                databases.shop_all().database, TransferTask.objects.count()
            ),
            (own, shop_all),
        ),
        Check(shop_all, rights, databases.try_rights, (shop_all,)),
        # Needs no rights, and is urgent.
        Check(shop_all, writers, databases.try_writers, (shop_all,)),
        # init_shop_all, which puts writers right, adds or names what the tables lack.
        Check(shop_all, tables, databases.try_staging, (shop_all, rights, writers)),
        # Does not need writers to be right: their remedy would change the wrong database.
        Check(shop_all, _("Chain"), databases.try_chain, (own, shop_all, rights, tables)),
        Check(
            shop_all,
            pgettext("of shop All", "Log"),
            lambda: remarks.try_log(databases.shop_all().database),
            (own, shop_all, rights, writers, tables),
        ),
        Check(pages, _("Address"), installation.try_pages),
        *(behind_proxy if settings.BEHIND_PROXY else []),
        Check(pages, _("Mail"), installation.try_mail, (own,)),
    ]


def _of_problems(found: list[Problem]) -> Iterator[tuple[str, Result]]:
    """The scheduler and the queue, or what is wrong with them; and all other problems."""
    looks: list[tuple[str, tuple[Code, ...], Callable[[], Passed]]] = [
        (_("Look"), SCHEDULE, try_tick),
        (_("Queue"), (Code.QUEUE,), try_queue),
    ]
    for label, codes, test in looks:
        problem = next((one for one in found if one.code in codes), None)
        if problem:
            result = _of_problem(label, problem)
        else:
            result = timed_check(label, label, test, SECONDS)
        yield _("Schedule"), result
    for problem in found:
        # Doctor asks the databases and the servers itself.
        if problem.code not in LOOKED_AT and not problem.params.get("doors"):
            yield _("Problems"), _of_problem(str(problem.topic.label), problem)


def _of_problem(label: str, problem: Problem) -> Result:
    warns = problem.severity == Severity.WARN
    sentence = f"{problem.sentence}."
    return Result(problem.code, label, 0, sentence, problem.detail, ok=warns, warns=warns)


def _of_server(server: BonusServer) -> Iterator[Result]:
    """Its connection test, its certificate, and its database unless that can't be logged in to."""
    refused = False
    for result in run_all(server):
        no_login = result.stage == "login" and not result.ok
        refused = no_login or result.error_code == API_SECRET_UNREADABLE.code
        yield result
    if has_certificate(server):
        label = _("Certificate")
        yield timed_check(label, label, lambda: installation.try_certificate(server), SECONDS)
    if refused:
        return
    for label, test in (
        (_("Database server"), lambda: databases.try_server(databases.of_server(server))),
        (_("Schemas"), lambda: databases.try_schemas(databases.of_server(server))),
        (
            _("Connections"),
            lambda: databases.try_connections(databases.of_server(server), server.tasks.count()),
        ),
        (_("Receipts"), lambda: remarks.try_receipts(databases.of_server(server))),
    ):
        result = timed_check(label, label, test, SECONDS)
        yield result
        if not result.ok:
            return


def try_settings() -> Passed:
    findings = run_checks(include_deployment_checks=True)
    remarks = [one for one in findings if not one.is_silenced()]
    if serious := [one for one in remarks if one.is_serious()]:
        raise TransferError(DOCTOR_DEPLOYMENT_REMARK, remark=f"{serious[0].msg} ({serious[0].id})")
    if remarks:
        text = gettext_noop("manage.py check --deploy has remarks: %(remarks)s")
        return Passed(text, {"remarks": ", ".join(str(one.id) for one in remarks)}, warns=True)
    return Passed(gettext_noop("No remarks."), {})


def try_disk() -> Passed:
    """Where uploads and exports pass through, and where the embedded database lives."""
    free = {
        str(path): shutil.disk_usage(path).free // 2**20
        for path in (settings.FILE_UPLOAD_TEMP_DIR or tempfile.gettempdir(), settings.VAR)
        if Path(path).exists()
    }
    path = min(free, key=lambda one: free[one])
    if free[path] < NONE_MB:
        raise TransferError(DOCTOR_DISK_FULL, path=path, free=free[path])
    text = gettext_noop("%(path)s has %(free)s MB left.")
    return Passed(text, {"path": path, "free": free[path]}, warns=free[path] < SCARCE_MB)


def try_tick() -> Passed:
    beat = Heartbeat.objects.latest("at")
    params = {"who": beat.source, "ago": formats.ago(beat.at)}
    return Passed(gettext_noop("%(who)s looked %(ago)s."), params)


def try_queue() -> Passed:
    resident = count_workers().resident
    if not workers.is_drained():
        text = gettext_noop("There is no background worker: jobs that are queued do not start.")
        return Passed(text, {}, warns=True)
    return Passed(gettext_noop("It moves; background workers: %(n)s."), {"n": resident})
