"""Our schema on a bonus server, where an administrator of the vendor has to make it."""

import threading

import pytest

from tests.databases import connected, query, run
from tests.flow import Flow
from tests.waiting import wait_until
from transfer.causes.tables import NO_RIGHT_FOR_SCHEMA, RIGHTS_MISSING
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.errors import TransferError

OF_VENDOR = """
    drop role if exists mover;
    create role mover login;
    grant select, insert, update, delete on all tables in schema public to mover;
    grant usage on all sequences in schema public to mover;
    grant temporary on database {database} to mover;
"""

WAITING_FOR_THE_OTHER = """
    select pid from pg_locks join pg_stat_activity using (pid)
     where locktype = 'transactionid' and not granted and datname = current_database()
"""
ADVISORY = """
    select pid from pg_locks join pg_database on pg_database.oid = database
     where locktype = 'advisory' and datname = current_database()
"""


@pytest.fixture
def mover(bonus):
    """The DSN for a role that may use the vendor's tables and create no schema."""
    database = query(bonus, "select quote_ident(current_database())")[0][0]
    query(bonus, OF_VENDOR.format(database=database))
    yield f"{bonus} user=mover"
    query(bonus, "drop owned by mover cascade; drop role mover")


def refusal(dsn: str) -> TransferError:
    with (
        BonusDatabase(dsn, "bonus server", "tests", secret=False) as target,
        pytest.raises(TransferError) as refused,
    ):
        target.ensure_schema()
    return refused.value


def test_the_sql_of_the_refusal_is_all_that_a_transfer_needs(shop_all, bonus, mover):
    error = refusal(mover)
    assert error.cause is NO_RIGHT_FOR_SCHEMA
    query(bonus, error.params["statements"])
    flow = Flow("balances", shop_all, mover)
    flow.stage(("4100", 5), ("4200", 0))
    moved = flow.move()
    assert (moved.totals.applied, moved.codes) == (1, ["amount_zero"])


def test_rights_that_lack_on_our_tables_are_named_with_the_sql(shop_all, bonus, mover):
    with BonusDatabase(bonus, "bonus server", "tests", secret=False) as target:
        target.ensure_schema()
        target.database.commit()
    error = refusal(mover)
    assert error.cause is RIGHTS_MISSING
    assert "USAGE on datatransfer" in error.params["missing"]
    assert "DELETE on datatransfer.receipt" in error.params["missing"]
    query(bonus, error.params["statements"])
    flow = Flow("balances", shop_all, mover)
    flow.stage(("4100", 5))
    assert flow.move().totals.applied == 1
    query(bonus, "revoke update on datatransfer.seen from mover")
    assert refusal(mover).params["missing"] == "UPDATE on datatransfer.seen"


def test_of_two_first_runs_at_once_the_second_finds_the_tables_of_the_first(bonus):
    """A role that may only connect can hold any advisory lock: so neither of them takes one."""
    refused = []

    def second_run():
        try:
            with BonusDatabase(bonus, "bonus server", "tests", secret=False) as target:
                target.ensure_schema()
                target.database.commit()
        except TransferError as error:
            refused.append(error)

    with (
        BonusDatabase(bonus, "bonus server", "tests", secret=False) as first,
        connected(bonus) as watching,
    ):
        first.ensure_schema()
        second = threading.Thread(target=second_run)
        second.start()
        wait_until(lambda: run(watching, WAITING_FOR_THE_OTHER))
        assert not run(watching, ADVISORY)
        first.database.commit()
        second.join()
        assert not refused
        assert first.has_schema()
