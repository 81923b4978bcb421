"""Guards around the position (docs/EXACTLY-ONCE.md). Without any of them a test here fails."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.chaos.checks import assert_all_moved_once, assert_nothing_moved, stage_many
from tests.databases import WORKER, connected, insert, query, run
from tests.flow import Flow
from tests.waiting import wait_until
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import (
    FutureTransactions,
    HistoryChanged,
    NotInitialised,
    NumberUsedTwice,
    OriginChanged,
    PositionLost,
    PositionMoved,
)
from transfer.engine.kinds import BALANCES
from transfer.engine.move import transfer as move
from transfer.engine.postgres import connect, database
from transfer.engine.postgres.deadline import Limits
from transfer.errors import AlreadyRunning, QueryFailed

FUTURE = "4000000000"
STAMPS = 'select account, xid::text, id from "changeAccountBalanceTemp" order by 1'


@pytest.fixture
def balances(flow):
    return flow("balances")


# --- The position ---------------------------------------------------------------------------------


def on_insert_into_asset(flow, body):
    """A trigger of the vendor's: it runs within the chunk's transaction, after the rows."""
    query(
        flow.bonus,
        "create function meddle() returns trigger language plpgsql as "
        f"$$ begin {body}; return null; end $$; "
        "create trigger meddle after insert on asset execute function meddle()",
    )


def stop_meddling(flow):
    query(flow.bonus, "drop trigger meddle on asset")


def test_a_position_that_somebody_moved_meanwhile_rolls_the_chunk_back(balances):
    on_insert_into_asset(balances, "update datatransfer.position set read_through = '3:99:'")
    balances.stage(("1", 1))
    with pytest.raises(PositionMoved):
        balances.move()
    assert_nothing_moved(balances)
    stop_meddling(balances)
    assert_all_moved_once(balances, 1)


def test_a_second_runner_is_told_who_runs_and_does_not_wait(balances, monkeypatch):
    monkeypatch.setattr(connect, "LOCK_SECONDS", 0)  # a wait ends only by TooSlow
    monkeypatch.setattr(database.Database, "limits", Limits(statement=2))
    balances.move()
    balances.stage(("1", 1))
    with BonusDatabase(balances.bonus, "bonus", "run 17") as holder, holder.database.transaction():
        holder.positions.lock(balances.position().origin, BALANCES)
        with pytest.raises(AlreadyRunning, match="dtadmin run 17"):
            balances.move()
    assert balances.target_rows() == []
    assert_all_moved_once(balances, 1)


def test_anything_unexpected_rolls_everything_back(balances):
    on_insert_into_asset(balances, "raise exception 'no' using errcode = 'disk_full'")
    stage_many(balances, 5)
    with pytest.raises(QueryFailed) as failed:
        balances.move()
    assert "no" in failed.value.technical
    assert_nothing_moved(balances)
    stop_meddling(balances)
    assert_all_moved_once(balances, 5)


# --- Identity -------------------------------------------------------------------------------------


def test_a_staging_database_made_anew_is_refused_until_somebody_says_that_it_is(
    balances, postgres, shop_all_template
):
    name = f"test_shop_all_created_again_{WORKER}"
    created_again = Flow("balances", postgres.create(name, shop_all_template), balances.bonus)
    query(
        created_again.shop_all,
        "update datatransfer.origin set origin = gen_random_uuid(), xid = pg_current_xact_id()",
    )
    try:
        created_again.stage(("new", 2))
        balances.stage(("old", 1))
        balances.move()
        with pytest.raises(PositionLost):
            created_again.move()
        assert [row[0] for row in balances.target_rows()] == ["old"]
    finally:
        postgres.drop(name)


def test_rows_from_the_future_are_refused(balances):
    balances.stage(("1", 1), ("2", 2))
    query(
        balances.shop_all,
        'alter table "changeAccountBalanceTemp" disable trigger user; '
        f"update \"changeAccountBalanceTemp\" set xid = '{FUTURE}' where account = '1'; "
        'alter table "changeAccountBalanceTemp" enable always trigger datatransfer_stamp; '
        'alter table "changeAccountBalanceTemp" '
        "enable always trigger datatransfer_stamp_update",
    )
    with pytest.raises(FutureTransactions, match="changeAccountBalanceTemp"):
        balances.move()
    assert_nothing_moved(balances)


@pytest.mark.parametrize("field", ["read_through", "reading"])
def test_a_position_from_the_future_is_refused(balances, field):
    balances.move()
    query(
        balances.bonus,
        f"update datatransfer.position set {field} = '{FUTURE}:{FUTURE}:', "
        f"last_xid = case '{field}' when 'reading' then '3'::xid8 end, last_id = 0",
    )
    balances.stage(("1", 1))
    with pytest.raises(HistoryChanged):
        balances.move()
    assert balances.target_rows() == []


WITH_NUMBERS = """
    insert into "changeAccountBalanceTemp" (account, amount, id, xid)
    overriding system value values (%s, 1, %s, '4')
