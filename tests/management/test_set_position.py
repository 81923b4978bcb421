import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from transfer.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lost(receiver, shop_all, bonus, settings):
    """A server that has lost its position, and the second of two rows, with our schema."""
    settings.LANGUAGE_CODE = "en"
    for account in ("1", "2"):
        stage(shop_all, "balances", [(account, 1)])
        call_command("transfer", "balances")
    query(bonus, "drop schema datatransfer cascade; delete from asset where account = '2'")
    return receiver.name


def held(bonus):
    return [row[0] for row in query(bonus, "select account from asset order by 1")]


def test_a_dry_run_counts_what_would_be_sent_and_changes_nothing(lost, bonus, capsys):
    call_command("set_position", lost, "balances", "--batch", "1", "--dry-run")
    assert "1 rows would be sent; nothing was changed" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        call_command("transfer", "balances")
    assert held(bonus) == ["1"]
    assert not AuditEntry.objects.filter(action="position").exists()


def test_what_comes_after_the_batch_is_sent_and_the_audit_says_who_said_so(lost, bonus):
    call_command("set_position", lost, "balances", "--batch", "1")
    call_command("transfer", "balances")
    assert held(bonus) == ["1", "2"]
    call_command("reconcile")
    assert AuditEntry.objects.get(action="position").new["waiting"] == 1


def test_an_unknown_batch_is_refused_with_those_that_there_are(lost):
    with pytest.raises(CommandError, match="There are: 2, 1"):
        call_command("set_position", lost, "balances", "--batch", "7")
