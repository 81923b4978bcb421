"""Databases that go back in time, replicas and refusals: exact, or refused until somebody says."""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.instance import Instance, as_postgres
from tests.databases import (
    Flow,
    connected,
    initialise_shop_all,
    insert,
    migrate_bonus_server,
    query,
    run,
)
from transfer.engine import move
from transfer.engine.bonus_db import BonusDatabase
from transfer.engine.errors import (
    BatchForgotten,
    BatchUnknown,
    HistoryChanged,
    PositionLost,
    PositionOvertaken,
    RestoredFromDump,
    RestoreUnknown,
    RowsDoubtful,
    RowsPrepared,
    RowsPurged,
    RowsRewritten,
    StandbyAsSource,
)
from transfer.engine.kinds import BALANCES
from transfer.engine.placing import Place, place
from transfer.engine.rebase import Restored, rebase
from transfer.engine.staging import Staging
from transfer.errors import TooSlow

OLD = "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'"


@pytest.fixture(scope="module")
def template():
    """The data directory of a cluster with an initialised shop All and an empty bonus server."""
    home = Path(tempfile.mkdtemp(prefix="dt"))
    home.chmod(0o755)
    instance = Instance(home / "made")
    instance.create("shop_all", "bonus")
    initialise_shop_all(instance.dsn("shop_all"))
    migrate_bonus_server(instance.dsn("bonus"))
    instance.stop()
    yield instance.data
    shutil.rmtree(home)


class Site:
    """Two clusters: one holds shop All, the other a bonus server."""

    def __init__(self, home, template):
        self.home = home
        self.shop, self.server = (self._cluster(name, template) for name in ("shop", "server"))
        self.flow = Flow("balances", self.shop.dsn("shop_all"), self.server.dsn("bonus"))
        self.staged = Counter()
        self.copies = 0

    def _cluster(self, name, data):
        instance = Instance(self.home / name)
        self._begin(instance, data)
        return instance

    def _begin(self, instance, data):
        instance.restore(data)
        with (instance.data / "postgresql.conf").open("a") as file:
            file.write(f"\nunix_socket_directories = '{instance.home}'\n")
        instance.start()

    def stage(self, *accounts):
        self.flow.stage(*((account, 1) for account in accounts))
        self.staged.update(accounts)

    def copy(self, instance):
        self.copies += 1
        place = self.home / f"copy{self.copies}"
        instance.copy_to(place)
        return place

    def restore(self, instance, copy):
        instance.restore(copy)
        instance.start()

    def now(self):
        return query(self.flow.shop_all, "select clock_timestamp()")[0][0]

    def rebase(self, restored=None, **knowledge):
        with (
            Staging(self.flow.shop_all, "rebase") as staging,
            BonusDatabase(self.flow.bonus, "bonus server", "rebase") as target,
        ):
            return rebase(staging, [target], restored, **knowledge)

    def place(self, where, dry_run=False):
        with self.flow.doors() as (source, target):
            readers = self.flow.readers(source)
            placed = place(BALANCES, source, target, where, readers, dry_run=dry_run)
        if not dry_run:
            self.flow.reader = placed.position.reader
        return placed

    def purge(self, days=30):
        query(self.flow.shop_all, OLD)
        with Staging(self.flow.shop_all, "purge") as staging, staging.purging():
            return staging.purge(BALANCES, [self.flow.position()], days)

    def held(self):
        return Counter(row[0] for row in self.flow.target_rows())

    def assert_each_row_once(self):
        self.flow.move(chunk_rows=2)
        assert self.held() == self.staged


@pytest.fixture
def site(template):
    home = Path(tempfile.mkdtemp(prefix="dt"))
    home.chmod(0o755)
    site = Site(home, template)
    yield site
    site.shop.crash()
    site.server.crash()
    shutil.rmtree(home)


def burn(dsn, transactions):
    """As others' work passes: the cluster's transactions are used up."""
    with connected(dsn) as connection:
        for _ in range(transactions):
            run(connection, "select pg_current_xact_id()")


def assert_refuses_for_good(site, error):
    before = site.held()
    for _ in range(2):
        with pytest.raises(error):
            site.flow.move()
        burn(site.flow.shop_all, 60)
    assert site.held() == before


# --- Shop All -------------------------------------------------------------------------------------


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
    with connected(site.flow.shop_all) as writer:
        writer.autocommit = False
        insert(writer, "balances", [("rolled-back", 1)])
        ((number,),) = run(writer, "select pg_current_xact_id()")
        writer.rollback()
    site.flow.move()
    site.shop.crash()
    site.shop.start()
    site.stage("second")
    ((again,),) = query(
        site.flow.shop_all,
        "select xid from \"changeAccountBalanceTemp\" where account = 'second'",
    )
    assert again == number, "the crash was too tame to prove anything"
    site.assert_each_row_once()


