"""The daily sums of shop All's log, which outlive its lines.

The log's running sums stay for ever: a lifetime keeps the last line of each append. What lines say
of single rows goes with them: rows deleted by hand, and rows that correct, take back or change
others. So before lines go, each day that is over is kept as the log says it. The days of which
lines have gone stay as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

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
)
from transfer.engine.shop_all.source import ShopAll
from transfer.models import LogDay, Settings
from transfer.statements.period import Period

FIELDS = (
    *("first", "last", "mark", "rows", "amount", "withdrawn", "amount_withdrawn"),
    *("gone", "amount_gone", "effects"),
)


def keep_log_days(source: ShopAll, kind: Kind, now: datetime) -> int:
    """Keep the sums of the days that are over; return how many were new.

    The caller has a snapshot of shop All. Raises TransferError.
    """
    zone = Settings.load().zone
    begins = began_at(source.database, kind)
    if begins is None:
        return 0
    removed = source.log.removed(kind)
    today = now.astimezone(zone).date()
    kept = {one.day: one for one in LogDay.objects.filter(kind=kind.name)}
    first = min([begins.astimezone(zone).date(), *kept])
    changed: list[LogDay] = []
    if first < today:
        for day, opening, closing in _ends(source, kind, Period(first, today - timedelta(1), zone)):
            before = kept.get(day)
            if opening.place.number >= removed:
                counted = _counted(day, kind, sums_between(source.database, kind, opening, closing))
                if before is None or _differ(before, counted):
                    changed.append(counted)
    LogDay.objects.bulk_create(
        changed, update_conflicts=True, unique_fields=["kind", "day"], update_fields=FIELDS
    )
    return sum(one.day not in kept for one in changed)


def _counted(day: date, kind: Kind, sums: LogSums) -> LogDay:
    return LogDay(
        day=day,
        kind=kind.name,
        first=sums.opening.place.number,
        last=sums.closing.place.number,
        mark=sums.closing.place.mark,
        rows=sums.staged.rows,
        amount=sums.staged.amount,
        withdrawn=sums.withdrawn.rows,
        amount_withdrawn=sums.withdrawn.amount,
        gone=sums.gone.rows,
        amount_gone=sums.gone.amount,
        effects={
            name: {"rows": one.rows, "amount": str(one.amount)}
            for name, one in sums.effects.items()
        },
    )


def _differ(one: LogDay, other: LogDay) -> bool:
    def value(day: LogDay, name: str) -> Any:
        found = getattr(day, name)
        return str(found) if name == "mark" else found

    return any(value(one, name) != value(other, name) for name in FIELDS)


@dataclass(frozen=True)
class Outlived:
    """What is known of days of a period of which lines have gone.

    `up_to`: the last line of these days; `gone`, `effects` as in `LogSums`; `unknown`: the days
    whose sums were not kept.
    """

    up_to: int
    gone: Count
    effects: dict[str, Count]
    unknown: list[date]


def outlived(source: ShopAll, kind: Kind, period: Period) -> Outlived | None:
    """Return what is known of the days of a period of which lines have gone; None of no such day.

    The caller has a snapshot of shop All. A kept day counts if it ends at the same line of the same
    log.
    """
    removed = source.log.removed(kind)
    if end_before(source.database, kind, period.starts).place.number >= removed:
        return None
    up_to, gone, unknown = 0, Count(), []
    effects = dict.fromkeys(EFFECTS, Count())
    of_period = LogDay.objects.filter(kind=kind.name, day__gte=period.first, day__lte=period.last)
    kept = {one.day: one for one in of_period}
    for day, opening, closing in _ends(source, kind, period):
        if opening.place.number >= removed:
            break
        up_to = closing.place.number
        one = kept.get(day)
        if one is not None and Place(one.last, str(one.mark)) == closing.place:
            gone += Count(one.gone, one.amount_gone)
            for name, values in one.effects.items():
                effects[name] += Count(values["rows"], Decimal(values["amount"]))
        elif up_to > opening.place.number:
            unknown.append(day)
    return Outlived(up_to, gone, effects, unknown)


def _ends(source: ShopAll, kind: Kind, period: Period) -> Iterator[tuple[date, End, End]]:
    """Yield the days of a period, each with the last line before it and its own last line."""
    opening = end_before(source.database, kind, period.starts)
    day = period.first
    while day <= period.last:
        closing = end_before(source.database, kind, Period(day, day, period.zone).ends)
        yield day, opening, closing
        opening = closing
        day += timedelta(1)
