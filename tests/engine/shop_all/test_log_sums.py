"""Where a period ends in the log."""

import random
from datetime import UTC, datetime, timedelta

from tests.databases import query
from transfer.engine.kinds import BALANCES
from transfer.engine.shop_all.log_sums import end_before
from transfer.engine.shop_all.source import ShopAll

MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)
ADD = """
    insert into datatransfer.log (kind, number, mark, changeset, rows, amount, rows_to, amount_to,
                                  appended_at)
    values ('balances', %s, gen_random_uuid(), gen_random_uuid(), 1, 1, %s, %s, %s)
"""


def test_the_end_is_the_last_line_before_a_moment_whatever_lines_have_gone(shop_all):
    """Appends that waited for each other have added lines in another order than they began."""
    chosen = random.Random(42)
    with ShopAll(shop_all, "tests", secret=False) as source:
        for _round in range(40):
            query(shop_all, "delete from datatransfer.log")
            lines = {
                number: MIDNIGHT + timedelta(minutes=number * 7 - chosen.choice([0, 0, 0, 20]))
                for number in range(1, 60)
                if chosen.random() < 0.8
            }
            for number, at in lines.items():
                query(shop_all, ADD, [number, number, number, at])
            for minutes in (-30, 0, 1, 55, 200, chosen.randrange(420), 1000):
                moment = MIDNIGHT + timedelta(minutes=minutes)
                with source.snapshot():
                    end = end_before(source.database, BALANCES, moment)
                last = max((n for n, at in lines.items() if at < moment), default=0)
                assert (end.place.number, end.to.rows) == (last, last)