def test_a_batch_outlives_the_crash_of_a_careless_database(site):
    """Whatever the settings of its writers: what was flushed for the batch has all before it."""
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
    with pytest.raises(StandbyAsSource):
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
    with pytest.raises(TooSlow, match="lock"):  # a row that nobody sees can't be numbered anew
        site.rebase(Restored(restored_at))
    query(site.flow.shop_all, "commit prepared 'late'")
    (report,) = site.rebase(Restored(restored_at), doubtful_moved=True)
    assert (report.moved, report.waiting, report.vanished) == (1, 1, 1)
    query(site.flow.bonus, "delete from asset where account = 'vanishes'")
    site.assert_each_row_once()


def test_a_transaction_that_ends_otherwise_after_the_restore_is_asked_about(site):
    """The position knows that it has ended, and can't know that it ends once more."""
    site.stage("a")
    with connected(site.flow.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("prepared", 1)])
        run(writer, "prepare transaction 'twice'")
    copy = site.copy(site.shop)
    query(site.flow.shop_all, "rollback prepared 'twice'")
    site.flow.move()
    site.restore(site.shop, copy)
    query(site.flow.shop_all, "commit prepared 'twice'")
    with pytest.raises(RowsPrepared) as refused:
        site.rebase(Restored(site.now()))
    assert refused.value.params["rows"] == "2"
    query(site.flow.bonus, "delete from asset")
    site.rebase(Restored(site.now()), doubtful_moved=False)
    site.staged.update(["prepared"])
    site.assert_each_row_once()


# --- Bonus server ---------------------------------------------------------------------------------


def test_a_bonus_server_that_was_restored_gets_what_it_lost(site):
    site.stage("a", "b", "c")
    site.flow.move_one(chunk_rows=2)
    copy = site.copy(site.server)
    site.flow.move()
    site.stage("d")
    site.flow.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()


def test_a_position_that_vanished_with_our_schema_is_refused_until_somebody_says(site):
    site.stage("a")
    site.flow.move()
    site.stage("b")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset where account='b'")
    assert_refuses_for_good(site, PositionLost)
    with pytest.raises(BatchUnknown):
        site.place(Place(batch=17))
    assert site.place(Place(batch=1), dry_run=True).sent == 1
    assert_refuses_for_good(site, PositionLost)
    site.place(Place(batch=1))
    site.assert_each_row_once()


def test_without_our_own_databases_memory_the_log_knows_that_there_was_a_position(site):
    site.stage("a")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade")
    with site.flow.doors() as (source, target), pytest.raises(PositionLost):
        move.prepare(BALANCES, source, target)


def test_from_the_start_everything_is_sent(site):
    site.stage("a", "b")
    site.flow.move()
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset")
    assert site.place(Place(start=True)).sent == 2
    site.assert_each_row_once()


def test_a_bonus_server_from_before_a_purge_is_refused_until_somebody_gives_the_rows_up(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.flow.move()
    assert site.purge() == (3, 3)
    site.stage("d")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, RowsPurged)
    with pytest.raises(RowsPurged) as refused:
        site.flow.move()
    assert str(refused.value).startswith("The bonus server was restored to batch 1, and up to 3 ")
    placed = site.place(Place(accept_purged=True))
    assert (placed.sent, placed.lost) == (1, 3)
    site.flow.move()
    assert site.held() == Counter(["a", "d"])
    site.stage("e")
    site.flow.move()
    assert site.held() == Counter(["a", "d", "e"])


def test_a_purge_that_took_the_positions_batch_too_does_not_look_like_another_history(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.flow.move()
    assert site.purge(days=0) == (3, 3)
    assert query(site.flow.shop_all, "select number from datatransfer.batch") == [(2,)]
    site.stage("d")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, RowsPurged)
    with pytest.raises(RowsPurged):
        site.rebase(Restored())
    assert site.place(Place(accept_purged=True)).lost == 3
    # Nobody can tell any more whether shop All went back, so an administrator has to say.
    assert_refuses_for_good(site, BatchForgotten)
    assert site.place(Place()).doubt is not None
    assert_refuses_for_good(site, BatchForgotten)
    assert site.place(Place(shop_all_is_whole=True)).doubt is None
    site.flow.move()
    assert site.held() == Counter(["a", "d"])
    site.stage("e")
    site.flow.move()
    assert site.held() == Counter(["a", "d", "e"])


def test_a_server_that_begins_anew_after_a_purge_hears_what_it_will_lack(site):
    copy = site.copy(site.server)
    site.stage("a", "b")
    site.flow.move()
    assert site.purge(days=0) == (2, 2)
    site.stage("c")
    site.restore(site.server, copy)
    assert_refuses_for_good(site, PositionLost)
    with pytest.raises(RowsPurged):
        site.place(Place(start=True))
    placed = site.place(Place(start=True, accept_purged=True))
    assert (placed.sent, placed.lost) == (1, 2)
    site.flow.move()
    assert site.held() == Counter(["c"])


