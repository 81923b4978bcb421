"""A bonus server that purges do not wait for: what happens to its rows, and how that ends."""

import pytest
from django.core.management import call_command

from tests.causes import raises
from tests.databases import query, stage
from tests.restores import age
from tests.trace.moving import move
from transfer.causes.runs import PURGED_MEANWHILE, STILL_READ
from transfer.models import AuditEntry, BonusServer, LeftBehind, TransferTask
from transfer.models.run_base import Trigger
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.runs.execute import run_here
from transfer.runs.left_behind import leave_behind, take_back
from transfer.runs.purge import purge_staging
from transfer.runs.reconcile import reconcile

pytestmark = pytest.mark.long

UNREAD = [{"kind": "balances", "server": "Server 9"}]


@pytest.fixture
def nine(server, dock, second_bonus, shop_all):
    """A second server; both have received a row of balance changes and of PIN codes."""
    nine = dock(second_bonus, "Server 9")
    stage(shop_all, "balances", [("first", 1)])
    stage(shop_all, "pincodes", [("first", "1")])
    for task in TransferTask.objects.exclude(kind="cards"):
        run_here(task, Trigger.MANUAL)
    return nine


def dies(server):
    """Nothing listens at its database's port. Returns what brings it back."""
    port = server.db_port
    BonusServer.objects.filter(pk=server.pk).update(db_port=1)

    def comes_back():
        BonusServer.objects.filter(pk=server.pk).update(db_port=port)
        server.refresh_from_db()

    server.refresh_from_db()
    return comes_back


def stage_for(server, shop_all, *accounts):
    """Rows that this server receives."""
    stage(shop_all, "balances", [(account, 1) for account in accounts])
    move(server)


def purge(shop_all):
    """The nightly purge, of rows that are all old enough; what it says of balance changes."""
    age(shop_all)
    age(shop_all, "pincodes")
    report = {name: value for part in purge_staging() for name, value in part.items()}
    return report["changeAccountBalanceTemp"]


def amounts(server):
    return [row[0] for row in query(server.dsn, "select account from asset order by 1")]


@pytest.fixture
def left(server, nine, shop_all, olga):
    """Server 9 is dead and left behind; two rows were purged that it has not received."""
    comes_back = dies(nine)
    stage_for(server, shop_all, "b", "c")
    # Its last run has ended well: it has all of the last changeset that it is known to have passed.
    assert purge(shop_all) == {"rows": 1, "unread": UNREAD}
    leave_behind(nine, olga, "the disk is broken")
    assert purge(shop_all) == {
        "rows": 2,
        "left_behind": [{"kind": "balances", "server": "Server 9"}],
    }
    return comes_back


def test_its_next_run_says_how_many_rows_it_lacks_until_that_is_decided(
    left, nine, server, shop_all
):
    left()
    stage_for(server, shop_all, "d")
    for _ in range(2):
        run = move(nine)
        assert (run.error_code, run.error_params["rows"]) == ("rows_purged", "2")
        assert amounts(nine) == ["first"]
    call_command("skip_rows", nine.name, "balances", "--yes")
    assert AuditEntry.objects.get(action="position").new["given_up"] == 2
    move(nine)
    assert amounts(nine) == ["d", "first"]
    assert reconcile(nine.tasks.get(kind="balances")).holds
    assert reconcile(server.tasks.get(kind="balances")).holds
    assert not LeftBehind.objects.filter(task__kind="balances").exists()


def test_a_purge_waits_for_it_again_as_soon_as_it_can_be_read(left, nine, server, shop_all):
    stage_for(server, shop_all, "d")
    left()
    assert purge(shop_all) == {"rows": 0}
    assert move(nine).error_params["rows"] == "2"


def test_a_server_that_lacks_nothing_is_waited_for_after_its_next_run(nine, server, shop_all, olga):
    comes_back = dies(nine)
    leave_behind(nine, olga, "moves to another rack")
    assert purge(shop_all)["rows"] == 1
    comes_back()
    stage_for(server, shop_all, "b")
    assert move(nine).error_code == ""
    assert amounts(nine) == ["b", "first"]
    assert not LeftBehind.objects.filter(task__kind="balances").exists()


