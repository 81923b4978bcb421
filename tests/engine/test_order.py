"""Commits come in any order, and nothing is lost, doubled or waited for."""

import random
import threading
from collections import Counter

import pytest
from psycopg2 import sql

from tests.chaos.reference import REFERENCES
from tests.databases import connected, insert, query, run
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all import log_writer
from transfer.engine.shop_all.log_writer import _ranges

WRITERS = 12
TRANSACTIONS = 25
PATIENCE = 60  # seconds until a test that hangs fails


class Transfers:
    """Counts the transfers that have ended, so that a writer can hold a commit open over one."""

    def __init__(self):
        self.done = 0
        self.changed = threading.Condition()

    def ended(self):
        with self.changed:
            self.done += 1
            self.changed.notify_all()

    def wait_for_another(self):
        with self.changed:
            # The one under way may have begun before; the next one begins and ends after.
            seen = self.done
            assert self.changed.wait_for(lambda: self.done >= seen + 2, PATIENCE)


def some_row(kind, writer, number, chance):
    """A row of the writer's own accounts and cards, so that its transactions alone order them."""
    account = f"account-{writer}-{chance.randrange(3)}"
    if kind == "balances":
        return account, f"{chance.randrange(1, 10_000)}.{number % 100:02}", None, None, number
    if kind == "pincodes":
        return account, f"{writer}{number:06}"
    linked = chance.choice([account, None])
    return f"card-{writer}-{chance.randrange(3)}", linked, chance.choice([None, 0, 1, 2, 3])


def write(dsn, kind, writer, transfers):
    """Transactions short and long, with savepoints; some of them are rolled back."""
    chance = random.Random(f"{kind} {writer}")
    with connected(dsn) as connection:
        connection.autocommit = False
        for number in range(TRANSACTIONS):
            for part in range(chance.randrange(1, 5)):
                run(connection, "savepoint part")
                key = (number * 10 + part) * 100 + writer
                insert(connection, kind, [some_row(kind, writer, key, chance)])
                if chance.random() < 0.2:
                    run(connection, "rollback to savepoint part")
                    continue
                run(connection, "release savepoint part")
                if chance.random() < 0.15:
                    transfers.wait_for_another()
            if chance.random() < 0.15:
                connection.rollback()
            else:
                connection.commit()


class NaiveReader:
    """What everybody writes first: it remembers the last id."""

    def __init__(self, dsn, kind):
        self.dsn = dsn
        self.statement = f'select id from "{KINDS[kind].staging}" where id > %s order by id'
        self.last = 0
        self.rows = 0

    def read(self):
        rows = query(self.dsn, self.statement, [self.last])
        self.rows += len(rows)
        self.last = rows[-1][0] if rows else self.last


def run_beside_writers(flow, naive):
    """Transfers repeatedly while the writers write, and once afterwards."""
    transfers, failures, moved = Transfers(), [], []

    def writing(writer):
        try:
            write(flow.shop_all, flow.kind, writer, transfers)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=writing, args=[number]) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        moved.append(flow.move(chunk_rows=7))
        naive.read()
        transfers.ended()
    moved.append(flow.move(chunk_rows=7))
    naive.read()
    assert not failures
    return moved


@pytest.mark.parametrize(
    "kind",
    [
        "balances",
        pytest.param("pincodes", marks=pytest.mark.long),
        pytest.param("cards", marks=pytest.mark.long),
    ],
)
def test_twelve_writers_with_late_commits_lose_and_double_nothing(flow, kind):
    flow = flow(kind)
    naive = NaiveReader(flow.shop_all, kind)
    moved = run_beside_writers(flow, naive)

    columns = ", ".join(f"staged.{column.name}" for column in KINDS[kind].columns)
    staged = query(
        flow.shop_all,
        f'select id, {columns} from "{KINDS[kind].staging}" as staged join datatransfer.log'
        " on log.kind = %s and log.xid = staged.xid and log.started = staged.started"
        " order by number, id",
        [kind],
    )
    reference = REFERENCES[kind]()
    rejects = {row[0]: code for row in staged if (code := reference.take(*row[1:]))}

    assert len(staged) > 300
    assert Counter(flow.target_rows()) == Counter(reference.rows())
    landed = [(reject.id, reject.code) for each in moved for reject in each.rejects]
    assert sorted(landed) == sorted(rejects.items())
    assert sum(each.totals.read for each in moved) == len(staged)
    assert flow.position().totals.read == len(staged)
    assert naive.rows < len(staged), "the input was too tame to prove anything"


