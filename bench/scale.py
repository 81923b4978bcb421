"""1, 2, 4 and 8 bonus servers, each with a worker of its own; and one that is dead or silent."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from bench import data, engine
from bench.ground import Ground, Installation
from bench.latency import seen_by_the_pages, wait_until
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved

SERVERS = (1, 2, 4, 8)
BESIDE = 4  # servers beside a sick one
AT_MOST = 600


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(500_000, 100)
    taken: dict[Any, list[float]] = {}
    counts, beside = ((1, 2), 1) if sizes.is_quick else (SERVERS, BESIDE)
    ways: list[tuple[int, str]] = [(count, "") for count in counts]
    ways += [(beside, "dead"), (beside, "silent")]
    with ground.installation() as at:
        at.set_up_django()
        data.stage(at.shop_all, "balances", rows)
        for _, way in interleaved(ways, max(sizes.rounds - 1, 1)):
            taken.setdefault(way, []).append(together(at, *way))
            print(f"{way}: {taken[way][-1]:.2f} s", file=sys.stderr)
    title = f"{rows:,} balance changes to each server"
    columns = ["healthy servers", "sick one beside", "rows/s in all", "seconds"]
    lines = [
        [count, sick or None, int(count * rows / median(taken[count, sick])),
         median(taken[count, sick])]
        for count, sick in ways
    ]  # fmt: skip
    notes = [
        "Seconds: from the start of the first run until the last one of a healthy server ended. "
        "The dead one refuses connections, the silent one takes them and never answers; there is "
        "a worker for it, too."
    ]
    return [Table(title, columns, lines, notes)]


def together(at: Installation, count: int, sick: str) -> float:
    """All of them at once, on empty databases; returns seconds."""
    from transfer.models import Actor, BonusServer
    from transfer.runs.start import run_now

    forget(at)
    databases = [at.ground.create(f"server_{number}") for number in range(count)]
    healthy = [at.dock(f"server {number}", dsn) for number, dsn in enumerate(databases)]
    for dsn in databases:  # what is measured is the moving alone
        engine.begin(at.shop_all, dsn, "balances")
    with silent_port() as port:
        if sick:
            ill = BonusServer(name="ill", host="127.0.0.1", db_host="127.0.0.1", db_name="none",
                              db_port=port if sick == "silent" else 9)  # fmt: skip
            ill.dock()
        at.checkpoint()
        with workers(at, count + bool(sick)):
            for server in BonusServer.objects.order_by("-pk"):  # the sick one first
                run_now(server.tasks.get(kind="balances"), Actor("bench"))
            wait_until(lambda: all(ended(server) for server in healthy), AT_MOST)
    seconds = spent(healthy)
    for number in range(count):
        at.ground.drop(f"server_{number}")
    return seconds


def forget(at: Installation) -> None:
    from transfer.models import BonusServer, TransferRun

    TransferRun.objects.all().delete()
    BonusServer.objects.all().delete()
    engine.forget_readers(at.shop_all)


@contextmanager
def workers(at: Installation, count: int) -> Iterator[None]:
    """Resident ones, which look at the queue so often that all begin at once."""
    options = ("--interval", "0.05", "--no-startup-delay")
    processes = [at.start("db_worker", *options) for _ in range(count)]
    try:
        wait_until(lambda: seen_by_the_pages() == count)
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening.getsockname()[1]


def ended(server: Any) -> bool:
    return not server.runs.open().exists()


def spent(healthy: list[Any]) -> float:
    runs = [server.runs.get() for server in healthy]
    failed = [f"{run}: {run.state} {run.error_code}" for run in runs if run.state != "succeeded"]
    assert not failed, failed
    began, end = min(run.started_at for run in runs), max(run.finished_at for run in runs)
    return float((end - began).total_seconds())
