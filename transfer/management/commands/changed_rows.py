from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import Command as BaseCommand, UsageError
from transfer.models import Actor
from transfer.rejects.changed import AT_ONCE, Decision, decide, key_of, undecided


class Command(BaseCommand):
    help = gettext_noop(
        "Lists staged rows that were changed after their transfer. With --decide they are sent "
        "again with their present values, or left as they are. An amount is sent again with "
        "--row and --amount, to the bonus servers that had read the row before the change."
    )
    flags = {"--json": gettext_noop("one JSON object a line")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--kind", choices=[*settings.KINDS], help=_("only this kind"))
        parser.add_argument(
            "--row", type=int, metavar=_("NUMBER"), help=_("only the row with this number")
        )
        parser.add_argument(
            "--decide", choices=[*Decision], help=_("send the rows again, or leave them")
        )
        parser.add_argument("--amount", help=_("the difference to send, such as -50"))

    def handle(self, *, decide: str | None, amount: str | None, **options: Any) -> None:
        if decide is None:
            self.list(**options)
            return
        typed = _amount(amount)
        for kind, key in self.chosen(**options):
            if kind.appends and decide == Decision.SEND and (key is None or typed is None):
                raise UsageError(_("To send a balance change again, give --row and --amount."))
            rows = decide_on(kind, decide, key, typed)
            self.say(_("%(kind)s: %(rows)s rows decided"), kind=_(kind.title), rows=rows)

    def list(self, *, kind: str | None, row: int | None, json: bool, **options: Any) -> None:
        for group in undecided(AT_ONCE, None):
            for one in group.rows:
                if kind not in (None, group.kind.name) or row not in (None, one.id):
                    continue
                fields = {"kind": group.kind.name, "row": one.id, "servers": one.servers}
                if json:
                    self.say_json(**fields, values=one.payload)
                    continue
                values = ", ".join(f"{name} {text}" for name, text in one.payload.items() if text)
                self.say(
                    _("%(kind)s, row %(row)s: %(values)s; read before by %(servers)s"),
                    kind=_(group.kind.title),
                    row=one.id,
                    values=values,
                    servers=", ".join(one.servers),
                )

    def chosen(self, *, kind: str | None, row: int | None, **options: Any) -> Any:
        """The kinds with undecided rows, each with the key of the row that is meant, if one is."""
        for group in [*undecided(AT_ONCE, None)]:
            if kind not in (None, group.kind.name):
                continue
            if row is None:
                yield group.kind, None
            else:
                yield from ((group.kind, key_of(one)) for one in group.rows if one.id == row)


def decide_on(kind: Any, decision: str, key: str | None, amount: Decimal | None) -> int:
    actor = Actor.at_command_line()
    return decide(kind, Decision(decision), actor, key=key, amount=amount)


def _amount(text: str | None) -> Decimal | None:
    """Raises UsageError."""
    try:
        amount = None if text is None else Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if amount is not None and (not amount.is_finite() or not amount):
        raise UsageError(_("--amount takes a number other than zero."))
    return amount
