"""A role that may write to our log and notes in shop All, and to nothing else there.

It can stop transfers. It cannot make rows be lost or moved twice without a word: a position is
only believed together with the batch that the log had when it was read. One that may also write
the identity and the notes of rebases can: see the last test.
"""

from contextlib import contextmanager

import pytest

from tests.administrator import remove_role
from tests.conftest import WORKER
from tests.databases import connected, query, run
from tests.flow import Flow, purge
from transfer.errors import TransferError

FORGER = f"forger_{WORKER}"
TABLES = (
    "batch",
    "missed",
    "purged",
    "purge_note",
    "purged_transaction",
    "resent",
    "resending",
    "loaded",
)
GRANTS = "; ".join(
    [
        f"create role {FORGER} login",
        f"grant usage on schema datatransfer to {FORGER}",
        f"grant select on all tables in schema datatransfer to {FORGER}",
        *(
            f"grant select, insert, update, delete on datatransfer.{table} to {FORGER}"
            for table in TABLES
        ),
    ]
)
NEXT = "reader, number + 1, gen_random_uuid(), kind, server, snapshot, origin, staging"
COLUMNS = "reader, number, token, kind, server, snapshot, origin, staging"


@pytest.fixture
def forger(shop_all):
    """Runs a statement as that role."""
    remove_role(shop_all, FORGER)
    query(shop_all, GRANTS)

    def forge(statement):
        with session(shop_all) as connection:
            run(connection, statement)

    yield forge
    remove_role(shop_all, FORGER)


@contextmanager
def session(dsn):
    with connected(dsn) as connection:
        run(connection, f"set session authorization {FORGER}")
        yield connection


@pytest.fixture
def balances(flow):
    """Has moved three rows, and the first two of three others, in one batch of two chunks."""
    balances = flow("balances")
    balances.stage(("1", 1), ("2", 2), ("3", 3))
    balances.move()
    balances.stage(("4", 4), ("5", 5), ("6", 6))
    balances.move_one(2)
    assert amounts(balances) == [1, 2, 3, 4, 5]
    return balances


def amounts(flow: Flow):
    return sorted(int(row[1]) for row in flow.target_rows())


STOPS = {
    "the batch is gone": ("delete from datatransfer.batch", "history_changed"),
    "the batch under way saw less": (
        "update datatransfer.batch set snapshot = '3:3:' where number = 2",
        "history_changed",
    ),
    "the batch under way has another token": (
        "update datatransfer.batch set token = gen_random_uuid()",
        "history_changed",
    ),
    "the batch was written by another transaction": (
        "update datatransfer.batch set at = now()",
        "history_changed",
    ),
    "the batch was missed": (
        "insert into datatransfer.missed select token from datatransfer.batch",
        "history_changed",
    ),
    "rows were purged": (
        "insert into datatransfer.purge_note (origin, kind, number, rows, latest, late) "
        "select origin, 'balances', 1, 7, '9223372036854775807', '{}' from datatransfer.origin",
        "rows_purged",
    ),
    "the list of purged rows is nonsense": (
        "insert into datatransfer.purge_note (origin, kind, number, rows, latest, late) "
        "select origin, 'balances', 1, 7, '9223372036854775807', '{}' from datatransfer.origin; "
        "insert into datatransfer.purged_transaction (origin, kind, number, xid, rows, ids) "
        "select origin, 'balances', 1, old::xid8, 4, '{(,)}' from datatransfer.origin, "
        "unnest('{3,9223372036854775807}'::text[]) as old",
        "rows_missing",
    ),
}


@pytest.mark.parametrize("forgery", STOPS)
def test_a_changed_log_stops_the_flow_and_no_row_is_lost_or_doubled(balances, forger, forgery):
    statement, code = STOPS[forgery]
    forger(statement)
    with pytest.raises(TransferError) as refused:
        balances.move()
    assert refused.value.code == code
    assert amounts(balances) == [1, 2, 3, 4, 5]