def test_a_bonus_server_that_had_what_was_purged_goes_on(site):
    site.stage("a")
    site.flow.move()
    copy = site.copy(site.server)
    assert site.purge() == (1, 1)
    site.stage("b")
    site.flow.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()


def test_a_purge_forgets_no_batch_that_a_bonus_server_named_within_the_retention(site):
    """The second batch was the latest when the retention began."""
    for account in ("a", "b", "c"):
        site.stage(account)
        site.flow.move()
    query(
        site.flow.shop_all,
        "update datatransfer.batch set at = now() - interval '40 d' where number < 3",
    )
    with Staging(site.flow.shop_all, "purge") as staging, staging.transaction():
        staging._forget_batches(BALANCES, [site.flow.position()], 30)
    left = query(site.flow.shop_all, "select number from datatransfer.batch order by 1")
    assert left == [(2,), (3,)]


# --- Again ----------------------------------------------------------------------------------------


@pytest.fixture
def rebased_once(site):
    """A copy of shop All is restored for the PIN codes' sake, and the balance changes that wait in
    it are moved only afterwards; then the same copy is restored once more.
    """
    pins = Flow("pincodes", site.flow.shop_all, site.flow.bonus)
    site.stage("a")
    site.flow.move()
    site.stage("waits")
    copy = site.copy(site.shop)
    pins.stage(("a", "1"))
    pins.move()
    site.restore(site.shop, copy)
    with pytest.raises(HistoryChanged):
        pins.move()
    site.rebase(Restored())
    site.flow.stage(("bad", 0))
    site.assert_each_row_once()
    site.restore(site.shop, copy)
    return site


def test_a_copy_from_before_a_rebase_is_refused_though_its_log_fits_the_old_position(rebased_once):
    assert_refuses_for_good(rebased_once, PositionOvertaken)
    with pytest.raises(RowsDoubtful) as refused:
        rebased_once.rebase(Restored())
    assert refused.value.params["rows"] == "1"


def test_what_waits_in_such_a_copy_was_moved_if_somebody_says_so(rebased_once):
    _, report = rebased_once.rebase(Restored(), doubtful_moved=True)
    assert (report.kind, report.moved, report.waiting, report.vanished) == ("balances", 2, 0, 1)
    rebased_once.flow.stage(("bad-too", 0))
    rebased_once.stage("later")
    rebased_once.assert_each_row_once()
    assert [one.number for one in rebased_once.flow.rejects()] == [1, 2]


def test_what_waits_in_such_a_copy_is_sent_if_somebody_says_so(rebased_once):
    query(rebased_once.flow.bonus, "delete from asset where account = 'waits'")
    _, report = rebased_once.rebase(Restored(), doubtful_moved=False)
    assert (report.kind, report.moved, report.waiting, report.vanished) == ("balances", 1, 1, 2)
    rebased_once.assert_each_row_once()


# --- A rebase that was killed between its batch and its commit ------------------------------------


@pytest.fixture
def dies(monkeypatch):
    """A rebase that dies where the bonus server has its new position, and shop All nothing yet."""

    def dies(rebase):
        def die(target):
            raise KeyboardInterrupt

        monkeypatch.setattr(BonusDatabase, "commit", die)
        with pytest.raises(KeyboardInterrupt):
            rebase()
        monkeypatch.undo()

    return dies


def test_the_batch_of_a_rebase_that_died_says_nothing(site, dies):
    """It tells rows by numbers that they never got: it would take one that waits for moved."""
    site.stage("a")
    copy = site.copy(site.shop)
    site.flow.move()
    site.restore(site.shop, copy)
    site.stage("after")
    dies(lambda: site.rebase(Restored(site.now()), doubtful_moved=True))
    query(site.flow.bonus, "drop schema datatransfer cascade; delete from asset")
    for number in (1, 2):
        with pytest.raises(BatchUnknown) as refused:
            site.place(Place(batch=number))
        assert refused.value.params["known"] == "–"


def test_the_batch_of_a_rebase_that_died_hides_no_prepared_transaction(site, dies):
    site.stage("a")
    with connected(site.flow.shop_all) as writer:
        run(writer, "begin")
        insert(writer, "balances", [("prepared", 1)])
        run(writer, "prepare transaction 'twice'")
    copy = site.copy(site.shop)
    query(site.flow.shop_all, "rollback prepared 'twice'")
    site.flow.move()
    site.restore(site.shop, copy)
    query(site.flow.shop_all, "commit prepared 'twice'")
    dies(lambda: site.rebase(Restored(site.now()), doubtful_moved=True))
    with pytest.raises(RowsPrepared):
        site.rebase(Restored(site.now()))
