"""What one looks for on the trace's page, among ten million staged rows."""

from statistics import median
from urllib.parse import urlencode

from bench import estate, staged
from bench.ground import Ground
from bench.report import Table
from bench.site import served
from bench.sizes import Sizes
from bench.timing import MS, quantile, timed
from tests.databases import query

TARGET = 50  # ms, of a whole number and of an id


def questions(number: int) -> dict[str, dict[str, str]]:
    """`number`: that of a staged row."""
    return {
        "a whole account": {"q": "4100000037"},
        "a whole card": {"q": "7780000004099"},
        "the number of a staged row": {"q": str(number)},
        "an account's changes": {"q": "4100000037", "in": "account"},
        "a card's changes": {"q": "7780000004099", "in": "card"},
        "how an account begins": {"q": "410000"},
        "nothing begins so": {"q": "99999999"},
        "a whole number that is nowhere": {"q": "4199999999"},
    }


def measure(ground: Ground, sizes: Sizes) -> list[Table]:
    rows = sizes.of(10_000_000, 1000)
    small = Sizes(min(sizes.factor, 0.01), sizes.rounds)  # of all that is no staged row
    with ground.installation() as at:
        estate.fill(at, small)
        staged.fill(at, rows)
        (number,) = query(at.shop_all, 'select max(id) from "changeAccountBalanceTemp"')[0]
        with served(at) as site:
            browser = site.browser()
            lines = []
            for what, asked in questions(number).items():
                url = f"/trace/?{urlencode(asked)}"
                browser.get(url).raise_for_status()
                taken = [timed(lambda url=url: browser.get(url)) for _ in range(sizes.of(20, 2))]
                lines.append([what, median(taken) * MS, quantile(taken, 0.95) * MS])
    others = ", ".join(f"{rows // share:,} {kind}" for kind, share in staged.SHARE.items())
    notes = [f"Target: a whole number and an id under {TARGET} ms. The page as a whole is timed."]
    return [Table(f"Staged: {others}", ["what is looked for", "p50 ms", "p95 ms"], lines, notes)]
