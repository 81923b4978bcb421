from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import UNASKED, Command as BaseCommand, confirm, with_zone
from transfer.models import Actor
from transfer.models.tasks import KindChoices
from transfer.runs import restored
from transfer.runs.restored import Restored, what_is_lost
from transfer.text import formats
from transfer.text.explain import explain


class Command(BaseCommand):
    help = gettext_noop(
        "Says that the restored database of shop All is the right one. Lists first what it lacks, "
        "and which bonus servers have it. The transfers then go on by themselves."
    )
    flags = {
        "--dry-run": gettext_noop("list, and change nothing"),
        **UNASKED,
        "--json": gettext_noop("one JSON object a line"),
    }

    def handle(self, *, dry_run: bool, yes: bool, json: bool, **options: Any) -> None:
        found = what_is_lost()
        (self._list_json if json else self._list)(found)
        if not found.asks:
            if not json:
                self.say(_("Nothing is asked: shop All has what our own history has seen of it."))
            return
        if dry_run:
            return
        confirm(
            _("Is it the right database of shop All?"),
            _("The answer has to be confirmed: add --yes."),
            yes=yes,
            json=json,
        )
        restored.confirm(Actor.at_command_line())
        if json:
            self.say_json(confirmed=True)
        else:
            self.say(_("Confirmed. The transfers go on by themselves within a minute."))

    def _list(self, found: Restored) -> None:
        for kind, lost in found.kinds.items():
            self.say(
                _("%(kind)s: %(changesets)s changesets, %(rows)s rows, sum %(sum)s: %(servers)s"),
                kind=KindChoices(kind).label,
                changesets=lost.changesets,
                rows=lost.rows,
                sum=formats.NOTHING if lost.amount is None else lost.amount,
                servers=", ".join(f"{name} ({n})" for name, n in lost.servers.items()) or "–",
            )
            for one, servers in lost.listed.values():
                self.say(
                    _("  %(changeset)s: %(rows)s rows, received %(at)s: %(servers)s"),
                    changeset=one.changeset,
                    rows=formats.NOTHING if one.rows is None else one.rows,
                    at=with_zone(one.at) if one.at else formats.NOTHING,
                    servers=", ".join(servers),
                )
        for load in [*found.loads, *found.undos]:
            self.say(_("Load %(id)s is lost: %(load)s"), id=load.pk, load=load)
        for name, error in found.silent.items():
            self.say(
                _("%(server)s has not answered: %(reason)s"),
                server=name,
                reason=explain(error).sentence,
            )

    def _list_json(self, found: Restored) -> None:
        for kind, lost in found.kinds.items():
            for one, servers in lost.listed.values():
                self.say_json(
                    kind=kind,
                    changeset=one.changeset,
                    rows=one.rows,
                    amount=one.amount,
                    received=one.at,
                    servers=servers,
                )
        for load in [*found.loads, *found.undos]:
            self.say_json(load=load.pk, kind=load.kind, name=str(load), rows=load.good)
        for name, error in found.silent.items():
            self.say_json(server=name, error=error.code)
        self.say_json(
            asks=found.asks,
            changesets=found.changesets,
            rows=found.rows,
            loads=len(found.loads),
            undos=len(found.undos),
        )
