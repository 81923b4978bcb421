"""Registers, their accounts and servers, as HTML."""

from collections.abc import Iterator
from datetime import datetime
from itertools import groupby
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from transfer.models import BonusServer, CashRegister
from transfer.models.accounts import AccountState
from transfer.pages.drawing import badge, once
from transfer.text import formats

# Every state: its tone and its icon. Colour never says it alone.
STATES = {
    AccountState.ERROR: ("bad", "cross"),
    AccountState.BLOCKED: ("warn", "lock"),
    AccountState.OFFLINE: ("bad", "offline"),
    AccountState.NEVER_SEEN: ("warn", "clock"),
    AccountState.NOT_CREATED: ("idle", "circle"),
    AccountState.WAITING: ("info", "clock"),
    AccountState.ONLINE: ("ok", "check"),
}
SERVER_STATES = {
    BonusServer.State.UNCHECKED: ("idle", "clock"),
    BonusServer.State.AVAILABLE: ("ok", "check"),
    BonusServer.State.FAILING: ("bad", "cross"),
}


def register_name(named: CashRegister) -> SafeString:
    """A register's name, as a link; below it its code, where that says more."""
    mothballed = badge("idle", _("Mothballed"), "pause") if named.mothballed else ""
    code = format_html('<div class="code break muted small">{}</div>', named.code)
    return format_html(
        '<div><a href="{}">{}</a> {}{}</div>',
        named.get_absolute_url(),
        named.name,
        mothballed,
        code if named.code != named.name else "",
    )


@once
def account_badge(state: str, mothballed: bool = False) -> SafeString:
    """The state of a register's account; of a mothballed register it raises no alarm."""
    tone, icon = STATES[AccountState(state)]
    shown = "idle" if mothballed and tone != "ok" else tone
    return badge(shown, AccountState(state).label, icon)


def server_badge(server: BonusServer) -> SafeString:
    tone, icon = SERVER_STATES[BonusServer.State(server.state)]
    return badge(tone, BonusServer.State(server.state).label, icon)


def tone(state: str) -> str:
    """The tone of an account's state, for a number that stands beside its word."""
    return STATES[AccountState(state)][0]


def day_strip(hours: list[bool | None], day: datetime) -> dict[str, Any]:
    """A day of the strip: its hours as runs, and in words for who can't see it."""
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
