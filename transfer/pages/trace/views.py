"""The search, and the trace of an account's or a card's changes."""

from collections.abc import Iterator
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import Settings
from transfer.pages.shown.held import holdings, same_holdings
from transfer.pages.shown.task_groups import MANY
from transfer.pages.shown.traced import shown_row
from transfer.pages.trace.places import Group, link, places
from transfer.text import formats
from transfer.text.columns import heading
from transfer.text.explain import explain
from transfer.trace.compared import compared
from transfer.trace.complete import COLUMNS, MOST
from transfer.trace.search import LONGEST, Matches, search
from transfer.trace.subject import trace as trace_of


@require_safe
def trace(request: HttpRequest) -> HttpResponse:
    """The search; for an account or a card its changes and their deliveries."""
    text = request.GET.get("q", "").strip()[:LONGEST].replace("\x00", "")
    column = request.GET.get("in", "")
    context: dict[str, Any] = {"title": _("Search"), "q": text, "settings": Settings.load()}
    try:
        if text and column in COLUMNS:
            page = formats.number_in(request.GET.get("page"), 5) or 1
            context |= _traced(text, column, page, context["settings"].reject_days)
        elif text:
            context["groups"] = elsewhere = places(text)
            matches = search(text)
            if url := _only(text, matches, elsewhere):
                return redirect(url)
            context |= {
                "matches": matches,
                "groups": _groups(text, matches) + elsewhere,
                "is_cut": max(len(matches.accounts), len(matches.cards)) >= MOST,
                "ask_urls": [url_of(text, column) for column in COLUMNS],
            }
    except TransferError as error:
        context["error"] = explain(error)
    return render(request, "trace/trace.html", context)


def _only(text: str, matches: Matches, elsewhere: list[Group]) -> str:
    """The address of the only match, if there is just one."""
    urls = [url_of(text, column) for column in matches.exact]
    urls += [url for _heading, group in elsewhere for _words, url in group]
    others = [*matches.rows, *matches.accounts, *matches.cards]
    return urls[0] if len(urls) == 1 and not others else ""


def url_of(subject: str, column: str) -> str:
    return f"{reverse('trace')}?{urlencode({'q': subject, 'in': column})}"


def _traced(subject: str, column: str, page: int, reject_days: int) -> dict[str, Any]:
    result = trace_of(subject, column, page)
    servers = compared(result.answers, result.coming)
    is_part = result.has_more or page > 1
    title = _("Account %(subject)s") if column == "account" else _("Card %(subject)s")
    return {
        "title": title % {"subject": subject},
        "trace": result,
        "rows": [shown_row(row, reject_days, subject) for row in result.rows],
        "writing": [
            (installed_kinds()[name].staging, since) for name, since in result.writing.items()
        ],
        "holdings": holdings(servers, column, is_part=is_part),
        "same": same_holdings(servers, column, is_part=is_part) if len(servers) >= MANY else [],
        "column": column,
        "is_account": column == "account",
        "by_hand": list(_by_hand(column)),
        "earlier_page": page + 1 if result.has_more else None,
        "later_page": page - 1 if page > 1 else None,
    }


def _by_hand(column: str) -> Iterator[tuple[Kind, str]]:
    """The kinds whose rows an account or a card names, each with the icon of its form."""
    kinds = [kind for kind in installed_kinds().values() if kind.names[0] == column]
    for kind in sorted(kinds, key=lambda one: not one.appends):
        yield kind, "plus" if kind.appends else "key" if kind.secrets else "edit"


def _groups(text: str, matches: Matches) -> list[Group]:
    """Accounts, cards and staged rows that match, in groups."""
    groups: list[Group] = []
    for column, values in (("account", matches.accounts), ("card", matches.cards)):
        whole = [text] if column in matches.exact else []
        links = [(one.partition(text), url_of(one, column)) for one in whole + values]
        groups.append((heading(column), links))
    staged = []
    for kind, number, column, subject in matches.rows:
        names = {"number": number, "table": kind.staging, "subject": subject or "—"}
        words = _("row %(number)s of %(table)s: %(subject)s") % names
        staged.append(link(words, url_of(subject, column) if subject else ""))
    groups.append((_("Staged row"), staged))
    return [group for group in groups if group[1]]
