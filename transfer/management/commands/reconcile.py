import sys
from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.errors import TransferError
from transfer.management.command import FAILED, Command as BaseCommand, add_server, servers_named
from transfer.models import TransferTask
from transfer.runs.reconcile import Reconciliation, reconcile, remember
from transfer.words.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Compares, for every transfer: staged = applied + unchanged + rejected (+ purged), in "
        "rows and sums. Exit code 1 on a difference, or when a database does not answer."
    )
    flags = {"--json": gettext_noop("one JSON line a transfer")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_server(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        report = self._report_json if options["json"] else self._report
        failed = False
        for server in servers_named(options["server"]):
            for task in server.tasks.select_related("server"):
                try:
                    result = reconcile(task)
                except TransferError as error:
                    failed = True
                    self._report_error(task, error, as_json=options["json"])
                else:
                    remember(result)
                    failed = failed or not (result is None or result.holds)
                    report(task, result)
        if failed:
            sys.exit(FAILED)

    def _report(self, task: TransferTask, result: Reconciliation | None) -> None:
        if result is None:
            self.say(_("%(task)s: has not run yet"), task=task)
            return
        self.say(
            _(
                "%(task)s: staged %(staged)s + purged %(purged)s = applied %(applied)s + "
                "unchanged %(unchanged)s + rejected %(rejected)s"
            )
            if result.holds
            else _(
                "%(task)s: DIFFERENCE of %(rows)s rows, %(rejects)s rejects and a sum of "
                "%(amount)s: staged %(staged)s + purged %(purged)s, applied %(applied)s + "
                "unchanged %(unchanged)s + rejected "
                "%(rejected)s"
            ),
            task=task,
            rows=result.rows_missing,
            amount=result.amount_missing,
            rejects=result.rejects_missing,
            **counts(result),
        )

    def _report_json(self, task: TransferTask, result: Reconciliation | None) -> None:
        if result is None:
            self.say_json(kind=task.kind, server=task.server.name, state="not_begun")
            return
        self.say_json(
            kind=task.kind,
            server=task.server.name,
            state="ok" if result.holds else "difference",
            **counts(result),
            rows_missing=result.rows_missing,
            amount_staged=result.staged.amount,
            amount_purged=result.staged.purged_amount,
            amount_applied=result.totals.amount_applied,
            amount_rejected=result.totals.amount_rejected,
            amount_missing=result.amount_missing,
            rejects_missing=result.rejects_missing,
        )

    def _report_error(self, task: TransferTask, error: TransferError, *, as_json: bool) -> None:
        if as_json:
            self.say_json(kind=task.kind, server=task.server.name, state="error", error=error.code)
        self.stderr.write(f"{task}: {explain(error).sentence}")


def counts(result: Reconciliation) -> dict[str, int]:
    return {
        "staged": result.staged.rows,
        "purged": result.staged.purged_rows,
        "applied": result.totals.applied,
        "unchanged": result.totals.unchanged,
        "rejected": result.totals.rejected,
    }
