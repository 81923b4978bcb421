"""Shop All is restored to before a rejected row was corrected: its reject is open again at servers
that have not received the correction, and a second correction doubles nothing at the others.
"""

import pytest
from django.utils import timezone

from tests.databases import query, stage
from transfer.installed import installed_kinds
from transfer.models import RejectedRow, TransferTask
from transfer.models.run_base import Trigger
from transfer.rejects import changed, resend
from transfer.rejects.changed import Decision
from transfer.runs.execute import run_here
from transfer.runs.mirroring import mirror_overdue
from transfer.runs.restored import confirm

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

BALANCES = installed_kinds()["balances"]
State = RejectedRow.State


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """Two servers that refuse amounts from 100."""
    for dsn in (bonus, second_bonus):
        query(dsn, "alter table asset add constraint small check (amount < 100)")
    return [dock(bonus), dock(second_bonus, "Бонусный сервер 9")]


def move(*servers):
    for server in servers:
        run = run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
        assert run.error_code == "", run.error_params


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by amount")


def states():
    rejects = RejectedRow.objects.order_by("server__pk", "pk")
    return [one.state for one in rejects]


def correct(amount, olga):
    return resend.resend(RejectedRow.objects.all(), {"amount": amount}, olga).sent


def test_a_correction_that_no_server_has_received_is_made_once_more(
    servers, shop_all, bonus, second_bonus, olga, copies
):
    stage(shop_all, "balances", [("4100", 100)])
    move(*servers)
    copies.make(shop_all, "shop")
    assert correct("99", olga) == 1
    copies.restore(shop_all, "shop")
    confirm(olga)
    move(*servers)
    assert states() == [State.OPEN, State.OPEN]
    assert correct("98", olga) == 1
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == [("4100", 98)]
    assert states() == [State.RESENT, State.RESENT]


def test_a_correction_that_all_servers_have_received_stays(
    servers, shop_all, bonus, second_bonus, olga, copies
):
    stage(shop_all, "balances", [("4100", 100)])
    move(*servers)
    copies.make(shop_all, "shop")
    correct("99", olga)
    move(*servers)
    copies.restore(shop_all, "shop")
    confirm(olga)
    move(*servers)
    assert states() == [State.RESENT, State.RESENT]
    assert landed(bonus) == landed(second_bonus) == [("4100", 99)]


def test_one_server_has_the_lost_correction_and_only_the_other_is_corrected_again(
    servers, shop_all, bonus, second_bonus, olga, copies
):
    stage(shop_all, "balances", [("4100", 100)])
    move(*servers)
    copies.make(shop_all, "shop")
    correct("99", olga)
    move(servers[0])
    copies.restore(shop_all, "shop")
    TransferTask.objects.update(mirrored_at=None)
    mirror_overdue(servers[1], timezone.now())
    assert states() == [State.RESENT, State.RESENT], "it may be a test copy of shop All"
    confirm(olga)
    move(*servers)
    assert states() == [State.RESENT, State.OPEN]
    assert correct("98", olga) == 1
    move(*servers)
    assert (landed(bonus), landed(second_bonus)) == ([("4100", 99)], [("4100", 98)])
    assert not RejectedRow.objects.open().exists()


def test_the_other_server_rejects_the_row_only_after_the_correction_was_lost(
    servers, shop_all, bonus, second_bonus, olga, copies
):
    """F2: what is corrected for the second server does not land twice on the first one."""
    stage(shop_all, "balances", [("4100", 100)])
    move(servers[0])
    copies.make(shop_all, "shop")
    correct("99", olga)
    move(servers[0])
    copies.restore(shop_all, "shop")
    confirm(olga)
    move(*servers)
    assert states() == [State.RESENT, State.OPEN]
    assert correct("98", olga) == 1
    move(*servers)
    assert (landed(bonus), landed(second_bonus)) == ([("4100", 99)], [("4100", 98)])
    assert not RejectedRow.objects.open().exists()


def test_the_difference_of_a_changed_amount_that_one_server_has_is_lost_and_decided_again(
    servers, shop_all, bonus, second_bonus, olga, copies
):
    """F6: the first server has the difference, and gets nothing more by the second decision."""
    stage(shop_all, "balances", [("4100", 20)])
    move(*servers)
    query(shop_all, f'update "{BALANCES.staging}" set amount = 50')
    copies.make(shop_all, "shop")
    assert changed.decide(BALANCES, Decision.SEND, olga).rows == 1
    move(servers[0])
    assert sum(amount for _, amount in landed(bonus)) == 50
    copies.restore(shop_all, "shop")
    confirm(olga)
    move(*servers)
    assert sum(amount for _, amount in landed(second_bonus)) == 20
    (group,) = changed.undecided()
    assert group.total == 1
    assert changed.decide(BALANCES, Decision.SEND, olga).rows == 1
    move(*servers)
    for dsn in (bonus, second_bonus):
        assert sum(amount for _, amount in landed(dsn)) == 50
