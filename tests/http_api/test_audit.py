"""Each call of the API is in the audit under the name of its key, those that only read as well."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from tests.http_api.conftest import BASE, Program, a_key
from tests.records import server
from transfer.models import ApiCall, AuditEntry
from transfer.tick import tick

pytestmark = pytest.mark.django_db


def noted() -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(action="calls").order_by("address"))


def let_the_hour_end() -> None:
    ApiCall.objects.update(hour=F("hour") - timedelta(hours=1))
    assert tick("test").failed == []


def get(program: Program, path: str, address: str) -> Any:
    return program.get(BASE + path, REMOTE_ADDR=address)


def test_calls_of_an_hour_are_one_entry_for_each_key_and_address(program: Program):
    task = server().tasks.get(kind="cards")
    for path in ("tasks", "tasks", f"tasks/{task.pk}", "accounts/4100"):
        get(program, path, "10.1.2.3")
    get(program, "tasks", "2001:db8::1")
    get(Program(a_key(name="Loader").secret), "servers", "10.1.2.3")
    assert tick("test").failed == []
    assert noted() == []  # the hour goes on
    let_the_hour_end()
    entries = {(entry.who, entry.address): entry.new for entry in noted()}
    assert {names: (new["times"], new["operations"]) for names, new in entries.items()} == {
        ("1C (API)", "10.1.2.3"): (
            4,
            ["GET accounts/{number} × 1", "GET tasks × 2", "GET tasks/{id} × 1"],
        ),
        ("1C (API)", "2001:db8::1"): (1, ["GET tasks × 1"]),
        ("Loader (API)", "10.1.2.3"): (1, ["GET servers × 1"]),
    }
    let_the_hour_end()
    assert len(noted()) == 3


def test_a_call_that_is_refused_counts_too_and_one_without_a_key_does_not(settings):
    program = Program(a_key("load_cards").secret)
    assert program.ask("tasks").status_code == 403
    assert program.ask("nowhere").status_code == 404
    assert program.put(f"{BASE}tasks").status_code == 405
    assert Program("dtk_guessed").ask("tasks").status_code == 401
    let_the_hour_end()
    (entry,) = noted()
    assert entry.new["operations"] == ["GET tasks × 1", "other × 2"]


def test_a_change_has_an_entry_of_its_own_beside_the_count(program: Program):
    task = server().tasks.get(kind="cards")
    program.order(f"tasks/{task.pk}/run")
    assert AuditEntry.objects.get(action="run").who == "1C (API)"
    let_the_hour_end()
    (entry,) = noted()
    assert entry.new["operations"] == ["POST tasks/{id}/run × 1"]


@pytest.mark.parametrize(
    ("language", "sentence"),
    [("en", "<b>1C (API)</b> called the API"), ("ru", "<b>1C (API)</b>: вызовы API")],
)
def test_the_page_of_the_audit_says_it(admin_client, program: Program, language, sentence):
    program.ask("servers")
    let_the_hour_end()
    admin_client.cookies["django_language"] = language
    page = admin_client.get("/audit/").text
    assert sentence in page
    assert "GET servers × 1" in page
