"""Lets purges go on without a bonus server whose database can't be read, and takes that back."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.errors import TransferError
from transfer.models import Actor, BonusServer
from transfer.pages.back import done, failed, read_or_post
from transfer.pages.fields import reason_field
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.runs import left_behind


class ReasonForm(forms.Form):
    use_required_attribute = False

    reason = reason_field(gettext_lazy("Everyone sees it on the server’s page."))


@role("administrator")
@read_or_post
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Says what it means, and asks for a reason."""
    server = get_object_or_404(BonusServer, pk=pk)
    form = ReasonForm(request.POST or None)
    if form.is_valid():
        try:
            left_behind.leave_behind(server, Actor.of(request), form.cleaned_data["reason"])
        except TransferError as error:
            return failed(request, error, server)
        words = _("Purges do not wait for %(server)s any more.") % {"server": server}
        return done(request, words, server)
    confirmation = Confirmation(
        title=_("Leave %(server)s behind?") % {"server": server},
        text=_("Its database can't be read, so purges keep all rows that it has not received yet."),
        points=left_behind.consequences(server),
        form=form,
        action=_("Continue without it"),
        back=server.get_absolute_url(),
        back_name=server.name,
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


@role("administrator")
@require_POST
def take_back(request: HttpRequest, pk: int) -> HttpResponse:
    server = get_object_or_404(BonusServer, pk=pk)
    try:
        left_behind.take_back(server, Actor.of(request))
    except TransferError as error:
        return failed(request, error, server)
    return done(request, _("Purges wait for %(server)s again.") % {"server": server}, server)
