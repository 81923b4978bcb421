"""Django's test client sends forms as browsers do: as multipart only with a file."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.test import Client
from django.test.client import MULTIPART_CONTENT

URLENCODED = "application/x-www-form-urlencoded"


def has_file(data: dict[str, Any]) -> bool:
    values = (one for value in data.values() for one in _listed(value))
    return any(hasattr(one, "read") for one in values)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple | set) else [value]


def as_browsers_do(post: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(post)
    def posted(
        self: Client, path: str, data: Any = None, content_type: str = "", **options: Any
    ) -> Any:
        if not content_type and not has_file(data or {}):
            data, content_type = urlencode(data or {}, doseq=True), URLENCODED
        return post(self, path, data, content_type=content_type or MULTIPART_CONTENT, **options)

    return posted


Client.post = as_browsers_do(Client.post)  # type: ignore[method-assign]
