"""Each form that a test of the pages sends is watched: what it changes has to be in the audit."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.pages.audited import not_in_the_audit, snapshot


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
