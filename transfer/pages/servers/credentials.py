"""The credentials that a job of accounts brought: shown once, downloaded once."""

import csv
import io
from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.causes.bonus_servers import ACCOUNT_SECRET_NOT_TAKEN, API_SECRET_UNREADABLE
from transfer.errors import TransferError
from transfer.models import AccountJob, Actor, AuditEntry, IssuedSecret
from transfer.pages.back import failed, refused
from transfer.pages.components.registers import register_name, typed
from transfer.pages.exports import defused
from transfer.pages.html import Html
from transfer.pages.tables import DrawnColumn, Table, classed

SHOWN_AT_MOST = 200


class CredentialTable(Table):
    """Issued secrets, each with its register."""

    caption = gettext_lazy("Credentials")

    name = DrawnColumn(gettext_lazy("Register’s name"), attrs=classed("cell-name"))
    shop = tables.Column(gettext_lazy("Shop’s name"), accessor="account__register__shop")
    login = DrawnColumn(gettext_lazy("Login"), attrs=classed("secret"))
    secret = DrawnColumn(gettext_lazy("Password"), attrs=classed("secret"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts"}

    def draw_name(self, record: IssuedSecret) -> Html:
        return register_name(record.account.register)

    def draw_login(self, record: IssuedSecret) -> Html:
        return typed(record.account.login)

    def draw_secret(self, record: IssuedSecret) -> Html:
        return typed(record.secret)


def job_of(pk: int, job: int, jobs: Any = AccountJob.objects) -> AccountJob:
    """The job, if it is of that server."""
    return get_object_or_404(jobs.select_related("server"), pk=job, server=pk)


def collected_job(request: HttpRequest, pk: int, job: int) -> AccountJob:
    """The job, locked. Raises PermissionDenied if the user may not collect its credentials."""
    ordered = job_of(pk, job, AccountJob.objects.select_for_update(of=("self",)))
    if not ordered.may_collect(request.user):
        raise PermissionDenied
    return ordered


def taken(request: HttpRequest, job: AccountJob) -> dict[str, Any]:
    """What the page says to the user about the credentials that a job brought."""
    secrets = job.secrets.usable()
    count = secrets.count()
    return {
        "secrets": count,
        "until": secrets.until(),
        "may_collect": job.may_collect(request.user),
        "may_show": bool(count) and job.shown_at is None and count <= SHOWN_AT_MOST,
        "thrown_away": job.accounts.filter(error_code=ACCOUNT_SECRET_NOT_TAKEN.code).count(),
    }


@role("operator")
@require_POST
@never_cache
def show(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Shows the credentials, this once. They can still be downloaded once."""
    with transaction.atomic():
        ordered = collected_job(request, pk, job)
        if not taken(request, ordered)["may_show"]:
            words = _("The credentials were shown already, or are gone.")
            return refused(request, words, ordered)
        shown = list(issued(ordered))
        if not all(one.is_readable for one in shown):
            return unreadable(request, ordered)
        note_taken(request, ordered, "shown_at")
    context = {"job": ordered, "table": CredentialTable(shown, orderable=False)}
    return render(request, "servers/credentials.html", context)


@role("operator")
@require_POST
@never_cache
def download(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Sends the credentials as CSV and deletes them."""
    with transaction.atomic():
        ordered = collected_job(request, pk, job)
        secrets = list(issued(ordered))
        if not secrets:
            words = _("The credentials were downloaded already, or are gone.")
            return refused(request, words, ordered)
        if not all(one.is_readable for one in secrets):
            return unreadable(request, ordered)
        text = as_csv(secrets)
        ordered.secrets.all().delete()
        note_taken(request, ordered, "downloaded_at")
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="accounts-{ordered.pk}.csv"'
    return response


def unreadable(request: HttpRequest, job: AccountJob) -> HttpResponse:
    """Says that they can't be read. They are kept, since they can be with the old key."""
    return failed(request, TransferError(API_SECRET_UNREADABLE, server=job.server.name), job)


def note_taken(request: HttpRequest, job: AccountJob, field: str) -> None:
    now = timezone.now()
    setattr(job, field, now)
    job.save(update_fields=[field])
    AuditEntry.record(Actor.of(request), AuditEntry.Action.CHANGE, job, new={field: now})


def issued(job: AccountJob) -> QuerySet[IssuedSecret]:
    secrets = job.secrets.usable().select_related("account__register__shop")
    return secrets.order_by("account__register__shop__code", "account__register__name")


def as_csv(secrets: list[IssuedSecret]) -> str:
    text = io.StringIO()
    text.write("\ufeff")
    writer = csv.writer(text, delimiter=";")
    writer.writerow([_("Shop"), _("Code"), _("Register’s name"), _("Login"), _("Password")])
    for secret in secrets:
        account, register = secret.account, secret.account.register
        row = [register.shop.code, register.code, register.name, account.login, secret.secret]
        writer.writerow(map(defused, row))
    return text.getvalue()
