"""Registers, their accounts and shops: cells of tables, badges, and the days they were seen."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _, ngettext

from transfer.models import CashRegister
from transfer.models.accounts import AccountState
from transfer.pages.components.basic import icon
from transfer.pages.components.states import badge, state_badge
from transfer.pages.components.times import ago
from transfer.pages.html import Html, joined, once, row, unseen
from transfer.pages.shown.looks import look
from transfer.text import formats


def register_name(named: CashRegister) -> Html:
    """A register's name, as a link; below it its code, where that says more."""
    mothballed = state_badge("register", "mothballed") if named.mothballed else ""
    code = format_html('<div class="code break muted small">{}</div>', named.code)
    return format_html(
        '<div><a href="{}">{}</a> {}{}</div>',
        named.get_absolute_url(),
        named.name,
        mothballed,
        code if named.code != named.name else "",
    )


@once
def account_badge(state: str, mothballed: bool = False) -> Html:
    """The state of a register's account. A register that is out of service raises no alarm."""
    shown = look(state, "account")
    tone = "idle" if mothballed and shown.tone != "ok" else shown.tone
    return badge(tone, shown.word, shown.icon)


def state_with_error(state: str, mothballed: bool, error: Any = None) -> Html:
    """A cell with the state of an account, and below it the error that it keeps."""
    note = format_html('<div class="note">{}</div>', error) if error else ""
    return format_html("<div>{}{}</div>", account_badge(state, mothballed), note)


def counts(states: Iterable[tuple[str, Any, int]], url: str, end: str = "", none: str = "") -> Html:
    """`{% register_counts states url %}`: how many registers are in each state, as links.

    The addresses are `url`, "state=" with the state, and `end`. `none`: the words for no registers.
    """
    drawn = '<li><a class="{}" href="{}state={}{}">{}: <b>{}</b></a></li>'
    lines = (
        (look(state, "account").tone, url, state, end, words, formats.number(count))
        for state, words, count in states
    )
    no_line = format_html("<li><span>{}</span></li>", none) if none else ""
    found = format_html_join("", drawn, lines)
    return format_html('<ul class="row counts">{}</ul>', found or no_line)


NAMED_AT_MOST = 3  # servers


def states_on_servers(
    states: Mapping[int, tuple[AccountState, datetime | None]],
    names: Mapping[int, str],
    mothballed: bool,
) -> Html:
    """A cell with a register's states on many servers, the worst first: how many, and which.

    Of a state on one server alone it says when that server last saw the register.

    `states` by the keys of the servers, without those that have no account of it; `names` of all.
    """
    of_state: dict[AccountState, list[str]] = {state: [] for state in AccountState}
    last_seen = {}
    for server, name in names.items():
        state, last_seen[name] = states.get(server, (AccountState.NOT_CREATED, None))
        of_state[state].append(name)
    drawn = '<span class="on-servers" title="{}">{} {}{}</span>'
    items = (
        (
            ", ".join(found),
            account_badge(state, mothballed),
            on_servers(found, len(names)),
            _seen(last_seen[found[0]]) if len(found) == 1 else "",
        )
        for state, found in of_state.items()
        if found
    )
    return format_html('<div class="row">{}</div>', format_html_join("", drawn, items))


def _seen(when: datetime | None) -> Html:
    return format_html(' <span class="muted small">{}</span>', ago(when)) if when else Html()


def on_servers(found: list[str], servers: int) -> str:
    """On which of so many servers: named if they are few, else counted."""
    if len(found) == servers:
        return _("on all %(n)s servers") % {"n": formats.number(servers)}
    if len(found) <= NAMED_AT_MOST:
        return ", ".join(found)
    n = formats.number(len(found))
    return ngettext("on %(n)s server", "on %(n)s servers", len(found)) % {"n": n}


def state_since(state: str, mothballed: bool, seen: datetime | None) -> Html:
    """A cell with the state of an account, and when its server last saw the register."""
    badge = account_badge(state, mothballed)
    return format_html('<span class="row">{}{}</span>', badge, _seen(seen)) if seen else badge


def shop_actions(links: Iterable[tuple[str, Any]], shop: Any) -> Html:
    """Buttons that lead to pages about a shop: address and words of each."""
    drawn = '<a class="button plain small" href="{}">{}{}</a>'
    name = unseen(f": {shop}")
    return row(*(format_html(drawn, url, words, name) for url, words in links))


def line_of_file(state: str, words: Iterable[str]) -> Html:
    """The outcome of a line of a file of registers: "new", "changes" or "bad", and in words."""
    return format_html("<div>{} {}</div>", state_badge("line", state), "; ".join(words))


def day_strip(hours: list[bool | None], day: datetime) -> dict[str, Any]:
    """A day of the strip: its hours as runs, and in words for those who cannot see it."""
    seen, known = hours.count(True), len(hours) - hours.count(None)
    return {
        "day": formats.day(day.date()),
        "known": list(runs([hour is not None for hour in hours])),
        "seen": list(runs([hour is True for hour in hours])),
        "share": f"{100 * seen // known}{formats.NBSP}%" if known else formats.NOTHING,
        "words": _("seen in %(n)s of %(known)s hours") % {"n": seen, "known": known},
    }


def runs(hours: list[bool]) -> Iterator[dict[str, int]]:
    """Yields start and length of each run of neighbouring hours."""
    start = 0
    for wanted, group in groupby(hours):
        width = len(list(group))
        if wanted:
            yield {"x": start, "width": width}
        start += width


GROUP = 4  # characters that people read, and type, at once


def typed(value: str) -> Html:
    """A value in groups, which a copy of the text does not contain, and a button that copies it."""
    groups = (value[at : at + GROUP] for at in range(0, len(value), GROUP))
    return format_html(
        '<span class="typed">{}</span> <button type="button" class="button plain small '
        'icon-only" data-copy="{}" title="{}" hidden>{}{}</button>',
        joined(format_html("<span>{}</span>", group) for group in groups),
        value,
        _("Copy"),
        icon("copy"),
        unseen(_("Copy")),
    )
