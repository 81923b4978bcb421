"""Undocks a bonus server: what prevents it, what it means, and the change itself."""

from django.db import transaction
from django.utils.translation import gettext as _, ngettext

from transfer.models import Actor, AuditEntry, BonusServer, IssuedSecret
from transfer.models.run_base import OPEN_STATES, State
from transfer.text import formats


def why_not_now(server: BonusServer) -> str:
    """What runs on the server and has to end first; empty if nothing does."""
    if server.runs.filter(state=State.RUNNING).exists():
        return _("A transfer to it is running. Wait for its end, or cancel it first.")
    if server.account_jobs.pending().locked().exists():
        return _("Accounts of registers are being changed on it. Wait for the end.")
    return ""


def question(server: BonusServer) -> str:
    return _("Undock %(server)s?") % {"server": server}


def consequences(server: BonusServer) -> list[str]:
    """What happens to its tasks, accounts, passwords and history, a sentence each."""
    points = [_("Nothing is moved to it any more, and its settings and secrets are deleted.")]
    tasks = server.tasks.count()
    points += [
        words % {"n": formats.number(n), "all": tasks} for words, n in _counted(server).items() if n
    ]
    if server.runs.exists():
        points.append(_("The history of its transfers and its rejected rows are kept."))
    points.append(
        _("The server's own database knows what was moved: docked again, it goes on from there.")
    )
    return points


def _counted(server: BonusServer) -> dict[str, int]:
    """Each sentence with a number, and the number."""
    enabled = server.tasks.enabled().count()
    accounts = server.accounts.created().count()
    secrets = IssuedSecret.objects.usable().filter(account__server=server).count()
    return {
        ngettext(
            "%(n)s of its %(all)s tasks is switched on; rows that wait will not be moved.",
            "%(n)s of its %(all)s tasks are switched on; rows that wait will not be moved.",
            enabled,
        ): enabled,
        ngettext(
            "%(n)s register keeps its account on the server, and keeps working.",
            "%(n)s registers keep their accounts on the server, and keep working.",
            accounts,
        ): accounts,
        ngettext(
            "The password of %(n)s register has not been collected yet, and is deleted.",
            "The passwords of %(n)s registers have not been collected yet, and are deleted.",
            secrets,
        ): secrets,
    }


def undock(server: BonusServer, actor: Actor) -> None:
    """Removes the server from here; purges stop waiting for it.

    Its history, its rejected rows and the audit stay.
    """
    with transaction.atomic():
        for run in server.runs.filter(state__in=OPEN_STATES):
            run.cancel(actor)
        old = {"name": server.name, "host": server.host, "db_name": server.db_name}
        AuditEntry.record(actor, AuditEntry.Action.DELETE, server, old=old)
        server.delete()
