"""Processor seconds of a transfer by party, beside psql: they hardly depend on what else runs.

Shop All and the bonus server have a cluster each, so the sessions of each can be told apart.
"""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import psutil

from bench import data, engine, psql
from bench.ground import Ground, Installation, new_cluster
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved
from bench.transfer import SETTINGS, Setting
from tests.databases import Server, migrate_bonus_server, query

TEMPLATE, TARGET = "bench_processor_bonus", "bench_processor_round"
OF_SESSIONS = ("postgres: postgres ", "postgres: parallel worker", "postgres: io worker")
PARTIES = ("ours", "shop All", "bonus server")
MILLION = 1_000_000
UNTIL_ENDED = 0.2  # seconds that a session takes to end after its client has gone


@dataclass(frozen=True)
class Cluster:
    """A cluster of PostgreSQL that does nothing by itself, and its processes."""

    server: Server
    postmaster: psutil.Process

    @classmethod
    def at(cls, dsn: str) -> "Cluster":
        query(dsn, "alter system set autovacuum = off")
        query(dsn, "select pg_reload_conf()")
        (folder,) = query(dsn, "show data_directory")[0]
        with open(f"{folder}/postmaster.pid") as file:
            return cls(Server(dsn), psutil.Process(int(file.readline())))

    def seconds(self) -> float:
        """Processor seconds of all sessions, those that have ended included."""
        ended = self.postmaster.cpu_times()
        taken = ended.children_user + ended.children_system
        for process in self.postmaster.children():
            if " ".join(process.cmdline()).startswith(OF_SESSIONS):
                own = process.cpu_times()
                taken += own.user + own.system
        return taken


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(MILLION, 100)
    with ground.installation() as at, new_cluster() as dsn:
        bonus = Cluster.at(dsn)
        shop_all = Cluster.at(ground.dsn)
        migrate_bonus_server(bonus.server.create(TEMPLATE))
        for kind in ("balances", "pincodes", "cards"):
            data.stage(at.shop_all, kind, rows)
        lines: list[list[Any]] = []
        for setting in SETTINGS:
            lines += Compared(at, shop_all, bonus, setting, rows).lines(sizes.rounds)
    columns = ["what", "way", "all", *PARTIES, "× psql"]
    return [Table("Processor seconds for a million rows", columns, lines)]


@dataclass
class Compared:
    """The engine and psql with one kind of rows, in interleaved rounds."""

    at: Installation
    shop_all: Cluster
    bonus: Cluster
    setting: Setting
    rows: int

    def lines(self, rounds: int) -> list[list[Any]]:
        ways: dict[str, Callable[[str], object]] = {
            "the engine": lambda dsn: engine.move(self.at.shop_all, dsn, self.setting.kind),
            "psql": lambda dsn: psql.copy(self.at, dsn, self.setting.kind),
        }
        taken: dict[str, list[list[float]]] = {way: [] for way in ways}
        template = self._template()
        for _, way in interleaved(list(ways), rounds):
            dsn = self.bonus.server.create(TARGET, template)
            engine.forget_log(self.at.shop_all)
            before = self._seconds()
            ways[way](dsn)
            taken[way].append([b - a for a, b in zip(before, self._seconds(), strict=True)])
        ratio = median(
            sum(mine) / sum(theirs)
            for mine, theirs in zip(taken["the engine"], taken["psql"], strict=True)
        )
        return [self._line(way, taken[way], ratio if way != "psql" else 1.0) for way in ways]

    def _template(self) -> str:
        if self.setting.state == "new":
            return TEMPLATE
        name = f"{TEMPLATE}_{self.setting.kind}_{self.setting.state}"
        dsn = self.bonus.server.create(name, TEMPLATE)
        data.hold(dsn, self.setting.kind, self.setting.state, self.rows)
        return name

    def _seconds(self) -> list[float]:
        """Processor seconds of each of PARTIES so far."""
        time.sleep(UNTIL_ENDED)
        used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        ours = sum(one.ru_utime + one.ru_stime for one in used)
        return [ours, self.shop_all.seconds(), self.bonus.seconds()]

    def _line(self, way: str, taken: list[list[float]], ratio: float) -> list[Any]:
        of_a_million = MILLION / self.rows
        parties = [median(seconds) * of_a_million for seconds in zip(*taken, strict=True)]
        whole = median(map(sum, taken)) * of_a_million
        return [self.setting.title, way, whole, *parties, ratio]
