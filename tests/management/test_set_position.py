import pytest
from django.core.management import CommandError, call_command

from tests.databases import query, stage
from transfer.models import AuditEntry, TransferRun

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


class TestWhereShopAllWasPutBack:
    """To before the second batch, of which our own history alone knows."""

    @pytest.fixture
    def put_back(self, lost, shop_all, bonus):
        query(bonus, "insert into asset (account, amount) values ('2', 1)")
        query(shop_all, "delete from datatransfer.batch where number = 2")
        return lost

    @pytest.mark.parametrize("place", [["--start"], ["--batch", "1"]])
    def test_an_earlier_place_is_refused_and_the_later_batch_is_named(self, put_back, bonus, place):
        with pytest.raises(CommandError, match=r"(?s)has received batch 2.* --batch 2 --reader"):
            call_command("set_position", put_back, "balances", *place)
        with pytest.raises(SystemExit):
            call_command("transfer", "balances")
        assert held(bonus) == ["1", "2"]

    def test_an_earlier_place_is_right_where_the_data_went_back_too(self, put_back, bonus):
        query(bonus, "delete from asset where account = '2'")
        call_command("set_position", put_back, "balances", "--batch", "1", "--data-went-back")
        call_command("transfer", "balances")
        assert held(bonus) == ["1", "2"]

    def test_at_the_later_batch_the_next_run_asks_for_a_rebase(self, put_back, bonus, capsys):
        for _ in range(2):
            call_command("set_position", put_back, "balances", "--batch", "2")
            assert "has gone back in time: batch 2" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            call_command("transfer", "balances")
        assert "has gone back in time: batch 2" in capsys.readouterr().err
        call_command("rebase_shop_all", "--no-writes-since-restore")
        call_command("transfer", "balances")
        assert held(bonus) == ["1", "2"]
        call_command("reconcile")

    def test_a_log_without_any_reader_is_no_hindrance(self, put_back, shop_all, bonus):
        query(shop_all, "delete from datatransfer.batch")
        call_command("set_position", put_back, "balances", "--batch", "2")
        call_command("rebase_shop_all", "--no-writes-since-restore")
        call_command("transfer", "balances")
        assert held(bonus) == ["1", "2"]

    def test_a_batch_of_which_nobody_knows_is_refused(self, put_back):
        TransferRun.objects.all().delete()
        with pytest.raises(CommandError, match=r"(?s)no batch 2 .* earlier batch"):
            call_command("set_position", put_back, "balances", "--batch", "2")


def test_an_unknown_batch_is_refused_with_those_that_there_are(lost):
    with pytest.raises(CommandError, match="There are: 2, 1"):
        call_command("set_position", lost, "balances", "--batch", "7")
