"""A file of DTADMIN_TABLES that names another staging table, other columns or units than before."""

import pytest
from django.conf import settings

from tests.databases import initialise_shop_all, query
from tests.flow import purge
from tests.vendor import TABLES, mapped
from transfer.engine.errors import PositionLost, StagingTableChanged
from transfer.engine.restore.requested_position import Request
from transfer.engine.restore.set_position import set_position
from transfer.engine.shop_all import batch_log as batches
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.identity import Identity


def initialised_all_the_same(shop_all, monkeypatch):
    """As an earlier version would have made the table."""
    with monkeypatch.context() as patch:
        patch.setattr(Identity, "check_table", lambda *_: None)
        initialise_shop_all(shop_all)


def test_another_staging_table_is_refused_until_the_file_names_the_one_of_before(
    vendor, tmp_path, monkeypatch
):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    position = flow.position()
    others = TABLES.replace('"balanceChanges"', '"others"').replace("source = 7", "")
    with mapped(tmp_path / "other.toml", changed=lambda _: others):
        with pytest.raises(StagingTableChanged, match=r"come from others, .* from balanceChanges"):
            initialise_shop_all(flow.shop_all)
        assert query(flow.shop_all, "select to_regclass('others')") == [(None,)]
        initialised_all_the_same(flow.shop_all, monkeypatch)
        flow.stage(("4200", 2))
        with pytest.raises(StagingTableChanged):
            flow.move()
        with pytest.raises(StagingTableChanged):
            purge(flow.shop_all, "balances", [position], 0)
        query(flow.bonus, "delete from datatransfer.position")  # as of a server docked just now
        flow.reader = None
        with pytest.raises(StagingTableChanged):
            flow.move()
        with flow.open() as (source, target), pytest.raises(StagingTableChanged):
            set_position(settings.KINDS["balances"], source, target, Request(start=True), Readers())
    with flow.open() as (_, target):
        target.positions.begin(position)
        target.database.commit()
    flow.reader = position.reader
    flow.stage(("4300", 3))
    flow.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (300,)]


def test_where_shop_all_began_anew_another_table_is_sent_from_its_first_row(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    others = TABLES.replace('"balanceChanges"', '"others"').replace("source = 7", "")
    with mapped(tmp_path / "other.toml", changed=lambda _: others):
        query(flow.shop_all, "drop schema datatransfer cascade")
        initialise_shop_all(flow.shop_all)
        flow.stage(("4200", 2))
        with pytest.raises(PositionLost):
            flow.move()
        with flow.open() as (source, target):
            outcome = set_position(
                settings.KINDS["balances"], source, target, Request(start=True), Readers()
            )
        assert outcome.sent == 1
        flow.reader = outcome.position.reader
        flow.move()
        assert flow.move().totals.read == 0
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,)]


def test_our_own_table_of_before_is_known_though_no_batch_names_it(flow, tmp_path, monkeypatch):
    mine = flow("balances")
    monkeypatch.setattr(batches, "ADD", batches.ADD.replace("%(staging)s", "null"))
    mine.stage(("4100", 1))
    mine.move()
    mine.stage(("4100", 2))
    mine.move()
    others = '[balances.shop_all]\ntable = "others"'
    with mapped(tmp_path / "tables.toml", changed=lambda _: others):
        with pytest.raises(StagingTableChanged, match="changeAccountBalanceTemp"):
            initialise_shop_all(mine.shop_all)
        initialised_all_the_same(mine.shop_all, monkeypatch)
        with pytest.raises(StagingTableChanged, match="changeAccountBalanceTemp"):
            mine.move()


def test_other_columns_and_units_between_two_runs_move_no_row_twice(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1), ("4200", 2), ("4300", 3))
    flow.move_one(chunk_rows=2)
    query(flow.shop_all, 'alter table "balanceChanges" rename sum to kopecks')
    query(flow.bonus, "alter table asset rename note to remark")

    def renamed(text):
        return text.replace('amount = "sum"', 'amount = "kopecks"').replace('"note"', '"remark"')

    with mapped(tmp_path / "renamed.toml", changed=renamed):
        flow.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,), (300,)]
