"""The user's own second factors: an app, passkeys, and recovery codes for a lost telephone.

allauth sets them up and checks them. Each change is noted in its own transaction.
"""

from functools import wraps
from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.views import ReauthenticateView
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.base.views import AuthenticateView, ReauthenticateView as ReauthenticateByCodeView
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
from allauth.mfa.webauthn.views import (
    AddWebAuthnView,
    LoginWebAuthnView,
    ReauthenticateWebAuthnView,
    RemoveWebAuthnView,
)
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import View, any_user
from transfer.models import Actor, AuditEntry, User
from transfer.models.second_factors import factors_of, is_required_of
from transfer.pages.account.factor_forms import (
    ActivateForm,
    CodeForm,
    ConfirmCodeForm,
    ConfirmPasswordForm,
    PasskeyForm,
)
from transfer.pages.account.log_ins import end_if_outdated
from transfer.pages.account.refused_log_ins import refused
from transfer.pages.middleware import BY_PASSWORD_ALONE
from transfer.pages.parts.confirmation import Confirmation

TOTP, CODES = Authenticator.Type.TOTP, Authenticator.Type.RECOVERY_CODES
PASSKEY = Authenticator.Type.WEBAUTHN


def note_change(request: HttpRequest, **what: str) -> None:
    """Notes a change of the user's own second factors."""
    user = User.objects.get(pk=request.user.pk)
    AuditEntry.record(Actor.of(request), AuditEntry.Action.FACTOR, user, new=what)


@any_user
@require_safe
def second_factors(request: HttpRequest) -> HttpResponse:
    """Shows which ones the user has, and what can be done with them."""
    held = {one.type: one for one in Authenticator.objects.filter(user_id=request.user.pk)}
    passkeys = Authenticator.objects.filter(user_id=request.user.pk, type=PASSKEY)
    context = {
        "passkeys": passkeys.order_by("pk"),
        "app": held.get(TOTP),
        "codes": held.get(CODES),
        "codes_left": codes_left(held.get(CODES)),
        "is_first": BY_PASSWORD_ALONE in request.session and is_required_of(request.user),
        "has_password": User.objects.get(pk=request.user.pk).has_usable_password(),
    }
    return render(request, "mfa/index.html", context)


def codes_left(codes: Authenticator | None) -> int:
    """How many recovery codes are unused; 0 also if they can't be decrypted."""
    try:
        return len(codes.wrap().get_unused_codes()) if codes else 0
    except ValidationError:
        return 0


def mark_if_none_is_left(request: HttpRequest) -> None:
    """Has the user set up another one at once, if the role needs one."""
    if not factors_of(request.user):
        request.session[BY_PASSWORD_ALONE] = True


def asking(title: str, text: str, action: str, *, danger: bool = True) -> dict[str, Any]:
    """Return the context of a page that asks first, but for the form, which allauth gives it."""
    confirmation = Confirmation(
        title=title,
        text=text,
        action=action,
        back=reverse("mfa_index"),
        back_name=_("Second factor"),
        danger=danger,
    )
    return confirmation.context()


def own(view: View) -> View:
    """Opens a view to every user.

    It leads to the overview of the factors where nothing can be done: the factor is gone, or the
    user has no password, and logs in elsewhere.
    """

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except (Http404, PermissionDenied):
            return redirect("mfa_index")
        except ReauthenticationRequired:
            if get_adapter().get_reauthentication_methods(request.user):
                raise  # allauth leads to the first of them
            return redirect("mfa_index")

    return any_user(wrapped)


class Activate(ActivateTOTPView):
    """Shows the QR code for the app, and takes the first code."""

    form_class = ActivateForm

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        note_change(self.request, added=TOTP)
        self.request.session.pop(BY_PASSWORD_ALONE, None)
        messages.success(self.request, _("The app is set up. The next log-in asks for its code."))
        return super().form_valid(form)


class Deactivate(DeactivateTOTPView):
    template_name = "confirm.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = asking(
            _("Remove the app?"),
            _(
                "Log-ins no longer ask for its codes. If no other second factor is left, the "
                "recovery codes go, too."
            ),
            _("Remove the app"),
        )
        return {**asked, **super().get_context_data(**kwargs)}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        note_change(self.request, removed=TOTP)
        response = super().form_valid(form)
        mark_if_none_is_left(self.request)
        messages.success(self.request, _("The app is removed. Its codes are no longer asked for."))
        return response


class Renew(GenerateRecoveryCodesView):
    template_name = "confirm.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = asking(
            _("Make new recovery codes?"),
            _("The old ones stop working at once."),
            _("Make new codes"),
            danger=False,
        )
        return {**asked, **super().get_context_data(**kwargs)}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        note_change(self.request, renewed=CODES)
        return super().form_valid(form)


class EnterCode(AuthenticateView):
    """The second step of a log-in, if the first one is still good."""

    form_class = CodeForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        end_if_outdated(request)
        return super().dispatch(request, *args, **kwargs)


class ConfirmByPassword(ReauthenticateView):
    """Asks again who it is, before second factors are changed."""

    form_class = ConfirmPasswordForm


class ConfirmByCode(ReauthenticateByCodeView):
    form_class = ConfirmCodeForm


class AddPasskey(AddWebAuthnView):
    """Makes a key in the device, and takes what the browser says of it."""

    form_class = PasskeyForm

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        note_change(self.request, added=PASSKEY)
        self.request.session.pop(BY_PASSWORD_ALONE, None)
        messages.success(self.request, _("The passkey is set up."))
        return super().form_valid(form)


class RemovePasskey(RemoveWebAuthnView):
    template_name = "confirm.html"
    success_url = reverse_lazy("mfa_index")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = asking(
            _("Remove the passkey “%(name)s”?") % {"name": self.object},
            _(
                "It no longer lets you in. If no other second factor is left, the recovery codes "
                "go, too."
            ),
            _("Remove the passkey"),
        )
        return {**asked, **super().get_context_data(**kwargs)}

    @transaction.atomic
    def form_valid(self, form: Any) -> HttpResponse:
        note_change(self.request, removed=PASSKEY)
        response = super().form_valid(form)
        mark_if_none_is_left(self.request)
        messages.success(self.request, _("The passkey is removed."))
        return response


class LogInByPasskey(LoginWebAuthnView):
    """A log-in by a passkey alone, which the device gives only to its owner."""

    def form_invalid(self, form: Any) -> HttpResponse:
        return refused("passkey")


add_passkey = own(AddPasskey.as_view())
remove_passkey = own(RemovePasskey.as_view())
confirm_by_passkey = own(ReauthenticateWebAuthnView.as_view())
log_in_by_passkey = LogInByPasskey.as_view()
activate_app = own(Activate.as_view())
remove_app = own(Deactivate.as_view())
recovery_codes = own(ViewRecoveryCodesView.as_view())
renew_codes = own(Renew.as_view())
enter_code = EnterCode.as_view()
confirm_by_password = own(ConfirmByPassword.as_view())
confirm_by_code = own(ConfirmByCode.as_view())
