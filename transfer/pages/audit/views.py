"""Who did what. Entries are only ever added."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from transfer.access import role
from transfer.models import AuditEntry
from transfer.pages.audit import words
from transfer.pages.audit.filters import AuditFilter
from transfer.pages.audit.tables import AuditTable


@role("administrator")
@require_safe
def audit(request: HttpRequest) -> HttpResponse:
    entries = AuditFilter(request.GET, AuditEntry.objects.all())
    about = entries.qs.first() if request.GET.get("about") else None
    context = {
        "filter": entries,
        "table": AuditTable(entries.qs).paged(request),
        "about": words.subject(about) if about else "",
    }
    return render(request, "audit/audit.html", context)
