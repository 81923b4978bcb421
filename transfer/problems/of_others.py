"""Problems of bonus servers, rejected rows, approvals, registers, recipients, and log-ins."""

from collections.abc import Container, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Count, Max, Min, Q, Sum

from transfer.approvals.limits import has_limits
from transfer.engine.kind import MASK
from transfer.installed import installed_tables
from transfer.models import Approval, AuditEntry, BonusServer, RejectedRow
from transfer.models.addresses import address
from transfer.models.alerts import OF_SHOP
from transfer.models.approvers import approvers
from transfer.models.logins import PERIOD
from transfer.problems.kinds import Code
from transfer.problems.problem import Problem, of_error
from transfer.problems.signs import Sign, dark_accounts, failing_recipients, locks_since

NAMED = 10


def problems_of_others(now: datetime, found: Container[Sign]) -> Iterator[Problem]:
    """Yield them. Asks only for those of which there are signs."""
    if Sign.FAILING_SERVER in found:
        yield from of_servers()
    yield from of_sections()
    if Sign.LEFT_BEHIND in found:
        yield from of_left_behind()
    if Sign.FAILING_RECIPIENT in found:
        yield from of_recipients()
    if Sign.OPEN_REJECT in found:
        yield from of_rejects()
    if Sign.APPROVAL in found:
        yield from of_approvals()
    if Sign.DARK_REGISTER in found:
        yield from of_registers()
    if Sign.LOCKED_LOG_IN in found:
        yield from of_log_ins(now)


def of_servers(only: BonusServer | None = None) -> Iterator[Problem]:
    """Servers with which no register can work, or whose accounts can't be managed."""
    failing = BonusServer.objects.failing()
    for server in failing.filter(pk=only.pk) if only else failing:
        if server.state == BonusServer.State.FAILING:
            yield Problem(
                Code.SERVER,
                f"server:{server.pk}",
                server.get_absolute_url(),
                {**of_error(server), "server": server.name},
                server_id=server.pk,
                technical=server.error_technical,
            )
        if server.service_error_code:
            error = {"code": server.service_error_code, "error": server.service_error_params}
            yield Problem(
                Code.SERVICE_PORT,
                f"service_port:{server.pk}",
                server.get_absolute_url(),
                {**error, "server": server.name},
                server_id=server.pk,
            )


def of_sections() -> Iterator[Problem]:
    """Sections of the file of DTADMIN_TABLES that no docked server has the name of."""
    if not installed_tables().sections:
        return
    docked = set(BonusServer.objects.values_list("name", flat=True))
    if unknown := [name for name in installed_tables().sections if name not in docked]:
        params = {"names": ", ".join(unknown)}
        url = address("servers")
        yield Problem(Code.SECTIONS, Code.SECTIONS, url, params, notify=False)


def of_left_behind() -> Iterator[Problem]:
    """Servers that purges do not wait for: an administrator has said so, and nobody is notified."""
    left = BonusServer.objects.filter(tasks__left_behind__isnull=False).annotate(
        left_at=Min("tasks__left_behind__at"), missing=Sum("tasks__left_behind__missing")
    )
    for server in left:
        yield Problem(
            Code.LEFT_BEHIND,
            f"left_behind:{server.pk}",
            server.get_absolute_url(),
            {"server": server.name, "n": server.missing},
            since=server.left_at,
            server_id=server.pk,
            notify=False,
        )


def of_recipients() -> Iterator[Problem]:
    """Recipients whose messages do not arrive."""
    for recipient in failing_recipients():
        since = recipient.failing_since
        params = {
            **of_error(recipient),
            "name": recipient.name,
            "since": since and since.isoformat(),
        }
        url = recipient.get_absolute_url()
        yield Problem(Code.MESSAGES, f"recipient:{recipient.pk}", url, params, since=since)


def of_rejects() -> Iterator[Problem]:
    """Counts each row once, as the list does, however many servers have rejected it."""
    open_ones = (
        RejectedRow.objects.open()
        .order_by()
        .aggregate(
            n=Count("pk", filter=Q(duplicates_open=False)), last=Max("pk"), since=Min("created_at")
        )
    )
    since = open_ones.pop("since")
    if open_ones["n"]:
        url = address("rejects")
        yield Problem(Code.REJECTS, "", url, open_ones, since=since)


def of_registers() -> Iterator[Problem]:
    """Registers that were seen once and have not been for a day, by their shop."""
    dark = dark_accounts().order_by("register__name").select_related("register__shop")
    shops: dict[Any, dict[str, datetime | None]] = {}
    for account in dark:
        shops.setdefault(account.register.shop, {})[str(account.register)] = account.last_seen
    for shop, registers in shops.items():
        params = {
            "shop": str(shop),
            "n": len(registers),
            "names": ", ".join([*registers][:NAMED]),
        }
        url = f"{address('registers')}?{urlencode({'state': 'offline', 'shop': shop.code})}"
        since = min(seen for seen in registers.values() if seen)
        yield Problem(Code.REGISTERS, f"{OF_SHOP}{shop.pk}", url, params, since=since)


def of_log_ins(now: datetime) -> Iterator[Problem]:
    """Log-ins that wrong passwords have locked lately and that are still locked.

    All names that no user has are one problem: guessing can lock any number of them.
    """
    lifted = AuditEntry.objects.filter(action=AuditEntry.Action.UNLOCK).order_by("-at")[:1]
    since = max([now - PERIOD, *lifted.values_list("at", flat=True)])
    locks = locks_since(since).order_by("pk")
    last = {f"user:{one.user_id}" if one.user_id else MASK: one for one in locks}
    for key, entry in last.items():
        who = entry.who if entry.user_id else MASK
        params = {"who": who, "address": entry.address or ""}
        yield Problem(Code.LOCKED, key, address("users"), params, since=entry.at)


def of_approvals() -> Iterator[Problem]:
    """Yield one problem for all loads that wait, and one where nobody may approve."""
    waiting = Approval.objects.waiting().order_by()
    found = waiting.aggregate(n=Count("pk"), last=Max("pk"), since=Min("asked_at"))
    since = found.pop("since")
    if found["n"]:
        yield Problem(Code.APPROVALS, "", address("approvals"), found, since=since)
    if (found["n"] or has_limits()) and not approvers():
        yield Problem(Code.NO_APPROVER, "nobody", address("users"))
