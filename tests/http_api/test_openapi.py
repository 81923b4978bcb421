"""The OpenAPI document of the repository is that of the program."""

import pytest

from tests.http_api.conftest import Program
from tests.http_api.openapi import FILE, text
from transfer.http_api.routes import document
from transfer.models import BonusServer, Upload
from transfer.models.run_base import State


def test_the_document_of_the_repository_is_that_of_the_program():
    assert FILE.read_text() == text(), "run: make openapi"


@pytest.mark.django_db
def test_the_program_gives_the_same_document(program: Program):
    assert program.ask("openapi.json").json() == document()


def test_every_operation_says_how_it_refuses_and_is_closed():
    operations = [one for path in document()["paths"].values() for one in path.values()]
    assert len(operations) > 15
    assert all(one["security"] for one in operations)
    assert all(one["summary"] for one in operations)
    assert {"401", "403", "429"} <= set.intersection(*(set(one["responses"]) for one in operations))


def test_a_page_of_each_list_has_100_items_unless_the_call_says_otherwise():
    paths = document()["paths"].items()
    limits = {
        path: parameter["schema"]["default"]
        for path, methods in paths
        for parameter in methods.get("get", {}).get("parameters", [])
        if parameter["name"] == "limit"
    }
    assert limits.pop("/api/v1/problems") == 500  # which has no pages
    assert set(limits.values()) == {100}


@pytest.mark.parametrize(
    ("schema", "choices"),
    [("Run", State), ("Load", Upload.State), ("Server", BonusServer.State)],
)
def test_a_state_is_described_by_the_choices_of_its_own_model(schema, choices):
    described = document()["components"]["schemas"][schema]["properties"]["state"]
    assert described["enum"] == choices.values


def test_a_load_needs_the_header_that_makes_it_once_by_its_name_in_http():
    load = document()["paths"]["/api/v1/rows/{kind}"]["post"]
    headers = {one["name"]: one for one in load["parameters"] if one["in"] == "header"}
    assert headers["Idempotency-Key"]["required"]
