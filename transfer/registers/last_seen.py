"""The hours in which a register was seen on line."""

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone

from transfer.models import RegisterAccount


def strip(
    account: RegisterAccount, now: datetime | None = None
) -> list[tuple[datetime, list[bool | None]]]:
    """The last seven days in the user's zone: the day, and of each hour whether it was seen.

    None before the account was created, and for future hours. Days without any value are left
    out.
    """
    now = timezone.localtime(now)
    first = _hour(account.created_at) if account.created_at else (date.min, 0)
    seen = {
        _hour(datetime.combine(one.day, time(hour), UTC))
        for one in account.seen_days.all()
        for hour in range(24)
        if one.hours >> hour & 1
    }

    def was_seen(hour: tuple[date, int]) -> bool | None:
        return hour in seen or (False if first <= hour <= _hour(now) else None)

    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - timedelta(back) for back in range(6, -1, -1)]
    hours = [(day, [was_seen((day.date(), hour)) for hour in range(24)]) for day in days]
    return [(day, seen) for day, seen in hours if any(hour is not None for hour in seen)]


def _hour(when: datetime) -> tuple[date, int]:
    local = timezone.localtime(when)
    return local.date(), local.hour
