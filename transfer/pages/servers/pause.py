"""Pausing all transfers to a bonus server: planned work that begins now."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy

from transfer.access import role
from transfer.models import Actor, BonusServer, PlannedWork
from transfer.pages.back import done, read_or_post
from transfer.pages.fields import reason_field
from transfer.pages.parts.pauses import PauseForm


class ServerPauseForm(PauseForm):
    reason = reason_field(
        gettext_lazy("Everyone sees it on the server’s page and on the overview.")
    )


@role("operator")
@read_or_post
def pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Pauses the enabled tasks at once, and sends no messages about the server until it ends."""
    server = get_object_or_404(BonusServer, pk=pk)
    form = ServerPauseForm(request.POST or None)
    if form.is_valid():
        work = PlannedWork(
            server=server,
            begins_at=timezone.now(),
            ends_at=form.cleaned_data["moment"],
            reason=form.cleaned_data["reason"],
            stops=True,
        )
        work.begin(Actor.of(request))
        words = _("%(server)s is paused. Rows wait, and none is lost.") % {"server": server}
        return done(request, words, server)
    context = {"form": form, "server": server, "back": server.get_absolute_url()}
    return render(request, "servers/pause.html", context)
