"""Every operation × key: which scope lets it pass, and who is refused."""

from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.http_api.conftest import Program, a_key
from transfer.http_api.routes import document
from transfer.models.api_keys import Scope

pytestmark = pytest.mark.django_db(transaction=True)


class Rule(NamedTuple):
    """The scope that an operation needs; none: every key."""

    needs: str = "read"


# The operations by method and path.
RULES = {
    ("get", "/api/v1/"): Rule(""),
    ("get", "/api/v1/openapi.json"): Rule(""),
    ("get", "/api/v1/tasks"): Rule(),
    ("get", "/api/v1/tasks/{id}"): Rule(),
    ("post", "/api/v1/tasks/{id}/run"): Rule("run"),
    ("post", "/api/v1/tasks/{id}/pause"): Rule("run"),
    ("post", "/api/v1/tasks/{id}/resume"): Rule("run"),
    ("post", "/api/v1/tasks/{id}/switch"): Rule("run"),
    ("get", "/api/v1/servers"): Rule(),
    ("post", "/api/v1/servers/{id}/reconciliation"): Rule(),
    ("get", "/api/v1/registers"): Rule(),
    ("get", "/api/v1/problems"): Rule(),
    ("post", "/api/v1/problems/{id}/take"): Rule("problems"),
    ("post", "/api/v1/problems/{id}/give_back"): Rule("problems"),
    ("post", "/api/v1/problems/{id}/mute"): Rule("problems"),
    ("post", "/api/v1/problems/{id}/unmute"): Rule("problems"),
    ("get", "/api/v1/reconciliation"): Rule(),
    ("get", "/api/v1/runs"): Rule(),
    ("get", "/api/v1/runs/{id}"): Rule(),
    ("post", "/api/v1/rows/{kind}"): Rule("load_cards"),  # of the kind that the test names
    ("get", "/api/v1/rows/{kind}/{id}"): Rule(),
    ("get", "/api/v1/rows/{kind}/rejected"): Rule(),
    ("get", "/api/v1/accounts/{number}"): Rule(),
    ("get", "/api/v1/cards/{number}"): Rule(),
    ("get", "/api/v1/statements"): Rule(),
    ("get", "/api/v1/statements/{number}"): Rule(),
    ("get", "/api/v1/loads"): Rule(),
    ("get", "/api/v1/loads/{id}"): Rule(),
}


def operations() -> set[tuple[str, str]]:
    paths = document()["paths"]
    return {(method, path) for path, methods in paths.items() for method in methods}


def test_every_operation_stands_in_the_table():
    assert operations() == set(RULES)


def call(client: Client, method: str, path: str) -> Any:
    number = str(uuid4()) if "/loads/" in path else "1"
    url = path.replace("{id}", number).replace("{number}", "4100").replace("{kind}", "cards")
    options = {"data": "{}", "content_type": "application/json"} if method == "post" else {}
    return getattr(client, method)(url, **options)


@pytest.mark.parametrize("scope", Scope.values)
def test_a_key_passes_where_it_has_the_scope_and_nowhere_else(scope, shop_all):
    program, wrong = Program(a_key(scope).secret), []
    for (method, path), rule in RULES.items():
        answer = call(program, method, path)
        passes = rule.needs in ("", scope)
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        if refused == passes or answer.status_code >= 500:
            wrong.append((method, path, answer.status_code))
    assert wrong == []


def test_without_a_key_every_operation_is_closed_also_for_an_administrators_browser():
    browser = Client(raise_request_exception=False)
    browser.force_login(User.objects.create_superuser("root"))
    statuses = {call(client, *one).status_code for client in (browser, Client()) for one in RULES}
    assert statuses == {401}
