"""Redirects after a form: back to the page that had it, never to another site."""

from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods

from transfer.errors import TransferError
from transfer.text.explain import explain

# A page with a form takes GET and POST.
read_or_post = require_http_methods(["GET", "HEAD", "POST"])


def is_part(request: HttpRequest) -> bool:
    """Whether the request refreshes a part of a page."""
    return bool(request.htmx)  # type: ignore[attr-defined]


def next_url(request: HttpRequest, default: str) -> str:
    """The `next` of the form or the URL, if it is an address of this site."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    return target if target.startswith("/") and is_own(request, target) else default


def page_before(request: HttpRequest, default: str) -> str:
    """The page with the button that was pressed, if the browser names it and it is of this site."""
    came_from = request.META.get("HTTP_REFERER", "")
    if not came_from.startswith("http") or not is_own(request, came_from):
        return default
    parts = urlsplit(came_from)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def done(request: HttpRequest, words: Any, to: Any) -> HttpResponse:
    """Redirects to a page, which says what was done."""
    messages.success(request, words)
    return redirect(to)


def refused(request: HttpRequest, words: Any, to: Any) -> HttpResponse:
    """Redirects to a page, which says why nothing was done. An error: see `failed`."""
    messages.warning(request, words)
    return redirect(to)


def failed(request: HttpRequest, error: TransferError, to: Any) -> HttpResponse:
    """Redirects to a page, which says what went wrong and what to do."""
    messages.error(request, str(explain(error)))
    return redirect(to)


def is_own(request: HttpRequest, target: str) -> bool:
    return url_has_allowed_host_and_scheme(
        target, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
