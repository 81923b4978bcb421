"""Rows that were deleted from a staging table by hand: go on without them?"""

from decimal import Decimal
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.engine.kind import Kind
from transfer.engine.shop_all.gone import Missing
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor
from transfer.models.tasks import KindChoices
from transfer.pages.back import done, failed, read_or_post, refused
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.questions.tables import MissingTable
from transfer.runs.missing import forget_rows, missing_rows
from transfer.text import formats
from transfer.text.explain import Explanation, explain

SECONDS = 5.0
LISTED = 1000


@require_safe
def rows_missing(request: HttpRequest) -> HttpResponse:
    """Show, for each kind, which changesets have lost rows that a bonus server still needs."""
    groups: list[dict[str, Any]] = []
    causes: list[Explanation] = []
    for kind in installed_kinds().values():
        try:
            listed = missing_rows(kind, SECONDS)
        except TransferError as error:
            causes = [explain(error)]
            continue
        if listed:
            groups.append(_group(kind, listed))
    return render(request, "questions/missing.html", {"groups": groups, "causes": causes})


def _group(kind: Kind, listed: list[Missing]) -> dict[str, Any]:
    title = KindChoices(kind.name).label
    rows = formats.rows(sum(one.rows for one in listed))
    amount = formats.amount(sum((one.amount for one in listed), Decimal()))
    return {
        "kind": kind.name,
        "title": title,
        "heading": f"{title}: {rows}, {amount}" if kind.appends else f"{title}: {rows}",
        "table": MissingTable(
            listed[:LISTED],
            caption=title,
            prefix=f"{kind.name}-",
            exclude=() if kind.appends else ("amount",),
        ),
        "more": max(0, len(listed) - LISTED),
    }


@role("administrator")
@read_or_post
def forget(request: HttpRequest, kind: str) -> HttpResponse:
    """Ask, and then go on without the missing rows of a kind."""
    chosen = installed_kinds().get(kind)
    if chosen is None:
        raise Http404
    try:
        if request.method == "POST":
            forgotten = forget_rows(chosen, Actor.of(request), SECONDS)
            rows = formats.rows(sum(one.rows for one in forgotten))
            words = _("The transfers go on without %(rows)s.") % {"rows": rows}
            return done(request, words, "overview")
        listed = missing_rows(chosen, SECONDS)
    except TransferError as error:
        return failed(request, error, "rows_missing")
    if not listed:
        return refused(request, _("No rows are missing."), "rows_missing")
    names = {
        "kind": KindChoices(kind).label,
        "rows": formats.rows(sum(one.rows for one in listed)),
    }
    confirmation = Confirmation(
        title=_("Go on without the deleted rows?"),
        text=_("%(kind)s: %(rows)s. No bonus server that lacks them ever gets them.") % names,
        points=[
            _("It holds for all bonus servers and for good."),
            _("If the rows are needed, stage them again: then they are new rows."),
        ],
        action=_("Go on without them"),
        back=reverse("rows_missing"),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)
