"""Where a card's or an account's changes are."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.errors import TransferError
from transfer.models import Settings
from transfer.trace import trace as trace_of
from transfer.trace_search import LONGEST, SHORTEST, search
from transfer.trace_words import holding, told_row
from transfer.wording import explain_error

COLUMNS = ("account", "card")


@require_safe
def trace(request: HttpRequest) -> HttpResponse:
    """The search; with an account or a card its changes, and where each of them is."""
    text = request.GET.get("q", "").strip()[:LONGEST].replace("\x00", "")
    column = request.GET.get("in", "")
    context: dict[str, Any] = {"q": text, "staging_days": Settings.load().staging_days}
    try:
        if text and column in COLUMNS:
            context |= _found(text, column, _page(request))
        elif text:
            found = search(text)
            if len(found.exact) == 1 and not found.rows:
                return redirect(url_of(text, found.exact[0]))
            context |= {
                "found": found,
                "links": _links(text, found),
                "shortest": SHORTEST,
            }
    except TransferError as error:
        context["error"] = explain_error(error.code, error.params)
    return render(request, "trace/trace.html", context)


def url_of(subject: str, column: str) -> str:
    return f"{reverse('trace')}?{urlencode({'q': subject, 'in': column})}"


def _page(request: HttpRequest) -> int:
    number = request.GET.get("page", "")
    return max(1, int(number)) if number.isascii() and number.isdigit() and len(number) < 6 else 1


def _found(subject: str, column: str, page: int) -> dict[str, Any]:
    found = trace_of(subject, column, page)
    return {
        "trace": found,
        "rows": [told_row(row, subject) for row in found.rows],
        "holdings": [holding(answer, column) for answer in found.answers],
        "column": column,
        "is_account": column == "account",
        "earlier_page": page + 1 if found.has_more else None,
        "later_page": page - 1 if page > 1 else None,
    }


def _links(text: str, found: Any) -> list[tuple[str, str, str]]:
    """Heading, words and address of everything that may be meant."""
    account, card = _("Account"), _("Card")
    links = [
        (account if one == "account" else card, text, url_of(text, one)) for one in found.exact
    ]
    links += [(account, value, url_of(value, "account")) for value in found.accounts]
    links += [(card, value, url_of(value, "card")) for value in found.cards]
    for kind, number, column, subject in found.rows:
        words = _("row %(number)s of %(table)s: %(subject)s") % {
            "number": number,
            "table": kind.staging,
            "subject": subject or "—",
        }
        address = url_of(subject, column) if subject else ""
        links.append((_("Staged row"), words, address))
    return links
