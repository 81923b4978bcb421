"""Keys of the HTTP API: made, shown once, revoked."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.models import Actor, ApiKey, User
from transfer.models.api_keys import Scope
from transfer.pages.back import done, read_or_post
from transfer.pages.keys.forms import KeyForm
from transfer.pages.keys.tables import KeyLine, KeyTable
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm


@role("administrator")
@require_safe
def keys(request: HttpRequest) -> HttpResponse:
    """Lists the keys, the revoked ones last: who made each, what it may do, when it was used."""
    found = sorted(ApiKey.objects.all(), key=lambda key: key.revoked_at is not None)
    names = {key.created_by for key in found}
    makers = {one.username: one for one in User.objects.filter(username__in=names)}
    lines = [
        KeyLine(
            key,
            [str(Scope(one).label) for one in Scope.values if one in key.scopes],
            makers.get(key.created_by),
        )
        for key in found
    ]
    return render(request, "keys/keys.html", {"table": KeyTable(lines)})


@role("administrator")
@read_or_post
@never_cache
def add(request: HttpRequest) -> HttpResponse:
    """Makes a key; the answer shows it, and nothing shows it again."""
    form = KeyForm(request.POST or None)
    if form.is_valid():
        made = ApiKey.make(Actor.of(request), **form.cleaned_data)
        context = {"one": made.key, "secret": made.secret, "command": command(request, made.secret)}
        return render(request, "keys/made.html", context)
    return render(request, "keys/add.html", {"form": form})


def command(request: HttpRequest, secret: str) -> str:
    """Return a command that asks what a key may do.

    It gives curl the key as input: arguments of a command are seen by everybody on the machine.
    """
    site = settings.SITE_URL.rstrip("/") or f"{request.scheme}://{request.get_host()}"
    address = f"{site}{reverse('api', args=['v1/'])}"
    return f"curl -H @- {address} <<< 'Authorization: Bearer {secret}'"


@role("administrator")
@read_or_post
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=pk)
    if request.method == "POST":
        key.revoke(Actor.of(request))
        return done(request, _("The key %(name)s is revoked.") % {"name": key}, "keys")
    confirmation = Confirmation(
        title=_("Revoke the key %(name)s?") % {"name": key},
        text=_("The next call with it is refused."),
        points=[
            _("A revoked key cannot be made valid again: make a new one instead."),
            _("What was done with it stays in the audit."),
        ],
        action=_("Revoke the key"),
        back=reverse("keys"),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)
