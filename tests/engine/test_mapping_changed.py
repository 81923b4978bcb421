"""A file of DTADMIN_TABLES that names another staging table, other columns or units than before."""

from tests.causes import raises
from tests.databases import initialise_shop_all, query
from tests.engine.keeping_small import purge
from tests.engine.operations import load, undo
from tests.flow import Flow, known_of
from tests.vendor import TABLES, mapped
from transfer.causes.ledger import BEGINNING_UNDECIDED
from transfer.causes.tables import STAGING_TABLE_CHANGED

OTHERS = TABLES.replace('"balanceChanges"', '"others"').replace("source = 7", "")


def make_the_other_table(flow):
    """The staging table of now, beside a log that was written for another one."""
    ((before,),) = query(
        flow.shop_all, "select staging from datatransfer.head where kind = 'balances'"
    )
    name = "update datatransfer.head set staging = %s where kind = 'balances'"
    query(flow.shop_all, name, ["others"])
    initialise_shop_all(flow.shop_all)
    query(flow.shop_all, name, [before])


def test_another_staging_table_is_refused_until_the_file_names_the_one_of_before(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    loaded = load(flow, ("4200", 2))
    flow.move()
    new = Flow("balances", flow.shop_all, flow.bonus, answer=None)
    with mapped(tmp_path / "other.toml", changed=lambda _: OTHERS):
        with raises(STAGING_TABLE_CHANGED, match=r"come from others, .* from balanceChanges"):
            initialise_shop_all(flow.shop_all)
        assert query(flow.shop_all, "select to_regclass('others')") == [(None,)]
        make_the_other_table(flow)
        flow.stage(("4300", 3))
        for dry_run in (False, True):
            with raises(STAGING_TABLE_CHANGED):
                flow.move(dry_run=dry_run)
        with raises(STAGING_TABLE_CHANGED):
            purge(flow, known_of(flow), days=0)
        with raises(STAGING_TABLE_CHANGED):
            load(flow, ("4400", 4))
        with raises(STAGING_TABLE_CHANGED):
            undo(flow, loaded)
        query(flow.bonus, "delete from datatransfer.position")  # as of a server docked just now
        with raises(STAGING_TABLE_CHANGED):
            new.move()
    flow.stage(("4500", 5))
    with raises(BEGINNING_UNDECIDED):
        new.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,)]


def test_where_shop_all_began_anew_another_table_is_sent_from_its_first_row(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1))
    flow.move()
    with mapped(tmp_path / "other.toml", changed=lambda _: OTHERS):
        query(flow.shop_all, "drop schema datatransfer cascade")
        initialise_shop_all(flow.shop_all)
        flow.stage(("4200", 2))
        with raises(BEGINNING_UNDECIDED):
            Flow("balances", flow.shop_all, flow.bonus, answer=None).move()
        assert flow.move().totals.read == 1
        assert flow.move().totals.read == 0
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,)]


def test_other_columns_and_units_between_two_runs_move_no_row_twice(vendor, tmp_path):
    flow = vendor("balances")
    flow.stage(("4100", 1), ("4200", 2), ("4300", 3))
    flow.move_one(chunk_rows=2)
    query(flow.shop_all, 'alter table "balanceChanges" rename sum to kopecks')
    query(flow.bonus, "alter table asset rename note to remark")

    def renamed(text):
        return text.replace('amount = "sum"', 'amount = "kopecks"').replace('"note"', '"remark"')

    with mapped(tmp_path / "renamed.toml", changed=renamed):
        initialise_shop_all(flow.shop_all)  # a trigger names the column
        flow.move()
    assert query(flow.bonus, "select amount from asset order by id") == [(100,), (200,), (300,)]