GO_ON = {
    "the next number is taken": f"""
        insert into datatransfer.batch ({COLUMNS}) select {NEXT} from datatransfer.batch
         order by number desc limit 1
    """,
    "another reader": f"""
        insert into datatransfer.batch ({COLUMNS})
        select gen_random_uuid(), 7, gen_random_uuid(), kind, server, snapshot, origin, staging
          from datatransfer.batch limit 1
    """,
    "counts of purged rows": "insert into datatransfer.purged values ('balances', 70, 700)",
    "loads that never were": """
        insert into datatransfer.loaded (token, kind, rows, origin, xid)
        select gen_random_uuid(), 'balances', 70, origin, '9' from datatransfer.origin
    """,
    "transactions that send corrected rows": """
        insert into datatransfer.resending values ('9', 'balances', 'thief')
    """,
}


@pytest.mark.parametrize("forgery", GO_ON.values(), ids=GO_ON)
def test_a_forged_row_of_ours_loses_and_doubles_none_of_theirs(balances, forger, forgery):
    forger(forgery)
    balances.move()
    balances.stage(("7", 7))
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7]


def test_a_forged_batch_cannot_be_one_that_a_position_believes(balances, forger):
    """The position names a batch by its token; it counts if its own transaction wrote it."""
    for statement in (
        f"insert into datatransfer.batch ({COLUMNS}, xid) select {NEXT}, '9' "
        "from datatransfer.batch",
        f"insert into datatransfer.batch ({COLUMNS}) select reader, 99, gen_random_uuid(), kind, "
        "server, '9999999:9999999:', origin, staging from datatransfer.batch",
    ):
        with pytest.raises(Exception, match="batch_check"):
            forger(statement)


def test_a_forged_number_that_leaves_none_for_later_batches_is_refused_before_it_is_used(
    balances, forger
):
    balances.move()
    forger(
        f"insert into datatransfer.batch ({COLUMNS}) select reader, 1000000000000000, "
        "gen_random_uuid(), kind, server, snapshot, origin, staging from datatransfer.batch limit 1"
    )
    before = balances.position()
    balances.stage(("7", 7))
    with pytest.raises(TransferError, match=r"datatransfer\.batch: number"):
        balances.move()
    assert balances.position() == before
    forger("delete from datatransfer.batch where number = 1000000000000000")
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6, 7]


def test_a_forged_note_of_a_replacement_makes_a_reject_and_loses_nothing_in_silence(
    balances, forger
):
    """It says that a row replaces another one, which the server has accepted."""
    balances.move()
    balances.stage(("7", 7))
    ((xid, number),) = query(
        balances.shop_all,
        'select xid::text, id from "changeAccountBalanceTemp" order by id desc limit 1',
    )
    forger(
        "insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, where_rejected) "
        f"select origin, 'balances', 1, {number}, '{xid}', true from datatransfer.origin"
    )
    moved = balances.move()
    assert moved.codes == ["accepted_before"]
    assert amounts(balances) == [1, 2, 3, 4, 5, 6]


def test_a_purge_removes_no_row_that_waits_whatever_the_log_says(balances, forger):
    query(balances.shop_all, "update \"changeAccountBalanceTemp\" set created_at = '2000-01-01'")
    forger(GO_ON["the next number is taken"])
    forger("delete from datatransfer.purge_note; delete from datatransfer.purged")
    position = balances.position()
    purge(balances.shop_all, "balances", [position])
    staged = query(balances.shop_all, 'select amount::int from "changeAccountBalanceTemp"')
    assert sorted(staged) == [(4,), (5,), (6,)]
    balances.move()
    assert amounts(balances) == [1, 2, 3, 4, 5, 6]


def test_who_may_write_the_identity_and_the_notes_of_rebases_can_double_rows(balances, forger):
    """The forged note of a rebase lists no transaction, so that every row counts as waiting.
    SECURITY.md says: give such rights to our account alone.
    """
    balances.move()
    tables = "datatransfer.origin, datatransfer.rebase, datatransfer.rebased_batch"
    query(balances.shop_all, f"grant insert, update on {tables} to {FORGER}")
    forger("""
        create temporary table before as select origin from datatransfer.origin;
        update datatransfer.origin set origin = gen_random_uuid(), xid = pg_current_xact_id();
        insert into datatransfer.rebase (origin, kind, next, is_dump)
        select before.origin, 'balances', today.origin, false
          from before, datatransfer.origin as today;
        insert into datatransfer.rebased_batch (token, origin, kind, reader, number, snapshot, at)
        select token, before.origin, kind, reader, number, snapshot, at
          from before, datatransfer.batch;
    """)
    balances.move()
    assert amounts(balances) == sorted([1, 2, 3, 4, 5, 6] * 2)
