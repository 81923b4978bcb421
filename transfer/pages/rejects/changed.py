"""Rows that were changed after their transfer: shown, and sent again or left as they are."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy, ngettext
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed
from transfer.errors import TransferError
from transfer.loading.values import as_people_write
from transfer.models import Actor, Settings
from transfer.models.tasks import KindChoices
from transfer.pages.back import read_or_post, refused
from transfer.rejects.changed import Decision, Undecided, decide, key_of, undecided
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain


class AmountForm(forms.Form):
    amount = forms.DecimalField(
        label=gettext_lazy("Amount to add or take away"), max_digits=15, decimal_places=2
    )

    def clean_amount(self) -> Any:
        if not self.cleaned_data["amount"]:
            raise forms.ValidationError(_("Enter an amount other than zero."))
        return self.cleaned_data["amount"]


@require_safe
def changed(request: HttpRequest) -> HttpResponse:
    try:
        groups = [described(group) for group in undecided()]
    except TransferError as error:
        return render(request, "rejects/changed.html", {"cause": explain(error)})
    return render(request, "rejects/changed.html", {"groups": groups})


def described(group: Undecided) -> dict[str, Any]:
    return {
        "kind": group.kind.name,
        "title": KindChoices(group.kind.name).label,
        "total": group.total,
        "has_more": group.total > len(group.rows),
        "appends": group.kind.appends,
        "rows": [
            {
                "id": row.id,
                "key": key_of(row),
                "cells": cells(group.kind, row),
                "servers": ", ".join(row.servers),
            }
            for row in group.rows
        ],
    }


def cells(kind: Kind, row: Changed) -> list[tuple[str, str]]:
    """The values of the row as they are now, as people write them."""
    zone = Settings.load().zone
    texts = {name: as_people_write(name, row.payload.get(name), zone) for name in kind.names}
    return [(heading(name), text) for name, text in texts.items() if text]


@role("operator")
@read_or_post
def changed_decide(request: HttpRequest) -> HttpResponse:
    """Asks, and then does: sends one row or all of a kind again, or leaves them as they are."""
    kind = settings.KINDS.get(request.GET.get("kind", ""))
    decision, key = request.GET.get("decision", ""), request.GET.get("row")
    is_one = key is not None and key.replace(".", "").isdecimal()
    needs_one = key is not None or (kind and kind.appends and decision == Decision.SEND)
    if kind is None or decision not in [*Decision] or (needs_one and not is_one):
        return refused(request, _("Choose a row of the list."), "changed")
    posted = request.POST if request.method == "POST" else None
    form = AmountForm(posted) if kind.appends and decision == Decision.SEND else None
    if posted is not None and (form is None or form.is_valid()):
        amount = form.cleaned_data["amount"] if form else None
        return done(request, kind, Decision(decision), key, amount)
    context = question(kind, Decision(decision), key)
    context |= {"form": form, "back": reverse("changed")}
    return render(request, "confirm.html", context, status=422 if form and form.errors else 200)


def question(kind: Kind, decision: Decision, key: str | None) -> dict[str, Any]:
    which = (
        _("row № %(number)s") % {"number": key.partition(".")[0]}
        if key
        else _("all changed rows: %(kind)s") % {"kind": KindChoices(kind.name).label}
    )
    if decision == Decision.LEAVE:
        return {
            "title": _("Leave it: %(which)s?") % {"which": which},
            "text": _(
                "Nothing is sent. The bonus servers keep the values that they have received, and "
                "the row leaves this list until it is changed again."
            ),
            "action": _("Leave it"),
        }
    points = [
        _("The row goes to every bonus server, with the values that it has now."),
        _("It comes after all rows staged so far, so it also overrides later ones."),
    ]
    if kind.appends:
        points = [
            _("Look up the account on each bonus server first: it may have either amount."),
            _("Enter the difference, such as −50 or 20. It is added as a row of its own."),
            _("It goes to the bonus servers that had read the row before the change."),
        ]
    return {
        "title": _("Send again: %(which)s?") % {"which": which},
        "text": _("The new row moves with the next run."),
        "points": points,
        "action": _("Send again"),
    }


def done(
    request: HttpRequest, kind: Kind, decision: Decision, key: str | None, amount: Any
) -> HttpResponse:
    try:
        rows = decide(kind, decision, Actor.of(request), key=key, amount=amount)
    except TransferError as error:
        messages.error(request, str(explain(error)))
        return redirect("changed")
    if not rows:
        messages.warning(request, _("It was decided on, or changed again, in the meantime."))
    elif decision == Decision.SEND:
        text = ngettext("%(n)s row is staged again.", "%(n)s rows are staged again.", rows)
        messages.success(request, text % {"n": formats.number(rows)})
    else:
        text = ngettext("%(n)s row stays as it is.", "%(n)s rows stay as they are.", rows)
        messages.success(request, text % {"n": formats.number(rows)})
    return redirect("changed")
