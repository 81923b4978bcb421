"""The options by which an administrator answers about rows that may have been moved, or not."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.utils.translation import gettext as _, gettext_noop

from transfer.engine.restore.answers import Answers, Flow
from transfer.management.command import UsageError, servers_named

FLAGS = {
    "--no-prepared-transactions": gettext_noop(
        "no transaction that was prepared before the copy was committed since the restore"
    ),
}


def add_doubtful(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--doubtful",
        nargs=3,
        action="append",
        default=[],
        metavar=(_("SERVER"), _("TRANSFER"), "moved|waiting"),
        help=_("the answer for rows of the copy that may have been moved; the command names them"),
    )


def answers_of(options: dict[str, Any]) -> Answers:
    """Raises UsageError."""
    moved = dict(map(_answer, options["doubtful"]))
    return Answers(moved, options["no_prepared_transactions"])


def _answer(words: list[str]) -> tuple[Flow, bool]:
    """Of which rows, and whether they were moved. Raises UsageError."""
    name, kind, said = words
    (server,) = servers_named(name)
    if kind not in settings.KINDS or said not in ("moved", "waiting"):
        raise UsageError(
            _(
                "--doubtful %(given)s: name the server, the transfer (%(kinds)s), and moved or "
                "waiting"
            ),
            given=" ".join(words),
            kinds=", ".join(settings.KINDS),
        )
    return (server.name, kind), said == "moved"
