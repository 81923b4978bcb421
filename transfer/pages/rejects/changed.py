"""Rows that were changed after their transfer: shown, and sent again or left as they are."""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.loading.values import as_people_write
from transfer.models import Actor, Settings
from transfer.models.tasks import KindChoices
from transfer.pages.back import failed, read_or_post, refused
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.parts.second_person import words_of_waiting
from transfer.pages.rejects.repeatable import unrepeatable
from transfer.pages.rejects.tables import ChangedRow, ChangedTable
from transfer.rejects.changed import REASONS, Decision, Undecided, decide, key_of, undecided
from transfer.text import formats
from transfer.text.columns import amount_words, heading
from transfer.text.explain import Explanation, explain

KEY = re.compile(r"[0-9a-f-]{36}\.-?[0-9]{1,19}\.[0-9]{1,30}")  # what `key_of` returns


@require_safe
def changed(request: HttpRequest) -> HttpResponse:
    try:
        found = [*undecided()]
    except TransferError as error:
        return render(request, "rejects/changed.html", {"cause": explain(error)})
    blocked = unrepeatable({group.kind.name for group in found})
    groups = [
        described(group, blocked.get(group.kind.name))
        | {"table": table_of(group, group.kind.name in blocked).for_user(request.user)}
        for group in found
    ]
    return render(request, "rejects/changed.html", {"groups": groups})


def described(group: Undecided, blocked: Explanation | None) -> dict[str, Any]:
    """Return what the page shows of a kind; `blocked` says why nothing of it can be sent."""
    return {
        "kind": group.kind.name,
        "title": KindChoices(group.kind.name).label,
        "total": group.total,
        "has_more": group.total > len(group.rows),
        "appends": group.kind.appends,
        "blocked": blocked,
        "can_send": blocked is None and any(not row.reason for row in group.rows),
    }


def table_of(group: Undecided, is_blocked: bool) -> ChangedTable:
    """Return the rows of a kind; `is_blocked` if nothing of it can be sent."""
    rows = [
        ChangedRow(
            group.kind,
            row.row,
            key_of(row),
            cells(group.kind, row),
            amount_words(row.before) if row.before is not None else "",
            _(REASONS[row.reason]) if row.reason else "",
            is_blocked,
        )
        for row in group.rows
    ]
    return ChangedTable(
        rows,
        caption=KindChoices(group.kind.name).label,
        prefix=f"{group.kind.name}-",
        exclude=() if group.kind.appends else ("before",),
    )


def cells(kind: Kind, row: Changed) -> list[tuple[str, str]]:
    """The values of the row as they are now, as people write them."""
    zone = Settings.load().zone
    texts = {name: as_people_write(name, row.payload.get(name), zone) for name in kind.names}
    return [(heading(name), text) for name, text in texts.items() if text]


@role("operator")
@read_or_post
def changed_decide(request: HttpRequest) -> HttpResponse:
    """Asks, and then does: sends one row or all of a kind again, or leaves them as they are."""
    kind = installed_kinds().get(request.GET.get("kind", ""))
    decision, key = request.GET.get("decision", ""), request.GET.get("row")
    if kind is None or decision not in [*Decision] or not (key is None or KEY.fullmatch(key)):
        return refused(request, _("Choose a row of the list."), "changed")
    if request.method == "POST":
        return carry_out(request, kind, Decision(decision), key)
    return ask_to_confirm(request, question(kind, Decision(decision), key))


def question(kind: Kind, decision: Decision, key: str | None) -> Confirmation:
    which = (
        _("row № %(number)s") % {"number": key.split(".")[1]}
        if key
        else _("all changed rows: %(kind)s") % {"kind": KindChoices(kind.name).label}
    )
    if decision == Decision.LEAVE:
        return Confirmation(
            title=_("Leave it: %(which)s?") % {"which": which},
            text=_(
                "Nothing is sent. The bonus servers keep the values that they have received, and "
                "the row leaves this list until it is changed again."
            ),
            action=_("Leave it"),
            back=reverse("changed"),
        )
    title, action = _("Send again: %(which)s?"), _("Send again")
    points = [
        _("The row goes to every bonus server, with the values that it has now."),
        _("It comes after all rows staged so far, so it also overrides later ones."),
    ]
    if kind.appends:
        title, action = _("Send the difference: %(which)s?"), _("Send the difference")
        points = [
            _("Each bonus server adds the difference to the amount that it has of the row."),
            _("Where the row is rejected, the present amount is applied, and the reject closed."),
            _("Where the row was discarded or taken back, nothing changes."),
        ]
    if key is None:
        points.append(_("Rows that can't be sent stay in the list."))
    return Confirmation(
        title=title % {"which": which},
        text=_("The new row moves with the next run."),
        points=points,
        action=action,
        back=reverse("changed"),
    )


def carry_out(
    request: HttpRequest, kind: Kind, decision: Decision, key: str | None
) -> HttpResponse:
    try:
        rows, waiting = decide(kind, decision, Actor.of(request), key=key)
    except TransferError as error:
        return failed(request, error, "changed")
    if waiting:
        messages.warning(request, words_of_waiting(waiting))
    elif not rows:
        messages.warning(request, _("It was decided on, or changed again, in the meantime."))
    elif decision == Decision.SEND:
        text = ngettext("%(n)s row is staged again.", "%(n)s rows are staged again.", rows)
        messages.success(request, text % {"n": formats.number(rows)})
    else:
        text = ngettext("%(n)s row stays as it is.", "%(n)s rows stay as they are.", rows)
        messages.success(request, text % {"n": formats.number(rows)})
    return redirect("changed")
