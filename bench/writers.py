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
BARE = "bare"
OURS = "as init_shop_all leaves it, after a truncate"
FREED = "into pages that a purge has freed"
SUMMARISED = "into those, after another vacuum"


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(1_000_000, 1000)
    title = f"{rows:,} rows inserted"
    columns = [
        "table", "× bare, one statement", "× bare, a thousand a transaction",
        "s, one statement", "s, a thousand",
    ]  # fmt: skip
    lines = []
    with ground.installation() as at:
        for kind in ("balances", "pincodes", "cards"):
            lines += Inserted(at, kind, rows).lines(sizes.rounds)
    return [Table(title, columns, lines, ["Target: at most 2.4 times a bare table."])]


class Inserted:
    """Tables that take the same rows."""

    def __init__(self, at: Installation, kind: str, rows: int) -> None:
        self.at, self.kind, self.rows = at, kind, rows
        self.staging, _ = engine.tables(kind)
        ours = indexes_of(at.shop_all, self.staging)
        self.indexed = {BARE: [], OURS: ours, FREED: ours, SUMMARISED: ours}
        self.one: dict[str, list[float]] = {name: [] for name in self.indexed}
        self.many: dict[str, list[float]] = {name: [] for name in self.indexed}

    def lines(self, rounds: int) -> list[list[Any]]:
        names = ", ".join(engine.columns(self.kind))
        query(
            self.at.shop_all,
            f'create table "{self._table(BARE)}" as select {names} from "{self.staging}"',
        )
        for _, name in interleaved(list(self.indexed), rounds):
            drop_indexes(self.at.shop_all, self.staging)
            for statement in self.indexed[name]:
                query(self.at.shop_all, statement)
            self._insert(name)
        return [self._line(name) for name in self.indexed]

    def _table(self, name: str) -> str:
        return f"bare_{self.kind}" if name == BARE else self.staging

    def _insert(self, name: str) -> None:
        table = self._table(name)
        with connected(self.at.shop_all) as writer:
            self._make_room(name, writer)
            self.one[name].append(timed(lambda: run(writer, self._statement(table, 1, self.rows))))
            self._make_room(name, writer)
            self.many[name].append(timed(lambda: self._insert_by_thousands(writer, table)))

    def _make_room(self, name: str, writer: Any) -> None:
        run(writer, f'truncate "{self._table(name)}"')
        if name in (FREED, SUMMARISED):
            # The last rows stay: otherwise vacuum cuts the free pages off.
            run(writer, self._statement(self.staging, 1, self.rows + ROWS_A_STATEMENT))
            run(writer, self._delete_first())
            engine.vacuum(self.at.shop_all, self.kind)
        if name == SUMMARISED:
            run(writer, f'vacuum "{self.staging}"')
        self.at.checkpoint()

    def _delete_first(self) -> str:
        last = f'(select max(id) from "{self.staging}")'
        return f'delete from "{self.staging}" where id <= {last} - {ROWS_A_STATEMENT}'

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
        return [f"{self.kind}, {name}", *ratios, *seconds]


def indexes_of(dsn: str, table: str) -> list[str]:
    """What makes them again."""
    rows = query(
        dsn,
        "select pg_get_indexdef(indexrelid) from pg_index where indrelid = to_regclass(%s)",
        [f'"{table}"'],
    )
    return [definition for (definition,) in rows]


def drop_indexes(dsn: str, table: str) -> None:
    rows = query(
        dsn,
        "select indexrelid::regclass::text from pg_index where indrelid = to_regclass(%s)",
        [f'"{table}"'],
    )
    for (name,) in rows:
        query(dsn, f"drop index {name}")
