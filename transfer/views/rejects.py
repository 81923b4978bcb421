"""Rejected rows: why, and what becomes of them: corrected and sent again, or discarded."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from transfer import formats, resend
from transfer.access import Role, has_role, role
from transfer.errors import TransferError
from transfer.filters import RejectFilter
from transfer.forms.resend import BulkForm, DiscardForm, form_of
from transfer.kinds import KINDS
from transfer.models import Actor, RejectedRow
from transfer.models.rejects import RejectedRowQuerySet
from transfer.models.tasks import KindChoices
from transfer.tables.rejects import RejectTable, cells, state_of
from transfer.wording import explain_error, explain_reject

AT_MOST = 5000  # rows that are sent again, or discarded, at one press


def found(request: HttpRequest) -> RejectFilter:
    return RejectFilter(request.GET, RejectedRow.objects.landed().select_related("run"))


@require_safe
def rejects(request: HttpRequest) -> HttpResponse:
    """Grouped by reason, and row by row."""
    rows = found(request)
    table = RejectTable(rows.qs).paged(request)
    if not has_role(request.user, Role.OPERATOR):
        table.columns.hide("choose")
    if rows.data["state"] == RejectedRow.State.OPEN:
        table.columns.hide("state")
    groups = [described(request, group) for group in rows.qs.groups()]
    context = {
        "filter": rows,
        "table": table,
        "groups": groups,
        "query": request.GET.urlencode(),
        "one_kind": len({group["kind"] for group in groups}) == 1,
        "can_act": rows.data["state"] in (RejectedRow.State.OPEN, "all"),
        "is_new": not rows.active and not RejectedRow.objects.landed().exists(),
        "is_done": not rows.active and not groups,
    }
    return render(request, "rejects/rejects.html", context)


def described(request: HttpRequest, group: dict[str, Any]) -> dict[str, Any]:
    """A reason with its count, its words, and the query that finds its rows."""
    query = request.GET.copy()
    query["kind"], query["code"] = group["kind"], group["code"]
    query.pop("page", None)
    return group | {
        "kind_label": KindChoices(group["kind"]).label,
        "reason": explain_reject(group["code"]),
        "query": query.urlencode(),
    }


@require_safe
def reject(request: HttpRequest, pk: int) -> HttpResponse:
    one = one_of(pk)
    return page_of(request, one, form_of(one))


def one_of(pk: int) -> RejectedRow:
    landed = RejectedRow.objects.landed().select_related("run", "server")
    return get_object_or_404(landed, pk=pk)


def page_of(request: HttpRequest, one: RejectedRow, form: Any, status: int = 200) -> HttpResponse:
    same_row = RejectedRow.objects.landed().of_row(one).exclude(pk=one.pk)
    context = {
        "reject": one,
        "state": state_of(one),
        "cells": cells(one),
        "reason": explain_reject(one.code),
        "form": form,
        "discard_form": DiscardForm(),
        "others": same_row.order_by("server_name"),
    }
    if one.resent_id is not None and one.resent_origin is not None:
        context["new_row_url"] = f"{reverse('trace')}?{urlencode({'q': one.resent_id})}"
        context["moved_by"] = resend.moving_run(one)
        context["again"] = (
            RejectedRow.objects.landed()
            .filter(server=one.server_id, kind=one.kind, origin=one.resent_origin)
            .filter(staging_id=one.resent_id)
            .first()
        )
    return render(request, "rejects/reject.html", context, status=status)


@role("operator")
@require_POST
def reject_resend(request: HttpRequest, pk: int) -> HttpResponse:
    """Stages the corrected row, if it passes the checks."""
    one = one_of(pk)
    form = form_of(one, request.POST)
    if not form.is_valid():
        return page_of(request, one, form, status=422)
    try:
        outcome = resend.resend(
            [pk], lambda locked: resend.changed(locked, form.values), Actor.of(request)
        )
    except TransferError as error:
        form.add_error(None, " ".join(explain_error(error.code, error.params)))
        return page_of(request, one, form, status=422)
    if pk in outcome.faults:
        form.refuse_code(outcome.faults[pk])
        return page_of(request, one, form, status=422)
    tell(request, outcome)
    return redirect(one)


def tell(request: HttpRequest, outcome: resend.Outcome) -> None:
    """What became of the rows, in one message each."""
    if outcome.sent:
        text = ngettext(
            "%(n)s row is staged anew. It moves with the next run.",
            "%(n)s rows are staged anew. They move with the next run.",
            outcome.sent,
        )
        messages.success(request, text % {"n": formats.number(outcome.sent)})
    if outcome.sent_before:
        text = ngettext(
            "%(n)s row had been sent before, and was not sent again.",
            "%(n)s rows had been sent before, and were not sent again.",
            outcome.sent_before,
        )
        messages.warning(request, text % {"n": formats.number(outcome.sent_before)})
    codes = list(outcome.faults.values())
    for code in dict.fromkeys(codes):
        words = {"rows": formats.rows(codes.count(code)), "reason": explain_reject(code).sentence}
        messages.error(request, _("Not sent, %(rows)s: %(reason)s") % words)
    if not (outcome.sent or outcome.sent_before or codes):
        messages.warning(request, _("Somebody was faster: it is closed already."))


@role("operator")
@require_POST
def reject_discard(request: HttpRequest, pk: int) -> HttpResponse:
    one, form = one_of(pk), DiscardForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("Say why the row is discarded."))
        return redirect(one)
    if resend.discard([pk], form.cleaned_data["reason"], Actor.of(request)):
        messages.success(request, _("The row is discarded: it is never sent."))
    else:
        messages.warning(request, _("Somebody was faster: it is closed already."))
    return redirect(one)


def chosen(request: HttpRequest) -> RejectedRowQuerySet:
    """The open rows that are meant: those with these numbers, or all that the filter finds."""
    if "id" in request.GET:
        numbers = [int(one) for one in request.GET.getlist("id") if one.isdecimal()]
        return RejectedRow.objects.open().filter(pk__in=numbers[:AT_MOST])
    rows: RejectedRowQuerySet = found(request).qs
    return rows.open()


@role("operator")
@require_http_methods(["GET", "HEAD", "POST"])
def rejects_resend(request: HttpRequest) -> HttpResponse:
    """Many at once: as they came, or with the same correction in all of them."""
    rows = chosen(request)
    groups = rows.groups()
    if not groups:
        return nothing_chosen(request)
    kinds = {group["kind"] for group in groups}
    posted = request.POST if request.method == "POST" else None
    form = BulkForm(KINDS[kinds.pop()], posted) if len(kinds) == 1 else None
    if request.method == "POST" and (form is None or form.is_valid()):
        values = form.values if form else {}
        numbers = list(rows.order_by("pk").values_list("pk", flat=True)[:AT_MOST])
        try:
            outcome = resend.resend(
                numbers, lambda one: resend.changed(one, values), Actor.of(request)
            )
        except TransferError as error:
            messages.error(request, " ".join(explain_error(error.code, error.params)))
        else:
            tell(request, outcome)
        return redirect("rejects")
    context = {
        "title": _("Send %(rows)s again?") % {"rows": counted(groups)},
        "text": _("Each row is checked as a transfer would check it. What passes is staged anew."),
        "points": [
            *points(groups),
            *([_("Fill in only what shall change in all of them.")] if form else []),
            _("A new row goes to every bonus server, also to those that had taken the old one."),
        ],
        "form": form,
        "action": _("Send again"),
        "back": reverse("rejects"),
    }
    return render(request, "confirm.html", context, status=422 if form and form.errors else 200)


@role("operator")
@require_http_methods(["GET", "HEAD", "POST"])
def rejects_discard(request: HttpRequest) -> HttpResponse:
    """Many at once, with one reason."""
    rows = chosen(request)
    groups = rows.groups()
    if not groups:
        return nothing_chosen(request)
    form = DiscardForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        numbers = list(rows.order_by("pk").values_list("pk", flat=True)[:AT_MOST])
        done = resend.discard(numbers, form.cleaned_data["reason"], Actor.of(request))
        messages.success(request, _("Discarded: %(rows)s.") % {"rows": formats.rows(done)})
        return redirect("rejects")
    context = {
        "title": _("Discard %(rows)s?") % {"rows": counted(groups)},
        "text": _("They are never sent. The rows stay in this list, with your reason."),
        "points": points(groups),
        "form": form,
        "action": _("Discard"),
        "back": reverse("rejects"),
        "danger": True,
    }
    return render(request, "confirm.html", context, status=422 if form.errors else 200)


def counted(groups: list[dict[str, Any]]) -> str:
    return formats.rows(min(sum(group["rows"] for group in groups), AT_MOST))


def points(groups: list[dict[str, Any]]) -> list[str]:
    told = [
        f"{KindChoices(group['kind']).label}: {explain_reject(group['code']).sentence} "
        f"({formats.number(group['rows'])})"
        for group in groups
    ]
    if sum(group["rows"] for group in groups) > AT_MOST:
        most = {"rows": formats.rows(AT_MOST)}
        told.append(_("At one press it is %(rows)s at most; press again for the rest.") % most)
    return told


def nothing_chosen(request: HttpRequest) -> HttpResponse:
    messages.warning(request, _("No open row is chosen: tick the boxes on the left."))
    return redirect("rejects")
