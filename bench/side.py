"""`python -m bench.side NAME DSN`: one of two versions that are measured in pairs.

Also runs in the tree of the version before, into which `before.py` copies it: so it uses of `bench`
and `tests` only what both have. Reads commands from its input, one JSON list a line, and answers
each with a number.
"""

import json
import sys
from contextlib import suppress
from statistics import median

from bench import data, engine
from bench.ground import Ground, Installation
from bench.timing import MS, timed
from tests.databases import Server, connected, migrate_bonus_server, query, run

# One row a transaction. The server waits for no disk: it is the reading that is measured.
ONE_BY_ONE = """
    do $$ begin
        for n in 1..{rows} loop {insert}; commit; end loop;
    end $$
"""


class Side:
    """A shop All of this version, and a new bonus server's database for each transfer."""

    def __init__(self, name: str, dsn: str) -> None:
        self.prefix, self.server = f"bench_{name}_", Server(dsn)
        own, self.shop_all = (self.server.create(self.prefix + one) for one in ("own", "shop_all"))
        at = Installation(Ground(dsn), own, self.shop_all, "")
        at.manage("migrate", "--verbosity=0")
        at.manage("init_shop_all")
        template = self.server.create(f"{self.prefix}template")
        migrate_bonus_server(template)
        for kind in ("balances", "pincodes", "cards"):
            engine.begin(self.shop_all, template, kind)

    def stage(self, kind: str, rows: int) -> int:
        """Stages rows in transactions of ten thousand."""
        self._truncate(kind)
        data.stage(self.shop_all, kind, rows)
        return rows

    def stage_whole(self, kind: str, rows: int) -> int:
        """Stages rows in one transaction."""
        self._truncate(kind)
        table, _ = engine.tables(kind)
        query(self.shop_all, data.insert(table, engine.columns(kind), data.STAGED[kind], 1, rows))
        query(self.shop_all, f'vacuum analyze "{table}"')
        return rows

    def stage_one_by_one(self, kind: str, rows: int) -> int:
        """Stages rows in transactions of one."""
        self._truncate(kind)
        table, _ = engine.tables(kind)
        names = ", ".join(engine.columns(kind))
        insert = f'insert into "{table}" ({names}) select {data.STAGED[kind]}'
        with connected(self.shop_all) as session:
            run(session, "set synchronous_commit = off")
            run(session, ONE_BY_ONE.format(rows=rows, insert=insert))
        query(self.shop_all, f'vacuum analyze "{table}"')
        return rows

    def _truncate(self, kind: str) -> None:
        table, _ = engine.tables(kind)
        query(self.shop_all, f'truncate "{table}"')

    def move(self, kind: str) -> float:
        """Return the seconds of a transfer of all that is staged; the position has begun."""
        bonus = self.server.create(f"{self.prefix}bonus", f"{self.prefix}template")
        if hasattr(engine, "forget_log"):
            engine.forget_log(self.shop_all)
        query(self.server.dsn, "checkpoint")
        return timed(lambda: engine.move(self.shop_all, bonus, kind))

    def look(self, kind: str, count: int) -> float:
        """Return the median of the milliseconds of a transfer with nothing to move."""
        bonus = self.server.url(f"{self.prefix}bonus")
        with engine.open_databases(self.shop_all, bonus) as opened:
            engine.move_through(opened, kind)
            return MS * median(
                timed(lambda: engine.move_through(opened, kind)) for _ in range(count)
            )

    def drop(self) -> None:
        for name in ("own", "shop_all", "template", "bonus"):
            with suppress(Exception):
                self.server.drop(self.prefix + name)


def main() -> None:
    side = Side(*sys.argv[1:])
    print(json.dumps(0), flush=True)
    try:
        for line in sys.stdin:
            name, *values = json.loads(line)
            print(json.dumps(getattr(side, name)(*values)), flush=True)
    finally:
        side.drop()


if __name__ == "__main__":
    main()
