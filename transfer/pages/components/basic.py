"""Icons, progress bars, facts, links: what pages of every kind repeat."""

import re
from functools import cache
from typing import Any

from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _

from transfer.pages import html
from transfer.pages.html import Html
from transfer.text import formats

# The icon of a tone, where no other one is given.
TONE_ICONS = {"ok": "check", "warn": "warning", "bad": "cross", "info": "play", "idle": "circle"}

# A command in a sentence as HTML, its names in quotes; or an option alone.
OPTION = r"--[\w-]+"
WORDS = r"(?: (?:&#x27;.*?&#x27;|&quot;&#x27;&quot;|[\w@-])+)+"
COMMAND = re.compile(
    rf"(?:manage\.py|sudo dtadmin|sudo systemctl|docker compose){WORDS}|{OPTION}", re.ASCII
)


def commands(text: Any) -> Html:
    """`{{ cause.hint|commands }}`: what is typed on the server is shown as code.

    No line ends within an option, as it would after each hyphen.
    """

    def code(match: re.Match[str]) -> str:
        whole = re.sub(OPTION, r'<span class="nowrap">\g<0></span>', match[0])
        return f"<code>{whole}</code>"

    return mark_safe(COMMAND.sub(code, conditional_escape(str(text))))  # noqa: S308 - escaped


@cache
def stylesheets(names: str) -> Html:
    """Style sheets of static/css/. Their order decides between rules of the same weight."""
    links = ((static(f"css/{name}.css"),) for name in names.split())
    return format_html_join("\n", '<link rel="stylesheet" href="{}">', links)


@cache
def icon(name: str) -> Html:
    """An icon of static/icons.svg. It is decoration: the word is beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


def share(done: int, total: int) -> int:
    """How much of the total is done, in per cent."""
    return min(100, done * 100 // total) if total else 0


def progress(done: int, total: int, label: str = "", words: str = "") -> Html:
    """`{% progress run.read run.expected %}`: a bar with its share in words, or in `words`."""
    done = min(done, total)
    numbers = {"done": formats.number(done), "total": formats.number(total)}
    context = {
        "done": done,
        "most": total or 1,
        "label": label or _("Moved"),
        "words": words or _("%(done)s of %(total)s") % numbers,
        "share": share(done, total),
    }
    return render_to_string("includes/progress.html", context)


def polls(seconds: float, url: str) -> Html:
    """The attributes of a part that asks for itself again after these seconds: see live.js."""
    return format_html(
        'data-poll="{}" hx-get="{}" hx-trigger="poll, unfold" hx-swap="outerHTML"', seconds, url
    )


def run_link(run: Any) -> Html:
    """ "run 12", as a link."""
    return html.link(run.get_absolute_url(), _("run %(number)s") % {"number": run.pk})


def fact(label: str, value: Any, style: str = "") -> Html:
    """A line of a `dl.facts`: `{% fact _("Host") server.host "num" %}`."""
    attribute = format_html(' class="{}"', style) if style else ""
    return format_html("<dt>{}</dt><dd{}>{}</dd>", label, attribute, value)
