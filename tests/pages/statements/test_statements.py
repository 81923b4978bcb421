"""The pages of statements, and their files."""

import io
import json
from datetime import datetime
from pathlib import Path

import pytest
from django.core.management import call_command
from django.urls import reverse
from python_calamine import CalamineWorkbook

from tests.databases import query, stage
from tests.http_api.conftest import a_key
from tests.pages.look import words
from transfer.models import Actor, AuditEntry, RejectedRow, Settings, Statement
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.statements.document import Document


@pytest.fixture
def chosen(last_days):
    """What the form sends for the period of `made`."""
    period = last_days(45, 31)
    return {"first": str(period.first), "last": str(period.last)}


@pytest.fixture
def made(task, shop_all, key, month, last_days):
    """Two statements of one month; between them an undo."""
    stage(shop_all, "balances", [("4100", 5), ("", 3)])
    run_here(task, Trigger.MANUAL)
    month(40)
    period = last_days(45, 31)
    RejectedRow.objects.update(created_at=period.starts)
    days = ["--from", str(period.first), "--to", str(period.last)]
    call_command("statement", *days)
    query(shop_all, "update datatransfer.log set withdrawn = true where kind = 'balances'")
    call_command("statement", *days)
    return Statement.objects.get(number=2)


def test_a_statement_has_figures_changes_digest_and_places_to_sign(viewer, made, in_english):
    said = words(viewer.get(reverse("statement", args=[2])))
    for expected in ("Received", "+8.00", "Changed since an earlier statement", made.digest):
        assert expected in said
    assert "Balance changes · log · Of them withdrawn by an undo · rows" in said
    assert "Unchanged" not in said  # there were none
    assert said.count("position, name, signature, date") == 2
    assert made.digest[:16] in words(viewer.get(reverse("statements")))


@pytest.mark.parametrize(("language", "form"), [("ru", "%d.%m.%Y"), ("en", "%Y-%m-%d")])
def test_its_days_are_written_as_accountants_read_them(viewer, made, language, form):
    viewer.cookies["django_language"] = language
    for address in (reverse("statement", args=[2]), reverse("statements")):
        said = words(viewer.get(address))
        assert f"{made.first:{form}}" in said
        assert f"{made.last:{form}}" in said
    made_at = json.loads(made.document)["statement"]["made_at"]
    said = words(viewer.get(reverse("statement", args=[2])))
    assert f"{datetime.fromisoformat(made_at):{form} %H:%M} ·" in said


def test_the_audit_has_the_digest(admin, made, in_english):
    said = words(admin.get(reverse("audit")))
    assert "made the statement" in said
    assert made.digest in said


def test_a_statement_says_that_the_installation_was_restored_in_its_time(
    viewer, made, last_days, in_english
):
    """Its backup was of that time, so that decisions and outages are missing."""
    period = last_days(45, 31)
    AuditEntry.record(
        Actor("root (manage.py)"),
        AuditEntry.Action.RESTORE,
        Settings.load(),
        new={"backup_of": period.starts},
    )
    call_command("statement", "--from", str(period.first), "--to", str(period.last))
    said = words(viewer.get(reverse("statement", args=[3])))
    assert "own database was restored at" in said.replace("&#x27;", "’")
    assert "own database was restored at" not in words(viewer.get(reverse("statement", args=[2])))


def test_the_workbook_has_the_figures_and_the_open_rejected_rows(viewer, made):
    response = viewer.get(reverse("statement_xlsx", args=[1]))
    book = CalamineWorkbook.from_filelike(io.BytesIO(b"".join(response.streaming_content)))
    figures = book.get_sheet_by_index(0).to_python()
    name = "Бонусный сервер 8"
    assert ["Balance changes", name, "Received", 2.0, 8.0] in figures
    assert len(book.get_sheet_by_index(1).to_python()) > 1


def test_the_signed_file_comes_byte_for_byte_from_the_page_and_the_api(viewer, client, made):
    page = viewer.get(reverse("statement_json", args=[2]))
    headers = {"Authorization": f"Bearer {a_key().secret}"}
    api = client.get("/api/v1/statements/2", headers=headers)
    assert page.content == api.content == made.document.encode()
    assert Document.read(api.content).digest == made.digest
    listed = client.get("/api/v1/statements?limit=1", headers=headers).json()
    assert (listed["items"][0]["number"], listed["next"]) == (1, 1)


def test_an_operator_makes_one_of_a_period_and_server(operator, made, server, chosen):
    assert reverse("statement_make") in operator.get(reverse("statements")).content.decode()
    shown = operator.get(reverse("statement_make")).content.decode()
    assert 'type="date"' in shown
    days = {**chosen, "server": server.pk}
    said = words(operator.post(reverse("statement_make"), days, follow=True))
    third = Statement.objects.get(number=3)
    assert (third.server_name, third.made_by) == (server.name, "olga")
    assert f"Statement 3 was made. Its digest is {third.digest}" in said


def test_a_viewer_is_not_offered_to_make_one(viewer, made):
    assert reverse("statement_make") not in viewer.get(reverse("statements")).content.decode()


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (50, 60, "before it begins on"),
        (5, -5, "The period is not over: its last day is"),
        (300, 200, "Nothing was staged before"),
        ("31.02.2026", 31, "Enter a valid date."),
        ("", "", "This field is required."),
    ],
)
def test_a_period_that_cannot_be_is_answered_by_a_sentence(
    operator, made, last_days, first, last, said
):
    days = {
        name: str(last_days(one, one).first) if isinstance(one, int) else one
        for name, one in (("first", first), ("last", last))
    }
    answer = operator.post(reverse("statement_make"), days)
    assert said in words(answer)
    assert Statement.objects.count() == 2


def test_a_key_that_others_may_read_is_answered_by_a_sentence(operator, made, settings, chosen):
    Path(settings.STATEMENT_KEY).chmod(0o644)
    assert "has the rights 644" in words(operator.post(reverse("statement_make"), chosen))
    assert Statement.objects.count() == 2


def test_shop_all_that_does_not_answer_is_answered_by_a_sentence(operator, made, settings, chosen):
    settings.SHOP_ALL_DATABASE_URL = "postgresql://nobody@127.0.0.1:9/nothing"
    assert "hop All" in words(operator.post(reverse("statement_make"), chosen))
    assert Statement.objects.count() == 2
