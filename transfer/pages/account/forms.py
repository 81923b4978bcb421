from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django import forms
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import get_random_string
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import Actor
from transfer.models.logins import Locked, LoginKey
from transfer.pages.fields import LongSelect, zone_choices
from transfer.text import formats

YEAR = 365 * 24 * 3600


class LogInForm(AuthenticationForm):
    """Name and password. Each guess is counted, and after too many no more are checked."""

    request: HttpRequest

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wrong = _("Wrong name or password. Check the keyboard layout and Caps Lock.")
        self.error_messages = {**self.error_messages, "invalid_login": wrong}

    def clean(self) -> dict[str, Any]:
        with counting(key_of(self.request, self.cleaned_data.get("username", ""))):
            return super().clean()

    def confirm_login_allowed(self, user: Any) -> None:
        """Where users log in at a provider, the password is for emergencies."""
        super().confirm_login_allowed(user)
        if settings.OIDC_ISSUER and user.get_username() not in settings.EMERGENCY_USERS:
            raise ValidationError(
                _("This name logs in at %(name)s. The password is for emergencies alone."),
                code="provider",
                params={"name": settings.OIDC_NAME},
            )


@contextmanager
def counting(key: LoginKey, **what: str) -> Iterator[None]:
    """Counts a guess while its password is checked, which raises ValidationError if it is wrong.

    Raises ValidationError, and checks nothing, after too many guesses. `what` goes into the audit
    of a wrong one: see LoginKey.refuse.
    """
    try:
        guess = key.guess()
    except Locked as locked:
        raise ValidationError(
            _(
                "Too many wrong passwords or codes. Next try: %(time)s. Or ask an administrator to "
                "lift the lock on the page “Users”."
            ),
            code="locked",
            params={"time": formats.bound(locked.until, zone=True)},
        ) from None
    try:
        yield
    except ValidationError:
        key.refuse(guess, **what)
        raise
    guess.delete()


def key_of(request: HttpRequest, name: str) -> LoginKey:
    """The key that guesses are counted by; it has the browser's number if that knows the user."""
    key = LoginKey(name, Actor.address_of(request))
    if key.user is None:
        return key
    cookie, salt = browser_cookie(key.user)
    number = request.get_signed_cookie(cookie, default="", salt=salt)
    return replace(key, browser=number or "")


def browser_cookie(user: AbstractBaseUser) -> tuple[str, str]:
    """The name of the cookie, and the salt of its signature.

    The salt ties the cookie to the user and to the hash of the password: after a new password no
    browser is known.
    """
    return f"browser-{user.pk}", f"dtadmin.browser.{user.pk}.{user.password}"


def know_browser(response: HttpResponse, request: HttpRequest, user: AbstractBaseUser) -> None:
    """Marks this browser as known to the user, until the password changes."""
    name, salt = browser_cookie(user)
    number = get_random_string(12)
    response.set_signed_cookie(
        name, number, salt, max_age=YEAR, httponly=True, samesite="Lax", secure=request.is_secure()
    )


class OwnPasswordForm(PasswordChangeForm):
    """The old password, with the same limit of guesses as the log-in, and twice the new one."""

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = request

    def clean_old_password(self) -> str:
        with counting(key_of(self.request, self.user.get_username())):
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
        choices=zone_choices,
        widget=LongSelect,
        help_text=gettext_lazy("Times on the pages are shown in it. Schedules keep to their own."),
    )
