"""Head office's work around a transfer that breaks, and the expected result."""

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from tests.chaos.installation import SERVER
from tests.chaos.reference import REFERENCES
from tests.chaos.reset import reset
from tests.chaos.statements import KILL_AFTER, KILL_BEFORE, LOSE_ANSWER, SENDING, Fault
from tests.databases import connected, insert, run
from transfer.installed import installed_kinds

CHUNK = 4
PATIENCE = 30
LONG = "x" * 30_000  # more than what libpq reads at once: a stream can break between two rows

# Two chunks: good rows, rows that a check rejects, and one that the vendor's table refuses.
ROWS = {
    "balances": [
        (account, amount, None, None, LONG)
        for account, amount in [
            *[("1", 10), ("2", 0), ("2", -5), ("1", 10), (" ", 7), ("no", 3), ("3", 1)]
        ]
    ],
    "pincodes": [
        *[("1", "10"), ("2", ""), ("2", "5"), ("1", "11"), (" ", "7"), ("no", "3"), ("3", "1")]
    ],
    "cards": [
        *[("1", "a", 1), ("2", None, 9), ("2", "b", 2), ("1", None, 3), ("9", None, 1)],
        *[("4", "no", 3), ("3", "c", 1)],
    ],
}
ROLLED_BACK = {"balances": ("8", 1), "pincodes": ("8", "1"), "cards": ("8", "a", 1)}
LATE = {"balances": ("5", 1), "pincodes": ("5", "1"), "cards": ("5", "a", 1)}
AFTERWARDS = {"balances": ("6", 2), "pincodes": ("6", "6"), "cards": ("6", None, 1)}
REFUSED = "refused_by_server"
# As the vendor has made it, of each kind.
VENDOR = sql.SQL("alter table {table} add constraint vendor check ({account} <> 'no')")


@dataclass(frozen=True)
class Flow:
    """A kind of rows to a bonus server, which has a name and a database."""

    kind: str
    server: str
    bonus: Connection

    @property
    def due(self):
        return expected(self.kind)


@contextmanager
def history_of(kind, installation, product, others=()):
    """A history that can be played again and again; `remember` was called for the databases.

    `others` are flows that go on beside the one that breaks: as kind, name and DSN of the server.
    """
    places = (installation.own, installation.shop_all, installation.bonus, installation.shop_all)
    with ExitStack() as stack:
        own, shop_all, bonus, writer = (stack.enter_context(connected(dsn)) for dsn in places)
        writer.autocommit = False
        known = {installation.bonus: bonus}
        flows = [Flow(kind, SERVER, bonus)]
        for other, server, dsn in others:
            if dsn not in known:
                known[dsn] = stack.enter_context(connected(dsn))
            flows.append(Flow(other, server, known[dsn]))
        yield History(flows, product, own, shop_all, writer)


