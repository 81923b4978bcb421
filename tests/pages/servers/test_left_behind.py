"""Leaving a bonus server behind on its page, and taking that back."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.databases import query, stage
from tests.pages.look import read
from tests.records import user
from tests.restores import age
from transfer.engine.kinds import KINDS
from transfer.models import BonusServer, LeftBehind, TransferTask
from transfer.models.outage_parts import OutagePart, Part, Seen
from transfer.models.run_base import Trigger
from transfer.runs import backlog
from transfer.runs.execute import run_here
from transfer.runs.purge import purge_staging

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("in_english")]

LEFT = "The bonus server is left behind: purges do not wait for it."
KEPT = "While its database can't be read, purges keep all rows that it has not received yet."


@pytest.fixture
def dead(server, dock, second_bonus, shop_all):
    """A second server, whose database does not answer; a row waits for it that the other has."""
    dead = dock(second_bonus, "Server 9")
    stage(shop_all, "balances", [("1", 1)])
    run_here(dead.tasks.get(kind="balances"), Trigger.MANUAL)
    stage(shop_all, "balances", [("2", 1)])
    run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
    BonusServer.objects.filter(pk=dead.pk).update(db_port=1)
    dead.refresh_from_db()
    backlog.store(backlog.backlogs(TransferTask.objects.select_related("server")))
    return dead


def page_of(client, server):
    return read(client.get(server.get_absolute_url()))


def leave(client, server, reason="the disk is broken"):
    url = reverse("server_leave_behind", args=[server.pk])
    return client.post(url, {"reason": reason}, follow=True)


def take_back(client, server):
    return client.post(reverse("server_take_back", args=[server.pk]), follow=True)


def purge(shop_all):
    age(shop_all)
    return {name: value for part in purge_staging() for name, value in part.items()}


def test_its_page_says_that_it_keeps_the_purge_back_and_leads_to_the_way_out(admin, dead):
    began = timezone.now() - timedelta(hours=2)
    OutagePart.note_failures([Seen(dead.pk, Part.DATABASE, began)])
    assert KEPT in page_of(admin, dead)
    asked = read(admin.get(reverse("server_leave_behind", args=[dead.pk])))
    assert "Leave Server 9 behind?" in asked
    assert "its next run says exactly how many rows it lacks" in asked
    shown = read(leave(admin, dead))
    assert LEFT in shown
    assert "by olga: the disk is broken." in shown
    assert KEPT not in shown


def test_it_says_how_many_rows_are_purged_that_it_lacks(admin, dead, shop_all):
    leave(admin, dead)
    assert purge(shop_all)["changeAccountBalanceTemp"]["rows"] == 2
    assert "Up to 1 row that it has not received is purged." in page_of(admin, dead)
    refused = read(take_back(admin, dead))
    assert "Purges have removed rows that Server 9 has not received: up to 1." in refused
    assert LEFT in refused


def test_it_is_taken_back_while_no_row_is_purged(admin, dead, shop_all):
    leave(admin, dead)
    assert "Purges wait for Server 9 again." in read(take_back(admin, dead))
    kept = {"kind": "balances", "server": "Server 9"}
    assert purge(shop_all)["changeAccountBalanceTemp"] == {"rows": 1, "unread": [kept]}


def test_the_overview_and_the_list_of_servers_show_it(admin, dead):
    leave(admin, dead)
    assert "Server 9 is left behind: purges do not wait for it" in read(admin.get("/"))
    assert "left behind" in read(admin.get(reverse("servers")))


def test_without_a_reason_nothing_changes(admin, dead):
    answer = leave(admin, dead, reason="")
    assert answer.status_code == 422
    assert "Enter a reason." in read(answer)
    assert not LeftBehind.objects.exists()


def test_a_server_that_answers_is_not_left_behind(admin, server, dead):
    shown = read(leave(admin, server))
    assert "The database of Бонусный сервер 8 answers, so it can't be left behind." in shown
    assert not LeftBehind.objects.exists()


def test_only_an_administrator_does_it(client, admin, dead):
    leave(admin, dead)
    client.force_login(user("operator", "ivan"))
    assert LEFT in page_of(client, dead)
    assert leave(client, dead).status_code == 403
    assert take_back(client, dead).status_code == 403
    assert LeftBehind.objects.count() == len(KINDS)


def test_when_it_is_back_the_page_asks_whether_it_goes_on_without_the_rows(
    admin, dead, server, shop_all
):
    leave(admin, dead)
    purge(shop_all)
    BonusServer.objects.filter(pk=dead.pk).update(db_port=server.db_port)
    dead.refresh_from_db()
    task = dead.tasks.select_related("server").get(kind="balances")
    run_here(task, Trigger.MANUAL)
    asked = "Rows are purged that the server has not received: Balance changes."
    assert asked in page_of(admin, dead)
    url = reverse("server_beginning", args=[dead.pk])
    assert "1 rows that Server 9 has not received were purged" in read(admin.get(url))
    meaning = read(admin.post(url, {"balances": "without"}))
    assert "Balance changes: 1 row were purged from shop All. It never gets them." in meaning
    admin.post(url, {"balances": "without", "confirmed": "1"})
    stage(shop_all, "balances", [("3", 1)])
    run_here(task, Trigger.MANUAL)
    assert query(dead.dsn, "select account from asset order by 1") == [("1",), ("3",)]
    shown = page_of(admin, dead)
    assert asked not in shown
    assert LEFT not in shown


def test_that_answer_never_sends_rows_again_that_it_has(admin, dead, server, shop_all):
    """Somebody posts the answer of a new server."""
    leave(admin, dead)
    purge(shop_all)
    BonusServer.objects.filter(pk=dead.pk).update(db_port=server.db_port)
    url = reverse("server_beginning", args=[dead.pk])
    answer = admin.post(url, {"balances": "nothing", "confirmed": "1"})
    assert answer.status_code == 422
    dead.refresh_from_db()
    assert query(dead.dsn, "select account from asset") == [("1",)]
