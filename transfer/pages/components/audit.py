"""Entries of the audit: the sentence, what was changed, and why."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.pages.html import Html, format_words, joined, link


def audit_sentence(words: Any, names: dict[str, str], url: str | None) -> Html:
    """A sentence with the person in bold, and a link to what it is about if that has a `url`."""
    drawn: dict[str, Any] = {**names, "who": format_html("<b>{}</b>", names["who"])}
    if url:
        drawn |= {name: link(url, names[name]) for name in ("what", "name")}
    return format_words(words, **drawn)


def audit_entry(sentence: Html, changes: Iterable[Any], reason: str) -> Html:
    """The sentence, its `changes` as a list, and the reason."""
    listed = joined(format_html("<li>{}</li>", _change(one)) for one in changes)
    return format_html(
        "<div>{} {}{}</div>",
        sentence,
        format_html('<ul class="lean">{}</ul>', listed) if listed else "",
        format_html('<span class="why">{}</span>', reason) if reason else "",
    )


def _change(change: Any) -> Html:
    """The old and the new value; screen readers hear which is which."""
    label = format_html('<span class="muted">{}:</span>', change.label)
    old = new = arrow = ""
    if change.old is not None:
        struck = '<s class="muted"><span class="visually-hidden">{} </span>{}</s>'
        old = format_html(struck, _("before"), change.old)
    if change.new is not None:
        new = format_html('<b class="strong">{}</b>', change.new)
    if old and new:
        between = '<span aria-hidden="true">→</span><span class="visually-hidden">{}</span>'
        arrow = format_html(between, _("after"))
    return format_html("{} {} {} {}", label, old, arrow, new)
