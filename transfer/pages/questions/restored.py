"""Is this the right shop All? Asked once for the whole installation, with what it has lost."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import Role, has_role
from transfer.engine.question import LISTED
from transfer.errors import TransferError
from transfer.models import Actor
from transfer.models.tasks import KindChoices
from transfer.pages.back import done, failed, read_or_post, refused
from transfer.pages.exports import Field, Sheet, file_response, zoned
from transfer.pages.questions.tables import LostKindTable, LostTable
from transfer.runs.restored import Restored, confirm, every_lost, lines_of, summary, what_is_lost
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
        return failed(request, error, "restored")
    if not found.asks:
        return refused(request, _("Nothing has to be confirmed any more."), "overview")
    words = _("Confirmed. The transfers go on by themselves within a minute.")
    return done(request, words, "overview")


def _lists(found: Restored) -> dict[str, Any]:
    kinds = [{**summary(lost), "kind": kind} for kind, lost in found.kinds.items()]
    lines = [*lines_of(found.kinds)]
    return {
        **lost_tables(kinds, lines[:LISTED], found.changesets),
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


def lost_tables(
    kinds: list[dict[str, Any]], lines: list[dict[str, Any]], changesets: int
) -> dict[str, Any]:
    """Return what `questions/lost.html` shows; `changesets` says how many there are."""
    return {
        "kinds": LostKindTable(kinds, prefix="kinds-"),
        "lines": LostTable(lines, prefix="lines-"),
        "shown": len(lines),
        "has_more": changesets > len(lines),
    }


@require_safe
def lost_file(request: HttpRequest) -> HttpResponseBase:
    """All lost changesets that bonus servers have, as a file: one line for each server."""
    try:
        found = every_lost(SECONDS_OF_A_FILE)
        first = next(found, None)
    except TransferError as error:
        return failed(request, error, "restored")
    fields = [
        Field(_("Transfer"), lambda one: str(KindChoices(one[0]).label)),
        Field(_("Bonus server"), lambda one: one[1].server),
        Field(_("Changeset"), lambda one: one[1].changeset),
        Field(_("Rows"), lambda one: one[1].rows),
        Field(_("Sum"), lambda one: one[1].amount),
        Field(zoned(_("Received")), lambda one: one[1].at),
    ]

    def lines() -> Iterator[Any]:
        if first is not None:
            yield first
            yield from found

    return file_response(request, "lost", "csv", Sheet(_("Lost changesets"), fields, lines()))
