"""A look: a transfer that finds no row to move.

Most transfers are one, so it asks little. What it leaves out is asked before any row moves.
"""

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import accounts
from transfer.causes.ledger import POSITION_INVALID, ROWS_SWALLOWED
from transfer.causes.tables import (
    NOT_INITIALISED,
    STAGING_TABLE_CHANGED,
    STAGING_TABLE_FOREIGN,
    TABLE_UNLOGGED,
    TARGET_TABLE_MISSING,
    WRONG_COLUMNS,
)
from transfer.engine.move.transfer import transfer
from transfer.engine.postgres.connection import Cursor

STATEMENTS = 14
STAGED = '"changeAccountBalanceTemp"'


@pytest.fixture
def balances(flow):
    moving = flow("balances")
    moving.stage(("1", 1))
    moving.move()
    return moving


def test_a_look_takes_few_statements(balances):
    sent = []

    class Noting(Cursor):
        def execute(self, statement, *arguments, **options):
            sent.append(statement)
            super().execute(statement, *arguments, **options)

    def look(source, target):
        position = balances.prepare(source, target)
        moved = transfer(balances.spec, source, target, position.origin, balances.knowledge)
        assert [*moved] == []

    with balances.open() as (source, target):
        look(source, target)  # opens the connections, and finds the tables
        for database in (source.database, target.database):
            database.connection.cursor_factory = Noting
        look(source, target)
    assert len(sent) <= STATEMENTS, sent


# What somebody does between two looks; what undoes it; how the transfer refuses.
ON_THE_BONUS_SERVER = {
    "alter table asset drop created_at": (
        "alter table asset add created_at timestamptz",
        WRONG_COLUMNS,
    ),
    "alter table asset rename to kept": ("alter table kept rename to asset", TARGET_TABLE_MISSING),
    "alter table asset set unlogged": ("alter table asset set logged", TABLE_UNLOGGED),
    "create rule no as on insert to asset do instead nothing": (
        "drop rule no on asset",
        ROWS_SWALLOWED,
    ),
}
IN_SHOP_ALL = {
    f"alter table {STAGED} disable trigger zz_datatransfer_1_insert": (
        f"alter table {STAGED} enable always trigger zz_datatransfer_1_insert",
        NOT_INITIALISED,
    ),
    f"alter table {STAGED} alter line set default 7, disable trigger zz_datatransfer_1_insert": (
        f"alter table {STAGED} alter line drop default, "
        "enable always trigger zz_datatransfer_1_insert",
        WRONG_COLUMNS,
    ),
}


@pytest.mark.parametrize(
    ("side", "harm", "mending", "refusal"),
    [("bonus", harm, *rest) for harm, rest in ON_THE_BONUS_SERVER.items()]
    + [("shop_all", harm, *rest) for harm, rest in IN_SHOP_ALL.items()],
)
def test_what_a_look_leaves_out_is_asked_before_a_row_moves(balances, side, harm, mending, refusal):
    before = balances.position()
    query(getattr(balances, side), harm)
    assert balances.move() == []
    balances.stage(("2", 1))
    for dry_run in (True, False):
        with raises(refusal):
            balances.move(dry_run=dry_run)
        assert balances.position() == before
    query(getattr(balances, side), mending)
    balances.move()
    assert accounts(balances) == ["1", "2"]


# Changes after which rows would not be found: a look refuses each of them, even if no row waits.
RELIED_ON = [
    ("bonus", "alter table datatransfer.position rename to kept; "
     "create view datatransfer.position as select * from datatransfer.kept", POSITION_INVALID),
    ("shop_all", f"alter table {STAGED} alter xid drop not null", WRONG_COLUMNS),
    ("shop_all", f"alter table {STAGED} drop started cascade", NOT_INITIALISED),
    ("shop_all", f"alter table {STAGED} rename to kept; "
     f"create view {STAGED} as select * from kept", STAGING_TABLE_FOREIGN),
    ("shop_all", f"alter table {STAGED} set unlogged", TABLE_UNLOGGED),
    ("shop_all", "update datatransfer.head set staging = 'other'", STAGING_TABLE_CHANGED),
]  # fmt: skip


@pytest.mark.parametrize(("side", "harm", "refusal"), RELIED_ON)
def test_what_a_look_relies_on_is_asked_in_each_of_them(balances, side, harm, refusal):
    query(getattr(balances, side), harm)
    with raises(refusal):
        balances.move()


def test_a_changeset_that_was_read_in_part_is_no_reason_to_find_nothing(flow):
    """The position is at the end of the log, and only the exception says that rows are missing."""
    moving = flow("balances")
    moving.stage(("1", 1), ("2", 1), ("3", 1))
    moving.move_one(chunk_rows=2)
    assert len(accounts(moving)) == 2
    moving.move()
    assert accounts(moving) == ["1", "2", "3"]
    assert moving.move() == []
