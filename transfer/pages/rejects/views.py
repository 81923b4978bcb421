"""Rejected rows: the reason, and the decision: correct and send again, or discard."""

from collections.abc import Container
from typing import Any

from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _, ngettext
from django.views.decorators.http import require_POST, require_safe

from transfer.access import role
from transfer.causes.catalogue import CATALOGUE
from transfer.causes.file_lines import ROW_SETS_AMOUNT
from transfer.causes.rows import reason_named
from transfer.engine.checks import Repair
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, RejectedRow, Settings
from transfer.models.tasks import KindChoices
from transfer.pages.back import failed
from transfer.pages.components.rows import reject_link, reject_links
from transfer.pages.html import format_words, joined
from transfer.pages.parts.second_person import words_of_waiting
from transfer.pages.rejects.filters import RejectFilter
from transfer.pages.rejects.forms import CorrectionForm, DiscardForm, form_of, received
from transfer.pages.rejects.preview import Preview, preview, unsealed
from transfer.pages.rejects.repeatable import unrepeatable
from transfer.pages.rejects.suggestions import repair_named, suggestion, words_of
from transfer.pages.rejects.tables import RejectTable, written
from transfer.pages.tables import Action
from transfer.rejects import resend
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain


@require_safe
def rejects(request: HttpRequest) -> HttpResponse:
    """Shows the rejects grouped by reason, and row by row."""
    rows = RejectFilter(request.GET)
    table = RejectTable(rows.once).keyset_paged(request)
    if rows.data["state"] == RejectedRow.State.OPEN:
        table.columns.hide("state")
    counted = rows.once.groups()
    blocked = unrepeatable({group["kind"] for group in counted if group["open"]})
    groups = [described(request, group, blocked) for group in counted]
    context = {
        "filter": rows,
        "table": table,
        "groups": groups,
        "open": sum(group["open"] for group in groups),
        "one_kind": len({group["kind"] for group in groups}) == 1,
        "actions": actions(can_correct=not all(group["is_blocked"] for group in groups)),
        "can_act": rows.data["state"] in (RejectedRow.State.OPEN, "all"),
        "is_new": not rows.active and not RejectedRow.objects.exists(),
        "is_done": not rows.active and not groups,
        "blocked": blocked,
    }
    return render(request, "rejects/rejects.html", context)


def actions(*, can_correct: bool) -> list[Action]:
    """Return what can be done with the chosen rows."""
    correcting = [
        Action("grid", _("Correct in a table…"), "edit", url=reverse("rejects_grid")),
        Action("resend", _("Send again…"), "refresh", url=reverse("rejects_resend")),
    ]
    discard = Action("discard", _("Discard…"), "trash", danger=True, url=reverse("rejects_discard"))
    return [*correcting, discard] if can_correct else [discard]


def described(
    request: HttpRequest, group: dict[str, Any], blocked: Container[str]
) -> dict[str, Any]:
    """Return a reason with its count, its words, and the query for its rows.

    `blocked`: the kinds whose rows can't be corrected.
    """
    query = request.GET.copy()
    query["kind"], query["code"] = group["kind"], group["code"]
    query.pop("page", None)
    acting = query.copy()
    acting["next"] = request.get_full_path()
    repair = installed_kinds()[group["kind"]].repair_of(group["code"])
    return group | {
        "kind_label": KindChoices(group["kind"]).label,
        "reason": explain(reason_named(group["code"])),
        "query": query.urlencode(),
        "acting": acting.urlencode(),  # for pages that lead back to this list
        "is_blocked": group["kind"] in blocked,
        "has_spaces": repair == Repair.SPACES and group["open"],
    }


@require_safe
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    one = one_of(pk)
    return page_of(request, one, form_of(one))


def one_of(pk: int) -> RejectedRow:
    return get_object_or_404(RejectedRow.objects.select_related("run", "server"), pk=pk)


def page_of(
    request: HttpRequest, one: RejectedRow, form: CorrectionForm, preview: Preview | None = None
) -> HttpResponse:
    next_one = following(request, one)
    as_it_came = written(one, Settings.load().zone)
    others = RejectedRow.objects.of_row(one).exclude(pk=one.pk)
    others = others.order_by("server_id", "server_name")
    blocked = unrepeatable({one.kind}) if one.is_open else {}
    context = {
        "reject": one,
        "corrects": corrected_by(one),
        "blocked": blocked.get(one.kind),
        "sets_amount": explain(ROW_SETS_AMOUNT) if one.effect == "sets" else None,
        "again": rejected_again(one),
        "cells": [(heading(name), text or formats.NOTHING) for name, text in as_it_came.items()]
        or [(_("As received"), _("unknown"))],
        "reason": explain(reason_named(one.code)),
        "form": form,
        "discard_form": DiscardForm(),
        "discard_title": _("Discard")
        if one.effect == "sets" or one.kind in blocked
        else _("Discard instead"),
        "others": reject_links(others),
        "suggested": suggested(one),
        "repair": words_of(one.kind_spec, one.code),
        "fix": one.kind_spec.repair_of(one.code),
        "goes_where_rejected": one.kind_spec.appends,
        "next": with_query(request, next_one) if next_one else "",
        "preview": preview,
    }
    return render(request, "rejects/reject.html", context, status=422 if form.errors else 200)


def corrected_by(one: RejectedRow) -> RejectedRow | None:
    """The reject at the same server in whose place the row was sent; None if there is none."""
    here = RejectedRow.objects.filter(server=one.server_id, kind=one.kind)
    sent = here.filter(resent_changeset=one.changeset, resent_row=one.row)
    if (found := sent.first()) is not None or one.root_changeset is None:
        return found
    return here.filter(changeset=one.root_changeset, row=one.root_row or 0).first()


