"""When a schedule is due: cron expressions, evaluated in a time zone, right when the clock changes.

A time that the clock skips is made up for right after the change; one that comes twice is taken
once. Expressions by the minute or hour go on in real time. (cronsim does as Debian's cron.)
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _, gettext_noop

SOME_TIME = datetime(2024, 1, 1, tzinfo=UTC)

# The tick uses it for a task that runs as rows arrive, while no resident process looks for them.
EVERY_MINUTE = "* * * * *"

MOST_EXPRESSIONS = 24
LONGEST_TEXT = 1000
SEPARATORS = re.compile(r"[;\r\n]")

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


@dataclass(frozen=True)
class Schedule:
    """One to 24 cron expressions of five fields; the next time is the earliest of theirs."""

    expressions: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the schedule of a text: expressions separated by ";" or line breaks."""
        parts = (" ".join(part.split()) for part in SEPARATORS.split(text))
        return cls(tuple(part for part in parts if part))

    def __str__(self) -> str:
        """Return the text that is stored, shown to programs, and read by `parse`."""
        return "; ".join(self.expressions)

    def validate(self) -> None:
        """Raise ValidationError with one sentence for each field that is wrong.

        The error's code is the field's name, "fields", "never", "twice", "many" or "long".
        """
        if len(self.expressions) > MOST_EXPRESSIONS:
            raise ValidationError(
                _("A schedule has up to %(most)s cron expressions. Here are %(count)s."),
                code="many",
                params={"most": MOST_EXPRESSIONS, "count": len(self.expressions)},
            )
        if len(str(self)) > LONGEST_TEXT:
            raise ValidationError(
                _("A schedule has up to %(most)s characters. Here are %(count)s."),
                code="long",
                params={"most": LONGEST_TEXT, "count": len(str(self))},
            )
        if problems := list(self._problems()):
            raise ValidationError(problems)

    def _problems(self) -> Iterator[ValidationError]:
        """Yield what is wrong; if there are several expressions, with the one that is meant."""
        for expression, times in Counter(self.expressions or ("",)).items():
            for code, sentence in _problems_of(expression):
                if len(self.expressions) > 1:
                    params = {"cron": expression, "problem": sentence}
                    sentence = _("“%(cron)s”: %(problem)s") % params
                yield ValidationError(sentence, code=code)
            if times > 1:
                sentence = _("The cron expression “%(cron)s” is given twice. Remove one of them.")
                yield ValidationError(sentence % {"cron": expression}, code="twice")

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """Return the first time after `moment`, in UTC. Raise ValueError if there is none."""
        times = (_following(expression, moment, zone) for expression in self.expressions)
        following = min((at for at in times if at), default=None)
        if following is None:
            raise ValueError(f"no time after {moment} for {str(self)!r}")
        return following

    def next_times(self, count: int, moment: datetime, zone: ZoneInfo) -> list[datetime]:
        """Return the next `count` times after `moment`, as the zone's clock shows them."""
        # They are the same for the whole minute; many tasks have the same schedule.
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
        return [*_next_times(self, count, minute, zone)]


def validate_schedule(text: str) -> None:
    """Raise ValidationError if the text is not a schedule: see `Schedule.validate`."""
    Schedule.parse(text).validate()


def following_minute(now: datetime) -> datetime:
    """The next look at the schedule, reckoned from the clock, so that delays do not add up."""
    return now.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _problems_of(expression: str) -> Iterator[tuple[str, str]]:
    """Yield code and sentence of each thing that is wrong with one expression."""
    parts = expression.split()
    if len(parts) != len(FIELDS):
        sentence = _(
            "A schedule has five fields: minute, hour, day of the month, month, day of the "
            "week. Here are %(count)s."
        )
        yield "fields", sentence % {"count": len(parts)}
        return
    wrong = [
        (name, part) for name, part in zip(FIELDS, parts, strict=True) if not _is_valid(name, part)
    ]
    for name, part in wrong:
        yield name, _(FIELDS[name]) % {"value": part}
    if not wrong and _following(expression, SOME_TIME, ZoneInfo("UTC")) is None:
        yield "never", _("This schedule never comes: no month has that day.")


def _is_valid(name: str, part: str) -> bool:
    parts = dict.fromkeys(FIELDS, "*") | {name: part}
    try:
        CronSim(" ".join(parts.values()), SOME_TIME)
    except CronSimError:
        # Only whether the month has such a day is asked of the whole.
        return name == "day" and part.isdecimal() and 1 <= int(part) <= 31
    return True


@lru_cache(maxsize=1000)
def _next_times(
    schedule: Schedule, count: int, moment: datetime, zone: ZoneInfo
) -> tuple[datetime, ...]:
    times: list[datetime] = []
    for _time in range(count):
        moment = schedule.next_after(moment, zone)
        times.append(moment.astimezone(zone))
    return tuple(times)


def _following(expression: str, moment: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        for following in CronSim(expression, moment.astimezone(zone)):
            # In the hour that comes twice, cronsim names the first pass, which may be over.
            if following.astimezone(UTC) > moment:
                return following.astimezone(UTC)
    except CronSimError:
        return None
    return None
