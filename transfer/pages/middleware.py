"""Middleware of the pages: presses after the end of a session, and parts of pages."""

import time
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.utils.translation import gettext as _
from django_htmx.http import HttpResponseClientRedirect

from transfer.models.second_factors import is_required_of
from transfer.pages.back import is_part, page_before
from transfer.pages.uploading import WITH_FILES, refusal

LOOKS = ("GET", "HEAD")
# Session keys: an administrator set the password; the user has given no second factor.
CHANGE_FIRST, BY_PASSWORD_ALONE = "change_password_first", "by_password_alone"
SECONDS_BETWEEN_NOTES = 300
View = Callable[[HttpRequest], HttpResponse]


# The pages that are open before the user has done what comes first.
OPEN = {
    "change_password": {"change_password"},
    "mfa_index": {
        "mfa_index",
        "mfa_activate_totp",
        "mfa_add_webauthn",
        "account_reauthenticate",
    },
}


class LoginRequired(LoginRequiredMiddleware):
    """Asks for a log-in, which leads back to the page of the button: its own address is no page.

    A user whose password an administrator has set has to change it first. One whose role needs a
    second factor has to set one up.
    """

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> Any:
        answer = super().process_view(request, view, args, kwargs)
        if answer is not None or not getattr(view, "login_required", True):
            return answer
        if CHANGE_FIRST in request.session:
            first = "change_password"
        elif BY_PASSWORD_ALONE in request.session and is_required_of(request.user):
            first = "mfa_index"
        else:
            return None
        where = request.resolver_match.url_name if request.resolver_match else ""
        return None if where in OPEN[first] else redirect(first)

    def handle_no_permission(  # type: ignore[override]  # Django always redirects
        self, request: HttpRequest, view_func: Any
    ) -> HttpResponse:
        if request.method in LOOKS:
            return super().handle_no_permission(request, view_func)
        if request.content_type == WITH_FILES:
            # Its body is not read. A browser that is still sending it follows no redirect.
            return refusal(request, "403_logged_out.html", 403)
        messages.warning(
            request, _("You had been logged out, so nothing was done. Press the button again.")
        )
        answer = redirect_to_login(
            page_before(request, reverse("overview")),
            self.get_login_url(view_func),
            self.get_redirect_field_name(view_func),
        )
        # htmx would follow a redirect by itself, and put the log-in into the page.
        return HttpResponseClientRedirect(answer.url) if is_part(request) else answer


def keep_session(get_response: View) -> View:
    """A session ends some hours after the user's last action.

    The refresh of an open page is no action.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        refreshes = is_part(request) and request.method in LOOKS
        if request.user.is_authenticated and not refreshes:
            now = int(time.time())
            if abs(now - request.session.get("used_at", 0)) > SECONDS_BETWEEN_NOTES:
                request.session["used_at"] = now
        return response

    return middleware


def never_stored(get_response: View) -> View:
    """Keeps pages out of every cache: a log-out must leave no data behind.

    Also, a part of a page has the page's address, and Back must not show it as the page: browsers
    show stale answers then, unless these were not to be stored. Static files do not pass here: see
    WhiteNoise.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        add_never_cache_headers(response)
        return response

    return middleware


def not_allowed(get_response: View) -> View:
    """Our error page for a GET of an address that takes only POST."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not isinstance(response, HttpResponseNotAllowed) or request.method not in LOOKS:
            return response
        page = render(request, "405.html", status=response.status_code)
        page.headers["Allow"] = response.headers["Allow"]
        return page

    return middleware