def rejected_again(one: RejectedRow) -> RejectedRow | None:
    """The reject of the row that was sent in place of this one, at the same server."""
    if one.resent_changeset is None:
        return None
    root = {
        "root_changeset": one.root_changeset or one.changeset,
        "root_row": one.row if one.root_row is None else one.root_row,
    }
    here = RejectedRow.objects.filter(server=one.server_id, kind=one.kind)
    again = here.filter(changeset=one.resent_changeset)
    return again.filter(Q(row=one.resent_row) | Q(**root)).first()


def suggested(one: RejectedRow) -> list[tuple[str, str, str]]:
    """What the repair of the row would change: heading, current value, new value."""
    texts = received(one, Settings.load().zone) if one.is_open else {}
    values = suggestion(one.kind_spec, one.code, texts)
    return [(heading(name), texts[name], value) for name, value in values.items()]


def following(request: HttpRequest, one: RejectedRow) -> RejectedRow | None:
    """The next open row of the list, or its first; None if there is none."""
    others = RejectedRow.objects.of_row(one)
    rows = RejectFilter(request.GET).once.open().exclude(pk__in=others.values("pk"))
    rows = rows.order_by("-created_at", "-pk")
    later = Q(created_at=one.created_at, pk__lt=one.pk) | Q(created_at__lt=one.created_at)
    return rows.filter(later).first() or rows.first()


def with_query(request: HttpRequest, one: RejectedRow) -> str:
    """The address of the row's page, with the query of the list."""
    query = request.GET.urlencode()
    return one.get_absolute_url() + (f"?{query}" if query else "")


def decided(request: HttpRequest, one: RejectedRow, done: str) -> HttpResponse:
    """Redirects to the next row, or to this one if it was the last.

    The message says what was `done` with this row, and that the page shows another one.
    """
    next_one = following(request, one)
    words = format_words(done, row=reject_link(one))
    if next_one is not None:
        number = {"number": f"№\u00a0{next_one.row}"}
        words = joined([words, _("Below is the next rejected row, %(number)s.") % number], " ")
    messages.success(request, words)
    return redirect(with_query(request, next_one or one))


@role("operator")
@require_POST
def reject_resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Checks the correction and shows what it would send; sends what was shown before.

    What is sent is what the page has shown, whatever the fields say by then. A `fix` is sent at
    once: the page has shown its only change.
    """
    one = one_of(pk)
    repair, shown = repair_named(request.POST.get("fix")), None
    if sealed := request.POST.get("shown"):
        shown = unsealed(one, sealed)
        if shown is None:
            messages.error(request, _("The page was open for too long. Check the row again."))
            return redirect(with_query(request, one))
    if not (repair or shown is not None):
        return check(request, one, form_of(one, request.POST))
    try:
        rows = RejectedRow.objects.filter(pk=pk)
        outcome = resend.resend(rows, shown or {}, Actor.of(request), repair=repair)
    except TransferError as error:
        return failed(request, error, with_query(request, one))
    if outcome.faults or outcome.waiting:
        tell(request, outcome)
        return redirect(with_query(request, one))
    if not outcome.sent:
        return closed_meanwhile(request, one)
    return decided(request, one, _("Row %(row)s is staged again. The next run moves it."))


def check(request: HttpRequest, one: RejectedRow, form: CorrectionForm) -> HttpResponse:
    """Shows what the form would send, or what is wrong with it."""
    if not form.is_valid():
        return page_of(request, one, form)
    try:
        checked = resend.check(RejectedRow.objects.filter(pk=one.pk), form.values)
    except TransferError as error:
        form.add_error(None, str(explain(error)))
        return page_of(request, one, form)
    if checked is None:
        return closed_meanwhile(request, one)
    if checked.faults:
        form.refuse_code(next(iter(checked.faults)))
        return page_of(request, one, form)
    return page_of(request, one, form, preview(one, form.values, checked.row))


def closed_meanwhile(request: HttpRequest, one: RejectedRow) -> HttpResponse:
    messages.warning(request, _("Someone else closed it first."))
    return redirect(with_query(request, one))


def tell(request: HttpRequest, outcome: resend.Outcome) -> None:
    """Messages with the results."""
    if outcome.sent:
        text = ngettext(
            "%(n)s row is staged again. The next run moves it.",
            "%(n)s rows are staged again. The next run moves them.",
            outcome.sent,
        )
        messages.success(request, text % {"n": formats.number(outcome.sent)})
    for code, count in outcome.faults.items():
        words = {"rows": formats.rows(count), "reason": explain(CATALOGUE[code]).sentence}
        messages.error(request, _("Not sent, %(rows)s: %(reason)s") % words)
    if outcome.waiting:
        messages.warning(request, words_of_waiting(outcome.waiting))
    if not (outcome.sent or outcome.faults or outcome.waiting):
        messages.warning(request, _("Someone else closed it first."))


@role("operator")
@require_POST
def reject_discard(request: HttpRequest, pk: int) -> HttpResponse:
    one, form = one_of(pk), DiscardForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Enter why the row is discarded."))
        return redirect(with_query(request, one))
    mine = RejectedRow.objects.filter(pk=pk)
    if resend.discard(mine, form.cleaned_data["reason"], Actor.of(request)):
        return decided(request, one, _("Row %(row)s is discarded: it is never sent."))
    return closed_meanwhile(request, one)
