"""The credentials that a change of accounts has brought: shown once, downloaded once."""

import csv
import io
from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.contrib import messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from transfer.access import role
from transfer.bonus_api.errors import SecretNotTaken, SecretUnreadable
from transfer.models import AccountJob, Actor, AuditEntry, IssuedSecret
from transfer.pages.back import refused
from transfer.pages.drawing import icon
from transfer.pages.exports import defused
from transfer.pages.registers.drawing import register_name
from transfer.pages.tables import DrawnColumn, Table, classed
from transfer.text.explain import explain

SHOWN_AT_MOST = 200
GROUP = 4  # characters that are read, and typed, at once


def typed(value: str) -> SafeString:
    """What is typed at a till: in groups, which are no spaces, and with a button that copies it."""
    groups = ((value[at : at + GROUP],) for at in range(0, len(value), GROUP))
    return format_html(
        '<span class="typed">{}</span> <button type="button" class="button plain small '
        'icon-only" data-copy="{}" title="{}" hidden>{}<span class="visually-hidden">{}</span>'
        "</button>",
        format_html_join("", "<span>{}</span>", groups),
        value,
        _("Copy"),
        icon("copy"),
        _("Copy"),
    )


class CredentialTable(Table):
    """Issued secrets, each with its register."""

    caption = gettext_lazy("Credentials")

    name = DrawnColumn(gettext_lazy("Register’s name"), attrs=classed("cell-name"))
    shop = tables.Column(gettext_lazy("Shop’s name"), accessor="account__register__shop")
    login = DrawnColumn(gettext_lazy("Login"), attrs=classed("secret"))
    secret = DrawnColumn(gettext_lazy("Password"), attrs=classed("secret"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts"}

    def draw_name(self, record: IssuedSecret) -> SafeString:
        return register_name(record.account.register)

    def draw_login(self, record: IssuedSecret) -> SafeString:
        return typed(record.account.login)

    def draw_secret(self, record: IssuedSecret) -> SafeString:
        return typed(record.secret)


def job_of(pk: int, job: int, jobs: Any = AccountJob.objects) -> AccountJob:
    """The job, if it is of that server."""
    return get_object_or_404(jobs.select_related("server"), pk=job, server=pk)


def taken(job: AccountJob) -> dict[str, Any]:
    """What there is to say of the credentials that a job has brought."""
    secrets = job.secrets.usable()
    count = secrets.count()
    return {
        "secrets": count,
        "until": secrets.until(),
        "may_show": bool(count) and job.shown_at is None and count <= SHOWN_AT_MOST,
        "thrown_away": job.accounts.filter(error_code=SecretNotTaken.code).count(),
    }


@role("operator")
@require_POST
@never_cache
def show(request: HttpRequest, pk: int, job: int) -> HttpResponse:
    """Shows the credentials, this once. They can still be downloaded once."""
    with transaction.atomic():
        ordered = job_of(pk, job, AccountJob.objects.select_for_update(of=("self",)))
        if not taken(ordered)["may_show"]:
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
    """The credentials as CSV; with that they are deleted here."""
    with transaction.atomic():
        ordered = job_of(pk, job, AccountJob.objects.select_for_update(of=("self",)))
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
    """Says that they can't be read. They stay: with the old key they can still be taken."""
    messages.error(request, str(explain(SecretUnreadable(server=job.server.name))))
    return redirect(job)


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
