"""Problems that a program takes and gives back, and who has taken those that the list shows."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.records import a_problem, server
from transfer.models import Actor, AuditEntry
from transfer.problems import taking

pytestmark = pytest.mark.django_db
IVAN = Actor("ivan")


@pytest.fixture
def problem(db):
    return a_problem(server())


def test_a_program_takes_a_problem_under_the_name_of_its_key_and_gives_it_back(program, problem):
    answer = program.order(f"problems/{problem.pk}/take", {"note": "ticket 12"})
    taken = answer.json()["taken"]
    assert (answer.status_code, taken["by"], taken["note"]) == (200, "1C (API)", "ticket 12")
    entry = AuditEntry.objects.latest("id")
    assert (entry.who, entry.action, entry.reason) == ("1C (API)", "take", "ticket 12")
    answer = program.order(f"problems/{problem.pk}/give_back")
    assert answer.json() == {"id": problem.pk, "taken": None, "muted": None}
    assert AuditEntry.objects.latest("id").action == "give_back"


def test_what_somebody_has_taken_is_refused_unless_it_is_taken_over(program, problem):
    taking.take(problem, IVAN)
    answer = program.order(f"problems/{problem.pk}/take")
    assert (answer.status_code, answer.json()["code"]) == (409, "problem_taken")
    assert answer.json()["message"].startswith("ivan has taken this problem, since ")
    answer = program.order(f"problems/{problem.pk}/take", {"over": True})
    assert answer.json()["taken"]["by"] == "1C (API)"


def test_what_has_ended_or_is_not_taken_is_refused_by_a_sentence(program, problem):
    answer = program.order(f"problems/{problem.pk}/give_back")
    assert (answer.status_code, answer.json()["code"]) == (409, "problem_not_taken")
    type(problem).objects.update(ended_at=timezone.now() + timedelta(seconds=1))
    answer = program.order(f"problems/{problem.pk}/take")
    assert (answer.status_code, answer.json()["code"]) == (409, "problem_ended")
    assert answer.json()["message"].startswith("This problem has ended, since ")


def test_a_problem_that_only_administrators_see_is_not_there_for_a_key(program, problem):
    type(problem).objects.update(topic="locked", code="locked")
    assert program.order(f"problems/{problem.pk}/take").status_code == 404
    assert program.order("problems/999/take").status_code == 404


def test_a_program_mutes_a_problem_until_a_time_or_until_it_gets_worse(program, problem):
    until = timezone.now() + timedelta(hours=2)
    body = {"until": until.isoformat(), "reason": "deploy"}
    muted = program.order(f"problems/{problem.pk}/mute", body).json()["muted"]
    assert (muted["by"], muted["reason"]) == ("1C (API)", "deploy")
    problem.refresh_from_db()
    assert problem.muted_until == until
    assert program.order(f"problems/{problem.pk}/unmute").json()["muted"] is None
    muted = program.order(f"problems/{problem.pk}/mute", {"reason": "known"}).json()["muted"]
    assert muted["until"] is None


def test_a_time_that_is_past_and_a_missing_reason_are_named(program, problem):
    body = {"until": "2020-01-01T00:00:00Z", "reason": "x"}
    answer = program.order(f"problems/{problem.pk}/mute", body)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["field"], error["message"]) == ("until", "The time has to be in the future.")
    answer = program.order(f"problems/{problem.pk}/mute", {})
    assert [one["field"] for one in answer.json()["errors"]] == ["reason"]
    answer = program.order(f"problems/{problem.pk}/unmute")
    assert (answer.status_code, answer.json()["code"]) == (409, "problem_not_muted")
