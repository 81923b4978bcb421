"""Badges and icons of states: see `shown.looks`."""

from typing import Any

from django.utils.html import format_html

from transfer.pages.components.basic import TONE_ICONS, icon
from transfer.pages.html import Html, once, unseen
from transfer.pages.shown.looks import look


def badge(tone: str, text: Any, icon_name: str = "") -> Html:
    """`{% badge "warn" words "clock" %}`: icon, words and colour of what is in no state."""
    drawn = '<span class="badge badge-{}">{}{}</span>'
    return format_html(drawn, tone, icon(icon_name or TONE_ICONS[tone]), text)


@once
def state_badge(of: str, state: str) -> Html:
    """`{% state_badge "run" run.state %}`: icon, word and colour of a state."""
    shown = look(state, of)
    return badge(shown.tone, shown.word, shown.icon)


@once
def state_icon(of: str, state: str) -> Html:
    """Likewise, without its word, which a tooltip and a screen reader have."""
    shown = look(state, of)
    drawn = '<span class="badge badge-{} alone" title="{}">{}{}</span>'
    return format_html(drawn, shown.tone, shown.word, icon(shown.icon), unseen(shown.word))


def switch_badge(enabled: bool) -> Html:
    """`{% switch_badge task.enabled %}`: whether a task is on, for those who may not switch it."""
    return state_badge("switch", "on" if enabled else "off")
