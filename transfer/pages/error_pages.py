"""Error pages in the theme and the language of the request, which Django's own do not have."""

import sys
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from transfer.pages.back import page_before
from transfer.pages.navigation import theme_of
from transfer.text.formats import full_moment


def bad_request(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """400. It uses nothing of the request, whose host name may not be allowed."""
    return _plain(request, "400.html", 400)


def forged(request: HttpRequest, reason: str = "") -> HttpResponse:
    """403 for a form without a valid key, with a link back to the page of the form."""
    back = page_before(request, reverse("overview"))
    return render(request, "403_csrf.html", {"back": back}, status=403)


def not_found(request: HttpRequest, exception: Any = None) -> HttpResponse:
    """404. Django's own reads the form that was sent, and fails if there is none."""
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 while our own database does not answer. Needs no database."""
    if isinstance(sys.exception(), OperationalError):
        return _plain(request, "503.html", 503)
    return _plain(request, "500.html", 500)


def _plain(request: HttpRequest, template: str, status: int) -> HttpResponse:
    context = {
        "theme": theme_of(request),
        "when": full_moment(timezone.now()),
        "number": getattr(request, "number", ""),
        "pressed": request.method == "POST",
        "back": page_before(request, reverse("overview")) if status >= 500 else "",
    }
    return HttpResponse(render_to_string(template, context), status=status)
