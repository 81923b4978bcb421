"""`--by NAME`: who loads rows at the command line, if they need a second person."""

from argparse import ArgumentParser

from django.utils.translation import gettext as _, gettext_noop

from transfer.access import Role, has_role
from transfer.management.command import UsageError
from transfer.models import Actor, User

WAITS = gettext_noop(
    "%(n)s rows need a second person: nothing was staged. They wait on the pages, for seven days "
    "at most."
)


def add_by(parser: ArgumentParser) -> None:
    """Add `--by`."""
    parser.add_argument(
        "--by",
        metavar=_("NAME"),
        help=_("the user who answers for the rows: needed where they need a second person"),
    )


def actor_named(by: str | None) -> Actor:
    """Return the user of this name, or else the user of the operating system.

    Raises UsageError unless an operator or administrator has this name.
    """
    if by is None:
        return Actor.at_command_line()
    user = User.objects.active().filter(username=by).first()
    if user is None or not has_role(user, Role.OPERATOR):
        raise UsageError(_("--by: no operator or administrator has the name %(name)s."), name=by)
    return Actor(user.username, user)
