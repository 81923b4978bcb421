"""This version beside the one of a commit before, in pairs of interleaved rounds."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.ground import Ground
from bench.report import Table
from bench.sizes import Sizes
from tests.databases import ROOT, as_url

NOW, BEFORE = "now", "before"
KINDS = ("balances", "pincodes", "cards")
LOOKS = 200


class Side:
    """A process of one version (`bench/side.py`)."""

    def __init__(self, name: str, tree: Path, dsn: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.side", name, dsn], cwd=tree,
            # Without it a version before would start the server of its tests.
            env={**os.environ, "DATABASE_URL": as_url(dsn)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer()

    def __call__(self, *command: Any) -> float:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name}: {self.process.wait()}")
        return float(json.loads(line))

    def end(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def tree_of(commit: str) -> Iterator[Path]:
    """The files of a commit, with our own `bench/side.py`."""
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        tree = Path(folder)
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, capture_output=True, check=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        shutil.copy(ROOT / "bench" / "side.py", tree / "bench")
        yield tree


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    """`sizes.before` is the commit."""
    rows, ones = sizes.of(1_000_000, 100), sizes.of(1_000_000, 100)
    with ExitStack() as stack:
        tree = stack.enter_context(tree_of(sizes.before))
        pair = Pair([Side(BEFORE, tree, ground.dsn), Side(NOW, ROOT, ground.dsn)], sizes.rounds)
        stack.callback(pair.end)
        lines = []
        for kind in KINDS:
            pair.both("stage", kind, rows)
            lines.append(pair.line(f"{kind}, transactions of 10,000", "move", kind))
        looks = [pair.line("a look that finds nothing, ms", "look", KINDS[-1], LOOKS)]
        pair.both("stage_whole", "balances", rows)
        lines.append(pair.line("balances, one transaction", "move", "balances"))
        pair.both("stage_one_by_one", "balances", ones)
        lines.append(pair.line("balances, transactions of one row", "move", "balances"))
    columns = ["what", "before / now", "before", "now"]
    note = "Above 1: this version is faster. Target: 0.97, of one-row transactions 0.7."
    return [
        Table(f"Transfers of {rows:,} rows, s, beside {sizes.before}", columns, lines, [note]),
        Table("A look", columns, looks, ["Target: under 3 ms."]),
    ]


class Pair:
    """Both versions, asked in turns."""

    def __init__(self, sides: list[Side], rounds: int) -> None:
        self.sides, self.rounds = sides, rounds

    def both(self, *command: Any) -> None:
        for side in self.sides:
            side(*command)

    def line(self, title: str, *command: Any) -> list[Any]:
        taken: dict[str, list[float]] = {side.name: [] for side in self.sides}
        for number in range(self.rounds):
            for side in self.sides if number % 2 else reversed(self.sides):
                taken[side.name].append(side(*command))
        before, now = taken[BEFORE], taken[NOW]
        ratio = median(one / other for one, other in zip(before, now, strict=True))
        print(f"{title}: {ratio:.2f}, {before}, {now}", file=sys.stderr)
        return [title, ratio, median(before), median(now)]

    def end(self) -> None:
        for side in self.sides:
            side.end()
