import sys
from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.errors import TransferError
from transfer.management.command import FAILED, Command as BaseCommand, add_server, servers_named
from transfer.models import TransferTask
from transfer.runs.reconcile import Reconciliation, reconcile
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Compares, for every transfer: staged = applied + unchanged + rejected (+ purged), in "
        "rows and sums. Exit code 1 on a difference, or when a database does not answer."
    )
    flags = {"--json": gettext_noop("one JSON line a transfer")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_server(parser)

    def handle(self, *, server: str | None, json: bool, **options: Any) -> None:
        report = self._report_json if json else self._report
        failed = False
        for asked in servers_named(server):
            for task in asked.tasks.select_related("server"):
                try:
                    result = reconcile(task)
                except TransferError as error:
                    failed = True
                    if json:
                        self._say_json(task, "error", error=error.code)
                    self.stderr.write(f"{task}: {explain(error).sentence}")
                    if error.technical:
                        self.stderr.write(f"  ({error.technical})")
                else:
                    failed |= not (result is None or result.holds)
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
            staged=result.staged.rows,
            purged=result.staged.purged_rows,
            **vars(result.totals),
        )
        if result.explained:
            self.say(
                _(
                    "%(task)s: the staged sum differs by %(amount)s, since amounts were changed "
                    "after their transfer; that is decided"
                ),
                task=task,
                amount=result.explained,
            )

    def _report_json(self, task: TransferTask, result: Reconciliation | None) -> None:
        if result is None:
            self._say_json(task, "not_begun")
            return
        self._say_json(
            task,
            "ok" if result.holds else "difference",
            staged=result.staged.rows,
            purged=result.staged.purged_rows,
            **vars(result.totals),
            rows_missing=result.rows_missing,
            amount_staged=result.staged.amount,
            amount_purged=result.staged.purged_amount,
            amount_missing=result.amount_missing,
            amount_explained=result.explained,
            rejects_missing=result.rejects_missing,
        )

    def _say_json(self, task: TransferTask, state: str, **fields: object) -> None:
        self.say_json(kind=task.kind, server=task.server.name, state=state, **fields)
