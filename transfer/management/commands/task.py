import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_noop

from transfer.installed import installed_kinds
from transfer.management.command import (
    ALREADY_RUNNING,
    CommandGroup,
    Subcommand,
    add_server,
    with_zone,
)
from transfer.management.tasks import (
    MAINTENANCE,
    all_tasks,
    as_json,
    names_of,
    run_named,
    state_of,
    tasks_named,
)
from transfer.models import Actor, Settings
from transfer.models.run_base import RunClosed, Trigger
from transfer.models.schedules import ScheduledTask
from transfer.runs.start import RunIsOpen, run_now
from transfer.runs.workers import when_it_starts
from transfer.text.schedule import AS_ROWS_ARRIVE, in_words

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class OfTasks(Subcommand):
    """A subcommand for the tasks that its arguments name: a kind, and a bonus server or all."""

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "task",
            choices=[*installed_kinds(), "all", *MAINTENANCE],
            help=_("a transfer, all transfers, or a maintenance task"),
        )
        add_server(parser)

    def handle(self, *, task: str, server: str | None, json: bool, **options: Any) -> None:
        for one in tasks_named(task, server):
            self.change(one, **options)
            self.report(one, json)

    def change(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError

    def report(self, task: ScheduledTask, json: bool) -> None:
        if json:
            self.say_json(**as_json(task))
        else:
            self.say("%(task)s: %(state)s", task=task, state=state_of(task))


class List(Subcommand):
    help = gettext_noop("Lists all tasks: whether they are on, their schedule and next run.")

    def handle(self, *, json: bool, **options: Any) -> None:
        for task in all_tasks():
            if json:
                self.say_json(**as_json(task))
            else:
                words = in_words(task.timing)
                self.say(
                    "%(task)s: %(words)s; %(state)s", task=task, words=words, state=state_of(task)
                )


class Switch(OfTasks):
    on: ClassVar[bool]

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--reason", default="", metavar=_("TEXT"), help=_("shown beside the switch")
        )

    def change(self, task: ScheduledTask, *, reason: str, **options: Any) -> None:
        task.switch(self.on, Actor.at_command_line(), reason=reason)


class On(Switch):
    help = gettext_noop(
        "Switches tasks on. A task waits for its next time; it never runs immediately."
    )
    on = True


class Off(Switch):
    help = gettext_noop("Switches tasks off, and cancels their queued runs.")
    on = False


class Pause(OfTasks):
    help = gettext_noop(
        "Pauses tasks until a time. Until then they do not run by schedule; afterwards they "
        "continue automatically."
    )

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--until",
            type=moment,
            required=True,
            metavar="30m|2h|3d|2026-12-31T08:00",
            help=_("for this long, or until this time"),
        )
        parser.add_argument(
            "--reason", default="", metavar=_("TEXT"), help=_("shown beside the task")
        )

    def change(
        self, task: ScheduledTask, *, until: datetime | timedelta, reason: str, **options: Any
    ) -> None:
        if isinstance(until, timedelta):
            until = timezone.now() + until
        elif until.tzinfo is None:
            until = until.replace(tzinfo=Settings.load().zone)
        task.pause(until, Actor.at_command_line(), reason=reason)


class Resume(OfTasks):
    help = gettext_noop("Ends the pause of tasks. They wait for their next time by schedule.")

    def change(self, task: ScheduledTask, **options: Any) -> None:
        task.resume(Actor.at_command_line())


class Schedule(OfTasks):
    help = gettext_noop(
        "Changes when tasks run: as rows arrive, or by up to 24 cron expressions in the settings' "
        "time zone. Give --cron once for each; the next run is the earliest time of any of them."
    )

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        when = parser.add_mutually_exclusive_group(required=True)
        when.add_argument(
            "--cron",
            dest="expressions",
            action="append",
            metavar="'*/5 * * * *'",
            help=_("minute, hour, day of the month, month, day of the week"),
        )
        when.add_argument(
            "--as-rows-arrive",
            dest="expressions",
            action="store_const",
            const=[AS_ROWS_ARRIVE],
            help=_("within seconds while db_worker or run_scheduler runs, else every minute"),
        )

    def change(self, task: ScheduledTask, *, expressions: list[str], **options: Any) -> None:
        task.reschedule(";".join(expressions), Actor.at_command_line())

    def report(self, task: ScheduledTask, json: bool) -> None:
        if json:
            super().report(task, json)
            return
        if task.as_rows_arrive:
            self.say("%(task)s: %(words)s", task=task, words=in_words(task.timing))
            return
        self.say(
            _("%(task)s: %(words)s; the next times: %(times)s"),
            task=task,
            words=in_words(task.timing),
            times=", ".join(map(with_zone, task.next_times(3))),
        )


class RunNow(OfTasks):
    help = gettext_noop(
        "Queues runs, also of tasks that are off or paused. A worker starts them immediately, the "
        "scheduler within a minute. Exit code 3 when a task has an open run already."
    )

    def handle(self, *, task: str, server: str | None, json: bool, **options: Any) -> None:
        """Queues a run for each task, and exits with ALREADY_RUNNING if one had an open run."""
        runs = [queued(one) for one in tasks_named(task, server)]
        for run, is_new in runs:
            if json:
                self.say_json(**names_of(run.task), run=run.key, state=run.state, queued=is_new)
            elif is_new:
                self.say(_("%(task)s: run %(run)s is queued"), task=run.task, run=run.key)
            else:
                self.say(_("%(task)s: run %(run)s is open already"), task=run.task, run=run.key)
        new = sum(is_new for _run, is_new in runs)
        if new and not json:
            self.say("%(when)s", when=when_it_starts(new))
        if new < len(runs):
            sys.exit(ALREADY_RUNNING)


class Cancel(Subcommand):
    help = gettext_noop(
        "Cancels a run: immediately while it is queued, after its current chunk while it runs."
    )

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "run",
            metavar=_("RUN"),
            help=_("12 for a run of a transfer, maintenance-12 for one of maintenance"),
        )

    def handle(self, *, run: str, json: bool, **options: Any) -> None:
        found = run_named(run)
        try:
            found.cancel(Actor.at_command_line())
        except RunClosed as error:
            raise CommandError(
                _("Run %(run)s has ended: %(state)s.")
                % {"run": found.key, "state": found.get_state_display()}
            ) from error
        text = _("Run %(run)s is cancelled.")
        if found.is_open:
            text = _("Run %(run)s ends after its current chunk.")
        if json:
            self.say_json(run=found.key, state=found.state)
        else:
            self.say(text, run=found.key)


class Command(CommandGroup):
    help = gettext_noop("Lists, switches, pauses, schedules and starts tasks; cancels a run.")
    subcommands: ClassVar[dict[str, type[Subcommand]]] = {
        "list": List,
        "on": On,
        "off": Off,
        "pause": Pause,
        "resume": Resume,
        "schedule": Schedule,
        "run": RunNow,
        "cancel": Cancel,
    }


def moment(text: str) -> datetime | timedelta:
    """The type of `--until`: a duration such as 2h, or a time."""
    if parts := re.fullmatch(r"(\d{1,4})([mhd])", text):
        return timedelta(**{UNITS[parts[2]]: int(parts[1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(
            _("until when: 30m, 2h, 3d, or a time such as 2026-12-31T08:00")
        ) from error


def queued(task: ScheduledTask) -> tuple[Any, bool]:
    """A new run of the task, and True; the open run that it has already, and False."""
    try:
        return run_now(task, Actor.at_command_line(), Trigger.COMMAND), True
    except RunIsOpen as error:
        return error.run, False
