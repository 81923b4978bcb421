"""Entries of the audit: the sentence, what was changed, and why."""

from collections.abc import Iterable
from typing import Any

from django.utils.html import format_html
from django.utils.translation import gettext as _

from transfer.pages.html import Html, format_words, joined, link


def audit_sentence(words: Any, names: dict[str, str], url: str | None) -> Html:
    """A sentence with the person in bold, and a link to what it is about if that has a `url`."""
    words = str(words)
    drawn: dict[str, Any] = {**names, "who": format_html("<b>{}</b>", names["who"])}
    if url:
        named = [name for name in ("what", "name") if f"%({name})s" in words]
        drawn |= {name: link(url, names[name]) for name in named}
    return format_words(words, **drawn)


def audit_entry(sentence: Html, changes: Iterable[Any], reason: str) -> Html:
    """The sentence, its `changes` as a list, and the reason."""
    listed = joined(map(_change, changes))
    return format_html(
        "<div>{} {}{}</div>",
        sentence,
        format_html('<ul class="lean">{}</ul>', listed) if listed else "",
        format_html('<span class="why">{}</span>', reason) if reason else "",
    )


OLD = '<s class="muted"><span class="visually-hidden">{before} </span>{old}</s>'
ARROW = '<span aria-hidden="true">→</span><span class="visually-hidden">{after}</span>'
NEW = '<b class="strong">{new}</b>'


def _change(change: Any) -> Html:
    """The old and the new value; screen readers hear which is which."""
    old = "" if change.old is None else OLD
    new = "" if change.new is None else NEW
    arrow = ARROW if old and new else ""
    return format_html(
        f'<li><span class="muted">{{label}}:</span> {old} {arrow} {new}</li>',
        label=change.label,
        old=change.old,
        new=change.new,
        before=_("before"),
        after=_("after"),
    )
