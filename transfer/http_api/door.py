"""The one view of the API: whose call it is, and that every answer is JSON."""

import logging
import re
from traceback import format_tb
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponseNotAllowed, UnreadablePostError
from django.http.response import HttpResponseBase
from django.urls import Resolver404
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt

from transfer.causes.api_calls import (
    BODY_TOO_SLOW,
    CUT_OFF,
    METHOD,
    NO_KEY,
    NO_LENGTH,
    NOT_FOUND,
    OWN_DATABASE,
    TOO_LARGE,
    TOO_MANY_CALLS,
    UNEXPECTED_ERROR,
)
from transfer.errors import TransferError
from transfer.http_api.error_answers import answer_to
from transfer.models import Actor, ApiCall, ApiKey

logger = logging.getLogger(__name__)


@login_not_required
@csrf_exempt
def answer(request: HttpRequest, path: str) -> HttpResponseBase:
    """Answers a call of a program that has a key; a browser's session counts for nothing here."""
    request.user = AnonymousUser()
    try:
        key = key_of(request)
        request.api_key = key  # type: ignore[attr-defined]
        request.actor = key.actor(Actor.address_of(request))  # type: ignore[attr-defined]
        return operate(request, path)
    except TransferError as error:
        return answer_to(error)
    except (OperationalError, InterfaceError):
        connection.close_if_unusable_or_obsolete()
        return answer_to(TransferError(OWN_DATABASE))
    except RequestDataTooBig:
        return answer_to(TransferError(TOO_LARGE))
    except UnreadablePostError as error:
        is_slow = isinstance(error.__cause__, TimeoutError)
        return answer_to(TransferError(BODY_TOO_SLOW if is_slow else CUT_OFF))
    except Exception as error:
        # Without the error's own text: it may quote a PIN code.
        name, place = type(error).__name__, "".join(format_tb(error.__traceback__))
        logger.error("%s %s: %s\n%s", request.method, request.path, name, place)
        return answer_to(TransferError(UNEXPECTED_ERROR))


answer.is_api = True  # type: ignore[attr-defined]  # see pages/uploading.py


def key_of(request: HttpRequest) -> ApiKey:
    """The key of the call, which is counted. Raises TransferError: 401, 429."""
    scheme, _space, secret = request.headers.get("Authorization", "").partition(" ")
    key = ApiKey.find(secret.strip()) if scheme.lower() == "bearer" else None
    if key is None:
        raise TransferError(NO_KEY)
    if not key.count_call(Actor.address_of(request)):
        seconds = 60 - timezone.now().second
        raise TransferError(TOO_MANY_CALLS, limit=key.limit, seconds=seconds)
    return key


OTHER = "other"  # a call of no operation
VERSION = "v1/"  # in the addresses of all operations
GAP = re.compile(r"<(?:\w+:)?(\w+)>")


def operation_of(method: str | None, route: str) -> str:
    """The operation as the audit names it: "GET tasks/{id}"."""
    if method not in {"GET", "POST"}:
        return OTHER
    path = GAP.sub(r"{\1}", route.removeprefix(f"^{VERSION}"))
    return f"{method} {path}".rstrip()


def note_call(request: HttpRequest, operation: str) -> None:
    """Counts the call for the audit, before it is answered: no call goes on that is not counted."""
    key: Any = request.api_key  # type: ignore[attr-defined]
    ApiCall.count(key, Actor.address_of(request), operation)


def asked(request: HttpRequest) -> str | None:
    """The method of the operation: a HEAD asks for what a GET would answer."""
    return "GET" if request.method == "HEAD" else request.method


def operate(request: HttpRequest, path: str) -> HttpResponseBase:
    """Finds the operation at this path below /api/ and calls it.

    The web server leaves out the body of the answer to a HEAD. Raises TransferError and
    what operations raise.
    """
    from transfer.http_api.routes import resolver  # see transfer/http_api/__init__.py

    try:
        match = resolver.resolve(path)
    except Resolver404:
        note_call(request, OTHER)
        raise TransferError(NOT_FOUND) from None
    note_call(request, operation_of(asked(request), match.route))
    if "Transfer-Encoding" in request.headers and not request.META.get("CONTENT_LENGTH"):
        raise TransferError(NO_LENGTH)  # Django reads nothing of such a body
    method, request.method = request.method, asked(request)
    response: Any = match.func(request, *match.args, **match.kwargs)
    request.method = method
    if isinstance(response, HttpResponseNotAllowed):
        raise TransferError(METHOD, methods=response.headers["Allow"])
    return response