"""


@pytest.mark.parametrize("role", ["origin", "replica"])
def test_a_writer_can_not_choose_xid_nor_change_either_number(balances, role):
    """Rows with a number from the past would be skipped."""
    balances.stage(("0", 1))
    balances.move()
    with connected(balances.shop_all) as writer:
        run(writer, f"set session_replication_role = {role}")
        for account, number in (("1", 501), ("2", 502)):
            run(writer, WITH_NUMBERS, [account, number])
        before = run(writer, STAMPS)
        run(writer, "update \"changeAccountBalanceTemp\" set xid = '4'")
        run(writer, 'update "changeAccountBalanceTemp" set id = default')
        assert run(writer, STAMPS) == before
    assert balances.move().totals.applied == 2
    assert [row[0] for row in balances.target_rows()] == ["0", "1", "2"]


@pytest.mark.parametrize("harm", ["drop trigger {0} on {1}", "alter table {1} disable trigger {0}"])
@pytest.mark.parametrize("trigger", ["datatransfer_stamp", "datatransfer_stamp_update"])
def test_a_stamp_that_is_off_is_noticed(balances, trigger, harm):
    balances.stage(("1", 1))
    query(balances.shop_all, harm.format(trigger, '"changeAccountBalanceTemp"'))
    with pytest.raises(NotInitialised, match="datatransfer_stamp"):
        balances.move()
    assert_nothing_moved(balances)


def test_the_one_trigger_of_an_earlier_version_does_until_shop_all_is_initialised(balances):
    query(
        balances.shop_all,
        'drop trigger datatransfer_stamp_update on "changeAccountBalanceTemp"; '
        "create or replace trigger datatransfer_stamp before insert or update on "
        '"changeAccountBalanceTemp" for each row execute function datatransfer.stamp(); '
        'alter table "changeAccountBalanceTemp" enable always trigger datatransfer_stamp',
    )
    balances.stage(("1", 1))
    assert balances.move().totals.applied == 1


def test_two_rows_of_one_number_are_both_moved(balances):
    """As when the table was emptied and counts from 1 again; their transactions tell them apart."""
    for account in "12":
        query(balances.shop_all, WITH_NUMBERS, [account, 502])
    assert balances.move().totals.applied == 2
    query(balances.shop_all, 'truncate "changeAccountBalanceTemp" restart identity')
    query(balances.shop_all, WITH_NUMBERS, ["3", 502])
    assert balances.move().totals.applied == 1


@pytest.mark.parametrize("together", [True, False])
def test_two_rejects_of_one_number_are_refused_since_one_would_hide_the_other(balances, together):
    query(balances.shop_all, WITH_NUMBERS, ["", 502])
    if not together:
        balances.move()
    query(balances.shop_all, WITH_NUMBERS, ["", 502])
    with pytest.raises(NumberUsedTwice, match="502"):
        balances.move()
    assert len(balances.rejects()) == (0 if together else 1)


# --- Batches and rejects --------------------------------------------------------------------------


@contextmanager
def stopped_after_one_chunk(flow, chunk_rows):
    """A run that dies after its first chunk."""
    with flow.open() as (source, target):
        position = flow.prepare(source, target)
        chunks = move.transfer(BALANCES, source, target, position.origin, chunk_rows=chunk_rows)
        yield next(chunks)


def test_a_batch_cut_short_is_resumed_with_its_snapshot(balances):
    with connected(balances.shop_all) as late:
        late.autocommit = False
        insert(late, "balances", [("late", 1)])  # an older transaction than all that follow
        balances.stage(*[(f"early {n}".replace(" ", "-"), 1) for n in range(5)])
        with stopped_after_one_chunk(balances, chunk_rows=3) as first:
            assert first.totals.applied == 3
        late.commit()
        balances.stage(("later", 1))
    resumed = balances.move(chunk_rows=3).chunks
    assert resumed[0].before.reading == first.after.reading
    assert [chunk.totals.applied for chunk in resumed] == [2, 2]
    assert [row[0] for row in balances.target_rows()] == [
        *[f"early-{n}" for n in range(5)],
        "late",
        "later",
    ]


WAITS = """
    select exists (select from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock')
"""


def test_a_chunk_sees_what_was_done_to_the_table_while_it_waited_for_it(balances):
    """Like a rebase that commits just then: the old rows must not be moved again."""
    balances.stage(*[(str(n), 1) for n in range(5)])
    balances.move_one(chunk_rows=2)
    with (
        balances.open() as (source, target),
        connected(balances.shop_all) as rebasing,
        ThreadPoolExecutor() as threads,
    ):
        origin = balances.prepare(source, target).origin
        rebasing.autocommit = False
        run(rebasing, 'lock table "changeAccountBalanceTemp" in access exclusive mode')
        coming = threads.submit(next, move.transfer(BALANCES, source, target, origin))
        wait_until(lambda: query(balances.shop_all, WAITS) == [(True,)])
        run(
            rebasing,
            "update datatransfer.origin set origin = gen_random_uuid(), xid = pg_current_xact_id()",
        )
        rebasing.commit()
        with pytest.raises(OriginChanged):
            coming.result()
    assert len(balances.target_rows()) == 2


def test_rejects_land_with_their_chunk_or_not_at_all(balances):
    on_insert_into_asset(balances, "raise exception 'no' using errcode = 'disk_full'")
    balances.stage(("1", 1), ("2", 0))
    with pytest.raises(QueryFailed):
        balances.move()
    assert balances.rejects() == []
    stop_meddling(balances)
    assert balances.move().codes == ["amount_zero"]
    assert [reject.number for reject in balances.rejects()] == [1]


def test_rejects_are_numbered_without_a_gap_over_chunks_and_transfers(balances):
    balances.stage(("1", 0), ("2", 1), ("3", 0))
    balances.move(chunk_rows=1)
    balances.stage(("", 1), ("4", 1))
    balances.move()
    assert [reject.number for reject in balances.rejects()] == [1, 2, 3]
    assert balances.position().totals.rejected == 3
