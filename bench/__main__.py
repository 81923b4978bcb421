"""`python -m bench [PART …]`: everything that is measured; without parts, all of it.

Each part runs in a process of its own, on databases of its own, on one PostgreSQL server.
"""

import argparse
import sys
import traceback
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context

from bench import results
from bench.ground import Ground, server
from bench.part import Section, measured
from bench.sizes import QUICK, Sizes

# The module of a part, which has `measure(ground, sizes)` → its section in RESULTS.md.
PARTS = {
    "transfer": "The transfer beside psql",
    "processor": "Processor seconds of a transfer, by party",
    "before": "This version beside the one before",
    "chunks": "Chunks that are hard to judge, with good and with stale statistics",
    "look": "A transfer with nothing to move",
    "tick": "The tick",
    "latency": "From commit in staging to visible on the work port",
    "arrivals": "Tasks that run as rows arrive",
    "chain": "A chain of 30 bonus servers on three clusters",
    "notify": "What NOTIFY would cost the writers",
    "writers": "What the staging tables cost their writers",
    "trace": "Search",
    "pages": "Pages",
}
PARTS_OF_ONE_VERSION = [name for name in PARTS if name != "before"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=" | ".join(PARTS))
    parser.add_argument("--quick", action="store_true", help="tiny data, once: does it still run?")
    parser.add_argument("--size", type=float, default=1.0, help="1 is the whole thing")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--servers", type=int, default=5, help="bonus servers of `pages`, `trace`")
    parser.add_argument("--registers", type=int, default=0, help="registers there, on each server")
    parser.add_argument("--before", metavar="COMMIT", default="", help="for the part `before`")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if "before" in options.parts and not options.before:
        parser.error("say which commit: --before COMMIT")
    size, rounds = (QUICK, 1) if options.quick else (options.size, options.rounds)
    sizes = Sizes(size, rounds, options.before, options.servers, options.registers)
    parts = options.parts or (["before"] if options.before else [*PARTS_OF_ONE_VERSION])
    with server() as dsn:
        ground = Ground(dsn)
        try:
            ground.prepare()
            failed = run(parts, ground, sizes)
        finally:
            ground.drop_templates()
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def run(parts: list[str], ground: Ground, sizes: Sizes) -> list[str]:
    """Measures, prints and, at full size, saves the parts; returns those that failed.

    One after the other; quick, when nobody looks at the figures, several at once.
    """
    at_once = 3 if sizes.is_quick else 1
    with ProcessPoolExecutor(
        at_once, mp_context=get_context("spawn"), max_tasks_per_child=1
    ) as pool:
        results = {name: pool.submit(measured, name, ground, sizes) for name in parts}
        return [name for name, section in results.items() if not report(name, section, sizes)]


def report(name: str, measuring: "Future[Section]", sizes: Sizes) -> bool:
    """Whether there is something to report."""
    try:
        section = measuring.result()
    except Exception:
        traceback.print_exc()
        return False
    print(f"== {PARTS[name]}\n\n{section.text()}\n", flush=True)
    if sizes.is_whole:
        results.save(PARTS[name], section.markdown(), list(PARTS.values()))
    return True


if __name__ == "__main__":
    main()
