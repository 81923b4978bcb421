from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import Actor, User
from transfer.models.logins import Attempt
from transfer.models.settings import known_zones
from transfer.pages.widgets import LongSelect
from transfer.words import formats

YEAR = 365 * 24 * 3600

RUSSIA = [
    "Europe/Kaliningrad",
    "Europe/Moscow",
    "Europe/Samara",
    "Asia/Yekaterinburg",
    "Asia/Omsk",
    "Asia/Krasnoyarsk",
    "Asia/Irkutsk",
    "Asia/Yakutsk",
    "Asia/Vladivostok",
    "Asia/Magadan",
    "Asia/Kamchatka",
]


def zones() -> list[Any]:
    """The installation's zone, then Russia's from west to east, then all others."""
    others = sorted(name for name in known_zones() - set(RUSSIA) if "/" in name)
    return [
        ("", _("As on this installation: %(zone)s") % {"zone": settings.TIME_ZONE}),
        (_("Russia"), [(name, name) for name in RUSSIA]),
        (_("Other"), [(name, name) for name in others]),
    ]


class LogInForm(AuthenticationForm):
    """Name and password. Each attempt stands in the audit, and too many wrong ones end them."""

    request: HttpRequest

    def clean(self) -> dict[str, Any]:
        self.attempt = attempt_of(self.request, self.cleaned_data.get("username", ""))
        with counting(self.attempt):
            return super().clean()


@contextmanager
def counting(attempt: Attempt) -> Iterator[None]:
    """Notes the attempt if it is refused. Raises ValidationError where too many were wrong."""
    if lock := attempt.lock:
        raise ValidationError(
            _(
                "Too many wrong passwords. Next try: %(time)s. Or ask an administrator to lift "
                "the lock on the page “Users”."
            ),
            code="locked",
            params={"time": formats.moment(lock.until)},
        )
    try:
        yield
    except ValidationError:
        attempt.refuse()
        raise


def attempt_of(request: HttpRequest, name: str) -> Attempt:
    """The attempt, with the browser's number if the name has logged in with it before."""
    attempt = Attempt(name, Actor.address_of(request))
    if attempt.user is None:
        return attempt
    cookie, salt = browser_cookie(attempt.user)
    number = request.get_signed_cookie(cookie, default="", salt=salt)
    return replace(attempt, browser=number or "")


def browser_cookie(user: User) -> tuple[str, str]:
    """Its name, and the salt of its signature, that ties it to the user."""
    return f"browser-{user.pk}", f"dtadmin.browser.{user.pk}"


def know_browser(response: HttpResponse, request: HttpRequest, user: User) -> None:
    """Tells this browser from strangers who try the user's name, from now on."""
    name, salt = browser_cookie(user)
    number = get_random_string(12)
    response.set_signed_cookie(
        name, number, salt, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
    )


class OwnPasswordForm(PasswordChangeForm):
    """The old password, guessed as often as at the log-in and no more; and twice another one."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        with counting(attempt_of(self.request, self.user.get_username())):
            return super().clean_old_password()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("new_password1") and cleaned["new_password1"] == cleaned.get("old_password"):
            self.add_error("new_password1", _("This is the old one. Choose another password."))
        return cleaned


class TimeZoneForm(forms.Form):
    """The zone in which a user reads times."""

    zone = forms.ChoiceField(
        label=gettext_lazy("Time zone"),
        choices=zones,
        widget=LongSelect,
        help_text=gettext_lazy("Times on the pages are shown in it. Schedules keep to their own."),
    )
