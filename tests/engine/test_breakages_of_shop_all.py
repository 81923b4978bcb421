"""Shop All goes back in time, loses its log, is replaced: exact, or refused until somebody says."""

import pytest

from tests.chaos.instance import as_postgres
from tests.databases import connected, insert, query, run
from tests.engine.site import assert_refuses_for_good, burn
from transfer.engine.errors import (
    HistoryChanged,
    IsReplica,
    RestoredFromDump,
    RestoreUnknown,
    RowsDoubtful,
    RowsPrepared,
    RowsRewritten,
    TransactionPrepared,
)
from transfer.engine.kinds import BALANCES
from transfer.engine.restore.new_numbers import Restored
from transfer.engine.shop_all.copy_text import copied
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.staging_import import NOTHING_BESIDE, StagingImport


def test_shop_all_restored_from_a_physical_copy_is_refused_and_stays_refused(site):
    site.stage("before")
    site.flow.move()
    copy = site.copy(site.shop)
    site.stage("vanishes")
    site.flow.move()
    site.restore(site.shop, copy)
    site.stage("after")
    assert_refuses_for_good(site, HistoryChanged)


def test_a_physical_restore_is_rebased_when_somebody_says_when_it_was(site):
    site.stage("a", "b")
    site.flow.move()
    site.stage("waits")
    copy = site.copy(site.shop)
    site.flow.move()
    site.stage("vanishes")
    site.flow.move()
    site.restore(site.shop, copy)
    restored_at = site.now()
    site.stage("after", "after-too")
    burn(site.flow.shop_all, 60)
    with pytest.raises(RestoreUnknown):
        site.rebase()
    with pytest.raises(HistoryChanged):
        site.flow.move()
    (report,) = site.rebase(Restored(restored_at), doubtful_moved=True)
    assert (report.moved, report.waiting, report.vanished) == (3, 2, 1)
    site.assert_each_row_once()
    assert site.rebase() == []


def test_a_time_that_is_too_late_is_noticed(site):
    """A row written since the restore has the number of another: it would count as moved."""
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.shop)
    site.flow.stage(("vanishes", 1))
    site.flow.move()
    site.restore(site.shop, copy)
    site.stage("after")
    with pytest.raises(RowsDoubtful) as refused:
        site.rebase(Restored(site.now()))
    assert (type(refused.value), refused.value.params["rows"]) == (RowsDoubtful, "1")
    site.rebase(Restored(site.now()), doubtful_moved=False)
    query(site.flow.bonus, "delete from asset where account = 'vanishes'")
    site.assert_each_row_once()


def test_a_physical_restore_without_writes_since_sends_nothing_twice(site):
    site.stage("a", "b")
    copy = site.copy(site.shop)
    site.flow.move()
    site.restore(site.shop, copy)
    (report,) = site.rebase(Restored(), doubtful_moved=True)
    assert (report.moved, report.waiting, report.vanished) == (2, 0, 0)
    site.stage("later")
    site.assert_each_row_once()


def test_a_number_handed_out_again_after_a_crash_loses_nothing(site):
    site.stage("first")
    site.flow.move()
    comes_again = any(a_number_comes_again(site, f"row-{attempt}") for attempt in range(10))
    site.assert_each_row_once()
    ((version,),) = query(site.flow.shop_all, "select current_setting('server_version_num')::int")
    if not comes_again and version < 170000:
        pytest.skip("this PostgreSQL had written each number before the crash, and forgets none")
    assert comes_again, "the crash was too tame to prove anything"


def a_number_comes_again(site, account):
    """Whether a row got the number of a transaction that was rolled back, after a crash."""
    with connected(site.flow.shop_all) as writer:
        writer.autocommit = False
        insert(writer, "balances", [("rolled-back", 1)])
        ((number,),) = run(writer, "select pg_current_xact_id()")
        writer.rollback()
    site.flow.move()
    site.shop.crash()
    site.shop.start()
    site.stage(account)
    of_account = 'select xid from "changeAccountBalanceTemp" where account = %s'
    return query(site.flow.shop_all, of_account, [account]) == [(number,)]


