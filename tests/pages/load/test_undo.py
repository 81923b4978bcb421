"""The pages of taking a load back: what they say before, during and after."""

import pytest
from django.urls import reverse

from tests.databases import query
from tests.pages.look import read, told
from transfer.loading import below_zero
from transfer.models import Actor, Settings, Upload
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = b"account;amount\n4100;10\n4200;20\n"
NOWHERE = "host=127.0.0.1 port=1 dbname=x"
PINS = b"account;pin\n4100;1111\n4200;2222\n"


@pytest.fixture
def operator(shop_all, log_in):
    return log_in("operator")


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    """The second one takes amounts below 15."""
    query(second_bonus, "alter table asset add constraint small check (amount < 15)")
    return [dock(bonus, "Bonus server 8"), dock(second_bonus, "Bonus server 9")]


def move(kind, *servers):
    for server in servers:
        run_here(server.tasks.get(kind=kind), Trigger.MANUAL)


def look(client, name, upload):
    return read(client.get(reverse(name, args=[upload.pk])))


def press(client, upload):
    return read(client.post(reverse("upload_undo", args=[upload.pk]), follow=True))


def test_before_it_is_ordered_it_says_that_a_second_person_has_to_approve(operator, shop_all, load):
    upload = load("balances", GOOD, "bonus.csv")
    assert "second person" not in look(operator, "upload_undo", upload)
    Settings.load().change(Actor("tests"), row_limit=15)
    text = look(operator, "upload_undo", upload)
    assert "A second person has to approve this. Until then nothing is staged." in text
    assert "The largest amount is 20.00, above the limit of a row, 15.00." in text
    assert "Ask for approval" in text
    press(operator, upload)
    assert Upload.objects.get(undoes=upload).state == Upload.State.WAITING


def test_before_it_is_ordered_it_says_what_has_arrived_and_what_goes_below_zero(
    operator, servers, load, bonus
):
    upload = load("balances", GOOD, "bonus.csv")
    move("balances", *servers)
    query(bonus, "insert into asset (account, amount, created_at) values ('4200', -5, now())")
    said = look(operator, "upload_undo", upload)
    assert "Take back “bonus.csv”?" in said
    assert "Bonus server 8: 2 of 2 moved, 0 rejected" in said
    assert "Bonus server 9: 2 of 2 moved, 1 rejected" in said
    assert "read by any server" not in said
    assert "below zero on Bonus server 8: 1, for example 4200" in said
    assert "below zero on Bonus server 9" not in said
    assert not Upload.objects.filter(input_method="undo").exists()


def test_beyond_its_bounds_it_says_that_it_did_not_look(operator, servers, load, monkeypatch):
    monkeypatch.setattr(below_zero, "MOST_LINES", 1)
    said = look(operator, "upload_undo", load("balances", GOOD))
    assert "Whether balances would go below zero was not checked" in said


def test_a_server_that_does_not_answer_is_named(operator, servers, load):
    servers[1].db_port = 1
    servers[1].save()
    said = look(operator, "upload_undo", load("balances", GOOD))
    assert "Bonus server 9: how much has arrived is not known" in said
    assert "How many rows no server has read yet is not known" in said


def test_while_shop_all_does_not_answer_it_says_so(operator, servers, load, settings):
    upload = load("cards", b"card;account;status\n77;4100;1\n")
    settings.SHOP_ALL_DATABASE_URL = NOWHERE
    for address in (
        reverse("upload_undo", args=[upload.pk]),
        reverse("upload_rest", args=[upload.pk, "csv"]),
    ):
        tone, why = told(operator.get(address))[-1]
        assert tone == "bad"
        assert why.startswith("The database of shop All")


def test_the_load_and_its_undo_show_each_other(operator, servers, load):
    upload = load("balances", GOOD, "bonus.csv")
    move("balances", *servers)
    said = press(operator, upload)
    undo = Upload.objects.get(undoes=upload)
    assert "Rows of the opposite amount: 2." in said
    assert "takes back bonus.csv" in said
    assert "Has it arrived?" in said
    said = look(operator, "upload", upload)
    assert "Taken back" in said
    assert "Undo of bonus.csv" in said
    assert "Take it back" not in said
    assert "Undo of bonus.csv" in read(operator.get(reverse("loads")))
    assert (
        reverse("upload", args=[upload.pk])
        in operator.get(reverse("upload", args=[undo.pk])).content.decode()
    )


def test_pressed_twice_it_is_done_once(operator, servers, load, staged):
    upload = load("balances", GOOD)
    move("balances", *servers)
    press(operator, upload)
    assert "Rows of the opposite amount: 2." in press(operator, upload)
    assert "This load was taken back before." in read(
        operator.get(reverse("upload_undo", args=[upload.pk]), follow=True)
    )
    assert len(staged("balances")) == 4


def test_a_file_that_is_withdrawn_is_not_shown_as_on_its_way(operator, servers, load):
    upload = load("balances", GOOD)
    press(operator, upload)
    said = look(operator, "upload", upload)
    assert said.count("Taken back before") == 2
    assert "On its way" not in said
    assert "Run now" not in said


def test_pin_codes_that_a_server_has_read_are_a_list_to_load_instead(operator, servers, load):
    upload = load("pincodes", PINS)
    move("pincodes", servers[0])
    said = look(operator, "upload_undo", upload)
    assert "Its rows without PIN codes" in said
    said = press(operator, upload)
    assert "Withdrawn: bonus servers that have not read the load do not get it." in said
    assert "Which bonus servers have it" in said
    assert "Arrived Bonus server 8 2 of 2 moved" in said
    assert "Taken back before Bonus server 9 0 of 2 moved" in said
    assert "Its rows without PIN codes" in said
    response = operator.get(reverse("upload_rest", args=[upload.pk, "csv"]))
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["4100", "4200"]
    assert "1111" not in "".join(lines)


def test_cards_that_no_server_has_read_are_withdrawn(operator, servers, load, bonus):
    upload = load("cards", b"card;account;status\n77;4100;1\n")
    assert "1 row has not been read by any server" in look(operator, "upload_undo", upload)
    said = press(operator, upload)
    assert "Taken back before Bonus server 8 0 of 1 moved" in said
    assert "Its rows" not in said
    move("cards", *servers)
    assert query(bonus, 'select * from "cardAccounting"') == []


def test_a_viewer_can_not_take_a_load_back(client, servers, load, log_in):
    upload = load("balances", GOOD)
    log_in("viewer")
    assert "Take it back" not in look(client, "upload", upload)
    assert client.post(reverse("upload_undo", args=[upload.pk])).status_code == 403
