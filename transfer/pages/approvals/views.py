"""Loads that need a second person: the list, one of them, and the decision."""

from django import forms
from django.contrib import messages
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from transfer.approvals.limits import words
from transfer.loading import upload_job
from transfer.loading.report import warning
from transfer.models import Actor, Approval
from transfer.models.approvers import is_approver
from transfer.pages.approvals.accounts import accounts_of
from transfer.pages.approvals.tables import AccountTable, ApprovalTable
from transfer.pages.back import done, refused
from transfer.pages.fields import reason_field
from transfer.pages.parts.second_person import for_approvers
from transfer.text import formats

WAITING = Approval.State.WAITING


class RefuseForm(forms.Form):
    reason = reason_field(gettext_lazy("The loader sees it, and the audit keeps it."))


@require_safe
def approvals(request: HttpRequest) -> HttpResponse:
    """Those that wait first."""
    waits = Case(When(state=WAITING, then=Value(0)), default=Value(1))
    rows = Approval.objects.select_related("upload", "upload__undoes").order_by(waits, "-pk")
    return render(
        request, "approvals/approvals.html", {"table": ApprovalTable(rows).paged(request)}
    )


@require_safe
def approval(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, pk, RefuseForm())


def _page(request: HttpRequest, pk: int, form: RefuseForm) -> HttpResponse:
    one = get_object_or_404(Approval.objects.select_related("upload"), pk=pk)
    accounts = accounts_of(one)
    context = {
        "approval": one,
        "upload": one.upload,
        "reasons": [words(reason) for reason in one.reasons],
        "largest": formats.amount(one.largest, signed=False),
        "total": formats.amount(one.total, signed=False),
        "accounts": accounts,
        "table": AccountTable(accounts.shown),
        "may_decide": one.is_waiting and one.may_decide(request.user),
        "may_only_others": one.is_waiting and is_approver(request.user),
        "form": form,
        "error": one.upload.explained,
        "warnings": [warning(*given) for given in one.upload.report.get("warnings", [])],
    }
    status = 422 if form.errors else 200
    return render(request, "approvals/approval.html", context, status=status)


@for_approvers
@require_POST
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    """Approves the load, and has it loaded. Once, however often it is pressed."""
    one = get_object_or_404(Approval.objects.select_related("upload"), pk=pk)
    if not one.approve(Actor.of(request)):
        return _in_vain(request, one)
    one.upload.refresh_from_db()
    upload_job.start(one.upload)
    one.refresh_from_db()
    if one.state == Approval.State.APPROVED:
        messages.success(request, _("Approved. The load goes on under the name of who entered it."))
    return redirect(one)


@for_approvers
@require_POST
def refuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Refuses the load with a reason; its rows are deleted."""
    form = RefuseForm(request.POST)
    if not form.is_valid():
        return _page(request, pk, form)
    one = get_object_or_404(Approval.objects.select_related("upload"), pk=pk)
    if not one.refuse(Actor.of(request), form.cleaned_data["reason"]):
        return _in_vain(request, one)
    return done(request, _("Refused: nothing was loaded, and the rows are deleted."), one)


def _in_vain(request: HttpRequest, one: Approval) -> HttpResponse:
    """Says why the press has done nothing."""
    one.refresh_from_db()
    if one.is_waiting:
        text = _("You have entered these rows yourself, or they name your own numbers.")
        return refused(request, text, one)
    return refused(request, _("It was decided in the meantime."), one)