def test_it_is_taken_back_while_no_row_is_purged_that_it_lacks(nine, server, shop_all, olga):
    dies(nine)
    leave_behind(nine, olga, "the disk is broken")
    assert purge(shop_all)["rows"] == 1  # it has received that one
    take_back(nine, olga)
    assert not LeftBehind.objects.exists()
    stage_for(server, shop_all, "b")
    assert purge(shop_all) == {"rows": 0, "unread": UNREAD}


def test_it_can_not_be_taken_back_afterwards(left, nine, olga):
    with raises(PURGED_MEANWHILE) as refused:
        take_back(nine, olga)
    assert refused.value.params["rows"] == "2"
    assert LeftBehind.objects.count() == 3


def test_a_server_that_can_be_read_is_not_left_behind(nine, olga):
    with raises(STILL_READ):
        leave_behind(nine, olga, "it is slow")
    assert not LeftBehind.objects.exists()


def test_a_dry_run_says_what_would_go_and_lists_nothing(
    nine, server, shop_all, olga, settings, capsys
):
    settings.LANGUAGE_CODE = "en"
    dies(nine)
    leave_behind(nine, olga, "the disk is broken")
    age(shop_all)
    call_command("purge_staging", "--older-than", "30", "--dry-run")
    said = capsys.readouterr().out
    assert "changeAccountBalanceTemp: Balance changes → Server 9 is left behind" in said
    assert "changeAccountBalanceTemp: 1 rows would be removed" in said
    assert query(shop_all, "select sum(purged) from datatransfer.log") == [(0,)]


def test_it_is_a_warning_that_says_how_much_it_lacks(in_english, left, nine):
    (problem,) = [one for one in problems() if one.code == Code.LEFT_BEHIND]
    assert (problem.severity, problem.notify, problem.url) == (
        *("warn", False),
        nine.get_absolute_url(),
    )
    assert problem.sentence == (
        "Server 9 is left behind: purges do not wait for it; up to 2 rows that it has not received "
        "are purged"
    )


def test_the_audit_says_who_has_left_it_behind_and_why(left, nine):
    entry = AuditEntry.objects.about(nine).get(new={"left_behind": True})
    assert (entry.who, entry.reason) == ("olga", "the disk is broken")


class TestACopyOfAnotherServersDatabase:
    """It is put in the place of the database of server 9, with our schema."""

    @pytest.fixture
    def copy(self, postgres, bonus):
        """Makes the copy, and docks server 9 to it."""
        name = "test_copy_for_nine"

        def copy(nine):
            template = query(bonus, "select current_database()")[0][0]
            dsn = postgres.create(name, template=template)
            server = BonusServer.objects.filter(pk=nine.pk)
            server.update(db_name=name, db_port=BonusServer.objects.exclude(pk=nine.pk)[0].db_port)
            nine.refresh_from_db()
            return dsn

        yield copy
        postgres.drop(name)

    def test_it_has_the_purged_rows_and_goes_on_exactly(self, left, copy, nine, server, shop_all):
        copy(nine)
        stage_for(server, shop_all, "d")
        assert move(nine).error_code == "copy_of"
        call_command("begin", nine.name, "balances", "--own")
        assert move(nine).error_code == ""
        assert amounts(nine) == ["b", "c", "d", "first"]
        assert reconcile(nine.tasks.get(kind="balances")).holds
        assert not LeftBehind.objects.filter(task__kind="balances").exists()

    def test_one_from_before_a_purge_is_refused_with_the_rows_that_it_lacks(
        self, left, copy, nine, server, shop_all
    ):
        copy(nine)
        BonusServer.objects.filter(pk=nine.pk).update(db_port=1)
        stage_for(server, shop_all, "d")
        assert purge(shop_all)["rows"] == 1
        left()
        call_command("begin", nine.name, "balances", "--own")
        run = move(nine)
        assert (run.error_code, run.error_params["rows"]) == ("rows_purged", "1")
        assert amounts(nine) == ["b", "c", "first"]
        call_command("skip_rows", nine.name, "balances", "--yes")
        stage_for(server, shop_all, "e")
        move(nine)
        assert amounts(nine) == ["b", "c", "e", "first"]
        assert reconcile(nine.tasks.get(kind="balances")).holds
