"""The facts about a task: on its own page, and behind the button of its line in the scheduler."""

from collections.abc import Iterator
from typing import Any

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _

from transfer.models.flow_hours import most_within
from transfer.pages.components.basic import commands, fact
from transfer.pages.components.states import badge, state_badge
from transfer.pages.components.times import ago, clocks, moment
from transfer.pages.html import Html, format_words, joined, link, muted
from transfer.pages.shown.task_status import TaskStatus
from transfer.text import formats

WHY = '<span class="why">{}</span>'


def facts(row: TaskStatus, may_change: bool) -> Html:
    """`{% task_facts row may.operator %}`: switch, pause, schedule, backlog and last result."""
    lines = joined(fact(*one) for one in _facts(row, may_change))
    return format_html('<dl class="facts">{}</dl>', lines)


def _facts(row: TaskStatus, may_change: bool) -> Iterator[tuple[str, Any]]:
    task = row.task
    yield _("Switch"), _switched(task)
    if row.is_paused:
        words, until = _("paused until %(until)s by %(who)s"), moment(task.paused_until, "bound")
        paused = format_words(words, until=until, who=task.paused_by)
        yield _("Pause"), _with_reason(paused, task.pause_reason)
    schedule = row.words
    if may_change:
        change = link(reverse("task_schedule", args=[row.key]), _("Change"))
        schedule = format_html("{} {}", schedule, change)
    yield _("Schedule"), schedule
    if not row.runs_as_rows_arrive:
        if_on = "" if task.enabled else format_html(WHY, _("if it is switched on"))
        times = '{}<ol class="lean num">{}</ol>'
        yield _("Next five times"), format_html(times, if_on, clocks(*row.times))
    if row.is_transfer:
        yield _("Waiting rows"), _waiting(row)
        if row.backlog.writing_since:
            words = _(
                "Somebody began to write rows %(ago)s and has not finished. They are moved once "
                "that is done."
            )
            yield _("Still being written"), format_words(words, ago=ago(row.backlog.writing_since))
    if row.delays:
        words = _(
            "Of the last 24 hours, from the begin of the transaction that staged a row until the "
            "bonus server had it. All rows of a step of 50,000 count like its first."
        )
        within = formats.within(most_within(row.delays))
        yield _("95 of 100 arrive within"), format_html("{} {}", within, format_html(WHY, words))
    yield _("Last result"), _result(row)
    if row.last_success and row.last_success != row.last_run:
        run = row.last_success
        at = link(run.get_absolute_url(), moment(run.finished_at))
        yield _("Last success"), at


def _with_reason(words: Any, reason: str) -> Html:
    return format_html("{} {}", words, format_html(WHY, reason) if reason else "")


def _switched(task: Any) -> Html | str:
    if not task.changed_at:
        return _("It has never been switched.")
    words = _("Switched on") if task.enabled else _("Switched off")
    who = task.changed_by or formats.NOTHING
    switched = format_html("{} {}, {}", words, moment(task.changed_at), who)
    return _with_reason(switched, task.change_reason)


def _waiting(row: TaskStatus) -> Html | str:
    backlog = row.backlog
    if backlog.rows == 0:
        return _("nothing waits")
    if backlog.rows is None and not backlog.error:
        return muted(_("being asked…"))
    if backlog.rows is None:
        return format_html("{} {}", badge("warn", row.least_words), row.error_words)
    oldest = ""
    if row.oldest:
        since = format_words(_("the oldest %(ago)s"), ago=ago(row.oldest))
        oldest = format_html(", {}", since)
    drawn = '<b class="num">{}</b>{} <span class="why">{}</span>'
    return format_html(drawn, formats.rows(backlog.rows), oldest, row.why)


def _result(row: TaskStatus) -> Html:
    run = row.last_run
    if run is None:
        return muted(_("has never run"))
    failure = row.failure
    failed = (format_html("{} {}", failure.sentence, commands(failure.hint)),) if failure else ()
    return format_html(
        '<a href="{}">{}</a> {}{}',
        run.get_absolute_url(),
        state_badge("run", run.state),
        ago(run.finished_at),
        format_html_join("", WHY, ((line,) for line in (*row.report, *failed))),
    )
