"""Icons, badges, moments and bars, as HTML."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache, lru_cache, wraps
from html import escape
from typing import Any

from django.forms.utils import flatatt
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext as _

from transfer.models.runs import State
from transfer.models.schedules import ScheduledTask
from transfer.text import formats

TONE_ICONS = {
    "ok": "check",
    "warn": "warning",
    "bad": "cross",
    "info": "play",
    "idle": "circle",
}
# Every state: its tone and its icon. Colour never says it alone.
STATES = {
    State.QUEUED: ("idle", "clock"),
    State.RUNNING: ("info", "play"),
    State.SUCCEEDED: ("ok", "check"),
    State.REJECTS: ("warn", "warning"),
    State.FAILED: ("bad", "cross"),
    State.SKIPPED: ("idle", "skip"),
    State.CANCELLED: ("idle", "ban"),
    State.INTERRUPTED: ("bad", "broken"),
}

# A command in a sentence as HTML, its names in quotes; or an option alone.
OPTION = r"--[\w-]+"
WORDS = r"(?: (?:&#x27;.*?&#x27;|&quot;&#x27;&quot;|[\w@-])+)+"
COMMAND = re.compile(rf"(?:manage\.py|sudo dtadmin|sudo systemctl){WORDS}|{OPTION}", re.ASCII)


def _time(when: datetime | None, text: str) -> SafeString | str:
    if when is None:
        return text
    full = escape(formats.full_moment(when))
    machine = when.isoformat(timespec="seconds")  # HTML allows no microseconds
    drawn = f'<time datetime="{machine}" title="{full}">{escape(text)}</time>'
    return mark_safe(drawn)  # noqa: S308 - escaped


def moment(when: datetime | None, how: str = "zone") -> SafeString | str:
    """`{{ run.started_at|moment }}`: today 14:05 MSK.

    Where a heading names the zone, `|moment:"bare"`: today 14:05, or `|moment:"seconds"`: 14:05:12.
    """
    return _time(when, formats.moment(when, zone=how == "zone", seconds=how == "seconds"))


def clock(when: datetime) -> SafeString | str:
    """`{{ task.upcoming_at|clock }}`: 14:05, tomorrow 03:00."""
    return _time(when, formats.clock(when))


def ago(when: datetime | None) -> SafeString | str:
    """`{{ run.finished_at|ago }}`: 5 minutes ago, in 2 hours."""
    return _time(when, formats.ago(when))


def commands(text: Any) -> SafeString:
    """`{{ cause.hint|commands }}`: what is typed on the server stands as code.

    No line ends within an option, as it would after each hyphen.
    """

    def code(match: re.Match[str]) -> str:
        whole = re.sub(OPTION, r'<span class="nowrap">\g<0></span>', match[0])
        return f"<code>{whole}</code>"

    return mark_safe(COMMAND.sub(code, conditional_escape(str(text))))  # noqa: S308 - escaped


@cache
def stylesheets(names: str) -> SafeString:
    """Those of static/css/, in this order, which decides between rules of the same weight."""
    links = ((static(f"css/{name}.css"),) for name in names.split())
    return format_html_join("\n", '<link rel="stylesheet" href="{}">', links)


@cache
def icon(name: str) -> SafeString:
    """An icon of static/icons.svg. It is decoration: the word stands beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("icons.svg"),
        name,
    )


def badge(tone: str, text: Any, icon_name: str = "") -> SafeString:
    """`{% badge "ok" _("Online") %}`: icon, word and colour."""
    return format_html(
        '<span class="badge badge-{}">{}{}</span>', tone, icon(icon_name or TONE_ICONS[tone]), text
    )


def switch_badge(task: ScheduledTask) -> SafeString:
    """Whether a task is on, for those who may not switch it."""
    return badge("info", _("Enabled"), "check") if task.enabled else badge("idle", _("Disabled"))


Draw = Callable[..., SafeString]


def once(draw: Draw, of: Callable[[], Any] = get_language) -> Draw:
    """Keeps what was drawn for the same arguments in the same language: a list repeats it."""

    @lru_cache(maxsize=1000)
    def drawn(_of: Any, *arguments: Any) -> SafeString:
        return draw(*arguments)

    return wraps(draw)(lambda *arguments: drawn(of(), *arguments))


def once_a_day(draw: Draw) -> Draw:
    """The same of moments, whose words depend on the day and the zone, too."""
    zone = timezone.get_current_timezone_name
    return once(draw, lambda: (get_language(), timezone.localdate(), zone()))


@once
def state_badge(state: str) -> SafeString:
    """The state of a run: `{% state_badge run.state %}`."""
    return badge(STATES[State(state)][0], State(state).label, STATES[State(state)][1])


@once
def state_icon(state: str) -> SafeString:
    """The same without its word, which a tooltip and a screen reader have."""
    tone, icon_name = STATES[State(state)]
    word = State(state).label
    unseen = format_html('<span class="visually-hidden">{}</span>', word)
    drawn = '<span class="badge badge-{} alone" title="{}">{}{}</span>'
    return format_html(drawn, tone, word, icon(icon_name), unseen)


