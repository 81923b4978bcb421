import sys
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.causes.rows import reason_named
from transfer.engine.move.transfer import CHUNK_ROWS
from transfer.errors import AlreadyRunning, TransferError
from transfer.installed import installed_kinds
from transfer.management.command import (
    ALREADY_RUNNING,
    FAILED,
    Command as BaseCommand,
    add_server,
    servers_named,
    whole_number,
)
from transfer.management.progress import Progress
from transfer.models import TransferRun, TransferTask
from transfer.models.runs import OUTCOMES, State
from transfer.queue.worker import soft_stop
from transfer.runs import execute
from transfer.text.explain import explain
from transfer.text.formats import NOTHING

EXIT_CODES = {State.FAILED: FAILED, State.SKIPPED: ALREADY_RUNNING}


class Command(BaseCommand):
    help = gettext_noop(
        "Moves the rows that wait, exactly once. Exit codes: 0 done (rejects included), 1 failed, "
        "2 usage, 3 already running; 130 or 143 when Ctrl-C or SIGTERM stopped it after a chunk."
    )
    flags = {
        "--dry-run": gettext_noop("do everything, then roll it back"),
        "--json": gettext_noop("one JSON line a transfer"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=[*installed_kinds(), "all"], help=_("what is moved"))
        add_server(parser)
        parser.add_argument(
            "--chunk",
            type=whole_number(1, 1_000_000),
            default=CHUNK_ROWS,
            metavar=_("ROWS"),
            help=_("rows in one transaction; default: %(default)s"),
        )

    def handle(self, *, kind: str, server: str | None, **options: Any) -> None:
        kinds = list(installed_kinds()) if kind == "all" else [kind]
        codes = set()
        with soft_stop() as stopped:
            for named in servers_named(server):
                tasks = {task.kind: task for task in named.tasks.select_related("server")}
                for each in kinds:
                    if not stopped():
                        codes.add(self._transfer(tasks[each], stopped, options))
        code = 128 + stopped() if stopped() else worst(codes)
        if code:
            sys.exit(code)

    def _transfer(
        self, task: TransferTask, stopped: Callable[[], int], options: dict[str, Any]
    ) -> int:
        """Runs one task, reports it, and returns its exit code."""
        reasons: dict[str, int] = {}
        run = TransferRun.of(task, TransferRun.Trigger.COMMAND)
        with Progress(self.stderr, str(task), quiet=options["json"]) as progress:
            common = {"chunk_rows": options["chunk"], "progress": progress, "stopped": stopped}
            try:
                if options["dry_run"]:
                    run, reasons = execute.rehearse(task, **common)
                else:
                    run = execute.run_here(task, TransferRun.Trigger.COMMAND, **common)
                    reasons = run.count_reasons()
            except TransferError as error:
                run.note_error(error)
                run.state = State.SKIPPED if isinstance(error, AlreadyRunning) else State.FAILED
        if options["json"]:
            self._report_json(run, progress.seconds)
        else:
            self._report(run, progress.seconds, dry_run=options["dry_run"])
            for code, rows in sorted(reasons.items(), key=lambda item: -item[1]):
                sentence = explain(reason_named(code)).sentence
                self.stdout.write(f"  {rows} × {sentence} [{code}]")
        if run.explained:
            self.stderr.write(f"{run.explained.sentence}\n  {run.explained.hint}")
        if run.error_technical:
            self.stderr.write(f"  ({run.error_technical})")
        return EXIT_CODES.get(State(run.state), 0)

    def _report(self, run: TransferRun, seconds: float, *, dry_run: bool) -> None:
        self.say(
            _(
                "%(task)s: %(state)s%(dry)s. Read %(read)s = applied %(applied)s + unchanged "
                "%(unchanged)s + rejected %(rejected)s; %(waiting)s wait; %(seconds)s s"
            ),
            task=f"{run.get_kind_display()} → {run.server_name}",
            state=run.get_state_display(),
            dry=_(" (dry run, rolled back)") if dry_run else "",
            **counts(run),
            waiting=NOTHING if run.waiting is None else run.waiting,
            seconds=round(seconds, 1),
        )

    def _report_json(self, run: TransferRun, seconds: float) -> None:
        self.say_json(
            kind=run.kind,
            server=run.server_name,
            state=run.state,
            **counts(run),
            waiting=run.waiting,
            seconds=round(seconds, 3),
        )


def counts(run: TransferRun) -> dict[str, int]:
    return {name: getattr(run.totals, name) for name in ("read", *OUTCOMES)}


def worst(codes: set[int]) -> int:
    """The exit code of several transfers: a failure counts most, then one that ran already."""
    return FAILED if FAILED in codes else max(codes, default=0)
