import pytest
from django.core.management import call_command

from tests.databases import query, stage
from tests.flow import Flow
from transfer.models import Actor, RejectedRow, Settings, TransferTask
from transfer.rejects.resend import resend
from transfer.runs.purge import purge_staging
from transfer.runs.undocking import undock


@pytest.fixture
def server(dock, bonus, shop_all):
    return dock(bonus)


def staged(shop_all):
    return [row[0] for row in query(shop_all, 'select account from "changeAccountBalanceTemp"')]


def age(shop_all):
    """Makes every row that is there forty days old."""
    query(shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'")


def purge(*options):
    call_command("purge_staging", "--older-than", "30", *options)


def test_moved_rows_beyond_the_retention_go_and_young_ones_stay(server, shop_all):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    stage(shop_all, "balances", [("young", 1)])
    call_command("transfer", "balances")
    purge()
    assert staged(shop_all) == ["young"]


def test_a_row_that_waits_stays_whatever_its_age(server, shop_all):
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("waits", 1)])
    age(shop_all)
    purge()
    assert staged(shop_all) == ["waits"]


def test_a_dry_run_counts_and_removes_nothing(server, shop_all, settings, capsys):
    settings.LANGUAGE_CODE = "en"
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    purge("--dry-run")
    assert "changeAccountBalanceTemp: 1 rows would be removed" in capsys.readouterr().out
    assert staged(shop_all) == ["old"]


def test_a_dry_run_writes_nothing_at_all_to_the_table(server, shop_all):
    """Rows removed and brought back would be as much work for the database as rows removed."""
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    versions = 'select ctid::text, xmax::text from "changeAccountBalanceTemp"'
    before = query(shop_all, versions)
    purge("--dry-run")
    assert query(shop_all, versions) == before


def test_an_enabled_task_that_has_not_run_keeps_everything_back(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    late = dock(second_bonus, "Бонусный сервер 9")
    TransferTask.objects.filter(server=late).update(enabled=True)
    purge()
    assert staged(shop_all) == ["old"]


def test_a_task_whose_position_never_began_and_is_off_keeps_nothing_back(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    dock(second_bonus, "Бонусный сервер 9", decided=False)
    purge()
    assert staged(shop_all) == []


def test_a_task_switched_off_keeps_what_it_has_not_moved(server, dock, second_bonus, shop_all):
    dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("both", 1)])
    call_command("transfer", "balances")
    stage(shop_all, "balances", [("one", 1)])
    call_command("transfer", "balances", "--server", server.name)
    age(shop_all)
    purge()
    assert staged(shop_all) == ["one"]


def test_a_server_that_does_not_answer_keeps_everything_back_and_is_exit_code_1(
    server, dock, second_bonus, shop_all
):
    down = dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    type(down).objects.filter(pk=down.pk).update(db_host="127.0.0.1", db_port=1)
    with pytest.raises(SystemExit) as ended:
        purge()
    assert ended.value.code == 1
    assert staged(shop_all) == ["old"]


def test_the_sums_hold_after_a_purge_for_old_and_for_new_servers(
    server, dock, second_bonus, shop_all
):
    stage(shop_all, "balances", [("old", 3), ("old", 0), ("old", 4)])
    age(shop_all)
    call_command("transfer", "balances")
    purge()
    stage(shop_all, "balances", [("young", 5)])
    dock(second_bonus, "Бонусный сервер 9")
    call_command("transfer", "balances")
    call_command("reconcile")
    assert query(second_bonus, "select account from asset") == [("young",)]


def test_nothing_is_fired_again_after_a_purge(server, bonus, shop_all):
    stage(shop_all, "balances", [("old", 3)])
    age(shop_all)
    call_command("transfer", "balances")
    purge()
    call_command("transfer", "balances")
    assert query(bonus, "select count(*) from asset") == [(1,)]


