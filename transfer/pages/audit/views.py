"""Who did what. Entries are only ever added."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.models import AuditEntry
from transfer.pages.audit.filters import AuditFilter
from transfer.pages.audit.tables import AuditTable
from transfer.pages.exports import Field, Sheet, file_response, zoned
from transfer.pages.parts import audit_sentences, audit_words


@role("administrator")
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    entries = AuditFilter(request.GET, AuditEntry.objects.all())
    about = entries.qs.first() if request.GET.get("about") else None
    context = {
        "filter": entries,
        "table": AuditTable(entries.qs).keyset_paged(request),
        "about": audit_words.subject(about) if about else "",
    }
    return render(request, "audit/audit.html", context)


@role("administrator")
@require_safe
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    """The filtered entries, the latest first, as CSV or XLSX."""
    fields = [
        Field(zoned(_("When")), lambda one: one.at),
        Field(_("Who"), lambda one: one.who),
        Field(_("From where"), audit_words.from_where),
        Field(_("What"), lambda one: one.get_action_display()),
        Field(_("Of what"), audit_words.subject),
        Field(_("In a sentence"), audit_sentences.sentence),
        Field(_("Before → after"), lambda one: audit_words.in_a_line(audit_words.changes(one))),
        Field(_("Reason"), lambda one: one.reason),
    ]
    entries = AuditFilter(request.GET, AuditEntry.objects.all()).qs
    name = f"audit-{timezone.localtime():%Y-%m-%d-%H%M}"
    return file_response(request, name, form, Sheet(_("Audit"), fields, entries))
