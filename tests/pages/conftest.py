"""Each form that a test of the pages sends is watched: what it changes has to be in the audit."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from tests.pages.audited import not_in_the_audit, snapshot
from tests.records import server, user
from transfer.models import BonusServer


@pytest.fixture(autouse=True)
def every_change_is_in_the_audit(monkeypatch: Any) -> Iterator[None]:
    """Fail a test in which a form changes our own database without an entry in the audit."""
    post = Client.post
    wrong: list[tuple[str, list[str]]] = []

    def watched(self: Client, path: str, *args: Any, **options: Any) -> Any:
        before = snapshot()
        answer = post(self, path, *args, **options)
        if tables := not_in_the_audit(before, snapshot()):
            wrong.append((path, tables))
        return answer

    monkeypatch.setattr(Client, "post", watched)
    yield
    assert wrong == [], "changed without an entry in the audit"


@pytest.fixture
def log_in(db: None, client: Client, settings: Any) -> Callable[..., Client]:
    """Logs somebody with this role in, in place of another one; the pages are in English."""
    settings.LANGUAGE_CODE = "en"

    def log_in(role: str, name: str = "olga") -> Client:
        client.force_login(user(role, name))
        return client

    return log_in


@pytest.fixture
def viewer(log_in: Callable[..., Client]) -> Client:
    return log_in("viewer")


@pytest.fixture
def operator(log_in: Callable[..., Client]) -> Client:
    return log_in("operator")


@pytest.fixture
def admin(log_in: Callable[..., Client]) -> Client:
    return log_in("administrator")


@pytest.fixture
def eight(db: None) -> BonusServer:
    """A docked server. No test opens a connection to it."""
    return server()
