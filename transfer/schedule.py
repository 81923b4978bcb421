"""When a schedule is due: five cron fields, evaluated in a time zone, right when the clock changes.

A time that the clock skips is made up for right after the change; one that comes twice is taken
once. Schedules by the minute or hour go on in real time. (cronsim does as Debian's cron.)
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, gettext_noop

SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)

# The tick uses it for a task that runs as rows arrive, while no resident process looks for them.
EVERY_MINUTE = "* * * * *"


FIELDS = {
    "minute": gettext_noop("Minute: “%(value)s” won’t do. Give 0–59, *, */5, 10-20 or 0,30."),
    "hour": gettext_noop("Hour: “%(value)s” won’t do. Give 0–23, *, */2, 8-20 or 9,18."),
    "day": gettext_noop(
        "Day of the month: “%(value)s” won’t do. Give 1–31, *, 1,15 or L for the last."
    ),
    "month": gettext_noop("Month: “%(value)s” won’t do. Give 1–12, * or JAN–DEC."),
    "weekday": gettext_noop(
        "Day of the week: “%(value)s” won’t do. Give 0–7 (0 and 7: Sunday), * or MON–SUN."
    ),
}


def validate_schedule(cron: str) -> None:
    """Raises ValidationError with one sentence for each field that is wrong.

    The error's code is the field's name, "fields" or "never".
    """
    parts = cron.split()
    if len(parts) != len(FIELDS):
        raise ValidationError(
            _(
                "A schedule has five fields: minute, hour, day of the month, month, day of the "
                "week. Here are %(count)s."
            ),
            code="fields",
            params={"count": len(parts)},
        )
    problems = [
        ValidationError(_(FIELDS[name]), code=name, params={"value": part})
        for name, part in zip(FIELDS, parts, strict=True)
        if not _is_valid(name, part)
    ]
    if problems:
        raise ValidationError(problems)
    if _following(cron, SOME_TIME, ZoneInfo("UTC")) is None:
        raise ValidationError(_("This schedule never comes: no month has that day."), code="never")


def _is_valid(name: str, part: str) -> bool:
    parts = dict.fromkeys(FIELDS, "*") | {name: part}
    try:
        CronSim(" ".join(parts.values()), SOME_TIME)
    except CronSimError:
        # Only whether the month has such a day is asked of the whole.
        return name == "day" and part.isdecimal() and 1 <= int(part) <= 31
    return True


def following_minute(now: datetime) -> datetime:
    """The next look at the schedule, reckoned from the clock, so that delays do not add up."""
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def next_after(cron: str, moment: datetime, zone: ZoneInfo) -> datetime:
    """The first time after `moment`, in UTC. Raises ValueError for a schedule without one."""
    following = _following(cron, moment, zone)
    if following is None:
        raise ValueError(f"no time after {moment} for {cron!r}")
    return following


def next_times(cron: str, count: int, moment: datetime, zone: ZoneInfo) -> list[datetime]:
    """The next `count` times after `moment`, as the zone's clock shows them."""
    # They are the same for the whole minute; many tasks have the same schedule.
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    return [*_next_times(cron, count, minute, zone)]


@lru_cache(maxsize=1000)
def _next_times(cron: str, count: int, moment: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    times: list[datetime] = []
    for _time in range(count):
        moment = next_after(cron, moment, zone)
        times.append(moment.astimezone(zone))
    return tuple(times)


def _following(cron: str, moment: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        for following in CronSim(cron, moment.astimezone(zone)):
            # In the hour that comes twice, cronsim names the first pass, which may be over.
            if following.astimezone(UTC) > moment:
                return following.astimezone(UTC)
    except CronSimError:
        return None
    return None
