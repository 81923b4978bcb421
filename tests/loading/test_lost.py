"""Shop All is restored to before a file was loaded: the file is loaded again without a question,
unless a server has received its rows.
"""

import pytest
from django.core.management import call_command

from tests.databases import query
from transfer.models import Upload
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

TABLE = '"changeAccountBalanceTemp"'


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bonus.csv"
    path.write_bytes(b"account;amount\n4100;10\n4200;20\n")
    return str(path)


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all, settings):
    settings.LANGUAGE_CODE = "en"
    return [dock(bonus), dock(second_bonus, "Bonus server 9")]


def move(*servers):
    for server in servers:
        assert run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def restore(shop_all):
    """A dump is restored that was made before the file was loaded; then it is rebased."""
    query(shop_all, f"delete from {TABLE}; delete from datatransfer.loaded")
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by account")


def test_a_file_that_no_server_has_received_can_be_loaded_again(
    servers, shop_all, bonus, second_bonus, file, capsys
):
    call_command("load_staging", "balances", file)
    restore(shop_all)
    assert "the rows of bonus.csv are not in the copy" in capsys.readouterr().out
    assert Upload.objects.get().state == Upload.State.LOST
    call_command("load_staging", "balances", file)
    move(*servers)
    assert landed(bonus) == landed(second_bonus) == [("4100", 10), ("4200", 20)]


def test_a_file_that_a_server_has_received_counts_as_loaded(servers, shop_all, bonus, file, capsys):
    call_command("load_staging", "balances", file)
    move(servers[0])
    restore(shop_all)
    assert Upload.objects.get().state == Upload.State.LOADED
    with pytest.raises(SystemExit):
        call_command("load_staging", "balances", file)
    assert "was loaded before" in capsys.readouterr().err
    assert landed(bonus) == [("4100", 10), ("4200", 20)]


def test_a_file_that_came_with_the_copy_counts_as_loaded(servers, shop_all, file):
    call_command("load_staging", "balances", file)
    query(shop_all, "update datatransfer.origin set xid = xid")
    call_command("rebase_shop_all")
    assert Upload.objects.get().state == Upload.State.LOADED