def share(done: int, total: int) -> int:
    """How much of all that is, in per cent."""
    return min(100, done * 100 // total) if total else 0


def progress(done: int, total: int, label: str = "", words: str = "") -> SafeString:
    """`{% progress run.read run.expected %}`: a bar with its share in words, or in `words`."""
    done = min(done, total)
    numbers = {"done": formats.number(done), "total": formats.number(total)}
    return format_html(
        '<div class="progress"><progress value="{}" max="{}" aria-label="{}">{share} %</progress>'
        '<div class="progress-words"><span>{}</span> <span>{share} %</span></div></div>',
        done,
        total or 1,
        label or _("Moved"),
        words or _("%(done)s of %(total)s") % numbers,
        share=share(done, total),
    )


def polls(seconds: float, url: str) -> SafeString:
    """The attributes of a part that asks for itself again after these seconds: see live.js."""
    return format_html(
        'data-poll="{}" hx-get="{}" hx-trigger="poll" hx-swap="outerHTML"', seconds, url
    )


@once_a_day
def clocks(*times: datetime) -> SafeString:
    """The lines of a list of moments: those of a schedule, which many tasks share."""
    return format_html_join("", "<li>{}</li>", ((clock(at),) for at in times))


def hidden(**values: Any) -> SafeString:
    """`{% hidden seen=version next=here %}`: what a form sends beside what is filled in."""
    return format_html_join("", '<input type="hidden" name="{}" value="{}">', values.items())


def _form(context: Any, action: str, sent: dict[str, Any], button: SafeString) -> SafeString:
    """A form of one button. A template takes ten times as long."""
    fields = hidden(csrfmiddlewaretoken=context.get("csrf_token", ""), **sent)
    return format_html('<form method="post" action="{}">{}{}</form>', action, fields, button)


def post(
    context: Any, url: str, words: str, *, icon_name: str = "", id: str = "", style: str = "",
    bare: Any = False, about: Any = "", name: str = "", value: Any = "", **sent: Any,
) -> SafeString:  # fmt: skip
    """A button that posts to `url`: its `name` with its `value`, and all options not named here.

    It may have an `icon_name`, an `id` and a `style`. If it is `bare`, its words are a tooltip;
    screen readers hear them, and what the press is `about`.
    """
    attributes = {"id": id, "name": name, "value": value, "title": words if bare else ""}
    button = format_html(
        '<button type="submit" class="button {}"{}>{}<span{}>{}</span>{}</button>',
        style,
        flatatt({key: text for key, text in attributes.items() if text != ""}),
        icon(icon_name) if icon_name else "",
        flatatt({"class": "visually-hidden"} if bare else {}),
        words,
        format_html('<span class="visually-hidden">: {}</span>', about) if about else "",
    )
    return _form(context, url, sent, button)


def switch(
    context: Any, action: str, label: str, on: bool, *, id: str = "", means: str = "",
    bare: bool = False, **sent: Any,
) -> SafeString:  # fmt: skip
    """The switch of what `label` names, which is `on` or not. It posts `enabled` = 1 or 0, what the
    press asks for, to `action`, and all options not named here: `seen` where two people may switch
    at once, `next` where the page leads afterwards.

    It may have an `id`; `means` is that of what says what a press means. If it is `bare`, its words
    are for screen readers.
    """
    attributes = {"id": id, "aria-describedby": means}
    button = format_html(
        '<button type="submit" class="switch {} {}"{} name="enabled" value="{}" title="{}">'
        '<span class="switch-track" aria-hidden="true"></span>'
        '<span{}><span class="visually-hidden">{}:</span> {}</span></button>',
        "on" if on else "",
        "bare" if bare else "",
        flatatt({key: text for key, text in attributes.items() if text}),
        0 if on else 1,
        _("Switch off") if on else _("Switch on"),
        flatatt({"class": "visually-hidden"} if bare else {}),
        label,
        _("Enabled") if on else _("Disabled"),
    )
    return _form(context, action, sent, button)


def run_link(run: Any) -> SafeString:
    """ "run 12", as a link."""
    words = _("run %(number)s") % {"number": run.pk}
    return format_html('<a href="{}">{}</a>', run.get_absolute_url(), words)


def fact(label: str, value: Any, style: str = "") -> SafeString:
    """A line of a `dl.facts`: `{% fact _("Host") server.host "num" %}`."""
    attribute = format_html(' class="{}"', style) if style else ""
    return format_html("<dt>{}</dt><dd{}>{}</dd>", label, attribute, value)


def card_head(title: str, note: str = "", *, id: str = "", url: str = "", link: str = "") -> str:
    """The head of a card: its heading, and at the right a note or a link, if there is one."""
    return format_html(
        '<div class="card-head"><h2{}>{}</h2>{}{}</div>',
        format_html(' id="{}"', id) if id else "",
        title,
        format_html('<span class="muted">{}</span>', note) if note else "",
        format_html('<a class="small" href="{}">{}</a>', url, link) if url else "",
    )


# Tone of a notice → its icon.
NOTICE_ICONS = {"info": "info", "ok": "check", "warn": "warning", "bad": "cross"}


def notice(content: str, tone: str = "info", role: str = "", icon_name: str = "") -> SafeString:
    """`{% notice "warn" %}…{% endnotice %}`: what a reader has to know before all else."""
    return format_html(
        '<div class="notice{}" role="{}">{}<div>{}</div></div>',
        "" if tone == "info" else f" notice-{tone}",
        role or ("alert" if tone == "bad" else "status"),
        icon(icon_name or NOTICE_ICONS[tone]),
        content,
    )


def downloads(url: str, query: str = "", of: str = "", endings: str = "csv xlsx") -> SafeString:
    """Links to the same as CSV and as XLSX, whose addresses differ in how they end.

    `url` is any of them; `of` says of what, where a page has several.
    """
    unseen = format_html('<span class="visually-hidden">: {}</span>', of) if of else ""
    base, end = url.rpartition(".")[0], f"?{query}" if query else ""
    link = '<a class="button quiet small" href="{}.{}{}">{}{}{}</a>'
    return format_html_join(
        "\n",
        link,
        (
            (base, ending, end, icon("download"), ending.upper(), unseen)
            for ending in endings.split()
        ),
    )
