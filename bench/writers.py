"""What head office pays: inserts into the staging tables beside a table with the same columns."""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from bench import data, engine
from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved, timed
from tests.databases import as_url, connected, query, run

ROWS_A_STATEMENT = 1000
WRITERS = 8
BARE = "bare"
OURS = "as init_shop_all leaves it, after a truncate"
FREED = "into pages that a purge has freed"
SUMMARISED = "into those, after another vacuum"
STATES = (OURS, FREED, SUMMARISED)
KINDS = ("balances", "pincodes", "cards")
POSITION = "select pg_current_wal_insert_lsn()"
WRITTEN = "select (pg_current_wal_insert_lsn() - %s::pg_lsn)::bigint"

Way = tuple[str, str]  # a name of SCHEMAS and a state; BARE and "" for the bare table


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(1_000_000, 1000)
    columns = [
        "table", "× bare, one statement", "× bare, a thousand a transaction",
        "s, one statement", "s, a thousand", "WAL bytes a row",
    ]  # fmt: skip
    single = ["table", "× bare", "commits/s", "WAL bytes a row"]
    with ground.installation() as at:
        shops = {"staging": at.shop_all}
        many = [
            line for kind in KINDS for line in Inserted(at, shops, kind, rows).lines(sizes.rounds)
        ]
        one = OneByOne(at, shops, 20 if sizes.factor == 1 else 3).lines(sizes.rounds)
    return [
        Table(
            f"{rows:,} rows inserted", columns, many, ["Target: at most 2.4 times a bare table."]
        ),
        Table(f"One row a transaction, {WRITERS} writers, balances", single, one),
    ]


@dataclass
class Taken:
    """What a way has taken, in each round."""

    one: list[float] = field(default_factory=list)
    many: list[float] = field(default_factory=list)
    bytes: list[float] = field(default_factory=list)


class Inserted:
    """Tables that take the same rows: a bare one, and the staging table of each shop All."""

    def __init__(self, at: Installation, shops: dict[str, str], kind: str, rows: int) -> None:
        self.at, self.shops, self.kind, self.rows = at, shops, kind, rows
        self.staging, _ = engine.tables(kind)
        ways: list[Way] = [(BARE, ""), *((name, state) for state in STATES for name in shops)]
        self.taken = {way: Taken() for way in ways}
        self.indexes = {name: indexes_of(dsn, self.staging) for name, dsn in shops.items()}

    def lines(self, rounds: int) -> list[list[Any]]:
        make_bare(self.at.shop_all, self.kind)
        for _, way in interleaved(list(self.taken), rounds):
            if way[0] != BARE:
                drop_indexes(self._dsn(way), self.staging)
                for statement in self.indexes[way[0]]:
                    query(self._dsn(way), statement)
            self._insert(way)
        return [self._line(way) for way in self.taken]

    def _dsn(self, way: Way) -> str:
        return self.at.shop_all if way[0] == BARE else self.shops[way[0]]

    def _table(self, way: Way) -> str:
        return bare(self.kind) if way[0] == BARE else self.staging

    def _insert(self, way: Way) -> None:
        table, taken = self._table(way), self.taken[way]
        with connected(self._dsn(way)) as writer:
            self._make_room(way, writer)
            whole = self._statement(table, 1, self.rows)
            seconds, written = logged(writer, lambda: timed(lambda: run(writer, whole)))
            taken.one.append(seconds)
            taken.bytes.append(written / self.rows)
            self._make_room(way, writer)
            taken.many.append(timed(lambda: self._insert_by_thousands(writer, table)))

    def _make_room(self, way: Way, writer: Any) -> None:
        _, state = way
        run(writer, f'truncate "{self._table(way)}"')
        if state in (FREED, SUMMARISED):
            # The last rows stay: otherwise vacuum cuts the free pages off.
            run(writer, self._statement(self.staging, 1, self.rows + ROWS_A_STATEMENT))
            run(writer, self._delete_first())
            engine.vacuum(self._dsn(way), self.kind)
        if state == SUMMARISED:
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

    def _line(self, way: Way) -> list[Any]:
        taken, least = self.taken[way], self.taken[BARE, ""]
        ratios = [
            median(own / bare for own, bare in zip(*pair, strict=True))
            for pair in ((taken.one, least.one), (taken.many, least.many))
        ]
        medians = [median(numbers) for numbers in (taken.one, taken.many, taken.bytes)]
        return [", ".join(filter(None, [self.kind, *way])), *ratios, *medians]


class OneByOne:
    """Writers that commit single balance changes at once, as tills do."""

    def __init__(self, at: Installation, shops: dict[str, str], seconds: int) -> None:
        self.at, self.seconds = at, seconds
        staging, _ = engine.tables("balances")
        self.ways = {
            BARE: (at.shop_all, bare("balances")),
            **{name: (dsn, staging) for name, dsn in shops.items()},
        }

    def lines(self, rounds: int) -> list[list[Any]]:
        rates: dict[str, list[float]] = {name: [] for name in self.ways}
        sizes: dict[str, list[float]] = {name: [] for name in self.ways}
        for _, name in interleaved(list(self.ways), rounds):
            dsn, table = self.ways[name]
            with connected(dsn) as session:
                run(session, f'truncate "{table}"')
                self.at.checkpoint()
                rate, written = logged(session, partial(self._commits, dsn, table))
                ((rows,),) = run(session, f'select count(*) from "{table}"')
            rates[name].append(rate)
            sizes[name].append(written / rows)
        return [
            [
                name,
                median(bare / own for own, bare in zip(rates[name], rates[BARE], strict=True)),
                median(rates[name]),
                median(sizes[name]),
            ]
            for name in self.ways
        ]

    def _commits(self, dsn: str, table: str) -> float:
        """Return how many rows the writers commit in a second."""
        with tempfile.NamedTemporaryFile("w") as script:
            script.write(f"insert into \"{table}\" (account, amount) values ('4100', 1);")
            script.flush()
            done = subprocess.run(
                [
                    Path(self.at.ground.psql()).with_name("pgbench"),
                    *("--no-vacuum", "--jobs=2", f"--client={WRITERS}", f"--time={self.seconds}"),
                    *(f"--file={script.name}", as_url(dsn)),
                ],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
        return float(done.stdout.partition("\ntps = ")[2].split()[0])


def bare(kind: str) -> str:
    return f"bare_{kind}"


def make_bare(dsn: str, kind: str) -> None:
    """Makes a table that has the values of the staging table, and nothing else."""
    names = ", ".join(engine.columns(kind))
    staging, _ = engine.tables(kind)
    query(dsn, f'create table "{bare(kind)}" as select {names} from "{staging}"')


def logged(session: Any, work: Callable[[], float]) -> tuple[float, int]:
    """Return what `work` returns, and how many bytes the server has written to its log meanwhile.

    An autovacuum at work counts, too.
    """
    ((before,),) = run(session, POSITION)
    result = work()
    ((written,),) = run(session, WRITTEN, [before])
    return result, written


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
