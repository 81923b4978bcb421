"""Makes statements, and keeps them: each is the next one of one chain."""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from transfer.causes.statements import PERIOD_BEFORE_FIRST_LINE
from transfer.engine.shop_all.log_sums import began_at, end_before, sums_between
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.installed import installed_kinds
from transfer.models import (
    Actor,
    AuditEntry,
    BonusServer,
    LogDay,
    Settings,
    Statement,
)
from transfer.statements.changes import answers_since, changes_between
from transfer.statements.count import count_period
from transfer.statements.document import Document, digest_of, read_key, signed
from transfer.statements.period import Period

MOST_DAYS = 400
"""Days of the log that one run of the task counts."""


def content_of(statement: Statement) -> dict[str, Any]:
    """Return what a kept statement says."""
    content: dict[str, Any] = json.loads(statement.document)["statement"]
    return content


def make(period: Period, server: BonusServer | None, actor: Actor) -> Statement:
    """Count a period, sign the statement, and keep it as the next one of the chain. Audited.

    If one of the same period and server was kept before, the new one names it, and what has changed
    since. Raises KEY_NOT_NAMED, KEY_OPEN, KEY_INVALID, PERIOD_BEFORE_FIRST_LINE, and TransferError
    where shop All does not answer. Then nothing is kept.
    """
    key = read_key(settings.STATEMENT_KEY)
    figures = count_period(period, server)
    with transaction.atomic():
        # One at a time: each names the one before.
        own = Settings.objects.select_for_update().get(pk=Settings.load().pk)
        last = Statement.objects.first()
        now = timezone.now()
        server_pk = server.pk if server else None
        kept = Statement.objects.of_period(period.first, period.last, server_pk).first()
        content = {
            "installation": str(own.installation),
            "number": last.number + 1 if last else 1,
            "previous": last.digest if last else None,
            "made_at": now.astimezone(period.zone).isoformat(timespec="seconds"),
            "made_by": actor.name,
            "period": period.as_json(),
            "server": {"id": server.pk, "name": server.name} if server else None,
            **figures,
            **_since(kept, figures, period),
        }
        text = signed(content, key)
        digest = digest_of(json.loads(text)["statement"])
        statement = Statement.objects.create(
            number=content["number"],
            made_at=now,
            made_by=actor.name,
            first=period.first,
            last=period.last,
            server_pk=server_pk,
            server_name=server.name if server else "",
            digest=digest,
            document=text,
        )
        AuditEntry.record(actor, AuditEntry.Action.STATEMENT, statement, new={"digest": digest})
    return statement


def _since(kept: Statement | None, figures: dict[str, Any], period: Period) -> dict[str, Any]:
    """Return the statement of the same period that was kept before, and what has changed since."""
    if kept is None:
        return {"before": None, "changes": [], "since": []}
    before = {"number": kept.number, "digest": kept.digest}
    return {
        "before": before,
        "changes": changes_between(content_of(kept), figures),
        "since": answers_since(kept.made_at, period.zone),
    }


def make_monthly(actor: Actor, now: datetime | None = None) -> Iterator[dict[str, Any]]:
    """Keep the days of the log that are over, and make last month's statement where it is missing.

    Yields what was done so far, for the report of the maintenance run. Without a key no statement
    is made. Raises TransferError.
    """
    now = now or timezone.now()
    yield {"log_days": keep_log_days(now)}
    if not settings.STATEMENT_KEY:
        yield {"no_statement_key": True}
        return
    period = Period.month_before(now)
    if Statement.objects.of_period(period.first, period.last, None).exists():
        return
    try:
        statement = make(period, None, actor)
    except TransferError as error:
        if error.cause is not PERIOD_BEFORE_FIRST_LINE:  # a new installation has nothing to say
            raise
        return
    yield {"statement": statement.number}


def keep_log_days(now: datetime) -> int:
    """Keep the sums of the days that are over, and return how many were new. Raises TransferError.

    What is kept is what the log said when the day was over. A later undo changes nothing.
    """
    zone = Settings.load().zone
    today = now.astimezone(zone).date()
    new: list[LogDay] = []
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "statement", secret=False) as source,
        source.snapshot(),
    ):
        source.database.limit_statements(None)
        for kind in installed_kinds().values():
            begins = began_at(source.database, kind)
            if begins is None:
                continue
            day = _first_day(kind.name, begins.astimezone(zone).date())
            for _number in range(MOST_DAYS):
                if day >= today:
                    break
                period = Period(day, day, zone)
                opening = end_before(source.database, kind, period.starts)
                closing = end_before(source.database, kind, period.ends)
                sums = sums_between(source.database, kind, opening, closing)
                new.append(
                    LogDay(
                        day=day,
                        kind=kind.name,
                        first=opening.place.number,
                        last=closing.place.number,
                        mark=closing.place.mark,
                        rows=sums.staged.rows,
                        amount=sums.staged.amount,
                        withdrawn=sums.withdrawn.rows,
                        gone=sums.gone.rows,
                    )
                )
                day += timedelta(1)
    return len(LogDay.objects.bulk_create(new, ignore_conflicts=True))


def _first_day(kind: str, begins: date) -> date:
    """Return the first day of a kind that is not kept."""
    last = LogDay.objects.filter(kind=kind).order_by("-day").values_list("day", flat=True).first()
    return last + timedelta(1) if last else begins


def kept_chain() -> Iterator[Document | None]:
    """Yield all kept statements in their order; None for one that was changed."""
    rows = Statement.objects.order_by("number").values_list("document", flat=True)
    for text in rows.iterator(chunk_size=10):
        yield Document.read(text.encode())
