"""The transfer beside psql's COPY, on the same rows in the same rounds."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench import data, engine, psql
from bench.ground import BONUS, Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved, timed
from tests.databases import query

# Seconds and, where the way is a process of its own, its peak memory in MB.
Measured = tuple[float, float | None]
Way = Callable[[Installation, str, str, str], Measured]  # databases' name and DSN, kind


@dataclass(frozen=True)
class Setting:
    """What is moved, and what the bonus server holds before."""

    kind: str
    state: str

    @property
    def title(self) -> str:
        return f"{self.kind}, {self.state}"


SETTINGS = [
    Setting("balances", "new"),
    *(Setting(kind, state) for kind in ("pincodes", "cards")
      for state in ("new", "changed", "unchanged")),
]  # fmt: skip


def by_psql(at: Installation, name: str, bonus: str, kind: str) -> Measured:
    return timed(lambda: psql.copy(at, bonus, kind)), None


def by_psql_in_parts(at: Installation, name: str, bonus: str, kind: str) -> Measured:
    return timed(lambda: psql.copy_in_parts(at, bonus, kind, engine.ROWS_OF_A_CHUNK)), None


def by_command(at: Installation, name: str, bonus: str, kind: str) -> Measured:
    """The whole process, from the start of Python on."""
    at.dock(name, bonus)
    at.checkpoint()
    command = at.command("transfer", kind, "--server", name, "--json")
    peaks: list[float] = []
    seconds = timed(lambda: peaks.append(at.peak(command)))
    return seconds, peaks[0]


def by_engine(at: Installation, name: str, bonus: str, kind: str) -> Measured:
    return timed(lambda: engine.move(at.shop_all, bonus, kind)), None


LIMITS = {
    "balances": "limit: psql COPY | psql COPY",
    "pincodes": "psql: COPY, temporary table, upsert",
    "cards": "psql: COPY, temporary table, upsert",
}


def ways_of(setting: Setting) -> dict[str, Way]:
    ways = {
        LIMITS[setting.kind]: by_psql,
        "manage.py transfer": by_command,
        "the engine in process": by_engine,
    }
    if setting.kind in psql.UPSERT:
        ways[f"psql: the same, {engine.ROWS_OF_A_CHUNK:,} rows a transaction"] = by_psql_in_parts
    return ways


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(1_000_000)
    with ground.installation() as at:
        for kind in ("balances", "pincodes", "cards"):
            data.stage(at.shop_all, kind, rows)
        return [Compared(at, setting, rows).table(sizes.rounds) for setting in SETTINGS]


class Compared:
    """All ways of one setting, in interleaved rounds."""

    def __init__(self, at: Installation, setting: Setting, rows: int) -> None:
        self.at, self.setting, self.rows = at, setting, rows
        self.ways = ways_of(setting)
        self.measured: dict[str, list[Measured]] = {name: [] for name in self.ways}
        self.template = self._template()

    def _template(self) -> str:
        """The name of the database that every run starts with a copy of."""
        if self.setting.state == "new":
            return BONUS
        name = f"held_{self.setting.kind}_{self.setting.state}"
        data.hold(self.at.ground.create(name), self.setting.kind, self.setting.state, self.rows)
        return self.at.ground.prefix + name

    def table(self, rounds: int) -> Table:
        for number, way in interleaved(list(self.ways), rounds):
            self._run(number, way)
        if self.template != BONUS:
            self.at.ground.server.drop(self.template)
        return self._table()

    def _run(self, number: int, way: str) -> None:
        name = f"round_{self.setting.kind}_{self.setting.state}_{number}"
        bonus = self.at.ground.create(name, self.template)
        engine.forget_log(self.at.shop_all)
        query(self.at.own, "delete from transfer_logplace")  # what our history knows of the log
        self.at.checkpoint()
        seconds, peak = self.ways[way](self.at, name, bonus, self.setting.kind)
        self._check(way, bonus)
        self.measured[way].append((seconds, peak))
        print(f"{self.setting.title}, round {number + 1}: {way} {seconds:.2f} s", file=sys.stderr)
        self.at.ground.drop(name)

    def _check(self, way: str, bonus: str) -> None:
        _, table = engine.tables(self.setting.kind)
        counted = query(bonus, f'select count(*) from "{table}"')
        assert counted == [(self.rows,)], f"{way}: {counted} rows instead of {self.rows}"

    def _table(self) -> Table:
        columns = ["way", "of the limit", "rows/s", "seconds", "peak MB"]
        rows = sorted((self._row(name) for name in self.ways), key=lambda row: -row[1])
        return Table(f"{self.setting.title}: {self.rows:,} rows", columns, rows)

    def _row(self, name: str) -> list[Any]:
        measured = self.measured[name]
        limits = self.measured[LIMITS[self.setting.kind]]
        ratio = median(limit / own for (limit, _), (own, _) in zip(limits, measured, strict=True))
        seconds = median(seconds for seconds, _ in measured)
        peaks = [peak for _, peak in measured if peak is not None]
        return [name, ratio, int(self.rows / seconds), seconds, max(peaks, default=None)]
