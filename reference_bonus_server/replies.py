"""What goes in and out of both ports: JSON, and every refusal as a code and a sentence."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse, JsonResponse

AMOUNT = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")


class Refused(Exception):
    """A request that is answered with an error.

    `code` is for programs and never changes. `message` is a plain sentence, and never repeats the
    request, which may hold a secret.
    """

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def reply(self) -> HttpResponse:
        return reply(self.status, self.headers, error=self.code, message=str(self))


def reply(
    http_status: int = 200, headers: dict[str, str] | None = None, /, **body: object
) -> HttpResponse:
    """`body` as JSON."""
    readable = {"ensure_ascii": False}
    return JsonResponse(body, status=http_status, headers=headers, json_dumps_params=readable)


def methods(**views: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """The view of a path, made of one view for each HTTP method."""

    def view(request: HttpRequest, **arguments: Any) -> HttpResponse:
        method_view = views.get(request.method or "")
        if method_view is None:
            allowed = ", ".join(views)
            raise Refused(
                405, "method_not_allowed", f"This path answers to {allowed} only.", Allow=allowed
            )
        return method_view(request, **arguments)

    return view


def unknown_path(request: HttpRequest, exception: Exception) -> HttpResponse:
    return Refused(404, "unknown_path", "There is nothing at this path.").reply()


def body_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the request's body. Raises Refused (400 bad_json)."""
    try:
        body = json.loads(request.body, parse_constant=refuse_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "bad_json", "The body is not valid JSON in UTF-8.") from None
    if not isinstance(body, dict):
        raise Refused(400, "bad_json", "The body must be a JSON object.")
    return body


def refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def field(body: dict[str, Any], name: str, is_right: Callable[[str], bool], rule: str) -> str:
    """A required field, a text. Raises Refused (400 bad_field)."""
    value = body.get(name)
    if not isinstance(value, str) or not is_right(value):
        raise Refused(400, "bad_field", f'"{name}" must be {rule}.')
    return value


def text(body: dict[str, Any], name: str, limit: int = 100) -> str:
    """1 to `limit` printable characters. Raises Refused (400 bad_field)."""
    rule = f"a text of 1 to {limit} printable characters, without spaces at its ends"
    return field(body, name, lambda value: is_text(value, limit), rule)


def is_text(value: str, limit: int = 100) -> bool:
    # Control characters, NUL and half a surrogate, which PostgreSQL refuses, are not printable.
    return 0 < len(value) <= limit and value.isprintable() and value == value.strip()


def choice(body: dict[str, Any], name: str, allowed: list[str]) -> str:
    """One of the `allowed` values. Raises Refused (400 bad_field)."""
    return field(body, name, allowed.__contains__, f"one of: {', '.join(allowed)}")


def amount(body: dict[str, Any], name: str) -> Decimal:
    """A sum of money above zero. Raises Refused (400 bad_field)."""
    limits = "above zero, at most 10 digits before the point and two after it"
    rule = f'a text such as "25.50": {limits}'
    return Decimal(field(body, name, is_amount, rule))


def is_amount(value: str) -> bool:
    return bool(AMOUNT.fullmatch(value) and Decimal(value))


def money(value: Decimal) -> str:
    return f"{value:.2f}"


def stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
