"""Before the first row: what a bonus server has received is never assumed."""

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import accounts
from tests.flow import INSTALLATION, Flow
from transfer.causes.ledger import BEGINNING_UNDECIDED, COPY_OF
from transfer.engine.knowledge import Knowledge

SERVER = "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def balances(shop_all, bonus):
    return Flow("balances", shop_all, bonus, answer=None)


def test_where_no_row_is_staged_a_server_with_rows_begins_without_a_question(balances):
    query(balances.bonus, "insert into asset (account, amount) values ('before', 1)")
    balances.move()
    balances.stage(("1", 1))
    balances.move()
    assert accounts(balances) == ["1", "before"]


def test_staged_rows_are_not_sent_before_somebody_decides(balances):
    query(balances.bonus, "insert into asset (account, amount) values ('1', 1)")
    balances.stage(("1", 1), ("2", 1))
    for dry_run in (True, False):
        with raises(BEGINNING_UNDECIDED) as refused:
            balances.move(dry_run=dry_run)
    assert refused.value.params == {
        "database": "bonus server",
        "kind": "balances",
        "table": '"asset"',
        "rows": "2",
        "held": "1",
    }
    assert accounts(balances) == ["1"]
    assert balances.position() is None


def test_where_all_rows_were_deleted_it_is_asked_all_the_same(balances):
    """They are in the log, so the server may have received them."""
    balances.stage(("1", 1))
    with balances.open() as (source, _):
        source.log_writer.append_all(balances.spec)
    query(balances.shop_all, 'delete from "changeAccountBalanceTemp"')
    with raises(BEGINNING_UNDECIDED):
        balances.move()


def test_a_position_that_begins_by_itself_has_the_name_of_its_server(balances):
    balances.knowledge = Knowledge(INSTALLATION, {}, {}, server=SERVER)
    balances.prepare_alone()
    assert balances.position().server == SERVER
    balances.knowledge = Knowledge(INSTALLATION, {}, {SERVER: "Bonus server 8"})
    with raises(COPY_OF):
        balances.move()
