"""What the trace says of a kind of rows that its own code does not name."""

from dataclasses import replace

import pytest

from tests.databases import query
from tests.trace.moving import ACCOUNT, CARD
from transfer import installed
from transfer.engine.kind import text
from transfer.engine.kinds import KINDS, PINCODES
from transfer.engine.mapping_file import Tables
from transfer.engine.table_mapping import TableMapping
from transfer.models import BonusServer
from transfer.pages.shown.held import holding, holdings
from transfer.servers.ask import bonus_db
from transfer.trace.compared import compared
from transfer.trace.holding import Holding, holding_of
from transfer.trace.servers import Answer

pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture(autouse=True)
def vouchers(monkeypatch):
    kind = replace(
        PINCODES,
        name="vouchers",
        title="Vouchers",
        columns=(text("account"), text("voucher")),
        bonus_server=TableMapping("voucher"),
    )
    kinds = {**KINDS, kind.name: kind}
    monkeypatch.setattr(installed, "_read", lambda _path: Tables(kinds, kinds))
    monkeypatch.setattr(installed, "_kinds", lambda _path: kinds)


def test_what_a_server_holds_of_it_is_read_and_shown(server, bonus):
    query(
        bonus,
        "create table voucher (account text, voucher text, changed_at timestamptz default now()); "
        f"insert into voucher values ('{ACCOUNT}', 'SPRING')",
    )
    held = held_by(server, ACCOUNT, "account")
    facts = dict(holding(Answer(server, holding=held), "account").facts)
    assert facts["Vouchers"].startswith("SPRING, set today")
    held = held_by(server, "4100000099", "account")
    assert dict(holding(Answer(server, holding=held), "account").facts)["Vouchers"] == "not set"
    assert held_by(server, CARD, "card").others == {}


def test_a_table_of_it_that_is_missing_hides_nothing_else(server):
    held = held_by(server, ACCOUNT, "account")
    assert list(held.unread) == ["vouchers"]
    assert "Balance now" in dict(holding(Answer(server, holding=held), "account").facts)


def held_by(server, subject, column):
    with bonus_db(server, 5, secret=True) as target, target.database.snapshot():
        return holding_of(server, target, subject, column)


def test_servers_that_hold_another_value_of_it_differ():
    values = ["SPRING", "SPRING", "AUTUMN"]
    answers = [
        Answer(BonusServer(pk=number), holding=Holding(others={"vouchers": [(value, None)]}))
        for number, value in enumerate(values)
    ]
    shown = holdings(compared(answers, [None] * 3), "account")
    assert [(one.server.pk, one.differs) for one in shown] == [(2, "Vouchers"), (0, ""), (1, "")]
