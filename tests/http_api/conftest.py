"""A key that may do everything, and a program that calls the API with one."""

import json
from typing import Any

import pytest
from django.test import Client

from transfer.models import Actor, ApiKey
from transfer.models.api_keys import Made, Scope

BASE = "/api/v1/"


class Program(Client):
    """Calls the API with a key, as a program does: without cookies, in JSON."""

    def __init__(self, secret: str = "", **options: Any) -> None:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        super().__init__(enforce_csrf_checks=True, headers=headers, **options)

    def ask(self, path: str = "", **query: Any) -> Any:
        return self.get(BASE + path, query)

    def order(self, path: str, body: Any = None, **options: Any) -> Any:
        content = json.dumps(body or {})
        return self.post(BASE + path, content, content_type="application/json", **options)


def a_key(*scopes: str, **fields: Any) -> Made:
    """A key with these scopes, or all of them."""
    values = {"name": "1C", "expires_at": None, "limit": 1000, **fields}
    return ApiKey.make(Actor("anna"), scopes=list(scopes or Scope.values), **values)


@pytest.fixture
def program(db: Any, settings: Any) -> Program:
    settings.LANGUAGE_CODE = "en"
    return Program(a_key().secret)
