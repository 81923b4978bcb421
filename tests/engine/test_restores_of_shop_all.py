"""Shop All goes back in time, loses its log, is replaced: every row that it has arrives once."""

from collections import Counter

import pytest

from tests.causes import raises
from tests.chaos.instance import as_postgres
from tests.databases import connected, insert, query, run
from tests.engine.operations import load
from tests.engine.site import assert_asks_and_goes_on, assert_refuses_for_good, burn
from transfer.causes.connections import STANDBY_AS_SOURCE
from transfer.causes.ledger import SHOP_ALL_WENT_BACK

pytestmark = pytest.mark.long

TABLES = (
    *(
        f"datatransfer.{name}"
        for name in ("log", "head", "load", "dependent", "origin", "installation")
    ),
    '"changeAccountBalanceTemp"',
)


def test_every_row_that_shop_all_has_arrives_once_at_each_server_and_vanished_ones_stay(site):
    site.stage("both")
    site.flow.move()
    site.other.move()
    copy = site.copy(site.shop)
    site.flow.stage(("lost-of-both", 1), ("lost-of-both", 1))
    site.flow.move()
    site.other.move()
    site.flow.stage(("lost-of-one", 1))
    site.flow.move()
    site.restore(site.shop, copy)
    site.stage("after", "after-too")
    lost = [
        assert_refuses_for_good(site, SHOP_ALL_WENT_BACK, flow).changesets
        for flow in (site.flow, site.other)
    ]
    assert [len(names) for names in lost] == [2, 1]
    assert set(lost[1]) < set(lost[0])
    site.confirm()
    site.flow.move(chunk_rows=1)
    site.other.move()
    lost_of_both = {"lost-of-both": 2}
    assert site.held() == site.staged + Counter({**lost_of_both, "lost-of-one": 1})
    assert site.held(site.other) == site.staged + Counter(lost_of_both)
    assert site.flow.move().totals.read == site.other.move().totals.read == 0


def test_a_transaction_id_that_is_given_out_again_names_another_row(site):
    site.stage("a")
    site.move()
    copy = site.copy(site.shop)
    site.stage("vanishes")
    before = xid_of(site, "vanishes")
    site.move()
    site.restore(site.shop, copy)
    site.stage("after")
    burn(site.flow.shop_all, max(0, before - xid_of(site, "after") - 1))
    site.stage("more", "and-more")
    assert before in (xid_of(site, "after"), xid_of(site, "more"))
    assert_asks_and_goes_on(site)


def xid_of(site, account):
    ((xid,),) = query(
        site.flow.shop_all,
        'select xid::text::bigint from "changeAccountBalanceTemp" where account = %s',
        [account],
    )
    return xid


def test_a_number_that_is_given_out_again_after_a_crash_loses_nothing(site):
    site.stage("first")
    site.move()
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
        ((number,),) = run(writer, "select pg_current_xact_id()::text::bigint")
        writer.rollback()
    site.move()
    site.shop.crash()
    site.shop.start()
    site.stage(account)
    return xid_of(site, account) == number


def test_what_a_server_has_received_outlives_the_crash_of_a_careless_database(site):
    """Whatever the settings of its writers: an append flushes all commits before it."""
    query(site.flow.shop_all, "alter database shop_all set synchronous_commit = off")
    for number in range(3):
        site.stage(f"row-{number}")
        site.move()
        site.shop.crash()
        site.shop.start()
    site.assert_each_row_once()
    site.flow.stage(("was never read", 1))
    site.shop.crash()
    site.shop.start()
    site.assert_each_row_once()


def test_loaded_rows_outlive_a_crash_where_commits_are_not_flushed(site):
    """The server writes its log by itself only every ten seconds."""
    for setting in ("synchronous_commit = off", "wal_writer_delay = '10 s'"):
        query(site.flow.shop_all, f"alter system set {setting}")
    query(site.flow.shop_all, "select pg_reload_conf()")
    load(site.flow, ("loaded", 1))
    site.shop.crash()
    site.shop.start()
    site.staged.update(["loaded"])
    site.assert_each_row_once()


def test_where_the_write_ahead_log_was_thrown_away_it_is_asked(site):
    """By pg_resetwal: what no checkpoint had written is lost."""
    site.stage("before")
    site.move()
    query(site.flow.shop_all, "checkpoint")
    burn(site.flow.shop_all, 40)
    site.stage("a")
    site.move()
    site.shop.crash()
    as_postgres("pg_resetwal", "-f", "-D", site.shop.data)
    site.shop.start()
    site.stage("later")
    assert_asks_and_goes_on(site)


def test_a_replica_is_no_source_until_it_takes_over_and_then_needs_no_question(site):
    site.stage("a")
    site.move()
    site.stage("b")
    copy = site.copy(site.shop)
    site.move()
    site.shop.restore(copy)
    site.shop.become_standby()
    site.shop.start()
    with raises(STANDBY_AS_SOURCE):
        site.move()
    site.shop.promote()
    site.stage("c")
    site.assert_each_row_once()


CARE = (
    *("vacuum (freeze) {}", "vacuum (full, freeze) {}"),
    *("alter table {} set tablespace pg_default", "reindex table {}", "analyze {}"),
)


def test_postgresqls_own_care_changes_nothing(site):
    site.stage("a")
    site.move()
    site.stage("waits")
    for care in CARE:
        for table in TABLES:
            query(site.flow.shop_all, care.format(table))
    query(site.flow.shop_all, "checkpoint")
    site.stage("b")
    site.assert_each_row_once()


def test_a_rewrite_of_all_rows_changes_nothing(site):
    """As pg_repack does it, or a dump of the data alone into the same tables."""
    site.stage("a")
    site.move()
    site.stage("waits")
    query(site.flow.shop_all, 'create table kept as table "changeAccountBalanceTemp"')
    query(site.flow.shop_all, 'alter table "changeAccountBalanceTemp" disable trigger user')
    query(site.flow.shop_all, 'truncate "changeAccountBalanceTemp"')
    query(
        site.flow.shop_all,
        'insert into "changeAccountBalanceTemp" overriding system value table kept',
    )
    query(site.flow.shop_all, "update datatransfer.log set kind = kind")
    query(site.flow.shop_all, "update datatransfer.head set kind = kind")
    for trigger in ("1_insert", "1_update", "2_update"):
        query(
            site.flow.shop_all,
            'alter table "changeAccountBalanceTemp" '
            f"enable always trigger zz_datatransfer_{trigger}",
        )
    site.stage("later")
    site.assert_each_row_once()
