"""Schedules in words, and the usual ones as a form offers them."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from django.utils.translation import gettext as _, ngettext, pgettext

# The schedule "as rows arrive", where a schedule is written as text.
AS_ROWS_ARRIVE = "@rows"

# Others don't come evenly over the hour, or the day.
STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
HOUR_STEPS = (2, 3, 4, 6, 8, 12)
WORKDAYS, WEEKEND, EVERY_DAY = (1, 2, 3, 4, 5), (6, 7), (1, 2, 3, 4, 5, 6, 7)
DAY_NAMES = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Rhythm(StrEnum):
    MINUTES = "minutes"
    HOURLY = "hourly"
    HOURS = "hours"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


FORMS = {
    Rhythm.MINUTES: "*/{step} * * * *",
    Rhythm.HOURLY: "{minute} * * * *",
    Rhythm.HOURS: "{minute} */{hours} * * *",
    Rhythm.DAILY: "{minute} {hour} * * *",
    Rhythm.WEEKLY: "{minute} {hour} * * {weekdays}",
    Rhythm.MONTHLY: "{minute} {hour} {day} * *",
}
ALLOWED = {
    "step": STEPS,
    "hours": HOUR_STEPS,
    "minute": range(60),
    "hour": range(24),
    "day": range(1, 32),
}
PLACES = {name: rf"(?P<{name}>\d+)" for name in ALLOWED} | {"weekdays": r"(?P<weekdays>[\w,-]+)"}
PATTERNS = {
    rhythm: re.compile(form.replace("*", r"\*").format(**PLACES)) for rhythm, form in FORMS.items()
}


@dataclass(frozen=True)
class Preset:
    """A usual schedule. Of the fields, those count that the rhythm needs."""

    rhythm: Rhythm
    step: int = 5  # minutes
    hours: int = 6  # from one run to the next
    minute: int = 0
    hour: int = 0
    weekdays: tuple[int, ...] = WORKDAYS  # 1 Monday … 7 Sunday
    day: int = 1

    @property
    def cron(self) -> str:
        days = ",".join(map(str, sorted(self.weekdays)))
        cron = FORMS[self.rhythm].format(**{**vars(self), "weekdays": days})
        return cron.replace("*/1 ", "* ")

    @classmethod
    def of(cls, cron: str) -> Self | None:
        """The preset that says the same as `cron`, if there is one."""
        parts = re.sub(r"^\* ", "*/1 ", " ".join(cron.upper().split()))
        for rhythm, pattern in PATTERNS.items():
            if match := pattern.fullmatch(parts):
                return cls._of_places(rhythm, match.groupdict())
        return None

    @classmethod
    def _of_places(cls, rhythm: Rhythm, places: dict[str, str]) -> Self | None:
        days = _weekdays(places.pop("weekdays", "*"))
        numbers: dict[str, Any] = {name: int(digits) for name, digits in places.items()}
        if not days or any(number not in ALLOWED[name] for name, number in numbers.items()):
            return None
        if rhythm != Rhythm.WEEKLY:
            return cls(rhythm, **numbers)
        if days == EVERY_DAY:
            return cls(Rhythm.DAILY, **numbers)
        return cls(rhythm, **numbers, weekdays=days)

    @property
    def words(self) -> str:
        at = f"{self.hour:02}:{self.minute:02}"
        params = {"time": at, "day": self.day}
        match self.rhythm:
            case Rhythm.MINUTES:
                return every_minutes(self.step)
            case Rhythm.HOURLY:
                if self.minute == 0:
                    return _("every hour on the hour")
                return _("every hour at minute %(minute)s") % {"minute": self.minute}
            case Rhythm.HOURS:
                return every_hours(self.hours, at)
            case Rhythm.DAILY:
                return _("every day at %(time)s") % params
            case Rhythm.WEEKLY:
                return _weekly(self.weekdays) % params
            case Rhythm.MONTHLY:
                if self.day > 28:
                    return _("on day %(day)s at %(time)s, in months that have it") % params
                return _("on day %(day)s of every month at %(time)s") % params


def in_words(cron: str) -> str:
    """A usual schedule in words of the language in use; any other one as it is."""
    if cron == AS_ROWS_ARRIVE:
        return _("as rows arrive")
    preset = Preset.of(cron)
    if preset is None:
        return _("by the schedule cron %(cron)s") % {"cron": cron}
    return preset.words


def every_minutes(step: int) -> str:
    if step == 1:
        return _("every minute")
    return ngettext("every %(step)s minute", "every %(step)s minutes", step) % {"step": step}


def every_hours(hours: int, time: str) -> str:
    return ngettext(
        "every %(n)s hour, from %(time)s on", "every %(n)s hours, from %(time)s on", hours
    ) % {"n": hours, "time": time}


def weekday_names() -> list[tuple[int, str]]:
    """Number and name of each weekday for a form, Monday first."""
    names = (
        _("Monday"),
        _("Tuesday"),
        _("Wednesday"),
        _("Thursday"),
        _("Friday"),
        _("Saturday"),
        _("Sunday"),
    )
    return list(enumerate(names, start=1))


def _weekly(days: tuple[int, ...]) -> str:
    if days == WORKDAYS:
        return _("on weekdays at %(time)s")
    if days == WEEKEND:
        return _("at weekends at %(time)s")
    # As they stand after “on”: in Russian, the dative after “по”.
    names = (
        pgettext("on …", "Mondays"),
        pgettext("on …", "Tuesdays"),
        pgettext("on …", "Wednesdays"),
        pgettext("on …", "Thursdays"),
        pgettext("on …", "Fridays"),
        pgettext("on …", "Saturdays"),
        pgettext("on …", "Sundays"),
    )
    *most, last = [names[day - 1] for day in days]
    listed = f"{', '.join(most)} {_('and')} {last}" if most else last
    return _("on %(days)s at %(time)s").replace("%(days)s", listed)


def _weekdays(text: str) -> tuple[int, ...]:
    """The days that the field names, 1 Monday … 7 Sunday; none if it says more than that."""
    if text == "*":
        return EVERY_DAY
    days: set[int] = set()
    for term in text.split(","):
        first, dash, last = term.partition("-")
        begin, end = _weekday(first), _weekday(last if dash else first)
        if begin is None or end is None or begin > end:
            return ()
        days |= {number or 7 for number in range(begin, end + 1)}
    return tuple(sorted(days))


def _weekday(text: str) -> int | None:
    if text in DAY_NAMES:
        return DAY_NAMES.index(text)
    return int(text) if text.isdecimal() and int(text) <= 7 else None
