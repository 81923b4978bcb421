"""Counts what a statement says: from the log of shop All, and from our own daily sums and history.

Sums are text with all digits, rows are numbers, moments are ISO 8601 in the time zone of schedules.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum

from transfer.causes.statements import PERIOD_BEFORE_FIRST_LINE
from transfer.engine.kind import Kind
from transfer.engine.received import Place
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.log_sums import (
    EFFECTS,
    End,
    LogSums,
    began_at,
    end_before,
    sums_between,
    waiting_up_to,
)
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import (
    Approval,
    AuditEntry,
    BonusServer,
    Bulletin,
    Incident,
    RejectedRow,
    ServerDay,
    TransferTask,
)
from transfer.models.alerts import Topic
from transfer.statements.log_days import Outlived, outlived
from transfer.statements.period import Period

MOST_LISTED = 1000
"""Rejected rows, outages and so on that a statement lists by name; counts are of all."""

OUTCOMES = ("applied", "unchanged", "rejected", "amount_applied", "amount_rejected")
OTHERS = ("lost", "amount_lost", "skipped", "amount_skipped")
# How rejected rows end, as `RejectedRow.State` has it.
ENDS = ("resent", "settled", "discarded")
# The answers of administrators that concern what moves.
ANSWERS = (
    AuditEntry.Action.CONFIRM,
    AuditEntry.Action.POSITION,
    AuditEntry.Action.FORGET,
    AuditEntry.Action.RESTORE,
)

# Where each server was at the end of a day. By the index `days_of_server`.
PLACES = """
    select distinct on (server_pk, kind) server_pk, kind, (position ->> 'number')::bigint,
           position ->> 'mark'
      from transfer_serverday where day <= %s
     order by server_pk, kind, day desc, noted_at desc
"""
# Rejected rows by server and kind: closed in the period, by how; and open at its end. Amounts are
# those of the rows as received, if they are numbers. By the index `rejects_by_time`.
REJECTS = """
    with known as (
        select server_id, kind,
               case when closed_at < %(ends)s then state else 'open' end as state,
               case when payload ->> 'amount' ~ '^-?[0-9]{1,40}([.][0-9]{1,20})?$'
                    then (payload ->> 'amount')::numeric end as amount
          from transfer_rejectedrow
         where created_at < %(ends)s and (closed_at is null or closed_at >= %(starts)s)
    )
    select server_id, kind, state, count(*), coalesce(sum(amount), 0)
      from known group by server_id, kind, state
