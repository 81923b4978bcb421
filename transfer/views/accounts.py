"""Accounts of registers: made, blocked, unblocked, deleted; their credentials, once."""

import csv
import io
import re
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from transfer import formats
from transfer.access import role
from transfer.accounts import change_one, order
from transfer.errors import TransferError
from transfer.exports import defused
from transfer.models import (
    AccountJob,
    Actor,
    AuditEntry,
    BonusServer,
    CashRegister,
    RegisterAccount,
)
from transfer.views.back import next_url
from transfer.wording import explain_error

Action = AccountJob.Action
NAMED_AT_MOST = 12
SHOWN_AT_MOST = 200

WORDS: dict[str, tuple[Any, Any, Any]] = {
    Action.BLOCK: (
        gettext_lazy("Block the chosen accounts?"),
        gettext_lazy(
            "The server refuses these registers until they are unblocked: no bonuses are accrued "
            "or redeemed there."
        ),
        gettext_lazy("Block"),
    ),
    Action.UNBLOCK: (
        gettext_lazy("Unblock the chosen accounts?"),
        gettext_lazy("The server serves these registers again, with the logins that they have."),
        gettext_lazy("Unblock"),
    ),
    Action.DELETE: (
        gettext_lazy("Delete the chosen accounts?"),
        gettext_lazy(
            "The server refuses these registers from then on. A new account gets another login "
            "and another password, which have to be entered at the register."
        ),
        gettext_lazy("Delete"),
    ),
}


def chosen(request: HttpRequest) -> list[int]:
    """The ticked registers; from the confirm page they come in one field."""
    texts = [*request.POST.getlist("register"), *request.POST.get("registers", "").split(",")]
    return list(dict.fromkeys(int(one) for one in texts if re.fullmatch(r"[0-9]{1,9}", one)))


@role("operator")
@require_POST
def server_accounts(request: HttpRequest, pk: int) -> HttpResponse:
    """One thing done to the chosen registers, or accounts for all that have none."""
    server = get_object_or_404(BonusServer, pk=pk)
    action, registers = request.POST.get("action", ""), chosen(request)
    if action == "create_all":
        missing = CashRegister.objects.in_use().unsettled(server)
        return begin(request, server, Action.CREATE, missing.values_list("pk", flat=True))
    if action not in Action.values:
        return redirect(server)
    if not registers:
        messages.warning(request, _("Choose at least one register: tick the boxes on the left."))
        return redirect(next_url(request, server.get_absolute_url()))
    if action != Action.CREATE and "confirmed" not in request.POST:
        return ask(request, server, action, registers)
    return begin(request, server, Action(action), registers)


def begin(request: HttpRequest, server: BonusServer, action: Action, registers: Any) -> Any:
    job = order(server, action, registers, Actor.of(request))
    if not job.total:
        messages.info(request, _("There was nothing to do: see the states below."))
        job.delete()
        return redirect(server)
    return redirect(job)


def ask(request: HttpRequest, server: BonusServer, action: str, registers: list[int]) -> Any:
    accounts = server.accounts.created().filter(register__in=registers)
    names = list(accounts.order_by("register__name").values_list("register__name", flat=True))
    if not names:
        messages.warning(request, _("None of the chosen registers has an account on this server."))
        return redirect(next_url(request, server.get_absolute_url()))
    more = len(names) - NAMED_AT_MOST
    points = names[:NAMED_AT_MOST]
    if more > 0:
        points.append(
            ngettext("and %(n)s more", "and %(n)s more", more) % {"n": formats.number(more)}
        )
    title, text, button = WORDS[action]
    context = {
        "title": title,
        "text": text,
        "points": points,
        "action": button,
        "back": next_url(request, server.get_absolute_url()),
        "danger": action == Action.DELETE,
        "hidden": {
            "action": action,
            "confirmed": 1,
            "registers": ",".join(str(one) for one in registers),
        },
    }
    return render(request, "confirm.html", context)