def test_a_batch_outlives_the_crash_of_a_careless_database(site):
    """With any settings of its writers: flushing the batch flushes all earlier commits."""
    query(site.flow.shop_all, "alter database shop_all set synchronous_commit = off")
    for number in range(3):
        site.stage(f"row-{number}")
        site.flow.move()
        site.shop.crash()
        site.shop.start()
    site.assert_each_row_once()


@pytest.mark.parametrize("next_", [None, 30])
def test_a_log_that_was_thrown_away_is_refused_though_its_numbers_are_reached_again(site, next_):
    """pg_resetwal; also to a lower number, where the batch is only hidden until it is reached."""
    site.stage("before")
    site.flow.move()
    query(site.flow.shop_all, "checkpoint")
    burn(site.flow.shop_all, 40)
    site.stage("a")
    site.flow.move()
    ((end,),) = query(site.flow.shop_all, "select pg_snapshot_xmax(pg_current_snapshot())::text")
    if next_ is not None:
        query(site.flow.shop_all, "checkpoint")
    site.shop.crash()
    lower = [] if next_ is None else ["-x", str(int(end) - next_)]
    as_postgres("pg_resetwal", "-f", *lower, "-D", site.shop.data)
    site.shop.start()
    restored_at = site.now()
    with pytest.raises(HistoryChanged):
        site.flow.move()
    site.stage("hidden")
    burn(site.flow.shop_all, 60)
    assert_refuses_for_good(site, HistoryChanged)
    site.rebase(Restored(restored_at), doubtful_moved=True)
    site.stage("later")
    site.assert_each_row_once()


def test_a_replica_is_no_source(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.shop)
    site.shop.restore(copy)
    site.shop.become_standby()
    site.shop.start()
    with pytest.raises(IsReplica):
        site.flow.move()


def test_a_replica_that_lagged_and_took_over_is_refused(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.shop)
    site.stage("b")
    site.flow.move()
    site.shop.restore(copy)
    site.shop.become_standby()
    site.shop.start()
    site.shop.promote()
    site.stage("c")
    assert_refuses_for_good(site, HistoryChanged)


def test_a_replica_that_had_everything_takes_over_without_a_word(site):
    site.stage("a")
    site.flow.move()
    site.stage("b")
    copy = site.copy(site.shop)
    site.shop.restore(copy)
    site.shop.become_standby()
    site.shop.start()
    site.shop.promote()
    site.stage("c")
    site.assert_each_row_once()


def test_a_dump_of_the_data_alone_into_new_tables_is_not_guessed_at(site):
    """As logical replication does it: old rows get numbers of this database."""
    site.stage("a")
    site.flow.move()
    site.stage("waits")
    for statement in (
        "create table dumped as select * from {} order by id",
        "update datatransfer.batch set at = at",
        "update datatransfer.origin set origin = origin",
        "truncate {}",
        "insert into {} (account, amount, created_at) "
        "select account, amount, created_at from dumped",
        "update datatransfer.batch set at = clock_timestamp()",
    ):
        query(site.flow.shop_all, statement.format('"changeAccountBalanceTemp"'))
    assert_refuses_for_good(site, RestoredFromDump)
    with pytest.raises(RowsRewritten):
        site.rebase()


@pytest.mark.parametrize(
    "care",
    [
        *("vacuum (freeze) {}", "vacuum (full, freeze) {}"),
        *("alter table {} set tablespace pg_default", "reindex table {}", "analyze {}"),
    ],
)
def test_postgresqls_own_care_leaves_the_log_as_it_was_written(site, care):
    site.stage("a")
    site.flow.move()
    for table in ("datatransfer.batch", "datatransfer.origin", '"changeAccountBalanceTemp"'):
        query(site.flow.shop_all, care.format(table))
    query(site.flow.shop_all, "checkpoint")
    site.stage("b")
    site.assert_each_row_once()


