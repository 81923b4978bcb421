import csv
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils.translation import gettext as _, gettext_noop

from transfer.loading import undo_load as undoing, upload_job
from transfer.loading.lost import look_for_lost_loads
from transfer.loading.report import warning
from transfer.loading.values import as_people_write
from transfer.management.command import CommandGroup, Subcommand, UsageError, whole_number
from transfer.management.second_person import WAITS, actor_named, add_by
from transfer.models import Actor, Settings, Upload
from transfer.text.columns import heading
from transfer.text.explain import explain
from transfer.text.formats import full_moment
from transfer.trace.arrival import arrivals, outlook

LISTED = 50
SECONDS = 10.0


class List(Subcommand):
    help = gettext_noop("Lists the latest loads, including those that were taken back.")

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--most",
            type=whole_number(1, 100_000),
            default=LISTED,
            metavar=_("NUMBER"),
            help=_("how many"),
        )

    def handle(self, *, most: int, json: bool, **options: Any) -> None:
        loads = Upload.objects.select_related("undo")[:most]
        look_for_lost_loads(loads, SECONDS)
        for load in loads:
            if json:
                self.say_json(**as_json(load))
                continue
            self.say(
                _("%(number)s  %(when)s  %(kind)s  %(load)s: %(state)s, %(rows)s rows, %(who)s"),
                number=load.pk,
                when=full_moment(load.created_at),
                kind=load.kind,
                load=load,
                state=_("Taken back") if load.is_undone else load.get_state_display(),
                rows=load.good,
                who=load.confirmed_by or load.created_by,
            )


class Undo(Subcommand):
    help = gettext_noop(
        "Takes a load back, once. Each bonus server that has accepted a balance change receives "
        "the opposite one. PIN codes and cards are withdrawn: servers that have read them keep "
        "them."
    )
    flags: ClassVar[dict[str, str]] = {
        "--dry-run": gettext_noop("say what it would do, do nothing")
    }

    @classmethod
    def add_arguments(cls, parser: ArgumentParser) -> None:
        parser.add_argument(
            "load",
            type=whole_number(1, 10**18),
            metavar=_("NUMBER"),
            help=_("of the load, as manage.py load list prints it"),
        )
        parser.add_argument(
            "--rest",
            type=Path,
            metavar=_("FILE"),
            help=_("write the rows of PIN codes or cards into this CSV, to load the right ones"),
        )
        add_by(parser)

    def handle(
        self,
        *,
        load: int,
        rest: Path | None,
        by: str | None,
        dry_run: bool,
        json: bool,
        **options: Any,
    ) -> None:
        found = Upload.objects.filter(pk=load).first()
        if found is None:
            raise UsageError(_("There is no load %(load)s."), load=load)
        if dry_run:
            self.rehearse(found, json)
        else:
            self.take_back(found, actor_named(by), json)
        if rest is not None:
            self.write(found, rest)

    def rehearse(self, load: Upload, json: bool) -> None:
        undoing.require_can_be_undone(load)
        expected = outlook(load, SECONDS)
        warnings = [warning(*one) for one in expected.warnings]
        servers = [
            {
                "server": one.task.server.name,
                "moved": one.moved,
                "rows": one.rows,
                "rejected": one.rejected,
                "error": one.error.code if one.error else "",
            }
            for one in expected.arrivals
        ]
        if json:
            self.say_json(servers=servers, waiting=expected.waiting, warnings=warnings)
            return
        for one, fields in zip(expected.arrivals, servers, strict=True):
            if one.error:
                self.say("%(server)s: %(why)s", server=one.task.server, why=explain(one.error))
            else:
                text = _("%(server)s: %(moved)s of %(rows)s moved, %(rejected)s rejected")
                self.say(text, **fields)
        if expected.waiting is not None:
            text = _("Rows that no server has read: %(rows)s")
            self.say(text, rows=expected.waiting)
        for text in warnings:
            self.say("%(text)s", text=text)
        self.say(_("Dry run: nothing was taken back."))

    def take_back(self, load: Upload, actor: Actor, json: bool) -> None:
        ordered = undoing.order(load, actor)
        upload_job.go_on(ordered)
        ordered.refresh_from_db()
        if ordered.state == Upload.State.WAITING:
            if json:
                self.say_json(**as_json(ordered))
            else:
                self.say(_(WAITS), n=ordered.good)
            return
        if ordered.explained:
            raise CommandError("\n".join(ordered.explained))
        on_servers = [] if load.kind_spec.appends else arrivals(load, SECONDS)
        kept_by = [one.task.server.name for one in on_servers if one.moved]
        unknown = [one.task.server.name for one in on_servers if one.error]
        if json:
            self.say_json(**as_json(ordered), kept_by=kept_by, unknown=unknown)
            return
        if load.kind_spec.appends:
            text = _("%(load)s: rows of the opposite amount %(rows)s")
            self.say(text, load=load, rows=ordered.good)
            return
        text = _("%(load)s: withdrawn. Bonus servers that have not read it do not get it.")
        self.say(text, load=load)
        for server in kept_by:
            self.say(_("%(server)s has read it, and keeps its rows (--rest FILE)"), server=server)
        for server in unknown:
            self.say(_("%(server)s does not answer: it may have read it"), server=server)

    def write(self, load: Upload, path: Path) -> None:
        """Writes the rows that are not taken back. Raises UsageError when it can't be written."""
        kind, zone = load.kind_spec, Settings.load().zone
        try:
            with path.open("w", encoding="utf-8-sig", newline="") as file:
                lines = csv.writer(file, delimiter=";")
                lines.writerow(heading(name) for name in kind.names)
                for row in undoing.rest(load, SECONDS):
                    lines.writerow(
                        "" if name in kind.secrets else as_people_write(name, row.get(name), zone)
                        for name in kind.names
                    )
        except OSError as error:
            raise UsageError(
                _("%(file)s can't be written: %(reason)s"), file=path, reason=error.strerror
            ) from error


class Command(CommandGroup):
    help = gettext_noop("Lists loads, and takes one back.")
    subcommands: ClassVar[dict[str, type[Subcommand]]] = {"list": List, "undo": Undo}


def as_json(load: Upload) -> dict[str, Any]:
    return {
        "load": load.pk,
        "kind": load.kind,
        "name": load.name,
        "method": load.input_method,
        "state": load.state,
        "rows": load.good,
        "amount": load.amount,
        "at": load.closed_at or load.created_at,
        "by": load.confirmed_by or load.created_by,
        "undoes": load.undoes_id,
        "undone": load.is_undone,
    }
