"""Every page, with one browser and with eight that share the cores with the server."""

import random
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import httpx2

from bench import estate, staged
from bench.ground import Ground
from bench.report import Table
from bench.site import Site, served
from bench.sizes import Sizes
from bench.timing import MS, quantile, timed
from bench.walk import Address, Walk, headers

ASKED = 20  # times by one browser
ENOUGH = 5  # seconds for one address; it is asked five times in any case
CLIENTS = 8
ASKED_BY_EIGHT = 24  # times, by all of them together
TARGET, TARGET_OF_EIGHT = 100, 300  # ms
Seconds = dict[Address, list[float]]


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    with ground.installation() as at:
        estate.fill(at, sizes)
        staged.fill(at, sizes.of(10_000_000, 1000))
        at.checkpoint()
        with served(at) as site:
            browser = site.browser()
            walk = Walk(browser, every=6 if sizes.is_quick else 1).all()
            print(f"{len(walk.addresses)} addresses", file=sys.stderr)
            alone = by_one(browser, walk.addresses, sizes)
            together = by_eight(site, walk.addresses, sizes)
            heavy = {one: kilobytes(browser, one) for one in walk.addresses}
            return [summary(walk, heavy, alone, together)]


def ask(browser: httpx2.Client, address: Address) -> float:
    return timed(lambda: browser.get(address.url, headers=headers(address)).raise_for_status())


def kilobytes(browser: httpx2.Client, address: Address) -> float:
    """Of its HTML, before it is compressed."""
    return len(browser.get(address.url, headers=headers(address)).content) / 1000


def by_one(browser: httpx2.Client, addresses: list[Address], sizes: Sizes) -> Seconds:
    taken: Seconds = defaultdict(list)
    for number in range(sizes.of(ASKED)):
        for address in addresses:
            if number < 5 or sum(taken[address]) < ENOUGH:
                taken[address].append(ask(browser, address))
    return taken


def by_eight(site: Site, addresses: list[Address], sizes: Sizes) -> Seconds:
    """All at once, each through a share of them in no order."""
    taken: Seconds = defaultdict(list)
    ahead = addresses * sizes.of(ASKED_BY_EIGHT)
    random.Random(8).shuffle(ahead)

    def visit(number: int) -> None:
        browser = site.browser()
        for address in ahead[number::CLIENTS]:
            taken[address].append(ask(browser, address))

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(visit, range(CLIENTS)))
    return taken


def summary(walk: Walk, heavy: dict[Address, float], alone: Seconds, together: Seconds) -> Table:
    """The slowest address of each page."""
    addresses, rows = walk.addresses, []
    for page in dict.fromkeys(address.page for address in addresses):
        of_page = [address for address in addresses if address.page == page]
        slowest = max(of_page, key=lambda one: quantile(alone[one], 0.95))
        most = quantile(alone[slowest], 0.95) * MS
        of_eight = max(quantile(together[one], 0.95) for one in of_page) * MS
        plain = median(alone[of_page[0]]) * MS
        weight = heavy[of_page[0]]
        rows.append([page, len(of_page), weight, plain, most, slowest.what or "plain", of_eight])
    over = [row for row in rows if row[4] > TARGET]
    over_of_eight = [row for row in rows if row[6] > TARGET_OF_EIGHT]
    notes = [
        f"Over {TARGET} ms with one browser: {len(over)} of {len(rows)} pages; over "
        f"{TARGET_OF_EIGHT} ms with eight: {len(over_of_eight)}.",
        *(f"{url} answered {status}." for url, status in walk.refused.items()),
    ]
    columns = [
        *("page", "addresses", "KB, plain", "p50 ms, plain", "p95 ms of the slowest", "which is"),
        "p95 ms of the slowest, eight browsers",
    ]
    return Table("Each page by its slowest address", columns, rows, notes)
