"""The tick: as cron runs it, and in process, with a thousand tasks of which none is due."""

import sys
from statistics import median

from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import MS, interleaved, quantile, timed
from tests.databases import as_url, query

TASKS_A_SERVER = 3


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    with ground.installation() as at:
        tasks = fill(at, sizes.of(1000, 30))
        return [in_process(sizes, tasks), as_cron(at, sizes, tasks)]


def fill(at: Installation, tasks: int) -> int:
    """So many tasks, switched on and planned for tomorrow, of servers whose databases answer."""
    at.set_up_django()
    from bench.copies import multiply
    from transfer.management.docking import database_fields
    from transfer.models import BonusServer, TransferTask
    from transfer.models.tasks import KindChoices

    database = database_fields(as_url(at.bonus))
    first = BonusServer.objects.create(name="server 1", host="localhost", **database)
    multiply(first, tasks // TASKS_A_SERVER, name="'server ' || n", uid="gen_random_uuid()")
    pairs = [
        TransferTask(server=server, kind=kind, enabled=True)
        for server in BonusServer.objects.all()
        for kind in KindChoices.values
    ]
    TransferTask.objects.bulk_create(pairs)
    for table in ("transfer_transfertask", "transfer_maintenancetask"):
        query(at.own, f"update {table} set next_run_at = now() + interval '1 day'")
    query(at.own, "vacuum analyze")
    return len(pairs)


def in_process(sizes: Sizes, tasks: int) -> Table:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from transfer.tick import tick

    tick("bench")
    taken = [timed(lambda: tick("bench")) for _ in range(sizes.of(50, 3))]
    with CaptureQueriesContext(connection) as queries:
        tick("bench")
    row = ["tick()", median(taken) * MS, quantile(taken, 0.95) * MS, len(queries)]
    notes = ["Target: under 30 ms, and at most 15 queries for any number of tasks."]
    title = f"In process, {tasks:,} tasks, none due"
    return Table(title, ["", "p50 ms", "p95 ms", "queries"], [row], notes)


def as_cron(at: Installation, sizes: Sizes, tasks: int) -> Table:
    """The line that django-crontab writes, beside the share of Python and Django alone."""
    python = [sys.executable, "-c"]
    setup = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'dtadmin.settings'; import django; "
    ways = {
        "python, doing nothing": [*python, "pass"],
        "python, django.setup()": [*python, f"{setup} django.setup()"],
        "the line of the crontab": at.command("crontab", "run", hash_of_the_line()),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    at.run(ways["the line of the crontab"])  # the first jobs of all servers
    for _, name in interleaved(list(ways), sizes.of(20, 2)):
        taken[name].append(timed(lambda name=name: at.run(ways[name])))  # type: ignore[misc]
    rows = [
        [name, median(taken[name]), quantile(taken[name], 0.95), at.peak(ways[name])]
        for name in ways
    ]
    notes = ["Target: under 0.5 s."]
    title = f"As cron runs it every minute, {tasks:,} tasks, none due"
    return Table(title, ["process", "p50 s", "p95 s", "peak MB"], rows, notes)


def hash_of_the_line() -> str:
    """How django-crontab calls the one job of the settings."""
    from django_crontab.crontab import Crontab

    crontab = Crontab(readonly=True, verbosity=0)
    crontab.add_jobs()
    words = crontab.crontab_lines[0].split()
    return words[words.index("run") + 1]
