"""A purge of staged rows and of old batches."""

import time

from tests.databases import query
from tests.flow import purge

MANY = 30_000  # batches: three weeks of one a minute
AT_MOST = 10  # seconds; it takes a tenth of one, and took minutes when each batch read all others

ADD_BATCHES = """
    insert into datatransfer.batch (reader, number, token, kind, server, origin, at)
    select %s, n + 10, gen_random_uuid(), 'balances', 'server', origin, now() - interval '1 day'
      from datatransfer.origin, generate_series(1, %s) as n
"""


def test_many_young_batches_do_not_slow_a_purge(flow):
    moved = flow("balances")
    moved.stage(("1", 1))
    moved.move()
    query(moved.shop_all, ADD_BATCHES, [moved.reader, MANY])
    began = time.monotonic()
    purge(moved.shop_all, "balances", [moved.position()])
    assert time.monotonic() - began < AT_MOST
    assert query(moved.shop_all, "select count(*) from datatransfer.batch") == [(MANY + 1,)]
