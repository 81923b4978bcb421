"""For any rows, transactions and chunks, the outcome is that of the reference."""

import os
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from psycopg2 import sql

from tests.chaos.reference import REFERENCES
from tests.databases import connected, query, run
from transfer.engine.kinds import KINDS

WRITERS = 3
# The same examples in each run; `make chaos` tries more.
EXAMPLES = 300 if "CHAOS_SECONDS" in os.environ else 15

# Few good ones, so that rows meet; and everything that must not pass.
GOOD = ["7", "8", "a" * 100, "счёт-1"]
BAD = [
    None,
    "",
    " ",
    "7 ",
    " 7",
    "7\u00a0",
    "\u20077",
    "7\t",
    "7\x07",
    "7\x85",
    "\ufeff7",
    "a" * 101,
]
TEXT = st.one_of(st.sampled_from(GOOD), st.sampled_from(BAD))
MONEY = st.decimals(
    "-9999999999999.99", "9999999999999.99", places=2, allow_nan=False, allow_infinity=False
)
ODD_MONEY = [
    *[None, "0", "0.000", "-0", "NaN", "Infinity", "-Infinity", "1.234", "0.001", "1.10000"],
    *["9999999999999.99", "10000000000000", "-10000000000000.00", "1e40", "9999999999999.995"],
]
AMOUNT = st.one_of(
    MONEY, st.sampled_from([None if odd is None else Decimal(odd) for odd in ODD_MONEY])
)
FIRST, LAST = (datetime(year, 1, 1) for year in (2, 9998))  # noqa: DTZ001 - the zone is drawn
# As PostgreSQL keeps it: in a zone with DST, Python finds some moments equal to nothing.
DAY = st.one_of(
    st.none(),
    st.datetimes(FIRST, LAST, timezones=st.timezones().filter(str)).map(
        lambda day: day.astimezone(UTC)
    ),
)
STATUS = st.sampled_from([None, 0, 1, 2, 3, -1, 4, 2**31 - 1, -(2**31) + 1])
COMMENT = st.one_of(st.none(), st.text(st.characters(exclude_characters="\0", codec="utf-8")))
ROWS = {
    "pincodes": st.tuples(TEXT, st.one_of(TEXT, st.sampled_from(["0000", "1111"]))),
    "balances": st.tuples(TEXT, AMOUNT, DAY, DAY, COMMENT),
    "cards": st.tuples(TEXT, st.one_of(st.none(), TEXT), STATUS),
}


def steps(kind):
    """Writers that write, commit and roll back in any order, and transfers in between."""
    writer = st.integers(0, WRITERS - 1)
    write = st.tuples(st.just("write"), writer, st.lists(ROWS[kind], min_size=1, max_size=6))
    end = st.tuples(st.sampled_from(["commit", "commit", "roll back"]), writer, st.none())
    transfer = st.tuples(st.just("transfer"), st.integers(1, 9), st.none())
    return st.lists(st.one_of(write, write, end, transfer), max_size=14)


class Staging:
    """Real transactions, and beside them what each has written and what is ready to move."""

    def __init__(self, kind, connections):
        self.kind = kind
        self.connections = connections
        self.written = [[] for _ in connections]  # (started, xid, id, row)
        self.ready = []
        columns = [column.name for column in KINDS[kind].columns]
        self.insert = sql.SQL(
            "insert into {} ({}) values ({}) returning started, xid::text, id"
        ).format(
            sql.Identifier(KINDS[kind].staging),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(
                sql.SQL("%s::{}").format(sql.SQL(column.carried_as))
                for column in KINDS[kind].columns
            ),
        )

    def write(self, writer, rows):
        for row in rows:
            # psycopg2 would make a NaN of an infinite Decimal.
            values = [str(value) if isinstance(value, Decimal) else value for value in row]
            ((started, xid, id_),) = run(self.connections[writer], self.insert, values)
            self.written[writer].append((started, int(xid), id_, row))

    def end(self, writer, committed):
        connection = self.connections[writer]
        connection.commit() if committed else connection.rollback()
        self.ready += self.written[writer] if committed else []
        self.written[writer] = []

    def take_ready(self):
        """The rows of the next lines: all that are committed, by (started, xid, id)."""
        rows, self.ready = sorted(self.ready, key=lambda row: row[:3]), []
        return rows


def empty(flow):
    """In place of new databases, which would take longer than the example."""
    kind = KINDS[flow.kind]
    query(flow.shop_all, f'delete from "{kind.staging}"')
    query(flow.shop_all, "delete from datatransfer.log; update datatransfer.head set number = 0")
    query(
        flow.bonus,
        f'delete from "{kind.target}"; '
        "delete from datatransfer.position; delete from datatransfer.receipt; "
        "delete from datatransfer.exception; delete from datatransfer.reject",
    )


def play(flow, script):
    """Takes the steps, and compares every transfer with the reference."""
    reference, read, applied = REFERENCES[flow.kind](), 0, 0
    with ExitStack() as stack:
        connections = [stack.enter_context(connected(flow.shop_all)) for _ in range(WRITERS)]
        for connection in connections:
            connection.autocommit = False
        staging = Staging(flow.kind, connections)
        for step, number, rows in [*script, ("transfer", 4, None)]:
            if step == "write":
                staging.write(number, rows)
            elif step != "transfer":
                staging.end(number, committed=step == "commit")
            else:
                batch = staging.take_ready()
                moved = flow.move(chunk_rows=number)
                codes = {id_: reference.take(*row) for *_, id_, row in batch}
                rejects = {id_: code for id_, code in codes.items() if code}
                assert {reject.id: reject.code for reject in moved.rejects} == rejects
                assert moved.totals.read == len(batch)
                assert moved.totals.rejected == len(rejects)
                assert Counter(flow.target_rows()) == Counter(reference.rows())
                read, applied = read + len(batch), applied + len(batch) - len(rejects)
    totals = flow.position().totals
    assert (totals.read, totals.applied + totals.unchanged) == (read, applied)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.long
def test_any_rows_in_any_transactions_and_chunks_come_out_as_in_the_reference(flow, kind):
    flow = flow(kind)
    flow.move()  # makes our schema
    for column in KINDS[kind].columns:
        if column.created_as.startswith("varchar"):
            # As head office may have made it: only then can a text be too long.
            query(
                flow.shop_all,
                f'alter table "{KINDS[kind].staging}" alter {column.name} type text',
            )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(script=steps(kind))
    def example(script):
        empty(flow)
        play(flow, script)

    example()
