"""What head office pays: inserts into the staging tables beside a table with the same columns."""

from statistics import median
from typing import Any

from bench import data, engine
from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved, timed
from tests.databases import connected, query, run

ROWS_A_STATEMENT = 1000
BARE, NO_INDEX, OURS = "bare", "ours without indexes", "as init_shop_all leaves it"


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(1_000_000, 1000)
    title = f"{rows:,} rows inserted"
    columns = [
        "table", "× bare, one statement", "× bare, a thousand a transaction",
        "s, one statement", "s, a thousand", "WAL bytes a row", "MB of indexes",
    ]  # fmt: skip
    lines = []
    with ground.installation() as at:
        for kind in ("balances", "pincodes", "cards"):
            lines += Inserted(at, kind, rows).lines(sizes.rounds)
    return [Table(title, columns, lines, ["Target: at most 2.4 times a bare table."])]


class Inserted:
    """Three tables that take the same rows."""

    def __init__(self, at: Installation, kind: str, rows: int) -> None:
        self.at, self.kind, self.rows = at, kind, rows
        staging, _ = engine.tables(kind)
        self.tables = {BARE: f"bare_{kind}", NO_INDEX: staging, OURS: staging}
        self.one: dict[str, list[float]] = {name: [] for name in self.tables}
        self.many: dict[str, list[float]] = {name: [] for name in self.tables}
        self.wal: dict[str, float] = {}
        self.indexes: dict[str, float] = {}

    def lines(self, rounds: int) -> list[list[Any]]:
        names = ", ".join(engine.columns(self.kind))
        query(
            self.at.shop_all,
            f'create table "{self.tables[BARE]}" as select {names} from "{self.tables[OURS]}"',
        )
        definitions = indexes_of(self.at.shop_all, self.tables[OURS])
        for _, name in interleaved(list(self.tables), rounds):
            if name == NO_INDEX:
                drop_indexes(self.at.shop_all, self.tables[name])
            self._insert(name)
            if name == NO_INDEX:
                query(self.at.shop_all, f'truncate "{self.tables[name]}"')
                query(self.at.shop_all, "; ".join(definitions))
        return [self._line(name) for name in self.tables]

    def _insert(self, name: str) -> None:
        table = self.tables[name]
        shop_all = self.at.shop_all
        query(shop_all, f'truncate "{table}"')
        self.at.checkpoint()
        with connected(shop_all) as writer:
            (before,) = run(writer, "select pg_current_wal_insert_lsn()")[0]
            self.one[name].append(timed(lambda: run(writer, self._statement(table, 1, self.rows))))
            (wal,) = run(
                writer, "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [before]
            )[0]
            (size,) = run(writer, "select pg_indexes_size(to_regclass(%s))", [f'"{table}"'])[0]
            self.wal[name], self.indexes[name] = float(wal) / self.rows, size / 2**20
            run(writer, f'truncate "{table}"')
            self.at.checkpoint()
            self.many[name].append(timed(lambda: self._insert_by_thousands(writer, table)))

    def _insert_by_thousands(self, writer: Any, table: str) -> None:
        for first in range(1, self.rows + 1, ROWS_A_STATEMENT):
            last = min(first + ROWS_A_STATEMENT - 1, self.rows)
            run(writer, self._statement(table, first, last))

    def _statement(self, table: str, first: int, last: int) -> str:
        names = engine.columns(self.kind)
        return data.insert(table, names, data.STAGED[self.kind], first, last)

    def _line(self, name: str) -> list[Any]:
        ratios = [
            median(own / bare for own, bare in zip(taken[name], taken[BARE], strict=True))
            for taken in (self.one, self.many)
        ]
        seconds = [median(taken[name]) for taken in (self.one, self.many)]
        return [f"{self.kind}, {name}", *ratios, *seconds, self.wal[name], self.indexes[name]]


def indexes_of(dsn: str, table: str) -> list[str]:
    """What makes them again."""
    found = query(
        dsn,
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = to_regclass(%s)",
        [f'"{table}"'],
    )
    return [definition for (definition,) in found]


def drop_indexes(dsn: str, table: str) -> None:
    found = query(
        dsn,
        "select indexrelid::regclass::text from pg_index where indrelid = to_regclass(%s)",
        [f'"{table}"'],
    )
    for (name,) in found:
        query(dsn, f"drop index {name}")