def test_a_rewrite_of_our_tables_is_refused_and_rebased(site):
    """As pg_repack does it, one table after the other."""
    site.stage("a")
    site.flow.move()
    site.stage("waits")
    query(site.flow.shop_all, "update datatransfer.origin set origin = origin")
    site.stage("later")
    assert_refuses_for_good(site, RestoredFromDump)
    query(site.flow.shop_all, "update datatransfer.batch set at = at")
    (report,) = site.rebase()
    assert (report.moved, report.waiting) == (1, 2)
    site.assert_each_row_once()


def test_a_row_of_a_dump_is_not_new_though_the_restore_has_passed_its_number(site):
    """The tables are restored one after the other, and the identity of shop All is the first."""
    site.stage("a")
    site.stage("b")
    site.flow.move()
    rewrite = "update datatransfer.origin set xid = xid returning xmin::text::bigint"
    ((identity,),) = query(site.flow.shop_all, rewrite)
    query(site.flow.shop_all, "update datatransfer.batch set at = at")
    burn(site.flow.shop_all, 5)
    query(
        site.flow.shop_all,
        'alter table "changeAccountBalanceTemp" disable trigger user;'
        'update "changeAccountBalanceTemp" set xid = (%s + case account when %s then 2 else 40 '
        "end)::text::xid8",
        [identity, "a"],
    )
    burn(site.flow.shop_all, 60)
    query(site.flow.bonus, "update datatransfer.position set read_through = '9999:9999:'")
    (report,) = site.rebase()
    assert (report.moved, report.waiting) == (2, 0)


def test_a_transaction_prepared_before_a_copy_and_committed_after_its_restore_arrives(site):
    site.stage("a")
    with connected(site.flow.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("prepared", 1)])
        run(writer, "prepare transaction 'late'")
    site.staged.update(["prepared"])
    site.flow.move()
    copy = site.copy(site.shop)
    site.flow.stage(("vanishes", 1))
    site.flow.move()
    site.restore(site.shop, copy)
    restored_at = site.now()
    assert_refuses_for_good(site, HistoryChanged)
    with pytest.raises(TransactionPrepared, match="late"):  # nobody sees its row, to number it
        site.rebase(Restored(restored_at))
    query(site.flow.shop_all, "commit prepared 'late'")
    (report,) = site.rebase(Restored(restored_at), doubtful_moved=True)
    assert (report.moved, report.waiting, report.vanished) == (1, 1, 1)
    query(site.flow.bonus, "delete from asset where account = 'vanishes'")
    site.assert_each_row_once()


def test_a_transaction_that_was_prepared_just_now_is_named_too(site):
    with connected(site.flow.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("prepared", 1)])
        run(writer, "prepare transaction 'just now'")
    with pytest.raises(TransactionPrepared, match="just now"):
        site.rebase(Restored())
    query(site.flow.shop_all, "rollback prepared 'just now'")
    assert site.rebase(Restored()) == []


def test_a_transaction_that_ends_otherwise_after_the_restore_is_asked_about(site):
    """The position knows that it has ended, and can't know that it ends once more."""
    site.stage("a")
    site.restored_to_a_prepared_row()
    with pytest.raises(RowsPrepared) as refused:
        site.rebase(Restored(site.now()))
    assert refused.value.params["rows"] == "2"
    query(site.flow.bonus, "delete from asset")
    site.rebase(Restored(site.now()), doubtful_moved=False)
    site.staged.update(["prepared"])
    site.assert_each_row_once()


def test_loaded_rows_outlive_a_crash_where_commits_are_not_flushed(site):
    """The server writes its log by itself only every ten seconds."""
    for setting in ("synchronous_commit = off", "wal_writer_delay = '10 s'"):
        query(site.flow.shop_all, f"alter system set {setting}")
    query(site.flow.shop_all, "select pg_reload_conf()")
    with ShopAll(site.flow.shop_all, "load") as shop_all, shop_all.database.transaction():
        staged = StagingImport(shop_all, BALANCES)
        staged.receive(iter([copied("1", "loaded", "1", None, None, None, beside=NOTHING_BESIDE)]))
        assert staged.stage("somebody") == 1
    site.shop.crash()
    site.shop.start()
    site.staged.update(["loaded"])
    site.assert_each_row_once()
