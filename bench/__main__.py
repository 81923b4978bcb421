"""`python -m bench`: how close a transfer of balance changes comes to the limit, side by side.

The limit is PostgreSQL's own: psql's COPY out of one database into the other, without position,
checks or rejects. Rounds are interleaved, so that a slower minute slows all of them.
"""

import argparse
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.ground import Ground

WAYS: dict[str, Callable[[Ground], tuple[float, float | None]]] = {
    "limit: psql COPY | psql COPY": Ground.by_psql,
    "manage.py transfer balances": Ground.by_command,
    "the engine in process": Ground.by_engine,
}
LIMIT = next(iter(WAYS))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        ground = Ground(Path(home))
        try:
            ground.prepare(options.rows)
            print(f"{ground.version}, {platform.machine()}, {options.rows} rows\n")
            rounds = [one_round(ground, number) for number in range(options.rounds)]
            report(rounds, options.rows)
            ground.empty_target()
            ground.by_engine()
            idle = [ground.by_command() for _ in range(options.rounds)]
            engine = median(ground.by_engine()[0] for _ in range(options.rounds))
            print(
                f"\nnothing new: manage.py {median(seconds for seconds, _ in idle):.2f} s, "
                f"the engine with fresh connections {engine * 1000:.0f} ms"
            )
        finally:
            ground.cluster.stop()


def one_round(ground: Ground, number: int) -> dict[str, tuple[float, float | None]]:
    found = {}
    # Each way comes first, second and last in turn.
    names = list(WAYS)
    for name in names[number % len(names) :] + names[: number % len(names)]:
        ground.empty_target()
        found[name] = WAYS[name](ground)
        ground.check()
    print(
        f"round {number + 1}: " + ", ".join(f"{name} {s:.2f} s" for name, (s, _) in found.items())
    )
    return found


def report(rounds: list[dict[str, tuple[float, float | None]]], rows: int) -> None:
    print(f"\n{'median':32}{'seconds':>9}{'rows/s':>10}{'of the limit':>14}{'peak MB':>9}")
    for name in WAYS:
        seconds = median(each[name][0] for each in rounds)
        ratio = median(each[LIMIT][0] / each[name][0] for each in rounds)
        peaks = [peak for each in rounds if (peak := each[name][1]) is not None]
        peak = f"{max(peaks):.0f}" if peaks else "–"
        print(f"{name:32}{seconds:9.2f}{rows / seconds:10,.0f}{ratio:14.2f}{peak:>9}")


if __name__ == "__main__":
    main()