@pytest.mark.parametrize("table", ["another database", "another table", "the staging table"])
def test_an_idle_writer_holds_back_its_own_rows_only(flow, postgres, table):
    flow = flow("balances")
    query(flow.shop_all, "create table elsewhere (a integer)")
    elsewhere = flow.bonus if table == "another database" else flow.shop_all
    with connected(elsewhere) as idle:
        idle.autocommit = False
        if table == "the staging table":
            insert(idle, "balances", [("idle", 1)])
        else:
            run(idle, "create table written_by_idler as select pg_current_xact_id()")
        flow.stage(("a", 1), ("b", 2))
        assert flow.move().totals.applied == 2
        flow.stage(("c", 3))
        assert flow.move().totals.applied == 1
        idle.commit()
    own = 1 if table == "the staging table" else 0
    assert flow.move().totals.applied == own
    assert [row[0] for row in flow.target_rows()] == ["a", "b", "c", *["idle"] * own]


def test_what_one_writer_commits_later_comes_later_though_its_first_transaction_was_awaited(flow):
    """An append looked while the first one was open: it is in another range than the second."""
    flow = flow("pincodes")
    with connected(flow.shop_all) as writer:
        writer.autocommit = False
        insert(writer, "pincodes", [("4100", "first")])
        flow.stage(("4200", "meanwhile"))
        flow.move()
        writer.commit()
        insert(writer, "pincodes", [("4100", "second")])
        writer.commit()
    flow.move()
    assert Counter(flow.target_rows()) == Counter([("4100", "second"), ("4200", "meanwhile")])
    assert accounts_of_the_log(flow) == ["4200", "4100 first", "4100 second"]


def test_what_one_writer_commits_between_two_pieces_of_an_append_comes_in_its_order(
    flow, monkeypatch
):
    flow = flow("pincodes")
    flow.prepare_alone()
    monkeypatch.setattr(log_writer, "LINES_OF_AN_APPEND", 1)
    with connected(flow.shop_all) as writer:
        writer.autocommit = False
        insert(writer, "pincodes", [("4100", "first")])
        flow.stage(("4200", "before"))
        flow.stage(("4200", "before too"))
        pieces = []

        def append_piece(self, *args):
            pieces.append(piece(self, *args))
            if len(pieces) == 1:
                writer.commit()
                insert(writer, "pincodes", [("4100", "second")])
                writer.commit()
            return pieces[-1]

        piece = log_writer.LogWriter._append
        monkeypatch.setattr(log_writer.LogWriter, "_append", append_piece)
        flow.prepare_alone()
    assert len(pieces) > 2
    named = accounts_of_the_log(flow)
    assert [one for one in named if one.startswith("4100")] == ["4100 first", "4100 second"]
    flow.move()
    assert Counter(flow.target_rows()) == Counter([("4100", "second"), ("4200", "before too")])


def accounts_of_the_log(flow):
    """The rows of the lines, in the order of the log: account, and PIN code of account 4100."""
    rows = query(
        flow.shop_all,
        "select account, pincode from datatransfer.log "
        'join "accountpincodeTemp" using (xid, started) where kind = %s order by number',
        ["pincodes"],
    )
    return [f"{account} {pin}" if account == "4100" else account for account, pin in rows]


def test_an_idle_writer_costs_no_walk_through_what_was_moved_since(flow):
    """What an append looks at is in two ranges of the index, with any number of rows between."""
    flow = flow("balances")
    with connected(flow.shop_all) as idle:
        idle.autocommit = False
        insert(idle, "balances", [("idle", 1)])
        for number in range(50):
            flow.stage(*[(f"row-{number}-{place}", 1) for place in range(10)])
        flow.move()
        with flow.open() as (source, _), source.database.transaction(commit=False):
            source.rows.by_index()
            walked = [
                _walked(source.database, plan)
                for plan in ranges_of(source.database, KINDS["balances"])
            ]
        assert walked == [0, 0]


def ranges_of(database, kind):
    """The ranges of rows that an append looks at now."""
    ((seen,),) = database.rows(
        "select seen::text from datatransfer.head where kind = %s", [kind.name]
    )
    return _ranges(seen)


def _walked(database, range_):
    """How many rows of the staging table PostgreSQL reads for a range."""
    explain = sql.SQL("explain (analyze, format json) select from {} where {}")
    statement = explain.format(KINDS["balances"].staging_table, range_)
    plan = database.only_row(statement)[0][0]["Plan"]
    return plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0)
