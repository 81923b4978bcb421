"""A row rejected before a rebase is the same row after it: sent once, and closed everywhere."""

import pytest

from tests.databases import query, stage
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.restore.renumber_after_restore import renumber_after_restore
from transfer.engine.shop_all.source import ShopAll
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.rejects.resend import resend
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = "alter table asset add constraint small check (amount < 100)"


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """Both refuse large amounts; only the first has met the one that is staged."""
    for dsn in (bonus, second_bonus):
        query(dsn, SMALL)
    servers = [dock(bonus), dock(second_bonus, "Бонусный сервер 9")]
    move(*servers)
    stage(shop_all, "balances", [("4100", 100), ("4200", 7)])
    move(servers[0])
    rebase(shop_all, bonus, second_bonus)
    return servers


def rebase(shop_all, *bonus_servers):
    """As after a restored dump."""
    query(shop_all, "update datatransfer.origin set xid = xid")
    with (
        ShopAll(shop_all, "rebase") as source,
        BonusDatabase(bonus_servers[0], "first", "rebase") as first,
        BonusDatabase(bonus_servers[1], "second", "rebase") as second,
    ):
        assert renumber_after_restore(source, [first, second], KINDS.values())


def move(*servers):
    for server in servers:
        assert run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by amount")


@pytest.mark.parametrize("rebases", [1, 2])
def test_a_server_that_rejects_it_later_finds_it_closed_and_gets_the_new_row_once(
    servers, bonus, second_bonus, shop_all, olga, rebases
):
    if rebases == 2:
        rebase(shop_all, bonus, second_bonus)
    outcome = resend(RejectedRow.objects.all(), {"amount": "99"}, olga)
    assert (outcome.sent, outcome.faults) == (1, {})
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == [("4200", 7), ("4100", 99)]
    assert RejectedRow.objects.count() == 2
    assert not RejectedRow.objects.open().exists()


@pytest.mark.parametrize("chosen", [[0], [1], [0, 1]])
def test_rejects_of_before_and_after_are_sent_as_one_row(
    servers, bonus, second_bonus, shop_all, olga, chosen
):
    move(servers[1])
    both = list(RejectedRow.objects.order_by("pk"))
    assert both[0].origin != both[1].origin
    rows = RejectedRow.objects.filter(pk__in=[both[place].pk for place in chosen])
    assert resend(rows, {"amount": "99"}, olga).sent == 1
    assert not RejectedRow.objects.open().exists()
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == [("4200", 7), ("4100", 99)]


def test_a_row_that_the_rebase_did_not_find_is_not_guessed_by_its_number(
    servers, bonus, second_bonus, shop_all, olga
):
    query(shop_all, "delete from datatransfer.renumbered_transaction")
    assert resend(RejectedRow.objects.all(), {"amount": "99"}, olga).faults == {"row_gone": 1}
