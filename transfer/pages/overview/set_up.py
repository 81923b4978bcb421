"""The steps of a new installation. Each checks itself whether it is done."""

from datetime import timedelta
from typing import Any, NamedTuple

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _, pgettext

from transfer.access import Role, has_role
from transfer.models import (
    BonusServer,
    CashRegister,
    Heartbeat,
    RegisterAccount,
    Settings,
    TransferRun,
)
from transfer.pages.shown.task_status import TaskStatus
from transfer.runs.backlog import shop_all_error
from transfer.text.commands import as_typed_here
from transfer.text.explain import explain

NEW_FOR = timedelta(days=30)


class Step(NamedTuple):
    words: str
    is_done: bool
    how: str
    url: str = ""  # the page where it is done, for users who may do it
    command: str = ""


def set_up(rows: list[TaskStatus], user: Any, seconds: float) -> list[Step]:
    """The steps up to the first row; none if all are done, or if the installation is old."""
    servers = list(BonusServer.objects.all())
    if servers and timezone.now() - servers[0].created_at > NEW_FOR:
        return []
    steps = [
        of_tables(seconds),
        *of_server(servers, rows, user),
        of_accounts(servers),
        of_pin_codes(user),
        of_first_row(user),
        of_schedule(rows),
    ]
    return [] if all(step.is_done for step in steps) else steps


def of_tables(seconds: float) -> Step:
    error = shop_all_error(seconds)
    how = explain(error).sentence if error else ""
    words = _("Create the tables of shop All")
    return Step(words, error is None, how, command=as_typed_here("manage.py init_shop_all"))


def of_server(servers: list[BonusServer], rows: list[TaskStatus], user: Any) -> list[Step]:
    """Two steps: a server is docked; its port and its database answer."""
    is_admin = has_role(user, Role.ADMINISTRATOR)
    heard = {row.task.server_id for row in rows if row.backlog.rows is not None}
    # The administration port and the database have both answered once.
    moved = TransferRun.objects.good().exists()
    tested = [one for one in servers if one.accounts_at and (moved or one.pk in heard)]
    return [
        Step(
            pgettext("a step of the set-up", "Dock a bonus server"),
            bool(servers),
            _("It gets its transfer tasks, switched off until you enable them."),
            reverse("server_add") if is_admin else "",
        ),
        Step(
            _("Test the connection to it"),
            bool(tested),
            _("On its page, “Test the connection” says what is wrong, and what to do."),
            servers[0].get_absolute_url() if servers else "",
        ),
    ]


def of_accounts(servers: list[BonusServer]) -> Step:
    where = ""
    if not CashRegister.objects.exists():
        where = reverse("registers")
    elif servers:
        where = f"{servers[0].get_absolute_url()}#accounts"
    return Step(
        _("Create the registers’ accounts on it"),
        RegisterAccount.objects.created().exists(),
        _("First the registers are entered, then their accounts are created on the server’s page."),
        where,
    )


def of_pin_codes(user: Any) -> Step:
    """Done once the settings were saved, with or without a change."""
    return Step(
        _("Decide how long PIN codes stay in shop All"),
        Settings.load().version > 1,
        _(
            "Moved PIN codes stay readable in the staging table until their rows are purged. The "
            "settings say after how many days; if that is right, save them as they are."
        ),
        reverse("settings", fragment="kept") if has_role(user, Role.ADMINISTRATOR) else "",
    )


def of_first_row(user: Any) -> Step:
    return Step(
        _("Move a first row"),
        TransferRun.objects.filter(read__gt=0).exists(),
        _("Load a file, or write into the tables of shop All; then switch the task on, or run it."),
        reverse("loads") if has_role(user, Role.OPERATOR) else "",
    )


def of_schedule(rows: list[TaskStatus]) -> Step:
    heartbeat = Heartbeat.last()
    is_alive = bool(heartbeat and heartbeat.is_alive()) and any(row.task.enabled for row in rows)
    return Step(
        _("Start the schedule, and switch a transfer on"),
        is_alive or TransferRun.objects.by_schedule().exists(),
        _("cron has to start it every minute; the command writes the line for cron."),
        reverse("scheduler"),
        command=as_typed_here("manage.py crontab add"),
    )
