"""A query whose rows come in parts."""

import gc
import sys

from tests.databases import query
from transfer.engine.postgres.database import Database
from transfer.parties import SHOP_ALL


def test_one_that_is_given_up_after_its_connection_was_lost_writes_no_stack_trace(
    shop_all, monkeypatch
):
    written = []
    monkeypatch.setattr(sys, "unraisablehook", written.append)
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database:
        rows = database.stream("rows", "select generate_series(1, 100000)")
        next(rows)
        query(shop_all, "select pg_terminate_backend(%s)", [database.connection.info.backend_pid])
        del rows
        gc.collect()
    assert written == []
