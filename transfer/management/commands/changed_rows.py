import re
from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.kind import Kind
from transfer.engine.shop_all.changes import Changed
from transfer.installed import installed_kinds
from transfer.management.command import Command as BaseCommand, UsageError
from transfer.management.second_person import WAITS, actor_named, add_by
from transfer.rejects.changed import AT_ONCE, REASONS, Decision, decide, key_of, undecided


class Command(BaseCommand):
    help = gettext_noop(
        "Lists staged rows that were changed after their transfer. With --decide their present "
        "values are sent, or the bonus servers keep what they have. Of a balance change each bonus "
        "server adds the difference to the amount that it has of the row."
    )
    flags = {"--json": gettext_noop("one JSON object a line")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", choices=[*installed_kinds()], help=_("only this kind"))
        parser.add_argument(
            "--row", metavar=_("NUMBER"), help=_("only this row, as the list names it: 17-3")
        )
        parser.add_argument(
            "--decide", choices=[*Decision], help=_("send the present values, or leave the rows")
        )
        add_by(parser)

    def handle(self, *, decide: str | None, json: bool, **options: Any) -> None:
        if decide is None:
            for kind, row in chosen(**options):
                self.list(kind, row, json=json)
        else:
            self.decide(Decision(decide), **options)

    def list(self, kind: Kind, row: Changed, *, json: bool) -> None:
        """Print one row."""
        if json:
            self.say_json(
                kind=kind.name,
                row=name_of(row),
                changeset=row.changeset,
                values=row.payload,
                before=row.before,
                cannot_be_sent=row.reason,
            )
            return
        values = ", ".join(f"{name} {text}" for name, text in row.payload.items() if text)
        text = _("%(kind)s, row %(row)s: %(values)s")
        if row.before is not None:
            text = _("%(kind)s, row %(row)s: %(values)s; amount before %(before)s")
        about = {"kind": _(kind.title), "row": name_of(row), "values": values, "before": row.before}
        self.say(text, **about)
        if row.reason:
            self.say(_(REASONS[row.reason]))

    def decide(
        self, decision: Decision, *, row: str | None, by: str | None, **options: Any
    ) -> None:
        """Decide on one row, or on all that can be sent. Raises UsageError, TransferError."""
        actor = actor_named(by)
        found = [*chosen(row=row, **options)]
        if row is not None and not found:
            raise UsageError(_("No row %(row)s waits for a decision."), row=row)
        if row is not None and len(found) > 1:
            raise UsageError(_("Name the kind, too: several rows have this number."))
        keys = {kind.name: key_of(one) if row is not None else None for kind, one in found}
        for name, key in keys.items():
            kind = installed_kinds()[name]
            done = decide(kind, decision, actor, key=key)
            if done.waiting:
                self.say(_(WAITS), n=done.waiting)
            else:
                self.say(_("%(kind)s: %(rows)s rows decided"), kind=_(kind.title), rows=done.rows)


def chosen(*, kind: str | None, row: str | None, **options: Any) -> Iterator[tuple[Kind, Changed]]:
    """Yield the rows that wait for a decision, of this kind and number. Raises UsageError."""
    if row is not None and not re.fullmatch(r"[0-9]{1,19}--?[0-9]{1,19}", row):
        raise UsageError(_("--row takes a number such as 17-3: see the list."))
    for group in [*undecided(AT_ONCE, None)]:
        for one in group.rows:
            if kind in (None, group.kind.name) and row in (None, name_of(one)):
                yield group.kind, one


def name_of(row: Changed) -> str:
    """Return the name of a row in the list: its line in the log, and its number in there."""
    return f"{row.number}-{row.row}"
