"""The command that settles a restore of shop All, while not every bonus server answers."""

import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from transfer.models import BonusServer
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = '"changeAccountBalanceTemp"'


@pytest.fixture(autouse=True)
def english(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """Both have received a row, the first one two."""
    servers = [dock(bonus), dock(second_bonus, "Bonus server 9")]
    stage(shop_all, "balances", [("1", 1)])
    move(*servers)
    stage(shop_all, "balances", [("2", 1)])
    move(servers[0])
    return servers


def move(*servers):
    for server in servers:
        assert run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def restored_from_a_dump(shop_all):
    query(shop_all, "update datatransfer.origin set xid = xid")
    stage(shop_all, "balances", [("3", 1)])


def landed(dsn):
    return [account for (account,) in query(dsn, "select account from asset order by 1")]


def test_a_server_that_does_not_answer_is_named_and_goes_on_when_it_is_back(
    servers, shop_all, bonus, second_bonus, capsys
):
    answering = BonusServer.objects.filter(pk=servers[1].pk)
    (port,) = answering.values_list("db_port", flat=True)
    answering.update(db_port=1)
    restored_from_a_dump(shop_all)
    call_command("rebase_shop_all")
    assert "Bonus server 9 does not answer. Its next run carries it over" in capsys.readouterr().out
    call_command("rebase_shop_all")
    assert "balances" not in capsys.readouterr().out
    answering.update(db_port=port)
    stage(shop_all, "balances", [("4", 1)])
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == ["1", "2", "3", "4"]
    call_command("reconcile")
    call_command("rebase_shop_all")  # carries its other transfers over
    capsys.readouterr()
    call_command("rebase_shop_all")
    assert "Nothing to do" in capsys.readouterr().out


def test_a_server_that_was_undocked_goes_on_when_it_is_docked_again(
    servers, shop_all, bonus, second_bonus, dock
):
    servers[1].delete()
    restored_from_a_dump(shop_all)
    call_command("rebase_shop_all")
    again = dock(second_bonus, "Bonus server 10")
    move(servers[0], again)
    assert landed(bonus) == landed(second_bonus) == ["1", "2", "3"]
    call_command("reconcile")


def test_the_command_carries_a_server_over_whose_rows_are_in_doubt(
    servers, shop_all, bonus, second_bonus, capsys
):
    """A row that the second server has received is younger than its batch."""
    answering = BonusServer.objects.filter(pk=servers[1].pk)
    (port,) = answering.values_list("db_port", flat=True)
    answering.update(db_port=1)
    restored_from_a_dump(shop_all)
    call_command("rebase_shop_all")
    query(
        shop_all,
        f"update {TABLE} set created_at = now() + interval '1 minute' where account = '1'",
    )
    answering.update(db_port=port)
    task = servers[1].tasks.get(kind="balances")
    assert run_here(task, Trigger.MANUAL).error_code == "rows_doubtful"
    with pytest.raises(CommandError, match="--doubtful 'Bonus server 9' balances moved"):
        call_command("rebase_shop_all")
    answer = ["--doubtful", "Bonus server 9", "balances", "moved"]
    call_command("rebase_shop_all", *answer, "--dry-run")
    assert run_here(task, Trigger.MANUAL).error_code == "rows_doubtful"
    call_command("rebase_shop_all", *answer)
    assert "balances → Bonus server 9: 1 rows stay moved, 2 wait" in capsys.readouterr().out
    move(servers[1])
    assert landed(second_bonus) == ["1", "2", "3"]


def test_a_purge_waits_for_a_server_that_is_not_carried_over_though_it_is_switched_off(
    servers, shop_all, second_bonus, capsys
):
    answering = BonusServer.objects.filter(pk=servers[1].pk)
    (port,) = answering.values_list("db_port", flat=True)
    answering.update(db_port=1)
    restored_from_a_dump(shop_all)
    call_command("rebase_shop_all")
    answering.update(db_port=port)
    move(servers[0])
    query(shop_all, f"update {TABLE} set created_at = now() - interval '400 d'")
    call_command("purge_staging", "--older-than", "30")
    assert query(shop_all, f"select count(*) from {TABLE}") == [(3,)]
    move(servers[1])
    assert landed(second_bonus) == ["1", "2", "3"]


def test_rows_in_doubt_are_asked_about_for_each_server(
    servers, shop_all, bonus, second_bonus, capsys
):
    """Both have lost their batches. One has received the row in doubt, the other has not."""
    query(shop_all, "delete from datatransfer.batch where kind = 'balances'")
    query(second_bonus, "delete from asset where account = '1'")
    query(
        shop_all,
        f"update {TABLE} set created_at = now() + interval '1 minute' where account = '1'",
    )
    known = ["rebase_shop_all", "--no-writes-since-restore"]
    with pytest.raises(CommandError) as refused:
        call_command(*known)
    assert f"reached {servers[0].name}" in capsys.readouterr().out
    assert "reached Bonus server 9" in str(refused.value)
    first = ["--doubtful", servers[0].name, "balances", "moved"]
    with pytest.raises(CommandError, match="reached Bonus server 9"):
        call_command(*known, *first)
    call_command(*known, *first, "--doubtful", servers[1].name, "balances", "waiting")
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == ["1", "2"]
    call_command("reconcile")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (["nowhere", "balances", "moved"], "No bonus server nowhere"),
        (["Bonus server 9", "money", "moved"], "--doubtful Bonus server 9 money moved"),
        (["Bonus server 9", "balances", "perhaps"], "and moved or waiting"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(servers, answer, said):
    with pytest.raises(CommandError, match=said) as refused:
        call_command("rebase_shop_all", "--doubtful", *answer)
    assert refused.value.returncode == 2
