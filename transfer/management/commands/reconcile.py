import sys
from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.shop_all.gone import Difference as LinesDiffer
from transfer.errors import TransferError, one_line
from transfer.installed import installed_kinds
from transfer.management.command import (
    FAILED,
    Command as BaseCommand,
    add_server,
    servers_named,
    with_zone,
)
from transfer.models import TransferTask
from transfer.runs.reconcile import Reconciliation, compare_lines, reconcile
from transfer.text.explain import explain
from transfer.text.formats import NOTHING


class Command(BaseCommand):
    help = gettext_noop(
        "Compares, for every transfer, what the server has received of shop All's log with what it "
        "has counted: applied + unchanged + rejected, in rows and sums; and the staging tables "
        "with that log. Exit code 1 on a difference, or when a database does not answer."
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
        if server is None:
            failed |= self._compare_lines(json=json)
        if failed:
            sys.exit(FAILED)

    def _compare_lines(self, *, json: bool) -> bool:
        """Report what differs between the staging tables and their log; return whether it does."""
        try:
            found = compare_lines()
        except TransferError as error:
            self.stderr.write(explain(error).sentence)
            return True
        for kind, lines in found.items():
            for line in lines:
                self._report_line(kind, line, json=json)
        return bool(found)

    def _report_line(self, kind: str, line: LinesDiffer, *, json: bool) -> None:
        if json:
            self.say_json(
                kind=kind,
                state="lines_differ",
                number=line.number,
                changeset=line.changeset,
                written_by=line.staged_by,
                staged_at=line.started.isoformat(),
                rows=line.rows,
                rows_found=line.found,
                amount=line.amount,
                amount_found=line.amount_found,
            )
            return
        self.say(
            _(
                "%(table)s: line %(number)s of the log, written by %(who)s at %(when)s, has "
                "%(rows)s rows; %(found)s are in the table. Sum: %(amount)s; in the table: "
                "%(amount_found)s"
            ),
            table=installed_kinds()[kind].staging,
            number=line.number,
            who=one_line(line.staged_by or "—"),
            when=with_zone(line.started),
            rows=line.rows,
            found=line.found,
            amount=NOTHING if line.amount is None else line.amount,
            amount_found=NOTHING if line.amount_found is None else line.amount_found,
        )

    def _report(self, task: TransferTask, result: Reconciliation | None) -> None:
        if result is None:
            self.say(_("%(task)s: has not run yet"), task=task)
            return
        self.say(
            _(
                "%(task)s: received %(received)s = applied %(applied)s + unchanged %(unchanged)s + "
                "rejected %(rejected)s"
            )
            if result.holds
            else _(
                "%(task)s: DIFFERENCE of %(rows)s rows and a sum of %(amount)s: received "
                "%(received)s, applied %(applied)s + unchanged %(unchanged)s + rejected "
                "%(rejected)s"
            ),
            task=task,
            rows=result.rows_missing,
            amount=result.amount_missing,
            received=result.logged.rows + result.lost.rows,
            **vars(result.totals),
        )
        if result.lost.rows:
            self.say(
                _(
                    "%(task)s: of these, shop All has lost %(rows)s rows by a restore, with a sum "
                    "of %(amount)s"
                ),
                task=task,
                rows=result.lost.rows,
                amount=result.lost.amount,
            )

    def _report_json(self, task: TransferTask, result: Reconciliation | None) -> None:
        if result is None:
            self._say_json(task, "not_begun")
            return
        self._say_json(
            task,
            "ok" if result.holds else "difference",
            logged=result.logged.rows,
            lost=result.lost.rows,
            **vars(result.totals),
            rows_missing=result.rows_missing,
            amount_logged=result.logged.amount,
            amount_lost=result.lost.amount,
            amount_missing=result.amount_missing,
            open_rejects=result.open,
        )

    def _say_json(self, task: TransferTask, state: str, **fields: object) -> None:
        self.say_json(kind=task.kind, server=task.server.name, state=state, **fields)
