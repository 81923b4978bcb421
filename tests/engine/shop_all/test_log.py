"""An append of many lines stays fast, also with stale statistics."""

from tests.databases import connected, query, run
from tests.flow import Flow
from tests.waiting import wait_until

TRANSACTIONS = 300
# What an analysis that runs beside the first large append finds: pages, and no visible row.
AS_FOUND_BESIDE_AN_APPEND = """
    update pg_class set reltuples = 0, relpages = pg_relation_size(oid) / 8192
     where oid = 'datatransfer.log'::regclass
"""
LOOK_UPS = """
    select coalesce(sum(idx_scan), 0) from pg_stat_user_indexes
     where schemaname = 'datatransfer' and indexrelname = 'log_kind_xid_started_key'
"""
LINES = "select count(*) from datatransfer.log where kind = 'balances'"


def stage_one_by_one(dsn):
    with connected(dsn) as session:
        for number in range(TRANSACTIONS):
            stage = 'insert into "changeAccountBalanceTemp" (account, amount) values (%s, 1)'
            run(session, stage, [f"{number}"])


def append(balances):
    with balances.open() as (source, _):
        source.log_writer.append_all(balances.spec)


def test_each_changeset_is_looked_up_by_the_index_also_where_the_log_is_called_empty(
    shop_all, bonus
):
    """With 100,000 lines, to compare each with each took more than the 300 s of a statement."""
    balances = Flow("balances", shop_all, bonus)
    stage_one_by_one(shop_all)
    append(balances)
    query(shop_all, AS_FOUND_BESIDE_AN_APPEND)
    stage_one_by_one(shop_all)
    before = int(query(shop_all, LOOK_UPS)[0][0])
    append(balances)
    assert query(shop_all, LINES) == [(2 * TRANSACTIONS,)]
    wait_until(lambda: int(query(shop_all, LOOK_UPS)[0][0]) >= before + TRANSACTIONS, seconds=20)
