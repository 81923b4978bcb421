"""Users: list, add, change, new password, close and reopen. Users are never deleted."""

from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, ApiKey, User
from transfer.models.logins import lift_locks, locked_names, locks
from transfer.models.second_factors import factors_of, users_with_one
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.parts import audit_sentences
from transfer.pages.parts.audit_words import FACTORS
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.users.forms import (
    AddUserForm,
    CloseForm,
    EditUserForm,
    NewPasswordForm,
)
from transfer.pages.users.tables import UserTable

LOCKS_SHOWN = 20  # many addresses that guess many names lock thousands


@role("administrator")
@require_safe
def users(request: HttpRequest) -> HttpResponse:
    table = UserTable(User.objects.with_level()).paged(request)
    held = locks()
    context = {
        "table": table,
        "locks": held[:LOCKS_SHOWN],
        "more_locks": max(len(held) - LOCKS_SHOWN, 0),
        "locked": locked_names(),
        "with_factor": users_with_one(),
    }
    return render(request, "users/users.html", context)


@role("administrator")
@require_POST
def unlock(request: HttpRequest) -> HttpResponse:
    """Lifts the locks that wrong passwords have caused."""
    lift_locks(Actor.of(request))
    words = _("All locks are lifted. Anyone who keeps guessing is locked out again.")
    return done(request, words, "users")


@role("administrator")
@read_or_post
@sensitive_post_parameters("password", "again")
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    form = AddUserForm(request.POST or None)
    if form.is_valid():
        password, generated = form.chosen()
        given = {"role": form.cleaned_data["role"], **form.fields_of_user()}
        try:
            user = User.add(Actor.of(request), password=password, **given)
        except ValidationError as error:  # somebody else did it first
            form.add_error("username", error)
        else:
            outcome = _("The user %(login)s is added.") % {"login": user.username}
            return shown_once(request, user, outcome, generated)
    return render(request, "users/add.html", {"form": form})


@role("administrator")
@read_or_post
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    user = get_object_or_404(User, pk=pk)
    own = user.pk == request.user.pk
    linked = SocialAccount.objects.filter(user_id=user.pk)
    logs_in_there = settings.OIDC_ISSUER and linked.exists()  # and has no password here
    provider = settings.OIDC_NAME if logs_in_there else ""
    form = EditUserForm(
        request.POST or None,
        instance=get_object_or_404(User, pk=pk),
        own=own,
        provider=provider,
    )
    if form.is_valid():
        try:
            with transaction.atomic():
                user.edit(Actor.of(request), **form.changes())
                form.mark(user, Actor.of(request))
                revoked = revoke(form.keys(), Actor.of(request))
        except ValidationError as error:
            form.add_error(None, error)
        else:
            saved = _("The user %(login)s is saved.") % {"login": user.username}
            return done(request, f"{saved} {revoked}".rstrip(), "users")
    context = {
        "form": form,
        "one": user,
        "own": own,
        "provider": provider,
        "locked": locked_names(),
        "about": f"user-{pk}",
        "entries": audit_sentences.latest(user),
        "factors": [FACTORS[one] for one in factors_of(user)],
    }
    return render(request, "users/user.html", context)


def revoke(keys: list[ApiKey], actor: Actor) -> str:
    """Revoke API keys. Return a sentence that names them, or "" if there are none."""
    revoked = [key.name for key in keys if key.revoke(actor)]
    return _("Revoked keys: %(names)s.") % {"names": ", ".join(revoked)} if revoked else ""


@role("administrator")
@read_or_post
@sensitive_post_parameters("password", "again")
@never_cache
def new_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Sets a new password for another user. For the own one see `change_password`."""
    user = get_object_or_404(User, pk=pk)
    if user.pk == request.user.pk:
        return redirect("change_password")
    form = NewPasswordForm(user, request.POST or None)
    if form.is_valid():
        password, generated = form.chosen()
        user.replace_password(Actor.of(request), password)
        outcome = _("%(login)s has a new password, and is logged out everywhere.")
        return shown_once(request, user, outcome % {"login": user.username}, generated)
    return render(request, "users/password.html", {"form": form, "one": user})


def shown_once(request: HttpRequest, user: User, outcome: str, generated: str) -> HttpResponse:
    """Redirects to the list, or first to the page that shows a generated password once."""
    if not generated:
        return done(request, outcome, "users")
    context = {"one": user, "outcome": outcome, "generated": generated}
    return render(request, "users/generated.html", context)


@role("administrator")
@read_or_post
def reset_factors(request: HttpRequest, pk: int) -> HttpResponse:
    """Removes the second factors of a user who has lost them."""
    user, back = get_object_or_404(User, pk=pk), reverse("user", args=[pk])
    if request.method == "POST":
        try:
            user.reset_second_factor(Actor.of(request))
        except ValidationError as error:
            return refused(request, " ".join(error.messages), back)
        words = _("The second factor of %(login)s is reset.") % {"login": user.username}
        return done(request, words, back)
    confirmation = Confirmation(
        title=_("Reset the second factor of %(login)s?") % {"login": user.username},
        text=_("For a lost telephone or key. Make sure that it is the user who asks you for it."),
        points=[
            _("The next log-in asks for the password alone."),
            _("If the role needs a second factor, a new one is set up then, before anything else."),
            _("All sessions under this name end at once."),
        ],
        action=_("Reset the second factor"),
        back=back,
        back_name=user.username,
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


@role("administrator")
@read_or_post
def close(request: HttpRequest, pk: int) -> HttpResponse:
    """Closes a user, and revokes those of the user's API keys that are ticked."""
    user, back = get_object_or_404(User, pk=pk), reverse("user", args=[pk])
    form = CloseForm(user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            with transaction.atomic():
                user.close(Actor.of(request))
                revoked = revoke(form.keys(), Actor.of(request))
        except ValidationError as error:
            return refused(request, " ".join(error.messages), back)
        closed = _("%(login)s is closed.") % {"login": user.username}
        return done(request, f"{closed} {revoked}".rstrip(), "users")
    confirmation = Confirmation(
        title=_("Close the user %(login)s?") % {"login": user.username},
        text=_("A log-in under this name is refused until it is reopened."),
        points=[
            _("All sessions under it end at once."),
            _("What the user did stays in the history and in the audit."),
        ],
        form=form,
        action=_("Close the user"),
        back=back,
        back_name=user.username,
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


@role("administrator")
@require_POST
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    user = get_object_or_404(User, pk=pk)
    user.reopen(Actor.of(request))
    words = _("%(login)s may log in again, with the old password.") % {"login": user.username}
    return done(request, words, reverse("user", args=[pk]))
