"""Somebody takes a problem on the overview: who, since when, and what others see of it."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.pages.look import read, told
from tests.records import a_problem, a_run, server, user
from transfer.alerts.watch import watch
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import Actor, AuditEntry, Incident, TransferTask
from transfer.models.failing import failure
from transfer.parties import database_of
from transfer.problems import taking

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("nothing_asked", "operator")]
IVAN = Actor("ivan")


@pytest.fixture
def failing():
    """The problem of a task whose last runs failed, as the watch has noted it."""
    return failing_task(server())


def failing_task(of):
    task = of.tasks.get(kind="balances")
    task.switch(True, IVAN)
    error = Unreachable(UNREACHABLE, party=database_of(of.name), reason="x")
    a_run(of, state="failed", **failure(error))
    TransferTask.objects.filter(pk=task.pk).update(failures=3)
    watch(timezone.now())
    return Incident.objects.open().get(topic="failures", server=of)


def test_one_press_on_the_overview_takes_the_problem_and_everybody_sees_who(client, failing):
    page = client.get("/")
    assert "Take it" in read(page)
    answer = client.post(reverse("problems_take"), {"problems": failing.pk, "next": "/"})
    assert answer.url == "/"
    failing.refresh_from_db()
    assert (failing.taken_by, failing.taken_note) == ("olga", "")
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.action) == ("olga", "take")
    client.force_login(user("viewer", "vera"))
    seen = read(client.get("/"))
    assert "olga has taken it, since" in seen
    assert "Take it" not in seen


def test_a_note_is_shown_beside_it_and_who_took_it_can_change_it(client, failing):
    url = reverse("problem_take", args=[failing.pk])
    client.post(url, {"note": "I call the provider"})
    since = Incident.objects.get(pk=failing.pk).taken_at
    assert "I call the provider" in read(client.get("/"))
    client.post(url, {"note": "The provider repairs it"})
    failing.refresh_from_db()
    assert (failing.taken_note, failing.taken_at) == ("The provider repairs it", since)


def test_it_is_given_back_and_is_free_again(client, failing):
    taking.take(failing, IVAN)
    client.post(reverse("problem_give_back", args=[failing.pk]))
    failing.refresh_from_db()
    assert (failing.taken_by, failing.taken_at) == ("", None)
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.action, entry.old) == ("olga", "give_back", {"taken_by": "ivan"})


def test_what_somebody_else_has_taken_meanwhile_is_taken_over_only_if_one_says_so(client, failing):
    taking.take(failing, IVAN, note="mine")
    url = reverse("problem_take", args=[failing.pk])
    ((tone, why),) = told(client.post(url, {"note": ""}))
    assert tone == "bad"
    assert "ivan has taken this problem, since" in why
    failing.refresh_from_db()
    assert failing.taken_by == "ivan"
    client.post(url, {"note": "", "over": "1"})
    failing.refresh_from_db()
    assert failing.taken_by == "olga"
    entry = AuditEntry.objects.latest("id")
    assert (entry.old, entry.new) == ({"taken_by": "ivan"}, {"taken_by": "olga"})


def test_one_press_takes_all_problems_of_a_line_that_nobody_has_taken(client):
    found = [failing_task(server(f"БС {number}")) for number in range(5)]
    taking.take(found[0], IVAN)
    page = client.get("/")
    assert "Take all" in read(page)
    forms = re.findall(r'name="problems" value="([\d,]+)"', page.content.decode())
    sent = max(forms, key=len)
    assert set(sent.split(",")) == {str(one.pk) for one in found[1:]}
    answer = client.post(reverse("problems_take"), {"problems": sent}, follow=True)
    assert "You have taken 4 problems." in read(answer)
    assert "5 of 5 taken: ivan, olga" in read(answer)


def test_one_press_on_a_line_that_others_have_taken_meanwhile_is_refused(client, failing):
    taking.take(failing, IVAN)
    ((tone, why),) = told(client.post(reverse("problems_take"), {"problems": failing.pk}))
    assert tone == "bad"
    assert "ivan has taken this problem, since" in why


def test_a_problem_that_has_ended_says_so_on_its_page_and_can_not_be_taken(client, failing):
    TransferTask.objects.update(failures=0)
    watch(timezone.now())
    answer = client.post(reverse("problem_take", args=[failing.pk]), {"note": ""}, follow=True)
    assert "This problem has ended, since" in read(answer)
    assert "The problem has ended: it began" in read(answer)
    answer = client.post(reverse("problems_take"), {"problems": failing.pk}, follow=True)
    assert "The problem has ended in the meantime." in read(answer)
    assert not AuditEntry.objects.filter(action="take").exists()


def test_a_later_problem_of_the_same_kind_is_free(client, failing):
    taking.take(failing, IVAN)
    TransferTask.objects.update(failures=0)
    watch(timezone.now())
    again = failing_task(failing.server)
    assert again.pk != failing.pk
    assert not again.is_taken


def test_the_audit_names_the_problem_in_the_readers_language(client, failing):
    client.post(reverse("problem_take", args=[failing.pk]), {"note": "я"})
    client.force_login(user("administrator", "anna"))
    assert "olga took the problem “" in read(client.get(reverse("audit")))
    assert "olga took the problem" in read(client.get(failing.get_absolute_url()))


def test_a_problem_of_administrators_is_not_there_for_an_operator(client):
    locked = a_problem(None, topic="locked", code="locked", params={"names": ["ivan"]})
    for name in ("problem_take", "problem_give_back"):
        assert client.post(reverse(name, args=[locked.pk])).status_code == 404
    assert client.get(locked.get_absolute_url()).status_code == 404
    client.post(reverse("problems_take"), {"problems": f"{locked.pk},x,,99999999999"})
    locked.refresh_from_db()
    assert not locked.is_taken


def test_a_problem_is_muted_with_a_reason_and_who_why_and_until_when_is_shown(client, failing):
    url = reverse("problem_mute", args=[failing.pk])
    answer = client.post(url, {"until": "hour", "reason": ""})
    assert (answer.status_code, "Enter a reason." in read(answer)) == (422, True)
    answer = client.post(url, {"until": "other", "moment": "2020-01-01T00:00", "reason": "x"})
    assert "The time has to be in the future." in read(answer)
    client.post(url, {"until": "worse", "reason": "The provider knows"})
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.action, entry.reason) == ("olga", "mute", "The provider knows")
    seen = read(client.get("/"))
    assert "olga has muted it until it gets worse: The provider knows" in seen
    client.post(reverse("problem_unmute", args=[failing.pk]))
    failing.refresh_from_db()
    assert not failing.is_muted
    assert "has muted it" not in read(client.get("/"))
