"""Forms that ask for a code or for the password again. Guesses are counted as at the log-in."""

from typing import Any

from allauth.account.forms import ReauthenticateForm
from allauth.core import context
from allauth.mfa.base import forms as base
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.utils.translation import gettext_lazy

from transfer.pages.account.forms import counting, key_of


def code_field(label: Any) -> forms.Field:
    """A field for digits, which telephones offer from their app, and browsers do not keep."""
    attrs = {"autocomplete": "one-time-code", "inputmode": "numeric", "data-secret": ""}
    return forms.CharField(label=label, max_length=20, widget=forms.TextInput(attrs=attrs))


class CodeForm(base.AuthenticateForm):
    """The code at a log-in."""

    code = code_field(gettext_lazy("Code from the app, or a recovery code"))

    def clean_code(self) -> str:
        with counting(key_of(context.request, self.user.get_username()), factor="code"):
            return super().clean_code()


class ConfirmCodeForm(base.ReauthenticateForm):
    """The code of a user who is logged in."""

    code = code_field(gettext_lazy("Code from the app, or a recovery code"))

    def clean_code(self) -> str:
        with counting(key_of(context.request, self.user.get_username()), factor="code"):
            return super().clean_code()


class ConfirmPasswordForm(ReauthenticateForm):
    """The password of a user who is logged in."""

    password = forms.CharField(
        label=gettext_lazy("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )

    def clean_password(self) -> str:
        with counting(key_of(context.request, self.user.get_username())):
            return super().clean_password()


class PasskeyForm(AddWebAuthnForm):
    """A new passkey."""

    name = forms.CharField(
        label=gettext_lazy("Name"),
        required=False,
        max_length=60,
        help_text=gettext_lazy("To tell several passkeys apart, such as “telephone”."),
    )
    passwordless = forms.BooleanField(
        label=gettext_lazy("Logs in without the password"),
        required=False,
        initial=True,
        help_text=gettext_lazy(
            "The device then asks for its PIN or a fingerprint. Simple security keys can’t; leave "
            "it off for them."
        ),
    )


class ActivateForm(ActivateTOTPForm):
    """The first code of an app, which shows that it was set up."""

    code = code_field(gettext_lazy("Code that the app shows now"))
