"""A thief has the link of a message, by which a problem is taken without a log-in."""

import logging
import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.records import a_notice, a_problem, a_recipient
from transfer.alerts import links
from transfer.alerts.send import text
from transfer.logs import WithoutLinks
from transfer.models import Actor, AuditEntry, Incident, Notice
from transfer.problems import taking

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan")
SITE = "https://dtadmin.shop.local"


@pytest.fixture(autouse=True)
def site(settings):
    settings.SITE_URL, settings.LANGUAGE_CODE = SITE, "en"


@pytest.fixture
def notice():
    return a_notice(a_recipient("mail", "olga@shop.example", name="Olga", language="en"))


def path(notice, sent=None):
    return links.link_to_take(notice, sent).removeprefix(SITE)


def words(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def refusal(response):
    """What the page says, of a link that does not work."""
    assert "The link does not work" in words(response)
    assert not Incident.objects.exclude(taken_at=None).exclude(taken_by="ivan").exists()
    return words(response)


def test_the_link_takes_its_problem_once_without_a_log_in_and_the_audit_says_by_what(notice):
    browser, url = Client(REMOTE_ADDR="10.9.8.7"), path(notice)
    for _times in range(2):  # a messenger opens it, too
        page = browser.get(url)
        assert "Do you look after it?" in words(page)
    assert not Incident.objects.exclude(taken_at=None).exists()
    assert not AuditEntry.objects.filter(action="take").exists()
    page = browser.post(url)
    assert "Olga (by the link) has taken it, since" in words(page)
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.new["by_link"], entry.address) == ("Olga (link)", "Olga", "10.9.8.7")
    assert entry.user_id is None


def test_a_link_that_is_replayed_is_refused(notice):
    url = path(notice)
    Client().post(url)
    taking.give_back(notice.incident, IVAN)
    for ask in (Client().get, Client().post):
        answer = ask(url)
        assert answer.status_code == 410
        assert "This link has been used already: it works once." in refusal(answer)


def test_a_link_can_do_nothing_else_than_take_the_problems_of_its_message(notice):
    other = a_problem(None, key="shop:2")
    browser = Client()
    browser.post(path(notice), {"problems": other.pk, "pk": other.pk, "note": "x"})
    other.refresh_from_db()
    assert not other.is_taken
    notice.incident.refresh_from_db()
    assert (notice.incident.is_taken, notice.incident.taken_note) == (True, "")
    assert browser.get("/").status_code == 302  # it has logged nobody in
    assert browser.post(f"/problems/{other.pk}/take/").status_code == 302


def test_the_link_of_a_message_about_several_problems_takes_those_and_no_other(notice):
    second, third = a_problem(None, key="shop:2"), a_problem(None, key="shop:3")
    Notice.objects.create(
        recipient=notice.recipient,
        incident=second,
        event="began",
        params=second.params,
        told_by=notice,
    )
    Client().post(path(notice))
    taken = set(Incident.objects.exclude(taken_at=None).values_list("pk", flat=True))
    assert taken == {notice.incident_id, second.pk}
    assert third.pk not in taken


def test_a_link_that_was_made_to_name_another_message_is_refused(notice):
    other = a_problem(None, key="shop:2")
    of_other = Notice.objects.create(
        recipient=notice.recipient, incident=other, event="began", params=other.params
    )
    body, signature = path(notice).strip("/").removeprefix("take/").rsplit(".", 1)
    forged, _own = path(of_other).strip("/").removeprefix("take/").rsplit(".", 1)
    for token in (f"{forged}.{signature}", f"{body}.{signature[:-1]}x", f"{body}.{'a' * 43}"):
        answer = Client().post(f"/take/{token}/")
        assert answer.status_code == 404
        assert "This link is not one of ours, or it is cut off." in refusal(answer)


def test_a_link_holds_for_an_hour(notice):
    sent = timezone.now() - timedelta(hours=1, seconds=1)
    answer = Client().post(path(notice, sent))
    assert answer.status_code == 410
    assert "This link has expired: it holds for an hour." in refusal(answer)
    assert Client().get(path(notice, sent + timedelta(minutes=1))).status_code == 200


@pytest.mark.parametrize("how", ["deleted", "switched off"])
def test_a_link_that_was_sent_to_a_former_recipient_is_refused(notice, how):
    url = path(notice)
    if how == "deleted":
        notice.recipient.delete()
    else:
        type(notice.recipient).objects.update(enabled=False)
    answer = Client().post(url)
    assert answer.status_code == 410
    assert "This link was sent to a recipient who is not notified any more." in refusal(answer)


def test_a_link_to_a_problem_that_has_ended_says_so(notice):
    url = path(notice)
    Incident.objects.update(ended_at=timezone.now())
    answer = Client().post(url)
    assert answer.status_code == 409
    assert "This problem has ended, since " in refusal(answer)


def test_what_somebody_has_taken_is_taken_over_only_by_a_button_that_says_so(notice):
    url = path(notice)
    taking.take(notice.incident, IVAN)
    assert "ivan has taken it, since" in words(Client().get(url))
    assert "ivan has taken this problem, since" in refusal(Client().post(url))
    assert "Olga (by the link) has taken it" in words(Client().post(url, {"over": "1"}))


def test_nothing_is_taken_without_the_key_against_forgery(notice):
    assert Client(enforce_csrf_checks=True).post(path(notice)).status_code == 403
    assert not Incident.objects.exclude(taken_at=None).exists()


def test_without_an_address_of_the_installation_messages_carry_no_link(notice, settings):
    assert f"To take it, within an hour: {SITE}/take/" in text(notice)
    settings.SITE_URL = ""
    assert "take" not in text(notice).lower()


@pytest.mark.parametrize("event", ["ended", "test"])
def test_a_message_with_nothing_to_take_carries_no_link(notice, event):
    notice.event = event
    assert "/take/" not in text(notice)


def test_a_message_about_a_taken_problem_carries_no_link(notice):
    taking.take(notice.incident, IVAN)
    assert "/take/" not in text(Notice.objects.get())


def test_no_line_of_our_logs_has_the_secret_of_a_link(notice, capsys):
    """Not the refusals of forms, which quote addresses, and not the errors of the web server."""
    url = path(notice)
    handler = next(one for one in logging.getLogger("transfer").handlers if hasattr(one, "stream"))
    assert any(isinstance(one, WithoutLinks) for one in handler.filters)
    for line, arguments in (
        ("Forbidden (%s): %s", ("CSRF cookie not set.", url)),
        ("Error handling request %s", (url,)),
        (f"Internal Server Error: {url}?next={url}", ()),
    ):
        record = logging.LogRecord("x", logging.ERROR, "x.py", 1, line, arguments, None)
        assert handler.filter(record)
        written = handler.format(record)
        assert "/take/…" in written
        assert url.split("/")[2] not in written
