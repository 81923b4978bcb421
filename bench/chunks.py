"""Chunks that are hard to judge or to apply, with stale statistics of the target, too.

Each is 50,000 rows, one chunk. None may take much longer than another: where rows are compared
each with each, minutes become of a second.
"""

from contextlib import closing
from dataclasses import dataclass
from statistics import median
from typing import Any

import psycopg2

from bench import data, engine
from bench.ground import Ground, Installation
from bench.report import Table
from bench.sizes import Sizes
from bench.timing import interleaved, timed
from tests.databases import query
from transfer.engine.received import Totals
from transfer.errors import TransferError

KNOWN_CARDS = "'c' || n, 'a' || n, n % 4"
KNOWN_PINS = "'a' || n, n::text"


@dataclass(frozen=True)
class Shape:
    """What the target holds before, if anything, and the rows of the chunk, over n and {rows}."""

    title: str
    kind: str
    staged: str
    held: str | None = None


SHAPES = [
    Shape("cards, all new", "cards", KNOWN_CARDS),
    Shape("cards, each known and changed", "cards", "'c' || n, null, (n + 1) % 4", KNOWN_CARDS),
    Shape("cards, each known and unchanged", "cards", "'c' || n, null, n % 4", KNOWN_CARDS),
    Shape("cards, half of them unknown", "cards",
          "case n % 2 when 0 then 'c' else 'u' end || n, null, 2", KNOWN_CARDS),
    Shape("one unknown card", "cards", "'one', null, n % 4", KNOWN_CARDS),
    Shape("240 cards, linked later", "cards",
          "'w' || n % 240, case when n > {rows} / 2 and n % 3 = 0 then 'a' end, n % 4",
          KNOWN_CARDS),
    Shape("PIN codes, all new", "pincodes", KNOWN_PINS),
    Shape("PIN codes, each changed", "pincodes", "'a' || n, (n + 1)::text", KNOWN_PINS),
    Shape("PIN codes of 20 accounts", "pincodes", "'a' || n % 20, n::text", KNOWN_PINS),
    Shape("PIN codes, all rejected", "pincodes", "null, n::text", KNOWN_PINS),
]  # fmt: skip
# What somebody else has left in the target where the shape says nothing.
OTHERS = {"cards": "'o' || n, 'a' || n, 1", "pincodes": "'o' || n, 'x'"}

ENOUGH = 20  # seconds: what takes longer is not repeated

STATES = {
    "normal": "analyzed as autovacuum would",
    "empty": "analyzed while the target was empty",
    "uncommitted": "analyzed while its first rows were not committed",
}


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(50_000, 100)
    columns = [
        "shape",
        *(f"{words}, s" for words in STATES.values()),
        "applied",
        "same",
        "rejected",
    ]
    with ground.installation() as at:
        lines = [line(at, shape, rows, sizes.rounds) for shape in SHAPES]
    taken = [cell for one in lines for cell in one[1:4] if isinstance(cell, float)]
    spread = (
        f"The slowest takes {max(taken) / min(taken):.1f} times as long as the fastest; "
        "the target is 4 at most."
    )
    return [Table(f"One chunk of {rows:,} rows, the engine in process", columns, lines, [spread])]


def line(at: Installation, shape: Shape, rows: int, rounds: int) -> list[Any]:
    staging, _ = engine.tables(shape.kind)
    query(at.shop_all, f'truncate "{staging}"')
    staged = shape.staged.replace("{rows}", str(rows))
    query(at.shop_all, data.insert(staging, engine.columns(shape.kind), staged, 1, rows))
    seconds: dict[str, list[float]] = {state: [] for state in STATES}
    failed: dict[str, str] = {}
    totals = Totals()
    for _, state in interleaved(list(STATES), rounds):
        if state not in failed and sum(seconds[state]) < ENOUGH:
            try:
                taken, totals = moved(at, shape, state, rows)
                seconds[state].append(taken)
            except TransferError as error:
                failed[state] = f"failed: {engine.error_code(error)}"
    cells = [failed.get(state) or median(seconds[state]) for state in STATES]
    return [shape.title, *cells, totals.applied, totals.unchanged, totals.rejected]


def moved(at: Installation, shape: Shape, state: str, rows: int) -> tuple[float, Totals]:
    """Seconds, and the outcome of the rows. Raises TransferError."""
    bonus = at.ground.create("chunks")
    prepare(bonus, shape, state, rows)
    engine.forget_log(at.shop_all)
    totals: list[Totals] = []
    seconds = timed(lambda: totals.append(engine.move(at.shop_all, bonus, shape.kind)))
    return seconds, totals[0]


def prepare(bonus: str, shape: Shape, state: str, rows: int) -> None:
    """Fills the target, and leaves it with the statistics of that state."""
    _, table = engine.tables(shape.kind)
    query(bonus, f'alter table "{table}" set (autovacuum_enabled = off)')
    if state == "empty":
        query(bonus, f'vacuum analyze "{table}"')
    held = shape.held or (OTHERS[shape.kind] if state == "uncommitted" else None)
    if held:
        with closing(psycopg2.connect(bonus)) as writer, writer.cursor() as cursor:
            cursor.execute(data.insert(table, engine.columns(shape.kind), held, 1, rows))
            if state == "uncommitted":
                query(bonus, f'analyze "{table}"')
            writer.commit()
    if state == "normal" and held:
        query(bonus, f'vacuum analyze "{table}"')
