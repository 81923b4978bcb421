"""Files of everything that is found: the first byte, the whole, and the server's memory."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from bench import estate
from bench.ground import Ground
from bench.report import Table
from bench.site import AT_MOST, Site, served
from bench.sizes import Sizes
from bench.timing import MS
from bench.walk import Walk

# What a file holds by default is less than all there is.
EVERYTHING = {
    "/history/export.csv": {"since": "2000-01-01"},
    "/history/export.xlsx": {"since": "2000-01-01"},
    "/rejects/export.csv": {"state": "all", "kind": "balances"},
    "/rejects/export.xlsx": {"state": "all"},
}


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    with ground.installation() as at:
        estate.fill(at, sizes)
        with served(at) as site:
            browser = site.browser()
            files = Walk(browser, every=0).all().files.values()
            tables = {path for path in files if path.endswith((".csv", ".xlsx"))}
            rows = [fetched(site, browser, path) for path in sorted(tables | set(EVERYTHING))]
    columns = ["file", "first byte ms", "whole s", "lines", "KB", "KB sent", "server's memory + MB"]
    notes = [
        f"{estate.SERVERS} servers, {sizes.of(1_000_000, 2000):,} runs, "
        f"{sizes.of(100_000, 200):,} rejects. Target: first byte under 200 ms, memory flat, a "
        "million runs as CSV under 30 s."
    ]
    return [Table("Exports", columns, rows, notes)]


def fetched(site: Site, browser: httpx.Client, path: str) -> list[Any]:
    began = time.perf_counter()
    first, size, lines = 0.0, 0, 0
    try:
        query = EVERYTHING.get(path)
        with watched(site) as grown, browser.stream("GET", path, params=query) as answer:
            answer.raise_for_status()
            for piece in answer.iter_bytes():
                first = first or time.perf_counter() - began
                size, lines = size + len(piece), lines + piece.count(b"\n")
            sent = answer.num_bytes_downloaded
    except httpx.TimeoutException:
        return [path, None, f"not in {AT_MOST}", None, None, None, max(grown)]
    whole = time.perf_counter() - began
    rows = lines if path.endswith(".csv") else None
    return [path, first * MS, whole, rows, size / 1024, sent / 1024, max(grown)]


@contextmanager
def watched(site: Site) -> Iterator[list[float]]:
    """By how many MB the server's memory grew meanwhile, looked at again and again."""
    before, stopped = site.memory(), threading.Event()
    grown = [0.0]

    def look() -> None:
        while not stopped.wait(0.02):
            grown.append(site.memory() - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield grown
    finally:
        stopped.set()
        thread.join()
