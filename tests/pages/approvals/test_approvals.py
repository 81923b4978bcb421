"""The approver sees what the loader saw and the balances now, and says yes or no, once."""

import re

import pytest
from django.urls import reverse

from tests.approvals.conftest import limits
from tests.databases import query
from tests.records import user
from transfer.engine.kinds import BALANCES
from transfer.loading import upload_job
from transfer.loading.receive import receive
from transfer.loading.report import warning
from transfer.models import Actor, Approval, Approver, AuditEntry, Settings, Upload, User

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def tables(shop_all):
    limits(row_limit=10_000)


@pytest.fixture
def oleg():
    return Actor.user_at(user("operator", "oleg"))


@pytest.fixture
def vera(client):
    """Logged in: a viewer who may approve."""
    made = user("viewer", "vera")
    Approver.objects.create(user=made)
    client.force_login(made)
    client.cookies["django_language"] = "en"
    return made


@pytest.fixture
def waits(oleg):
    upload = receive(BALANCES, [b"account;amount\n4100;50000\n4200;-7\n"], oleg, name="bonus.csv")
    upload_job.go_on(upload)
    upload.confirm(oleg)
    upload_job.go_on(upload)
    return Approval.objects.get()


def shown(client, url):
    return " ".join(client.get(url).content.decode().replace("\xa0", " ").split())


def press(client, approval, name, **fields):
    url = reverse(f"approval_{name}", args=[approval.pk])
    return client.post(url, fields, follow=True)


def test_the_page_shows_accounts_sums_reasons_and_balances_now(
    client, vera, waits, receiver, bonus
):
    query(bonus, "insert into asset (account, amount) values ('4100', 5), ('4200', 3)")
    text = shown(client, waits.get_absolute_url())
    for part in ("oleg", "4100", "5.00 → 50 005.00", "3.00 → -4.00", "1 balance goes below zero"):
        assert part in text.replace("−", "-").replace("\u202f", " "), part
    assert "above the limit of a row" in text


def test_the_page_shows_the_warnings_that_the_loader_has_seen(client, vera, oleg):
    limits(row_limit=None, load_limit=15)
    upload = receive(BALANCES, [b"account;amount\n4100;9\n4100;9\n"], oleg, name="bonus.csv")
    upload_job.go_on(upload)
    (told, _params), *_rest = upload.report["warnings"]
    upload.confirm(oleg)
    upload_job.go_on(upload)
    text = shown(client, Approval.objects.get().get_absolute_url())
    assert told == "repeated"
    assert str(warning("repeated", {"n": 1})) in text


def test_yes_stages_the_rows_once_however_often_it_is_pressed(client, vera, waits, staged):
    answer = press(client, waits, "approve")
    assert "Approved" in answer.content.decode()
    assert len(staged("balances")) == 2
    assert "decided in the meantime" in press(client, waits, "approve").content.decode()
    assert "decided in the meantime" in press(client, waits, "refuse", reason="x").content.decode()
    assert len(staged("balances")) == 2
    names = AuditEntry.objects.filter(action="approval", who="vera").get()
    assert (names.new["asked_by"], names.new["state"]) == ("oleg", "approved")


def test_no_needs_a_reason_deletes_the_rows_and_tells_the_loader(client, vera, waits, oleg, staged):
    assert press(client, waits, "refuse").status_code == 422
    press(client, waits, "refuse", reason="wrong shop")
    upload = Upload.objects.get()
    assert (upload.state, upload.pieces.count(), staged("balances")) == ("declined", 0, [])
    client.force_login(oleg.user)
    assert "wrong shop" in shown(client, upload.get_absolute_url())


def test_the_loader_may_discard_what_waits_and_nobody_else(client, vera, waits, oleg, staged):
    discard = reverse("upload_discard", args=[waits.upload_id])
    client.force_login(user("operator", "pavel"))
    client.post(discard)
    assert Approval.objects.waiting().exists()
    client.force_login(oleg.user)
    client.cookies["django_language"] = "en"
    assert "Discard" in shown(client, waits.upload.get_absolute_url())
    client.post(discard)
    upload = Upload.objects.get()
    assert (upload.state, upload.pieces.count(), staged("balances")) == ("discarded", 0, [])
    client.force_login(vera)
    assert "decided in the meantime" in press(client, waits, "approve").content.decode()


def test_the_loader_who_may_approve_can_not_approve_his_own(client, waits, oleg, staged):
    Approver.objects.create(user=oleg.user)
    client.force_login(oleg.user)
    client.cookies["django_language"] = "en"
    assert "yourself" in press(client, waits, "approve").content.decode()
    assert staged("balances") == []


def test_the_audit_says_who_entered_who_decided_and_how_it_ended(client, vera, waits, oleg):
    press(client, waits, "approve")
    client.force_login(user("administrator", "anna"))
    text = re.sub("<[^>]*>", "", shown(client, reverse("audit")))
    assert "vera approved a load" in text
    assert "oleg entered what needs a second person" in text
    assert "approved by" in text


def test_the_overview_names_what_waits_and_that_nobody_may_approve(client, waits, log_in):
    log_in("operator", "pavel")
    text = shown(client, reverse("overview"))
    assert "1 load needs a second person" in text
    assert "Nobody may approve" in text


def test_the_page_of_the_load_says_that_it_waits(client, waits, oleg):
    client.force_login(oleg.user)
    client.cookies["django_language"] = "en"
    assert "needs a second person" in shown(client, waits.upload.get_absolute_url())
    assert "needs a second person" in shown(client, reverse("loads")).lower()


class TestTheSwitchOfAUser:
    def edit(self, client, one, **fields):
        page = reverse("user", args=[one.pk])
        values = {
            "first_name": "",
            "last_name": "",
            "role": "operator",
            "initial-first_name": "",
            "initial-last_name": "",
            "initial-role": "operator",
            "initial-approves": "False",
            "initial-own_numbers": "",
        }
        return client.post(page, values | fields, follow=True)

    def test_gives_the_right_and_keeps_own_numbers_audited(self, client):
        client.force_login(user("administrator", "anna"))
        one = user("operator", "oleg")
        self.edit(client, one, approves="on", own_numbers="4100\n 7001 ")
        assert Approver.objects.filter(user=one).exists()
        entry = AuditEntry.objects.filter(subject_type="user", subject_id=one.pk).first()
        assert entry.new == {"approves": True, "own_numbers": ["4100", "7001"]}

    def test_is_not_for_oneself(self, client):
        anna = user("administrator", "anna")
        client.force_login(anna)
        values = {"role": "administrator", "initial-role": "administrator", "approves": "on"}
        self.edit(client, anna, **values)
        assert not Approver.objects.filter(user=anna).exists()


def test_the_settings_take_limits_and_empty_ones(client):
    client.force_login(user("administrator", "anna"))
    page = client.get(reverse("settings")).context["form"]
    values = {name: page[name].value() for name in page.fields}
    values = {name: "" if value is None else value for name, value in values.items()}
    values |= {"row_limit": "", "day_limit": "20000", "seen": Settings.load().version}
    values.pop("show_transfer_tasks"), values.pop("confirms_by_itself")
    client.post(reverse("settings"), values)
    assert (Settings.load().row_limit, Settings.load().day_limit) == (None, 20000)
    assert User.objects.filter(username="anna").exists()
