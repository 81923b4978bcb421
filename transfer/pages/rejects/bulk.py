"""Many rejected rows at once: sent again, or discarded."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from transfer.access import role
from transfer.causes.rows import reason_named
from transfer.engine.checks import Repair
from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Actor, RejectedRow, Settings
from transfer.models.rejects import RejectedRowQuerySet
from transfer.models.tasks import KindChoices
from transfer.pages.back import done, failed, next_url, read_or_post, refused
from transfer.pages.parts.confirmation import Confirmation, ask_to_confirm
from transfer.pages.rejects.filters import RejectFilter
from transfer.pages.rejects.forms import BulkForm, DiscardForm, received
from transfer.pages.rejects.suggestions import WORDS, repair_named, suggestion
from transfer.pages.rejects.views import tell
from transfer.rejects import resend
from transfer.text import formats
from transfer.text.explain import explain

EXAMPLES = 3  # of what a repair does, before it is done to all
AT_MOST = 100_000  # rows at one press: browsers and proxies stop waiting


def chosen(request: HttpRequest) -> RejectedRowQuerySet:
    """The chosen open rows: those with these numbers, or all that a filter finds.

    The filter is in the address, or in the field `all` of the list.
    """
    if "all" not in request.GET and "id" in request.GET:
        numbers = [int(one) for one in request.GET.getlist("id") if one.isdecimal()]
        return RejectedRow.objects.open().filter(pk__in=numbers[:AT_MOST])
    query = QueryDict(request.GET["all"]) if "all" in request.GET else request.GET
    return RejectFilter(query).once.open()


def asked_for(request: HttpRequest, rows: RejectedRowQuerySet) -> RejectedRowQuerySet:
    """The rows that the question counted, without later rejects, and AT_MOST of them."""
    last = request.POST.get("upto", "")
    return rows.filter(pk__lte=int(last) if last.isdecimal() else upto(rows))


def upto(rows: RejectedRowQuerySet) -> int:
    """The last reject that one press takes."""
    numbers = rows.order_by("pk").values_list("pk", flat=True)
    return numbers[AT_MOST - 1 : AT_MOST].first() or numbers.last() or 0


@role("operator")
@read_or_post
def rejects_resend(request: HttpRequest) -> HttpResponse:
    """Sends many rows again, as received or with the same correction in all of them."""
    rows = chosen(request)
    groups = rows.groups()
    if not groups:
        return nothing_chosen(request)
    posted = request.POST if request.method == "POST" else None
    if repair := repair_named(request.GET.get("fix")):
        return repaired(request, rows, groups, repair)
    kinds = [installed_kinds()[name] for name in sorted({group["kind"] for group in groups})]
    form = BulkForm(kinds[0], posted) if len(kinds) == 1 else None
    if posted is not None and (form is None or form.is_valid()):
        return send(request, rows, form.values if form else {})
    confirmation = Confirmation(
        title=_("Send %(rows)s again?") % {"rows": counted(groups)},
        text=_("Each row is checked as a transfer checks it. Rows that pass are staged again."),
        points=[
            *points(groups),
            *([_("Fill in only what is to change in all of them.")] if form else []),
            *where_they_go(kinds),
        ],
        form=form,
        hidden=[("upto", upto(rows))],
        action=_("Send again"),
        back=next_url(request, reverse("rejects")),
    )
    return ask_to_confirm(request, confirmation)


def repaired(
    request: HttpRequest, rows: RejectedRowQuerySet, groups: list[dict[str, Any]], repair: Repair
) -> HttpResponse:
    """Sends the rows after the same repair of each; asks first."""
    if request.method == "POST":
        return send(request, rows, {}, repair)
    kinds = [installed_kinds()[name] for name in sorted({group["kind"] for group in groups})]
    words = WORDS[repair]
    confirmation = Confirmation(
        title=str(words.question) % {"rows": counted(groups)},
        text=words.meaning,
        points=[
            *points(groups),
            *examples(rows, repair),
            _("Each row is checked as a transfer checks it. Rows that pass are staged again."),
            *where_they_go(kinds),
        ],
        hidden=[("upto", upto(rows))],
        action=words.button,
        back=next_url(request, reverse("rejects")),
    )
    return ask_to_confirm(request, confirmation)


def examples(rows: RejectedRowQuerySet, repair: Repair) -> Iterator[str]:
    """Yields what the repair does to the first rows, as their servers have recorded them."""
    zone = Settings.load().zone
    for one in rows.order_by("-created_at", "-pk")[:EXAMPLES]:
        texts = received(one, zone)
        for name, new in suggestion(one.kind_spec, one.code, texts).items():
            change = str(WORDS[repair].in_grid) % {"old": texts[name], "new": new}
            yield _("Row %(row)s. %(change)s") % {"row": one.row, "change": change}


def where_they_go(kinds: list[Kind]) -> Iterator[str]:
    """Yields which bonus servers get the new rows of these kinds."""
    if any(kind.appends for kind in kinds):
        yield _("A new balance change is applied only where the old one is rejected.")
    if not all(kind.appends for kind in kinds):
        yield _(
            "A new PIN code or card row goes to every bonus server, also to those that had taken "
            "the old one."
        )


def send(
    request: HttpRequest,
    rows: RejectedRowQuerySet,
    values: resend.Values,
    repair: Repair | None = None,
) -> HttpResponse:
    back = next_url(request, reverse("rejects"))
    try:
        outcome = resend.resend(asked_for(request, rows), values, Actor.of(request), repair=repair)
    except TransferError as error:
        return failed(request, error, back)
    tell(request, outcome)
    return redirect(back)


@role("operator")
@read_or_post
def rejects_discard(request: HttpRequest) -> HttpResponse:
    """Discards many at once, with one reason."""
    rows = chosen(request)
    groups = rows.groups()
    if not groups:
        return nothing_chosen(request)
    form = DiscardForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        reason, actor = form.cleaned_data["reason"], Actor.of(request)
        discarded = resend.discard(asked_for(request, rows), reason, actor)
        text = _("Discarded: %(rows)s.") % {"rows": formats.rows(discarded)}
        return done(request, text, next_url(request, reverse("rejects")))
    confirmation = Confirmation(
        title=_("Discard %(rows)s?") % {"rows": counted(groups)},
        text=_(
            "A row that is not sent is never applied on the servers that have rejected it. It "
            "stays in this list, with your reason."
        ),
        points=points(groups),
        form=form,
        hidden=[("upto", upto(rows))],
        action=_("Discard"),
        back=next_url(request, reverse("rejects")),
        danger=True,
    )
    return ask_to_confirm(request, confirmation)


def counted(groups: list[dict[str, Any]]) -> str:
    return formats.rows(min(sum(group["rows"] for group in groups), AT_MOST))


def points(groups: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"{KindChoices(group['kind']).label}: {explain(reason_named(group['code'])).sentence} "
        f"({formats.number(group['rows'])})"
        for group in groups
    ]
    if sum(group["rows"] for group in groups) > AT_MOST:
        most = {"rows": formats.rows(AT_MOST)}
        lines.append(_("At most %(rows)s at a time; press again for the rest.") % most)
    return lines


def nothing_chosen(request: HttpRequest) -> HttpResponse:
    words = _("No open row is chosen: tick the boxes on the left.")
    return refused(request, words, next_url(request, reverse("rejects")))
