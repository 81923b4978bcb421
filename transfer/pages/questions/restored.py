"""Is this the right shop All? Asked once for the whole installation, with what it has lost."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import Role, has_role
from transfer.engine.question import LISTED
from transfer.errors import TransferError
from transfer.models import Actor
from transfer.models.tasks import KindChoices
from transfer.pages.back import done, read_or_post, refused
from transfer.pages.exports import Field, Sheet, file_response, zoned
from transfer.runs.restored import Restored, confirm, every_lost, what_is_lost
from transfer.text import formats
from transfer.text.explain import explain

SECONDS = 10.0  # that the page waits for all databases
SECONDS_OF_A_FILE = 300.0


@read_or_post
def restored(request: HttpRequest) -> HttpResponse:
    """Show what shop All has lost; an administrator confirms that it is the right database."""
    if request.method == "POST":
        return _confirmed(request)
    try:
        found = what_is_lost(SECONDS)
    except TransferError as error:
        return render(request, "questions/restored.html", {"cause": explain(error)})
    context = {"found": found, **_lists(found)}
    return render(request, "questions/restored.html", context)


def _confirmed(request: HttpRequest) -> HttpResponse:
    if not has_role(request.user, Role.ADMINISTRATOR):
        return refused(request, _("Only an administrator may say that."), "restored")
    try:
        found = confirm(Actor.of(request), SECONDS)
    except TransferError as error:
        messages.error(request, str(explain(error)))
        return redirect("restored")
    if not found.asks:
        return refused(request, _("Nothing has to be confirmed any more."), "overview")
    words = _("Confirmed. The transfers go on by themselves within a minute.")
    return done(request, words, "overview")


def _lists(found: Restored) -> dict[str, Any]:
    lines = [
        line_of(kind, one.rows, one.amount, one.at, servers)
        for kind, lost in found.kinds.items()
        for one, servers in lost.listed.values()
    ]
    return {
        "kinds": [
            {
                "title": KindChoices(kind).label,
                "lost": lost,
                "amount": formats.amount(lost.amount) if kind == "balances" else formats.NOTHING,
                "servers": counted(lost.servers),
            }
            for kind, lost in found.kinds.items()
        ],
        "lines": lines[:LISTED],
        "has_more": found.changesets > len(lines[:LISTED]),
        "loads": [
            {
                "url": load.get_absolute_url(),
                "kind": load.get_kind_display(),
                "name": str(load),
                "rows": load.good,
            }
            for load in [*found.loads, *found.undos]
        ],
        "silent": {name: explain(error).sentence for name, error in found.silent.items()},
    }


def line_of(
    kind: str, rows: int | None, amount: Any, at: Any, servers: list[str]
) -> dict[str, Any]:
    """Return a line of the list of lost changesets."""
    return {
        "kind": KindChoices(kind).label,
        "rows": formats.number(rows),
        "amount": formats.amount(amount)
        if kind == "balances" and amount is not None
        else formats.NOTHING,
        "at": at,
        "servers": ", ".join(servers),
    }


def counted(servers: Mapping[str, int]) -> list[str]:
    """Return each server with how many of the changesets it has."""
    words = _("%(server)s (%(n)s)")
    return [words % {"server": name, "n": formats.number(n)} for name, n in servers.items()]


@require_safe
def lost_file(request: HttpRequest) -> HttpResponseBase:
    """All lost changesets that bonus servers have, as a file: one line for each server."""
    try:
        found = every_lost(SECONDS_OF_A_FILE)
        first = next(found, None)
    except TransferError as error:
        return refused(request, str(explain(error)), reverse("restored"))
    fields = [
        Field(_("Transfer"), lambda one: str(KindChoices(one[0]).label)),
        Field(_("Bonus server"), lambda one: one[1].server),
        Field(_("Changeset"), lambda one: one[1].changeset),
        Field(_("Rows"), lambda one: one[1].rows),
        Field(_("Sum"), lambda one: one[1].amount if one[0] == "balances" else None),
        Field(zoned(_("Received")), lambda one: one[1].at),
    ]

    def lines() -> Iterator[Any]:
        if first is not None:
            yield first
            yield from found

    return file_response(request, "lost", "csv", Sheet(_("Lost changesets"), fields, lines()))