class TestBlankingPins:
    """Moved PIN codes lose their text; their rows stay, and count."""

    GOOD = ("4100", "7351")

    def pins(self, shop_all):
        return query(shop_all, 'select account, pincode from "accountpincodeTemp" order by id')

    def test_of_rows_that_every_task_has_moved(self, server, shop_all, bonus):
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        stage(shop_all, "pincodes", [("4200", "7352")])
        purge("--blank-pins")
        assert self.pins(shop_all) == [("4100", None), ("4200", "7352")]
        call_command("transfer", "pincodes")
        call_command("reconcile")
        assert query(bonus, "select account, pincode from pincode order by 1") == [
            ("4100", "7351"),
            ("4200", "7352"),
        ]

    def test_never_without_being_asked(self, server, shop_all):
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        purge()
        assert self.pins(shop_all) == [self.GOOD]

    def test_a_dry_run_counts(self, server, shop_all, settings, capsys):
        settings.LANGUAGE_CODE = "en"
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        purge("--blank-pins", "--dry-run")
        assert "accountpincodeTemp: 1 PIN codes would be blanked" in capsys.readouterr().out
        assert self.pins(shop_all) == [self.GOOD]

    def test_a_column_that_takes_no_null_gets_empty_text(self, server, shop_all):
        query(shop_all, 'alter table "accountpincodeTemp" alter pincode set not null')
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        purge("--blank-pins")
        assert self.pins(shop_all) == [("4100", "")]

    def test_a_server_that_has_not_moved_it_keeps_it(self, server, dock, second_bonus, shop_all):
        stage(shop_all, "pincodes", [("before", "1")])
        dock(second_bonus, "Бонусный сервер 9")
        call_command("transfer", "pincodes")
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes", "--server", server.name)
        purge("--blank-pins")
        assert self.pins(shop_all) == [("before", None), self.GOOD]

    def test_an_open_reject_can_still_be_sent_with_its_pin_code(self, server, shop_all, bonus):
        stage(shop_all, "pincodes", [("41 00", "7351")])
        call_command("transfer", "pincodes")
        purge("--blank-pins")
        resend(RejectedRow.objects.all(), {"account": "4100"}, Actor("olga"))
        call_command("transfer", "pincodes")
        assert query(bonus, "select account, pincode from pincode") == [self.GOOD]
        purge("--blank-pins")
        assert self.pins(shop_all) == [("41 00", None), ("4100", None)]

    def test_so_it_can_when_our_own_database_has_forgotten_it(self, server, shop_all):
        stage(shop_all, "pincodes", [("41 00", "7351")])
        call_command("transfer", "pincodes")
        RejectedRow.objects.all().delete()
        purge("--blank-pins")
        assert self.pins(shop_all) == [("41 00", "7351")]

    def test_a_server_that_comes_later_rejects_it_and_says_why(
        self, server, dock, second_bonus, shop_all
    ):
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        purge("--blank-pins")
        late = dock(second_bonus, "Бонусный сервер 9")
        call_command("transfer", "pincodes", "--server", late.name)
        reject = RejectedRow.objects.get()
        assert (reject.server, reject.code) == (late, "pin_missing")
        call_command("reconcile")

    def test_by_the_maintenance_task_when_the_settings_say_so(self, server, shop_all):
        stage(shop_all, "pincodes", [self.GOOD])
        call_command("transfer", "pincodes")
        list(purge_staging())
        assert self.pins(shop_all) == [self.GOOD]
        Settings.load().change(Actor("anna"), blank_pins=True)
        assert {"accountpincodeTemp": {"rows": 0, "blanked": 1}} in list(purge_staging())
        assert self.pins(shop_all) == [("4100", None)]


def test_emptied_pages_are_forgotten_by_the_indexes_so_that_new_rows_find_them_cheap(
    server, shop_all
):
    """Summaries of rows that are gone would say for ever that they may be there."""
    unsummarised = "select brin_summarize_new_values('datatransfer_balances_account_brin')"
    rows = """
        insert into "changeAccountBalanceTemp" (account, amount)
        select 'number-' || n, 1 from generate_series(1, 10000) as n
    """
    # It would summarise them again before the test looks.
    query(shop_all, 'alter table "changeAccountBalanceTemp" set (autovacuum_enabled = off)')
    query(shop_all, rows)
    age(shop_all)
    query(shop_all, 'vacuum full "changeAccountBalanceTemp"')
    query(shop_all, rows)
    query(shop_all, unsummarised)
    assert query(shop_all, unsummarised) == [(0,)]
    call_command("transfer", "balances")
    purge()
    assert len(staged(shop_all)) == 10_000
    ((forgotten,),) = query(shop_all, unsummarised)
    assert forgotten > 1


def test_a_row_with_an_open_reject_stays_until_somebody_has_decided_on_it(server, shop_all):
    """Its values are read from there when it is sent again."""
    stage(shop_all, "balances", [("taken", 1), ("rejected", 0)])
    age(shop_all)
    call_command("transfer", "balances")
    purge()
    assert staged(shop_all) == ["rejected"]
    resend(RejectedRow.objects.all(), {"amount": "5"}, Actor("olga"))
    purge()
    assert query(shop_all, 'select amount::int from "changeAccountBalanceTemp"') == [(5,)]


def test_a_server_of_another_installation_keeps_all_rows_until_somebody_says_that_it_is_gone(
    server, shop_all, second_bonus, settings, capsys
):
    settings.LANGUAGE_CODE = "en"
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    Flow("balances", shop_all, second_bonus).move()
    ((reader,),) = query(second_bonus, "select reader::text from datatransfer.position")
    with pytest.raises(SystemExit):
        purge()
    assert f"another installation reads from this shop All (reader {reader})" in (
        capsys.readouterr().out
    )
    assert staged(shop_all) == ["old"]
    purge("--without-reader", reader)
    assert staged(shop_all) == []


def test_a_server_that_was_undocked_keeps_no_rows_back(server, dock, second_bonus, shop_all):
    other = dock(second_bonus, "Bonus server 9")
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    undock(other, Actor("olga"))
    purge()
    assert staged(shop_all) == []


def test_a_server_that_is_docked_again_elsewhere_counts_again(server, dock, second_bonus, shop_all):
    other = dock(second_bonus, "Bonus server 9")
    stage(shop_all, "balances", [("first", 1)])
    call_command("transfer", "balances")
    undock(other, Actor("olga"))
    stage(shop_all, "balances", [("old", 1)])
    age(shop_all)
    call_command("transfer", "balances")
    Flow("balances", shop_all, second_bonus).move()
    with pytest.raises(SystemExit):
        purge()
    assert staged(shop_all) == ["first", "old"]
