"""What allauth asks us at a log-in: who may sign up, how often to confirm, how to keep secrets."""

import time
from typing import Any
from urllib.parse import urlsplit

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.utils import get_login_redirect_url
from allauth.core import context
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.secret import cipher
from transfer.pages.account.log_ins import logged_in
from transfer.pages.account.refused_log_ins import refused


class AccountAdapter(DefaultAccountAdapter):
    """Log-ins: nobody signs up, and each log-in is noted."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "incorrect_password": gettext_lazy(
            "Wrong password. Check the keyboard layout and Caps Lock."
        ),
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def respond_user_inactive(self, request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
        return redirect("account_login")

    def pre_login(self, request: HttpRequest, user: Any, **options: Any) -> HttpResponse | None:
        """Where users log in at a provider, passwords and passkeys are for emergencies."""
        used = {one["method"] for one in get_authentication_records(request, user)}
        is_emergency = user.get_username() in settings.EMERGENCY_USERS
        if settings.OIDC_ISSUER and "socialaccount" not in used and not is_emergency:
            return refused("provider")
        return super().pre_login(request, user, **options)

    def post_login(
        self, request: HttpRequest, user: Any, *, redirect_url: str | None, **options: Any
    ) -> HttpResponse:
        response = redirect(get_login_redirect_url(request, redirect_url))
        logged_in(request, response, user)
        return response

    def add_message(
        self,
        request: HttpRequest,
        level: int,
        message_template: str | None = None,
        message_context: dict[str, Any] | None = None,
        extra_tags: str = "",
        message: str | None = None,
    ) -> None:
        """Shows errors. What was done, our views say in our words."""
        if message:
            messages.add_message(request, level, message, extra_tags=extra_tags)

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        """Who has logged in within the last minutes need not confirm it to set up a factor."""
        request = context.request
        since = time.time() - app_settings.REAUTHENTICATION_TIMEOUT
        records = get_authentication_records(request, request.user)
        proofs = [one for one in records if one["method"] in ("password", "mfa")]
        return not any(one["at"] > since for one in proofs)


class MFAAdapter(DefaultMFAAdapter):
    """Second factors, whose secrets are encrypted at rest."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This code is wrong, too old, or was used before."),
    }

    def encrypt(self, text: str) -> str:
        return cipher().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        """Raises ValidationError if SECRET_KEY is no longer that of the secret."""
        try:
            return cipher().decrypt(encrypted_text.encode()).decode()
        except InvalidToken:
            raise ValidationError(
                _(
                    "This second factor can no longer be read, since SECRET_KEY has changed. An "
                    "administrator can reset it."
                )
            ) from None

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:
        """A name for the next passkey, for when the user gives none."""
        held = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return _("Passkey %(number)s") % {"number": held + 1}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Return the name for which browsers give passkeys: the host of the pages as they see it.

        A proxy that changes the name has to be in CSRF_TRUSTED_ORIGINS with the name of the pages.
        Of several names it is that of the request, else the first; of "https://*.shop.example" the
        domain.
        """
        seen = urlsplit(f"//{context.request.get_host()}").hostname or ""
        origins = [urlsplit(one).hostname or "" for one in settings.CSRF_TRUSTED_ORIGINS]
        names = [origin.removeprefix("*.") for origin in origins]
        name = seen if seen in names or not names else names[0]
        return {"id": name, "name": name}

    def get_totp_label(self, user: Any) -> str:
        """The name of the entry in the app: not the e-mail address, which we do not ask for."""
        return user.get_username()
