"""Shop All was restored to an earlier time: asked once, confirmed on a page or by a command."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.pages.look import told
from tests.trace.moving import accounts, move
from transfer.models import AuditEntry, BonusServer, Bulletin, LogPlace, Settings, TransferTask
from transfer.problems.find import problems
from transfer.runs.reconcile import reconcile
from transfer.runs.restored import what_is_lost

pytestmark = pytest.mark.usefixtures("in_english")

URL = "/restored/"


@pytest.fixture
def nine(server, dock, second_bonus):
    return dock(second_bonus, "Server 9")


@pytest.fixture
def restored(server, nine, shop_all, copies):
    """Both servers have row 1. Row 2 reached server 8 alone and is lost; row 3 is new."""
    TransferTask.objects.update(enabled=True)
    stage(shop_all, "balances", [("1", 1)])
    for one in (server, nine):
        assert move(one).error_code == ""
    copies.make(shop_all, "before")
    stage(shop_all, "balances", [("2", 20)])
    move(server)
    copies.restore(shop_all, "before")
    stage(shop_all, "balances", [("3", 300)])


def test_no_server_moves_until_it_is_confirmed_and_then_nothing_is_lost_or_doubled(
    admin, restored, server, nine
):
    for one in (server, nine):
        assert move(one).error_code == "shop_all_went_back"
    page = admin.get(URL).text
    assert "Yes, it is the right database" in page
    assert "Бонусный сервер 8 (1)" in page
    assert "+20" in page.replace("\u202f", "")
    after = admin.post(URL, follow=True)
    assert "Confirmed." in after.text
    for one in (server, nine):
        assert move(one).error_code == ""
    assert accounts(server) == ["1", "2", "3"]
    assert accounts(nine) == ["1", "3"]
    assert "Nothing is asked." in admin.get(URL).text


def test_it_is_asked_once_for_the_whole_installation(admin, restored, server, nine):
    for one in (server, nine):
        move(one)
    asked = [one for one in problems() if one.code == "refusal"]
    assert [(one.key, one.url) for one in asked] == [("shop_all_went_back", URL)]
    assert "has gone back in time" in asked[0].sentence
    assert "Balance" not in asked[0].sentence
    admin.post(URL)
    assert not [one for one in problems() if one.code == "refusal"]
    assert TransferTask.objects.exclude(retry_at=None).count() == 2  # they are tried again


def test_what_was_lost_is_told_until_somebody_dismisses_it(admin, restored, server, nine):
    move(server)
    admin.post(URL)
    told = Bulletin.objects.get()
    overview = admin.get("/").text
    assert "Shop All was restored: it has lost 1 row that bonus servers have" in overview
    page = admin.get(told.get_absolute_url()).text
    assert "These servers keep the lost rows, and do not get them again: Бонусный сервер 8." in page
    assert "+20" in page
    admin.post(reverse("bulletin_dismiss", args=[told.pk]))
    assert "it has lost" not in admin.get("/").text
    assert "Dismissed by olga" in admin.get(told.get_absolute_url()).text
    assert AuditEntry.objects.get(action="confirm").new == {"changesets": 1, "rows": 1, "loads": 0}


def test_what_was_lost_is_told_in_the_order_of_the_kinds(admin, server, shop_all, copies):
    TransferTask.objects.update(enabled=True)
    copies.make(shop_all, "before")
    lost = {"pincodes": ("1", "1234"), "balances": ("1", 1), "cards": ("1", "1", 1)}
    for kind, row in lost.items():
        stage(shop_all, kind, [row])
        assert move(server, kind).error_code == ""
    copies.restore(shop_all, "before")
    move(server)
    admin.post(URL)
    page = admin.get(Bulletin.objects.get().get_absolute_url())
    assert [record["kind"] for record in page.context["kinds"].data] == [*lost]


def test_all_that_is_lost_is_a_file(admin, restored, server, nine):
    lines = admin.get("/restored/lost.csv").getvalue().decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert "Бонусный сервер 8" in lines[1]


def test_the_file_of_what_is_lost_is_not_made_while_shop_all_is_silent(admin, settings):
    settings.SHOP_ALL_DATABASE_URL = "host=127.0.0.1 port=1 dbname=x"
    answer = admin.get("/restored/lost.csv")
    assert [tag for tag, _text in told(answer)] == ["bad"]


def test_only_an_administrator_confirms(client, restored, server, log_in):
    log_in("operator", "ivan")
    assert "An administrator answers on this page." in client.get(URL).text
    client.post(URL)
    assert move(server).error_code == "shop_all_went_back"


def test_the_command_lists_first_and_changes_nothing_in_a_dry_run(
    restored, server, nine, capsys, shop_all
):
    before = query(shop_all, "select count(*) from datatransfer.log")
    call_command("confirm_shop_all", "--dry-run", "--json")
    *listed, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [(one["kind"], one["rows"], one["servers"]) for one in listed] == [
        ("balances", 1, ["Бонусный сервер 8"])
    ]
    assert summary["asks"] is True
    assert query(shop_all, "select count(*) from datatransfer.log") == before
    assert move(server).error_code == "shop_all_went_back"
    with pytest.raises(CommandError, match="--yes"):
        call_command("confirm_shop_all", "--json")
    call_command("confirm_shop_all", "--yes")
    assert "Confirmed." in capsys.readouterr().out
    for one in (server, nine):
        assert move(one).error_code == ""
    assert (accounts(server), accounts(nine)) == (["1", "2", "3"], ["1", "3"])


def test_where_nothing_is_asked_the_command_says_so(server, shop_all, capsys):
    stage(shop_all, "balances", [("1", 1)])
    move(server)
    call_command("confirm_shop_all")
    assert "Nothing is asked" in capsys.readouterr().out


def test_a_setting_answers_without_a_person(restored, server, nine):
    Settings.load()
    Settings.objects.update(confirms_by_itself=True)
    for one in (server, nine):
        assert move(one).error_code == ""
    assert (accounts(server), accounts(nine)) == (["1", "2", "3"], ["1", "3"])
    assert Bulletin.objects.filter(code="shop_all_restored").count() == 1


def test_a_server_that_has_more_than_our_history_knows_asks_too(admin, restored, server, nine):
    """Our own database was restored as well: it has seen no log."""
    LogPlace.objects.all().delete()
    assert move(server).error_code == "shop_all_went_back"
    assert what_is_lost().asks
    admin.post(URL)
    assert move(server).error_code == ""
    assert accounts(server) == ["1", "2", "3"]


def test_a_server_that_is_silent_when_it_is_confirmed_goes_on_by_itself_afterwards(
    admin, restored, server, nine
):
    """F8: it was said to have lost its position, and beginning anew doubled its rows."""
    port = server.db_port
    BonusServer.objects.filter(pk=server.pk).update(db_port=1)
    admin.post(URL)
    assert move(nine).error_code == ""
    told = admin.get(Bulletin.objects.get().get_absolute_url()).text
    assert "did not answer, so what they have is not counted: Бонусный сервер 8" in told
    BonusServer.objects.filter(pk=server.pk).update(db_port=port)
    server.refresh_from_db()
    with pytest.raises(CommandError, match="has a position of this transfer already"):
        call_command("begin", server.name, "balances", "--nothing")
    assert move(server).error_code == ""
    assert accounts(server) == ["1", "2", "3"]
    for one in (server, nine):
        assert reconcile(one.tasks.select_related("server").get(kind="balances")).holds
