import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.utils.translation import gettext as _, gettext_noop

from transfer.causes.statements import STATEMENT_UNREADABLE
from transfer.errors import TransferError
from transfer.management.command import FAILED, Command as BaseCommand
from transfer.statements.document import LARGEST, Document, missing_in, proven_by, read_public_key


class Command(BaseCommand):
    help = gettext_noop(
        "Checks statements: that no byte was changed since they were signed, and, of several, that "
        "none is missing between them. Needs no database without --against. Exit code 1 if one is "
        "false."
    )
    requires_migrations_checks = False
    flags = {
        "--against": gettext_noop(
            "compare with the databases of this installation: whether it was kept, and what has "
            "changed since"
        ),
        "--json": gettext_noop("one JSON object a line"),
    }

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "files", nargs="+", metavar=_("FILE"), help=_("JSON files of statements")
        )
        parser.add_argument(
            "--key",
            metavar=_("FILE"),
            help=_("the public key, PEM; without it, changes are found, and not who has signed"),
        )

    def handle(
        self, *, files: list[str], key: str | None, against: bool, json: bool, **options: Any
    ) -> None:
        public = read_public_key(key) if key else None
        self.as_json = json
        of_files = {file: Document.read(_bytes_of(file)) for file in files}
        known = proven_by(public, [one for one in of_files.values() if one is not None])
        failed = False
        for file, document in of_files.items():
            if document is not None and document in known:
                self._tell_true(file, document)
            else:
                failed = True
                self._tell_false(file)
        for number in missing_in(known):
            failed = True
            self._tell_missing(number)
        if against:
            for document in known:
                failed |= not self._compare(document, public)
        if failed:
            sys.exit(FAILED)

    def _tell_true(self, file: str, document: Document) -> None:
        if self.as_json:
            self.say_json(file=file, holds=True, number=document.number, digest=document.digest)
            return
        self.say(
            _("%(file)s: true, statement %(number)s, digest %(digest)s"),
            file=file,
            number=document.number,
            digest=document.digest,
        )

    def _tell_false(self, file: str) -> None:
        if self.as_json:
            self.say_json(file=file, holds=False)
        else:
            self.say(
                _(
                    "%(file)s: FALSE. It was changed since it was signed, or another key signed it "
                    "and no later statement of these names it."
                ),
                file=file,
            )

    def _tell_missing(self, number: int) -> None:
        if self.as_json:
            self.say_json(holds=False, missing=number)
        else:
            self.say(
                _("FALSE: statement %(number)s is missing, or does not fit the one before it."),
                number=number,
            )

    def _compare(self, document: Document, key: Ed25519PublicKey | None) -> bool:
        """Report what the databases say; return whether the statement is that of the chain."""
        # Here, and not above: without --against no database is needed, nor what asks one.
        from transfer.statements.against import compare

        compared = compare(document, key)
        if self.as_json:
            self.say_json(
                number=document.number,
                holds=compared.holds,
                kept=compared.is_kept,
                missing=compared.wrong,
                changes=compared.changes,
            )
            return compared.holds
        if not compared.is_kept:
            self.say(
                _("FALSE: this installation has not kept statement %(number)s as it is."),
                number=document.number,
            )
        for number in compared.wrong:
            self._tell_missing(number)
        for change in compared.changes:
            self.say(
                _("Changed since: %(what)s was %(before)s, is %(now)s"),
                what=change["what"],
                before=change["before"],
                now=change["now"],
            )
        if not compared.changes:
            self.say(_("The databases say the same today."))
        return compared.holds


def _bytes_of(file: str) -> bytes:
    """Return the content of a file. Raises STATEMENT_UNREADABLE."""
    try:
        with Path(file).open("rb") as opened:
            return opened.read(LARGEST)
    except OSError:
        raise TransferError(STATEMENT_UNREADABLE, file=file) from None
