"""Tasks: the cells of the scheduler's tables, and the buttons of a task's own page."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _, ngettext

from transfer.pages.components.basic import icon, share
from transfer.pages.components.buttons import post, switch
from transfer.pages.components.run_strip import run_strip
from transfer.pages.components.states import badge, state_badge, state_icon, switch_badge
from transfer.pages.components.task_facts import facts
from transfer.pages.components.times import clock
from transfer.pages.html import Html, format_words, joined, muted, titled
from transfer.pages.shown.task_groups import ServerGroup, StateOfSome, Waiting
from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats


def task_switch(context: Any, row: TaskStatus, may_change: bool) -> Html:
    """The task's switch; for those who may not press it, whether it is on."""
    if not may_change:
        return switch_badge(row.task.enabled)
    return switch(
        context, reverse("task_switch", args=[row.key]), row.name, row.task.enabled,
        id=f"switch-{row.key}", bare=True, seen=row.task.version, next=context["here"],
    )  # fmt: skip


def task_link(row: TaskStatus) -> Html:
    """The task's kind, which leads to its page."""
    drawn = '<a class="strong" href="{}" id="to-{}" title="{}">{}</a>'
    return format_html(drawn, row.url, row.key, row.name, row.task.get_kind_display())


GROUP = """
<summary class="group-head">{caret}
<a class="strong break group-name" href="{url}" id="to-server-{pk}">{name}</a>
<span class="group-states">{states}</span>
<span class="num group-waits">{waits}</span>
</summary>
"""


def group_head(group: ServerGroup) -> Html:
    """`{% group_head group %}`: a server, the states of its tasks, and how many rows wait."""
    return format_html(
        GROUP,
        caret=icon("down"),
        url=group.server.get_absolute_url(),
        pk=group.server.pk,
        name=group.server.name,
        states=joined(map(state_of_some, group.states), " "),
        waits="" if group.waiting.rows == 0 else rows_that_wait(group.waiting),
    )


FOLDED = """
<details class="task-group" id="tasks-of-{pk}" data-fold="{pk}">{head}
<p class="card-body" data-later><a href="{url}#tasks-of-{pk}">{words}</a></p>{boxes}</details>
"""


def folded_group(group: ServerGroup, url: str, boxes: Html) -> Html:
    """`{% folded_group … %}`: a server whose lines come once it is opened: see live.js.

    `url` is the page with the group open, for browsers without a script. `boxes`: of its tasks.
    """
    return format_html(
        FOLDED,
        pk=group.server.pk,
        head=group_head(group),
        url=url,
        words=_("Show the tasks of this server"),
        boxes=boxes,
    )


def state_of_some(state: StateOfSome) -> Html:
    """A badge with the state of some tasks of a server, and with their kinds if it is not all."""
    kinds = f": {', '.join(state.kinds)}" if state.kinds else ""
    return badge(state.look.tone, f"{formats.capital(state.words)}{kinds}", state.look.icon)


def rows_that_wait(waiting: Waiting, shown: Callable[[int | None], str] = formats.number) -> str:
    """ "412 wait", for a line with no heading."""
    if waiting.rows is None:
        return _("unknown") if waiting.error else _("being asked…")
    if waiting.is_least:
        words = ngettext("at least %(n)s waits", "at least %(n)s wait", waiting.rows)
    else:
        words = ngettext("%(n)s waits", "%(n)s wait", waiting.rows)
    return words % {"n": shown(waiting.rows)}


def count_of(waiting: Waiting) -> str:
    """ "412", for a column of numbers."""
    if waiting.rows is None:
        return rows_that_wait(waiting)
    count = formats.number(waiting.rows)
    return formats.at_least(count) if waiting.is_least else count


def recent_runs(row: TaskStatus) -> Html:
    recent = row.task.recent_runs
    return run_strip(*recent) if recent else muted(_("has never run"))


def waits(row: TaskStatus) -> Html:
    """How many rows wait, as a link to the task whose tooltip says why."""
    backlog = row.backlog
    if backlog.rows == 0:
        return muted(0)
    if backlog.rows is None and not backlog.error:
        return format_html('<span class="muted" title="{}">…</span>', _("being asked…"))
    if backlog.rows is None:
        tone, title, text = "warn", row.error_words, row.least_words
    else:
        tone, title = "strong", f"{row.oldest_words} {row.why}"
        text = formats.number(backlog.rows)
    drawn = '<a class="{}" href="{}" id="waits-{}" title="{}">{}</a>'
    return format_html(drawn, tone, row.url, row.key, title, text)


