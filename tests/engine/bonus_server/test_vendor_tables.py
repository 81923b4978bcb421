"""Whether a vendor's table is empty: said only where it is certain."""

import pytest

from tests.databases import connected, query
from transfer.engine.bonus_server.database import BonusDatabase, is_same_database
from transfer.engine.kinds import BALANCES


@pytest.fixture
def reader(bonus):
    """The DSN for a role that may read no table of the vendor."""
    query(bonus, "drop role if exists reader; create role reader login")
    yield f"{bonus} user=reader"
    query(bonus, "drop owned by reader cascade; drop role reader")


def is_empty(dsn):
    with BonusDatabase(dsn, "bonus server", "tests", secret=False) as target:
        return target.tables.is_empty(BALANCES)


def test_a_table_without_rows_is_empty(bonus):
    assert is_empty(bonus)


def test_a_table_with_a_row_is_not_empty(bonus):
    query(bonus, "insert into asset (account, amount) values ('1', 1)")
    assert not is_empty(bonus)


def test_a_table_that_we_may_not_read_is_not_called_empty(bonus, reader):
    assert not is_empty(reader)
    query(bonus, "grant select on asset to reader")
    assert is_empty(reader)


def test_a_table_whose_rows_a_policy_may_hide_is_not_called_empty(bonus, reader):
    query(bonus, "grant select on asset to reader; alter table asset enable row level security")
    assert not is_empty(reader)


def test_a_table_that_somebody_is_writing_to_is_not_called_empty(bonus):
    """The vendor is filling it, and has not committed."""
    with connected(bonus) as filling, filling.cursor() as cursor:
        cursor.execute("begin; insert into asset (account, amount) values ('1', 1)")
        assert not is_empty(bonus)
        cursor.execute("rollback")
    assert is_empty(bonus)


def are_same(first, second):
    with (
        BonusDatabase(first, "one", "tests", secret=False) as one,
        BonusDatabase(second, "other", "tests", secret=False) as other,
    ):
        return is_same_database(one.database, other.database)


def test_one_database_is_recognised_by_two_addresses(bonus, second_bonus):
    assert are_same(bonus, f"{bonus} application_name=another")
    assert not are_same(bonus, second_bonus)
