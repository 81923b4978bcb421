"""Shop All is restored to before a rejected row was corrected: its reject is open again, unless a
server has received the correction.
"""

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from transfer.models import AuditEntry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.rejects.resend import resend
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = '"changeAccountBalanceTemp"'


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """Both have rejected a row, which is corrected then."""
    for dsn in (bonus, second_bonus):
        query(dsn, "alter table asset add constraint small check (amount < 100)")
    servers = [dock(bonus), dock(second_bonus, "Бонусный сервер 9")]
    stage(shop_all, "balances", [("4100", 100)])
    move(*servers)
    return servers


@pytest.fixture
def corrected(servers, shop_all, olga):
    assert resend(RejectedRow.objects.all(), {"amount": "99"}, olga).sent == 1
    return servers


def move(*servers):
    for server in servers:
        assert run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def restore(shop_all):
    """A dump is restored that was made before the correction; then it is rebased."""
    query(shop_all, f"delete from {TABLE} where amount = 99; delete from datatransfer.resent")
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by amount")


def test_a_correction_that_no_server_has_received_is_made_once_more(
    corrected, shop_all, bonus, second_bonus, olga, capsys, settings
):
    settings.LANGUAGE_CODE = "en"
    restore(shop_all)
    assert "the correction of 1 rejected row is not in the copy" in capsys.readouterr().out
    assert RejectedRow.objects.open().count() == 2
    assert AuditEntry.objects.filter(action="resend", new__state="open").count() == 1
    assert resend(RejectedRow.objects.all(), {"amount": "98"}, olga).sent == 1
    move(*corrected)
    assert landed(bonus) == landed(second_bonus) == [("4100", 98)]
    assert not RejectedRow.objects.open().exists()


def test_a_correction_that_all_servers_have_received_stays(corrected, shop_all, bonus):
    move(*corrected)
    restore(shop_all)
    assert not RejectedRow.objects.open().exists()
    move(*corrected)
    assert landed(bonus) == [("4100", 99)]


def test_a_correction_that_one_server_has_received_stays_and_is_named(
    corrected, shop_all, bonus, capsys, settings
):
    settings.LANGUAGE_CODE = "en"
    move(corrected[0])
    restore(shop_all)
    assert "may have reached one of its servers" in capsys.readouterr().out
    assert not RejectedRow.objects.open().exists()


def test_a_correction_that_came_with_the_copy_stays(corrected, shop_all, bonus):
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")
    assert not RejectedRow.objects.open().exists()
    move(*corrected)
    assert landed(bonus) == [("4100", 99)]


def test_a_correction_whose_number_was_given_out_before_is_named_and_not_taken_as_received(
    corrected, shop_all, bonus, second_bonus, capsys, settings
):
    """The positions call its transaction moved: they are of a history of shop All that is gone."""
    settings.LANGUAGE_CODE = "en"
    for dsn in (bonus, second_bonus):
        query(
            dsn,
            "update datatransfer.position set read_through = '1000000:1000000:' "
            "where kind = 'balances'",
        )
    restore(shop_all)
    assert "may have reached one of its servers" in capsys.readouterr().out
    assert not RejectedRow.objects.open().exists()
