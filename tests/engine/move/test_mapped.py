"""Dependent rows between tables of another: other names, amounts in hundredths, fixed values."""

from dataclasses import dataclass, replace

import pytest

from tests.databases import WORKER, query
from tests.engine.operations import changed, correct, load, opened, send_changes, undo
from tests.flow import Flow
from tests.vendor import BONUS, SHOP_ALL as SHOP_ALL_TABLES
from transfer.engine.kinds import BALANCES
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.identity import Identity
from transfer.engine.shop_all.schema.initialise import Staging
from transfer.engine.table_mapping import TableMapping
from transfer.parties import SHOP_ALL

MAPPED = replace(
    BALANCES,
    shop_all=TableMapping(
        "balanceChanges",
        {"account": "accountNumber", "amount": "sum"},
        is_minor=True,
        fixed={"source": 7},
    ),
    bonus_server=TableMapping(
        "asset",
        {
            "account": "accountNumber",
            "validfrom": "begin",
            "validto": None,
            "comment": "note",
            "created_at": "date",
        },
        is_minor=True,
        fixed={"assetGroupId": 1, "status": "ACTIVE", "isOpen": True},
    ),
)


@dataclass
class MappedFlow(Flow):
    @property
    def spec(self):
        return MAPPED


@pytest.fixture
def flow(postgres):
    names = [f"test_mapped_{one}_{WORKER}" for one in ("shop", "bonus")]
    shop_all, bonus = map(postgres.create, names)
    query(shop_all, SHOP_ALL_TABLES)
    query(bonus, BONUS)
    with Database(shop_all, SHOP_ALL, "tests", secret=False) as database:
        Staging(database, [MAPPED], Identity(database), existing_moved=False).initialise()
    yield MappedFlow("balances", shop_all, bonus)
    for name in names:
        postgres.drop(name)


def held(flow):
    return dict(
        query(
            flow.bonus,
            'select "accountNumber", sum(amount)::bigint from asset group by 1'
            " having sum(amount) <> 0",
        )
    )


def test_corrections_changes_and_undos_count_in_hundredths(flow):
    query(flow.bonus, """alter table asset add check ("accountNumber" <> 'b')""")
    name = load(flow, ("a", "10.50"), ("b", 2))
    flow.move()
    assert held(flow) == {"a": 1050}
    assert opened(flow) == [(name, 2)]
    correct(flow, ((name, 2), {"account": "c"}))
    flow.move()
    assert held(flow) == {"a": 1050, "c": 200}
    query(flow.shop_all, 'update "balanceChanges" set sum = 1275 where line = 1 and sum = 1050')
    (row,) = changed(flow)
    assert (row.payload["amount"], float(row.before)) == ("12.75", 10.5)
    send_changes(flow, [row])
    flow.move()
    assert held(flow) == {"a": 1275, "c": 200}
    undo(flow, name)
    flow.move()
    assert held(flow) == {}
    staged = query(flow.shop_all, 'select sum, source from "balanceChanges" order by id')
    assert staged[-2:] == [(-1050, 7), (-200, 7)]
    totals = flow.position().totals
    assert query(
        flow.shop_all,
        "select rows_to, amount_to from datatransfer.log order by number desc limit 1",
    ) == [(totals.read, totals.amount_applied + totals.amount_rejected)]