def next_run(row: TaskStatus) -> Html | str:
    """What it does now, or when it runs next."""
    if run := row.run:
        if row.is_transfer and row.is_running and run.expected:
            progress = badge("info", f"{share(run.read, run.expected)} %")
        elif run.is_open:
            progress = state_badge("run", run.state)
        else:
            progress = state_icon("run", run.state)
        return format_html(
            '<a href="{}" id="run-{}">{}</a>', run.get_absolute_url(), row.key, progress
        )
    if not row.task.enabled:
        return muted(formats.NOTHING)
    if row.is_paused:
        until = format_words(_("until %(until)s"), until=clock(row.task.paused_until))
        return _warning(row.why, "pause", format_html(" {}", until))
    if row.task.upcoming_at is None:
        return muted(row.next_words)
    if row.state == "arrivals":
        return format_html('<span title="{}">{}</span>', row.next_words, row.state_words)
    at = clock(row.task.upcoming_at)
    is_late = row.is_overdue or row.task.failures
    return _warning(row.next_words, "warning", at) if is_late else at


def _warning(title: str, icon_name: str, words: str) -> Html:
    return format_html('<span class="warn" title="{}">{}{}</span>', title, icon(icon_name), words)


def schedule(row: TaskStatus, here: str, may_change: bool) -> Html:
    """The schedule in words, which lead to the form that changes it."""
    if not may_change:
        return titled(row.words, row.words)
    return format_html(
        '<a href="{}?next={}" id="edit-{}" title="{}">{}'
        '<span class="visually-hidden">. {}</span></a>',
        reverse("task_schedule", args=[row.key]),
        quote(here),
        row.key,
        row.words,
        row.words,
        _("Change the schedule of %(task)s") % {"task": row.name},
    )


def actions(context: Any, row: TaskStatus, here: str, dense: bool = False) -> Html:
    """The buttons of a task, for operators; `here` is where each leads back to.

    `dense`: icons alone, with their words as tooltips.
    """
    return joined(_actions(context, row, here, dense), "\n")


def _actions(context: Any, row: TaskStatus, here: str, dense: bool) -> Iterator[Html]:
    size = "small icon-only" if dense else ""

    def button(id: str, url: str, words: str, icon_name: str, **options: Any) -> Html:
        return post(
            context, reverse(url, args=[row.key]), words, icon_name=icon_name, bare=dense,
            id=f"{id}-{row.key}", next=here,
            **{"style": f"quiet {size}", "about": row.name, **options},
        )  # fmt: skip

    if row.run and row.run.cancel_requested_at:
        yield format_html('<span class="note">{}</span>', _("ends after this step"))
    elif row.run:
        style = f"quiet danger {size}"
        yield button("cancel", "task_cancel", _("Cancel the run"), "ban", style=style)
    else:
        if not row.is_transfer and row.task.removes and not dense:
            dry = {"name": "dry", "value": "1", "about": ""}
            yield button("dry", "task_run", _("What would it remove?"), "search", **dry)
        yield button("now", "task_run", _("Run now"), "play")
    if row.is_paused:
        yield button("resume", "task_resume", _("Resume"), "undo", seen=row.task.version)
    else:
        yield _pause(row, here, size)


def _pause(row: TaskStatus, here: str, size: str) -> Html:
    return format_html(
        '<a class="button plain {}" id="pause-{}" title="{}" href="{}?next={}">{}'
        '<span class="{}">{}</span><span class="visually-hidden">: {}</span></a>',
        size,
        row.key,
        _("Pause…"),
        reverse("task_pause", args=[row.key]),
        quote(here),
        icon("pause"),
        "visually-hidden" if size else "",
        _("Pause…"),
        row.name,
    )


def row_actions(context: Any, row: TaskStatus, may_change: bool) -> Html:
    """The last cell of a line: the buttons, and one that says who switched it, when and why."""
    buttons = actions(context, row, context["here"], dense=True) if may_change else Html()
    drawn = '<div class="row-actions">{}\n{}</div>'
    return format_html(drawn, buttons, about(row, may_change))


def about(row: TaskStatus, may_change: bool) -> Html:
    """A button, and the facts about the task, which it opens."""
    words = _("Who, when and why")
    return format_html(
        '<button type="button" class="button plain small icon-only" popovertarget="about-{key}" '
        'title="{words}">{icon}<span class="visually-hidden">{words}: {name}</span></button>'
        '<div popover id="about-{key}" class="card about"><h3 class="section-title">'
        '<a href="{url}">{name}</a></h3>{facts}</div>',
        key=row.key,
        words=words,
        icon=icon("info"),
        name=row.name,
        url=row.url,
        facts=facts(row, may_change),
    )
