"""Who credited which accounts, by which way: for administrators and approvers."""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.models import Entry
from transfer.models.entries import MOST_ROWS
from transfer.pages import links
from transfer.pages.by_hand.filters import ByHandFilter
from transfer.pages.by_hand.sums import TIMES, by_account, by_person, repeated
from transfer.pages.by_hand.tables import ByHandTable, SumTable
from transfer.pages.exports import Field, Sheet, file_response, zoned
from transfer.pages.parts.second_person import for_overseers
from transfer.text import formats


@for_overseers
@require_safe
def by_hand(request: HttpRequest) -> HttpResponse:
    rows = ByHandFilter.of(request.GET)
    asked = formats.number_in(request.GET.get("times"))
    times = asked if asked in TIMES else TIMES[0]
    context = {
        "filter": rows,
        "table": ByHandTable(rows.qs).keyset_paged(request),
        "people": SumTable(
            by_person(rows.qs, whole=not rows.is_of_rows),
            caption=_("By person and key"),
            prefix="people-",
            exclude=("account", "person"),
        ),
        "accounts": SumTable(
            by_account(rows.qs),
            caption=_("By account, the largest credits first"),
            prefix="accounts-",
            exclude=("who", "person", "down"),
        ),
        "repeated": SumTable(
            repeated(rows.qs, times),
            caption=_("Credited more than %(n)s times by the same person")
            % {"n": formats.number(times)},
            prefix="repeated-",
            exclude=("who", "down"),
        ),
        "times": times,
        "choices": [
            (one, links.with_query(request.get_full_path(), times=one, page=None)) for one in TIMES
        ],
        "is_new": not Entry.objects.exists(),
        "most": MOST_ROWS,
    }
    return render(request, "by_hand/by_hand.html", context)


@for_overseers
@require_safe
def export(request: HttpRequest, form: str) -> HttpResponseBase:
    """The filtered rows, the latest first, as CSV or XLSX."""
    fields = [
        Field(zoned(_("When")), lambda one: one.entry.at),
        Field(_("Who"), lambda one: one.entry.who),
        Field(_("Way"), lambda one: one.entry.get_way_display()),
        Field(_("Account"), lambda one: one.account, is_text=True),
        Field(_("Amount"), lambda one: one.amount),
        Field(_("Approved by"), lambda one: one.entry.approved_by),
    ]
    name = f"by-hand-{timezone.localtime():%Y-%m-%d-%H%M}"
    return file_response(
        request, name, form, Sheet(_("By hand"), fields, ByHandFilter.of(request.GET).qs)
    )
