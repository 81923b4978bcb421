"""What people are told, and not asked: a page for each, printable, until somebody dismisses it."""

from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.models import Actor, Bulletin, Upload
from transfer.models.tasks import KindChoices
from transfer.pages.back import done
from transfer.pages.questions.restored import lost_tables
from transfer.pages.questions.tables import SentAgainTable
from transfer.text import bulletins as words, formats


@require_safe
def bulletin(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what has happened, and the list that it is about."""
    one = get_object_or_404(Bulletin.objects.select_related("server"), pk=pk)
    lists = SERVER if one.code == Bulletin.Code.SERVER_RESTORED else SHOP_ALL
    context = {
        "bulletin": one,
        "sentence": words.sentence(one.code, one.params),
        "points": words.points(one.code, one.params),
        **lists(one),
    }
    return render(request, "questions/bulletin.html", context)


def _of_shop_all(bulletin: Bulletin) -> dict[str, Any]:
    lost = [line for line in bulletin.lines if "changeset" in line]
    loads = [line for line in bulletin.lines if "load" in line]
    held = set(
        Upload.objects.filter(pk__in=[one["load"] for one in loads]).values_list("pk", flat=True)
    )
    kinds = [{**_read(about, "first", "last"), "kind": kind} for kind, about in _by_kind(bulletin)]
    lines = [_read(line, "at") for line in lost]
    return {
        **lost_tables(kinds, lines, bulletin.params["changesets"]),
        "loads": [
            {
                "url": reverse("upload", args=[one["load"]]) if one["load"] in held else "",
                "kind": KindChoices(one["kind"]).label,
                "name": one["name"],
                "rows": one["rows"],
            }
            for one in loads
        ],
    }


def _by_kind(bulletin: Bulletin) -> list[tuple[str, dict[str, Any]]]:
    """Return what it says of each kind, in their order: PostgreSQL keeps that of no JSON."""
    stored = bulletin.params["kinds"]
    return [(kind, stored[kind]) for kind in KindChoices if kind in stored]


def _read(stored: dict[str, Any], *moments: str) -> dict[str, Any]:
    """Return what a bulletin says, with its sum and moments as such: they are stored as texts."""
    amount = None if stored["amount"] is None else Decimal(stored["amount"])
    times = {name: formats.stored_moment(stored[name]) for name in moments}
    return {**stored, "amount": amount, **times}


def _of_server(bulletin: Bulletin) -> dict[str, Any]:
    lines = [
        {
            "kind": kind,
            "first": formats.stored_moment(about["from"]),
            "last": formats.stored_moment(about["to"]),
            "rows": about["rows"],
        }
        for kind, about in _by_kind(bulletin)
    ]
    return {"restored": SentAgainTable(lines)}


SHOP_ALL, SERVER = _of_shop_all, _of_server


@role("operator")
@require_POST
def dismiss(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it off the overview; its page and the audit stay."""
    one = get_object_or_404(Bulletin, pk=pk)
    if one.dismiss(Actor.of(request)):
        return done(request, _("Dismissed. It stays in the audit."), "overview")
    return redirect("overview")