"""


def money(amount: Decimal | int) -> str:
    """Return a sum as text: two digits behind the point, or more if it has them."""
    amount = Decimal(amount).normalize()
    exponent = amount.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -2:
        return f"{amount:.2f}" if amount else "0.00"
    return f"{amount:f}"


def counted(count: Count) -> dict[str, Any]:
    return {"rows": count.rows, "amount": money(count.amount)}


@dataclass(frozen=True)
class _OfServers:
    """What our own database says: (server, kind) → values."""

    names: dict[int, str]
    sums: dict[tuple[int, str], dict[str, Any]]
    places: dict[tuple[int, str], Place]
    rejects: dict[tuple[int, str], dict[str, Count]]


def count_period(
    period: Period, server: BonusServer | None, seconds: float | None = None
) -> dict[str, Any]:
    """Return all that a statement says of a period, for one server or for all.

    Reads shop All in one snapshot; with `seconds`, a page waits for it. Raises
    PERIOD_BEFORE_FIRST_LINE, and TransferError where shop All does not answer.
    """
    own = _own(period, server)
    kinds: list[dict[str, Any]] = []
    with (
        ShopAll(
            settings.SHOP_ALL_DATABASE_URL, "statement", secret=False, seconds=seconds
        ) as source,
        source.snapshot(),
    ):
        if not source.database.is_waited_for:
            source.database.limit_statements(None)
        origin = source.identity.origin()
        _check_begun(source, period)
        for kind in installed_kinds().values():
            opening = end_before(source.database, kind, period.starts)
            closing = end_before(source.database, kind, period.ends)
            sums = sums_between(source.database, kind, opening, closing)
            past = outlived(source, kind, period)
            if past is not None:
                sums = _with(source, kind, sums, past)
            unknown = [str(day) for day in past.unknown] if past else []
            servers = sorted(pk for pk, name in own.sums if name == kind.name)
            rows = [_of_server(source, kind, closing, own, pk) for pk in servers]
            kinds.append({"kind": kind.name, "log": _log(sums, unknown), "servers": rows})
    return {"shop_all": origin, "kinds": kinds, **_events(period, server)}


def _check_begun(source: ShopAll, period: Period) -> None:
    begins = [began_at(source.database, kind) for kind in installed_kinds().values()]
    known = [one for one in begins if one is not None]
    if known and min(known) >= period.ends:
        day = min(known).astimezone(period.zone).date()
        raise TransferError(PERIOD_BEFORE_FIRST_LINE, day=str(day))


def _with(source: ShopAll, kind: Kind, sums: LogSums, past: Outlived) -> LogSums:
    """Return the sums of a period whose first lines have gone: those of its kept days, and those
    of the lines after them. What is staged or withdrawn, the log says for ever.
    """
    after = End(Place(past.up_to), Count())
    left = sums_between(source.database, kind, after, sums.closing)
    effects = {name: past.effects[name] + left.effects[name] for name in EFFECTS}
    return replace(sums, gone=past.gone + left.gone, effects=effects)


def _log(sums: LogSums, unknown: list[str]) -> dict[str, Any]:
    effects = sums.effects
    return {
        "opening": _end(sums.opening),
        "closing": _end(sums.closing),
        "lines": sums.closing.place.number - sums.opening.place.number,
        "staged": counted(sums.staged),
        "withdrawn": counted(sums.withdrawn),
        "deleted_by_hand": counted(sums.gone),
        "corrections": counted(effects["replaces"]),
        "taken_back": counted(effects["reverses"]),
        "changed": counted(effects["sets"]),
        # Days whose lines have gone and whose sums were not kept: the last four lack them.
        "unknown_days": unknown,
    }


def _end(end: End) -> dict[str, Any]:
    return {"number": end.place.number, "mark": end.place.mark}


def _own(period: Period, server: BonusServer | None) -> _OfServers:
    """Read our own database, in five queries."""
    tasks = TransferTask.objects.select_related("server")
    days = ServerDay.objects.filter(day__gte=period.first, day__lte=period.last)
    if server is not None:
        tasks, days = tasks.filter(server=server), days.filter(server_pk=server.pk)
    names: dict[int, str] = {}
    sums: dict[tuple[int, str], dict[str, Any]] = {}
    totals = {name: Sum(name) for name in (*OUTCOMES, *OTHERS)}
    summed: Any = days.order_by().values("server_pk", "kind", "server_name").annotate(**totals)
    for one in summed:
        key = (one["server_pk"], one["kind"])
        names[one["server_pk"]] = one["server_name"]
        before = sums.get(key)  # under another name
        sums[key] = {name: one[name] + (before[name] if before else 0) for name in totals}
    for task in tasks:
        names[task.server_id] = task.server.name
        if task.server.created_at < period.ends:
            sums.setdefault((task.server_id, task.kind), dict.fromkeys(totals, 0))
    rejects: dict[tuple[int, str], dict[str, Count]] = {}
    with connection.cursor() as cursor:
        cursor.execute(PLACES, [period.last])
        places = {(pk, kind): Place(number, mark) for pk, kind, number, mark in cursor.fetchall()}
        cursor.execute(REJECTS, {"starts": period.starts, "ends": period.ends})
        for pk, kind, state, rows, amount in cursor.fetchall():
            rejects.setdefault((pk, kind), {})[state] = Count(rows, amount)
    return _OfServers(names, sums, places, rejects)


def _of_server(
    source: ShopAll, kind: Kind, closing: End, own: _OfServers, pk: int
) -> dict[str, Any]:
    """Return what one server has received of a kind, and what it waited for at the end."""
    key = (pk, kind.name)
    sums, rejects = own.sums[key], own.rejects.get(key, {})
    place = own.places.get(key)
    waiting = place and waiting_up_to(source.database, kind, place, closing)
    amount = sums["amount_applied"] + sums["amount_rejected"]
    read = sums["applied"] + sums["unchanged"] + sums["rejected"]
    return {
        "server": {"id": pk, "name": own.names[pk]},
        "received": {"rows": read, "amount": money(amount)},
        "applied": {"rows": sums["applied"], "amount": money(sums["amount_applied"])},
        "unchanged": {"rows": sums["unchanged"]},
        "rejected": {"rows": sums["rejected"], "amount": money(sums["amount_rejected"])},
        # Counted by the server no more, since it was restored or began anew.
        "lost_by_restore": {"rows": sums["lost"], "amount": money(sums["amount_lost"])},
        "skipped": {"rows": sums["skipped"], "amount": money(sums["amount_skipped"])},
        "decided": {end: counted(rejects.get(end, Count())) for end in ENDS},
        "open": counted(rejects.get("open", Count())),
        "passed": {"number": place.number, "mark": place.mark} if place else None,
        "waiting": counted(waiting) if waiting else None,
    }


def _events(period: Period, server: BonusServer | None) -> dict[str, Any]:
    """Return the lists: rejects still open, outages, differences, approvals, restores, answers."""
    of_server = Q() if server is None else Q(server=server)
    or_of_none = Q() if server is None else Q(server=server) | Q(server=None)
    still_open = Q(closed_at=None) | Q(closed_at__gte=period.ends)
    within = {"at__gte": period.starts, "at__lt": period.ends}

    def moment(at: datetime | None) -> str | None:
        return at.astimezone(period.zone).isoformat(timespec="seconds") if at else None

    rejects = RejectedRow.objects.filter(of_server, still_open, created_at__lt=period.ends)
    incidents = Incident.objects.filter(
        or_of_none,
        Q(ended_at=None) | Q(ended_at__gte=period.starts),
        topic__in=[Topic.DIFFERENCE, Topic.FAILURES, Topic.REFUSAL],
        notify=True,
        began_at__lt=period.ends,
    ).order_by("began_at", "pk")
    approvals = Approval.objects.filter(
        state=Approval.State.APPROVED,
        decided_at__gte=period.starts,
        decided_at__lt=period.ends,
    ).order_by("pk")
    bulletins = Bulletin.objects.filter(or_of_none, **within).order_by("pk")
    answers = AuditEntry.objects.filter(action__in=ANSWERS, **within).order_by("pk")
    troubles = [
        {
            "topic": one.topic,
            "code": one.code,
            "server": one.server.name if one.server else None,
            "began_at": moment(one.began_at),
            # What has ended after the period was open at its end.
            "ended_at": (
                moment(one.ended_at) if one.ended_at and one.ended_at < period.ends else None
            ),
            "taken_by": one.taken_by or None,
            "note": one.taken_note or one.mute_reason or None,
        }
        for one in incidents.select_related("server")[:MOST_LISTED]
    ]
    differences = [one for one in troubles if one["topic"] == Topic.DIFFERENCE]
    return {
        "open_rejects": [
            {"key": one.key, "kind": one.kind, "server": one.server_name, "code": one.code}
            for one in rejects.order_by("pk")[:MOST_LISTED]
        ],
        "differences": differences,
        "outages": [one for one in troubles if one["topic"] != Topic.DIFFERENCE],
        "approvals": [
            {
                "load": one.upload_id,
                "kind": one.upload.kind,
                "rows": one.rows,
                "up_and_down": money(one.total),
                "entered_by": one.asked_by,
                "approved_by": one.decided_by,
                "at": moment(one.decided_at),
            }
            for one in approvals.select_related("upload")[:MOST_LISTED]
        ],
        "restores": [
            {
                "code": one.code,
                "server": one.server.name if one.server else None,
                "at": moment(one.at),
                "seen_by": one.dismissed_by or None,
            }
            for one in bulletins.select_related("server")[:MOST_LISTED]
        ],
        "answers": [
            {"action": one.action, "who": one.who, "at": moment(one.at)}
            for one in answers[:MOST_LISTED]
        ],
        "installation_restored": [
            {"at": moment(one.at), "to": moment(to)}
            for one in AuditEntry.objects.filter(
                action=AuditEntry.Action.RESTORE, at__gte=period.starts
            ).order_by("pk")
            if (to := _backup_of(one)) < period.ends
        ],
    }


def _backup_of(entry: AuditEntry) -> datetime:
    """Return of when the backup was that somebody has restored: what came after it is lost."""
    text = entry.new.get("backup_of")
    return datetime.fromisoformat(text) if text else entry.at