@role("operator")
@require_http_methods(["GET", "HEAD", "POST"])
def account_change(request: HttpRequest, pk: int, action: str) -> HttpResponse:
    """Blocks, unblocks or deletes one account, and waits for the answer."""
    account = get_object_or_404(
        RegisterAccount.objects.created().select_related("server", "register"), pk=pk
    )
    names = {"register": account.register, "server": account.server}
    if request.method != "POST":
        _title, text, button = WORDS[action]
        titles = {
            Action.BLOCK: _("Block %(register)s on %(server)s?"),
            Action.UNBLOCK: _("Unblock %(register)s on %(server)s?"),
            Action.DELETE: _("Delete the account of %(register)s on %(server)s?"),
        }
        context = {
            "title": titles[Action(action)] % names,
            "text": text,
            "action": button,
            "back": account.register.get_absolute_url(),
            "danger": action == Action.DELETE,
        }
        return render(request, "confirm.html", context)
    try:
        change_one(account, Action(action), Actor.of(request))
    except TransferError as error:
        sentence, hint = explain_error(error.code, error.params)
        messages.error(request, f"{sentence} {hint}")
    else:
        said = {
            Action.BLOCK: _("%(register)s is blocked on %(server)s."),
            Action.UNBLOCK: _("%(register)s is unblocked on %(server)s."),
            Action.DELETE: _("%(register)s has no account on %(server)s any more."),
        }
        messages.success(request, said[Action(action)] % names)
    return redirect(account.register)


def found_job(pk: int, job: int) -> AccountJob:
    jobs = AccountJob.objects.select_related("server")
    return get_object_or_404(jobs, pk=job, server=pk)


@role("operator")
@require_safe
def account_job(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """How far it is; then what came of it, register by register."""
    found = found_job(pk, job)
    template = "servers/job_live.html" if request.GET.get("part") else "servers/job.html"
    return render(request, template, of_job(found))


def of_job(job: AccountJob) -> dict[str, Any]:
    accounts = job.accounts.select_related("register__shop", "server").order_by("register__name")
    failed = accounts.exclude(error_code="")
    lines = [
        (account, explain_error(account.error_code, account.error_params))
        for account in failed[:SHOWN_AT_MOST]
    ]
    secrets = job.secrets.count()
    return {
        "job": job,
        "failed": lines,
        "more_failed": max(failed.count() - SHOWN_AT_MOST, 0),
        "good_ones": accounts.filter(error_code="")[:SHOWN_AT_MOST] if not job.is_open else [],
        "secrets": secrets,
        "may_show": bool(secrets) and job.shown_at is None and secrets <= SHOWN_AT_MOST,
    }


@role("operator")
@require_POST
def job_again(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """The failed ones of a job once more; what is there stays as it is."""
    found = found_job(pk, job)
    registers = found.accounts.exclude(error_code="").values_list("register", flat=True)
    return begin(request, found.server, Action(found.action), list(registers))


@role("operator")
@require_POST
@never_cache
def credentials_show(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Shows the credentials, this once. They can still be downloaded once."""
    with transaction.atomic():
        jobs = AccountJob.objects.select_for_update(of=("self",)).select_related("server")
        found = get_object_or_404(jobs, pk=job, server=pk)
        if not of_job(found)["may_show"]:
            messages.warning(request, _("The credentials were shown already, or are gone."))
            return redirect(found)
        found.shown_at = timezone.now()
        found.save(update_fields=["shown_at"])
        note_taken(request, found, "shown_at")
        shown = list(issued(found))
    response = render(request, "servers/credentials.html", {"job": found, "secrets": shown})
    return no_store(response)


@role("operator")
@require_POST
def credentials_download(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """The credentials as CSV; with that they are deleted here."""
    with transaction.atomic():
        jobs = AccountJob.objects.select_for_update(of=("self",)).select_related("server")
        found = get_object_or_404(jobs, pk=job, server=pk)
        text = as_csv(found)
        if not text:
            messages.warning(request, _("The credentials were downloaded already, or are gone."))
            return redirect(found)
        found.secrets.all().delete()
        found.downloaded_at = timezone.now()
        found.save(update_fields=["downloaded_at"])
        note_taken(request, found, "downloaded_at")
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="accounts-{found.pk}.csv"'
    return no_store(response)


def no_store(response: HttpResponse) -> HttpResponse:
    response.headers["Cache-Control"] = "no-store"
    return response


def note_taken(request: HttpRequest, job: AccountJob, field: str) -> None:
    AuditEntry.record(
        Actor.of(request), AuditEntry.Action.CHANGE, job, new={field: getattr(job, field)}
    )


def issued(job: AccountJob) -> Any:
    return job.secrets.select_related("account__register__shop").order_by(
        "account__register__shop__code", "account__register__name"
    )


def as_csv(job: AccountJob) -> str:
    rows = [
        [
            secret.account.register.shop.code,
            secret.account.register.code,
            secret.account.register.name,
            secret.account.login,
            secret.secret,
        ]
        for secret in issued(job)
    ]
    if not rows:
        return ""
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, delimiter=";")
    writer.writerow([_("Shop"), _("Code"), _("Register’s name"), _("Login"), _("Password")])
    # The password is random letters and digits of the server's: it is left as it is.
    writer.writerows([[*map(defused, row[:4]), row[4]] for row in rows])
    return text.getvalue()
