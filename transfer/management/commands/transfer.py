import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

from django.utils.translation import gettext

from transfer.engine.kinds import KINDS
from transfer.engine.move import CHUNK_ROWS
from transfer.errors import AlreadyRunning, TransferError, gettext_noop
from transfer.management.command import ALREADY_RUNNING, FAILED, servers_named
from transfer.management.command import Command as BaseCommand
from transfer.management.progress import Progress
from transfer.models import TransferRun, TransferTask
from transfer.models.runs import State
from transfer.queue.worker import soft_stop
from transfer.runs import execute
from transfer.words.explain import explain_reject
from transfer.words.formats import NOTHING

MAX_CHUNK_ROWS = 1_000_000


def chunk_rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_CHUNK_ROWS:
        raise ArgumentTypeError(
            gettext("rows in a chunk: a whole number from 1 to %(most)s") % {"most": MAX_CHUNK_ROWS}
        )
    return int(text)


class Command(BaseCommand):
    help = gettext_noop(
        "Moves the rows that wait, exactly once. Exit codes: 0 done (rejects included), 1 failed, "
        "2 usage, 3 already running; 130 or 143 when Ctrl-C or SIGTERM stopped it after a chunk."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("kind", choices=[*KINDS, "all"], metavar=f"{' | '.join(KINDS)} | all")
        parser.add_argument("--server", metavar="ID|NAME", help=gettext("default: every one"))
        parser.add_argument("--chunk", type=chunk_rows, default=CHUNK_ROWS, metavar="ROWS")
        parser.add_argument(
            "--dry-run", action="store_true", help=gettext("do all of it, and roll it back")
        )
        parser.add_argument("--json", action="store_true", help=gettext("one JSON line a transfer"))

    def handle(self, *args: Any, **options: Any) -> None:
        kinds = list(KINDS) if options["kind"] == "all" else [options["kind"]]
        codes = set()
        with soft_stop() as stopped:
            for server in servers_named(options["server"]):
                tasks = {task.kind: task for task in server.tasks.select_related("server")}
                for kind in kinds:
                    if not stopped():
                        codes.add(self._transfer(tasks[kind], stopped, options))
        code = 128 + stopped() if stopped() else exit_code(codes)
        if code:
            sys.exit(code)

    def _transfer(
        self, task: TransferTask, stopped: Callable[[], int], options: dict[str, Any]
    ) -> int:
        """Runs one task, reports it, and returns its exit code."""
        progress = Progress(self.stderr, str(task), quiet=options["json"])
        reasons: dict[str, int] = {}
        common = {
            "chunk_rows": options["chunk"],
            "progress": progress,
            "stopped": stopped,
        }
        run = TransferRun.of(task, TransferRun.Trigger.COMMAND)
        try:
            if options["dry_run"]:
                run, reasons = execute.rehearse(task, **common)
            else:
                run = execute.run_here(task, TransferRun.Trigger.COMMAND, **common)
                reasons = run.count_reasons()
        except TransferError as error:
            run.note_error(error)
            run.state = State.SKIPPED if isinstance(error, AlreadyRunning) else State.FAILED
        finally:
            progress.close()
        self._report(run, reasons, progress.seconds, options)
        return {State.FAILED: FAILED, State.SKIPPED: ALREADY_RUNNING}.get(State(run.state), 0)

    def _report(
        self, run: TransferRun, reasons: dict[str, int], seconds: float, options: dict[str, Any]
    ) -> None:
        error = run.explained
        if options["json"]:
            self.say_json(
                kind=run.kind,
                server=run.server_name,
                state=run.state,
                read=run.totals.read,
                applied=run.applied,
                unchanged=run.unchanged,
                rejected=run.rejected,
                waiting=run.waiting,
                seconds=round(seconds, 3),
            )
        else:
            self._report_in_words(run, reasons, seconds, dry_run=options["dry_run"])
        if error is not None:
            self.stderr.write(f"{error.sentence}\n  {error.hint}")
            if run.error_technical:
                self.stderr.write(f"  ({run.error_technical})")

    def _report_in_words(
        self, run: TransferRun, reasons: dict[str, int], seconds: float, *, dry_run: bool
    ) -> None:
        self.say(
            gettext_noop(
                "%(task)s: %(state)s%(dry)s. Read %(read)s = applied %(applied)s + unchanged "
                "%(unchanged)s + rejected %(rejected)s; %(waiting)s wait; %(seconds)s s"
            ),
            task=f"{run.get_kind_display()} → {run.server_name}",
            state=run.get_state_display(),
            dry=gettext(" (dry run, rolled back)") if dry_run else "",
            read=run.totals.read,
            applied=run.applied,
            unchanged=run.unchanged,
            rejected=run.rejected,
            waiting=NOTHING if run.waiting is None else run.waiting,
            seconds=round(seconds, 1),
        )
        for code, rows in sorted(reasons.items(), key=lambda item: -item[1]):
            self.stdout.write(f"  {rows} × {explain_reject(code).sentence} [{code}]")


def exit_code(codes: set[int]) -> int:
    """Of several transfers: a failure counts most, then one that was already running."""
    return FAILED if FAILED in codes else max(codes, default=0)
