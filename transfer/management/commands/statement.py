from argparse import ArgumentParser, ArgumentTypeError
from datetime import date
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _, gettext_noop

from transfer.management.command import (
    Command as BaseCommand,
    UsageError,
    add_server,
    servers_named,
)
from transfer.models import Actor
from transfer.statements.document import write_new_key
from transfer.statements.keep import make
from transfer.statements.period import Period


def day(text: str) -> date:
    """Return the day of an argument."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(_("a day such as 2026-10-31")) from None


class Command(BaseCommand):
    help = gettext_noop(
        "Makes the signed statement of a period: what was staged, received, rejected and decided, "
        "and what waited at its end. It is kept as the next one of the chain. The key that signs "
        "it is in the file that STATEMENT_KEY names."
    )
    flags = {"--json": gettext_noop("write the signed file to the standard output")}

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--from", dest="first", type=day, metavar=_("DAY"), help=_("the first day")
        )
        parser.add_argument("--to", dest="last", type=day, metavar=_("DAY"), help=_("the last day"))
        add_server(parser)
        parser.add_argument(
            "--new-key",
            metavar=_("FILE"),
            help=_("make a key that signs statements; write the public one to the output"),
        )

    def handle(
        self,
        *,
        first: date | None,
        last: date | None,
        server: str | None,
        new_key: str | None,
        json: bool,
        **options: Any,
    ) -> None:
        if new_key is not None:
            self._make_key(new_key)
            return
        if first is None or last is None:
            raise UsageError(_("Name the period: --from 2026-10-01 --to 2026-10-31"))
        of = servers_named(server)[0] if server is not None else None
        made = make(Period.of(first, last), of, Actor.at_command_line())
        if json:
            self.stdout.write(made.document, ending="")
            return
        self.say(
            _("Statement %(number)s of %(first)s to %(last)s was made. Its digest is %(digest)s"),
            number=made.number,
            first=made.first,
            last=made.last,
            digest=made.digest,
        )

    def _make_key(self, file: str) -> None:
        try:
            public = write_new_key(file)
        except FileExistsError:
            raise UsageError(
                _("%(file)s exists. Name a new file: an old key is needed as it is."), file=file
            ) from None
        except OSError:
            raise UsageError(_("%(file)s can’t be written."), file=Path(file)) from None
        self.stdout.write(public, ending="")