class History:
    """Head office's work around the transfer that breaks, and the expected result."""

    def __init__(self, flows, product, own, shop_all, writer):
        self.flow, *self.others = flows
        self.product = product
        self.own = own
        self.shop_all = shop_all
        self.writer = writer
        self.servers = [*{id(flow.bonus): flow.bonus for flow in flows}.values()]

    def play(self, fault, *, with_others=True):
        """Starts again, breaks a transfer there and runs the next one.

        The other flows have moved their first chunk before, and move the rest in between. Returns
        how the broken one ended, and the faults after the next one, in lines.
        """
        for connection in (self.own, self.shop_all, *self.servers):
            reset(connection)
        others = self.others if with_others else []
        for kind in {self.flow.kind, *(flow.kind for flow in others)}:
            rows = ROWS[kind]
            self._stage(kind, [LATE[kind]], late=True)
            self._stage(kind, rows[:4])
            self._stage(kind, [ROLLED_BACK[kind]], keep=False)
            self._stage(kind, rows[4:])
        self._run(others, one_chunk=True)
        kind = self.flow.kind
        broken = self.product.do("run", fault, kind=kind, server=SERVER, chunk_rows=CHUNK)
        self._wait_for_the_dead()
        self.writer.commit()
        for kind in {self.flow.kind, *(flow.kind for flow in others)}:
            self._stage(kind, [AFTERWARDS[kind]])
        then = [*self._run(others), *self._run([self.flow])]
        return broken, [
            f"{flow.kind} to {flow.server}: {line}"
            for flow, (result, stderr) in zip([*others, self.flow], then, strict=True)
            for line in self._wrong(flow, result, stderr)
        ]

    def _run(self, flows, *, one_chunk=False):
        """Runs these flows, one after the other; yields what each comes to, and prints."""
        if not flows:
            return []
        named = [(flow.kind, flow.server) for flow in flows]
        how = {"chunk_rows": CHUNK, "one_chunk": one_chunk}
        done = self.product.do("run_several", flows=named, **how)
        return [(result, done.stderr) for result in done.result or [None] * len(flows)]

    def _stage(self, kind, rows, *, late=False, keep=True):
        if late:
            insert(self.writer, kind, rows)
            return
        run(self.shop_all, "begin")
        insert(self.shop_all, kind, rows)
        run(self.shop_all, "commit" if keep else "rollback")

    def _wait_for_the_dead(self):
        """Until PostgreSQL has noticed that they are gone."""
        deadline = time.monotonic() + PATIENCE
        for connection in (self.own, self.shop_all, *self.servers):
            while run(
                connection,
                "select 1 from pg_stat_activity where application_name like 'dtadmin%' limit 1",
            ):
                assert time.monotonic() < deadline
                time.sleep(0.001)

    def _wrong(self, flow, result, stderr):
        if result is None:
            return [stderr]
        kind, due = installed_kinds()[flow.kind], flow.due
        columns = sql.SQL(", ".join(f"{n}::integer" if n == "status" else n for n in kind.names))
        held = run(flow.bonus, sql.SQL("select {} from {}").format(columns, kind.held))
        rejects = run(self.own, REJECTS, [kind.name, flow.server])
        left_open = run(
            self.own, "select state from transfer_transferrun where finished_at is null"
        )
        totals = run(flow.bonus, POSITION, [kind.name])[0]
        compared = {
            "error": (result["error"], ""),
            "waiting": (result["waiting"], 0),
            "rows": (Counter(held), Counter(due["rows"])),
            "rejects": (Counter(code for (code,) in rejects), Counter(due["rejects"])),
            "rows counted": (sum(totals[:3]), due["read"]),
            "sums of the history": (run(self.own, RUNS, [kind.name, flow.server])[0], totals),
            "reconciled": (result["holds"], True),
            "runs left open": (left_open, []),
            "errors printed": (stderr, ""),
        }
        return [f"{name}: {is_}, not {due}" for name, (is_, due) in compared.items() if is_ != due]


REJECTS = """
    select code from transfer_rejectedrow as reject
      join transfer_bonusserver as server on server.id = reject.server_id
     where kind = %s and server.name = %s
"""
POSITION = """
    select rows_applied, rows_unchanged, rows_rejected, amount_applied, amount_rejected
      from datatransfer.position where kind = %s
"""
RUNS = """
    select sum(applied)::bigint, sum(unchanged)::bigint, sum(rejected)::bigint,
           sum(amount_applied), sum(amount_rejected)
      from transfer_transferrun where kind = %s and server_name = %s
"""


@cache
def expected(kind):
    """What the reference makes of the rows: held, codes of rejects, and how many were read."""
    reference, codes = REFERENCES[kind](), []
    staged = [*ROWS[kind], LATE[kind], AFTERWARDS[kind]]
    for row in staged:
        if kind == "balances":
            row = (row[0], Decimal(row[1]), *row[2:])
        code = REFUSED if "no" in row else reference.take(*row)
        codes += [code] if code else []
    return {"rows": reference.rows(), "rejects": codes, "read": len(staged)}


def points_of(outcome, *, at_length):
    """Every fault that can happen to a transfer, and at which statement, given one to which
    nothing has happened. Not at length, it is some of them.
    """
    last = outcome.statements[-1]
    return {
        Fault(statement.database, statement.number, how): statement.text
        for statement in outcome.statements
        for how in statement.faults
        if at_length or statement is last or how in in_short(statement)
    }


def in_short(statement):
    """Leaves out faults that equal another one.

    A killed process leaves only what it had committed. So a kill before a statement that commits
    equals all kills since the last commit, and those in a COPY while PostgreSQL reads. A process
    whose connection was cut goes on, and may do so differently each time: of statements that only
    read, every eighth is cut, since nothing is written between two of them. So is every fourth of
    our own database, which does not decide what moves.
    """
    faults = {*statement.faults} - {KILL_AFTER}
    if statement.database.startswith("own") and statement.number % 4:
        return set()
    if is_for_good(statement):
        return faults
    if tuple(statement.faults) == SENDING and statement.number % 8:
        return set()
    return faults - {KILL_BEFORE, LOSE_ANSWER}


def is_for_good(statement):
    """Whether it ends a transaction that may have written; a query or setting alone is none."""
    harmless = statement.text.lower().startswith(("select", "set ", "reset "))
    return LOSE_ANSWER in statement.faults and not harmless
