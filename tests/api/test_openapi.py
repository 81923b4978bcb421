"""The OpenAPI document of the repository is that of the program."""

import pytest

from tests.api.conftest import Program
from tests.api.openapi import FILE, text
from transfer.api.routes import document


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
