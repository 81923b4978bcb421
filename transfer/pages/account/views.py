"""The user's own things: log-in, password, language, theme, time zone."""

from typing import Any

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views import i18n
from django.views.decorators.http import require_POST, require_safe

from transfer.access import any_user
from transfer.models import Actor, AuditEntry, StartPassword
from transfer.models.settings import known_zones
from transfer.pages.account.forms import (
    YEAR,
    LogInForm,
    OwnPasswordForm,
    TimeZoneForm,
    know_browser,
)
from transfer.pages.account.log_ins import bound_to
from transfer.pages.account.refused_log_ins import REASONS
from transfer.pages.account.renewal import ASK_AGAIN
from transfer.pages.back import is_part, next_url
from transfer.pages.middleware import CHANGE_FIRST
from transfer.pages.navigation import known_theme

set_language = login_not_required(require_POST(i18n.set_language))


class LogIn(auth_views.LoginView):
    template_name = "account/login.html"
    authentication_form = LogInForm
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """After the end of a session that the provider opened, asks the provider at once."""
        if not is_part(request) and request.session.pop(ASK_AGAIN, False) and settings.OIDC_ISSUER:
            return redirect(self.provider_url())
        return super().get(request, *args, **kwargs)

    def provider_url(self) -> str:
        query = {"next": self.get_success_url()}
        return reverse("openid_connect_login", kwargs={"provider_id": "sso"}, query=query)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """The other ways to log in, and why one of them has not let somebody in."""
        why = REASONS.get(self.request.GET.get("why", ""), "")
        context = {
            "why": why and why % {"name": settings.OIDC_NAME},
            "has_passkeys": Authenticator.objects.filter(type="webauthn").exists(),
        }
        if settings.OIDC_ISSUER:
            context |= {"provider": settings.OIDC_NAME, "provider_url": self.provider_url()}
        return {**super().get_context_data(**kwargs), **context}

    def form_valid(self, form: Any) -> HttpResponse:
        """Logs in, or first asks for the second factor. What follows: see `logged_in`."""
        login = Login(
            user=form.get_user(),
            redirect_url=self.get_success_url(),
            state=bound_to(form.get_user()),
        )
        return perform_password_login(self.request, {}, login)


log_in = LogIn.as_view()


@login_not_required
def log_in_for_admin(request: HttpRequest) -> HttpResponse:
    """Redirects to the log-in page: Django's admin has none of its own."""
    if request.user.is_authenticated:
        raise PermissionDenied
    return auth_views.redirect_to_login(next_url(request, reverse("admin:index")))


# Open to all: after the end of a session it leads to the log-in page.
log_out = login_not_required(auth_views.LogoutView.as_view())


class PasswordChange(auth_views.PasswordChangeView):
    form_class = OwnPasswordForm
    success_url = reverse_lazy("account")
    template_name = "account/password.html"

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        AuditEntry.record(Actor.of(self.request), AuditEntry.Action.PASSWORD, form.user)
        StartPassword.objects.filter(user=form.user).delete()
        self.request.session.pop(CHANGE_FIRST, None)
        messages.success(self.request, _("Your password is changed."))
        response = super().form_valid(form)
        know_browser(response, self.request, form.user)
        return response


change_password = any_user(PasswordChange.as_view())


@any_user
@require_safe
def account(request: HttpRequest) -> HttpResponse:
    """Shows the user's name and role, and how the pages look."""
    form = TimeZoneForm(initial={"zone": request.COOKIES.get("timezone", "")})
    return render(request, "account/account.html", {"form": form})


@login_not_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Light, dark, or as the device has it."""
    back = redirect(next_url(request, "overview"))
    return remember(back, request, "theme", known_theme(request.POST.get("theme", "")))


@any_user
@require_POST
def set_time_zone(request: HttpRequest) -> HttpResponse:
    """The zone in which this user reads times; empty is the installation's."""
    zone = request.POST.get("zone", "")
    known = zone in known_zones()
    return remember(redirect("account"), request, "timezone", zone if known else "")


def remember(response: HttpResponse, request: HttpRequest, name: str, value: str) -> HttpResponse:
    """Stores a choice of the user in a cookie; an empty one removes it."""
    if not value:
        response.delete_cookie(name)
        return response
    response.set_cookie(
        name, value, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
    )
    return response
