"""Schedules in words, and the usual ones as a form offers them."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from django.utils.translation import gettext as _, ngettext, pgettext

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
        at = f"{self.minute} {self.hour}"
        match self.rhythm:
            case Rhythm.MINUTES:
                return "* * * * *" if self.step == 1 else f"*/{self.step} * * * *"
            case Rhythm.HOURLY:
                return f"{self.minute} * * * *"
            case Rhythm.HOURS:
                return f"{self.minute} */{self.hours} * * *"
            case Rhythm.DAILY:
                return f"{at} * * *"
            case Rhythm.WEEKLY:
                return f"{at} * * {','.join(map(str, sorted(self.weekdays)))}"
            case Rhythm.MONTHLY:
                return f"{at} {self.day} * *"

    @classmethod
    def of(cls, cron: str) -> Self | None:
        """The preset that says the same as `cron`, if there is one."""
        parts = cron.upper().split()
        if len(parts) != 5 or parts[3] != "*":
            return None
        minute, hour, day, _, weekday = parts
        if hour == "*" and day == "*" and weekday == "*":
            return cls._within_hour(minute)
        if hour.startswith("*/") and day == "*" and weekday == "*":
            return cls._within_day(minute, hour)
        at, days = (_number(minute, 59), _number(hour, 23)), _weekdays(weekday)
        if at[0] is None or at[1] is None or not days:
            return None
        if day != "*":
            number = _number(day, 31)
            if not number or weekday != "*":
                return None
            return cls(Rhythm.MONTHLY, minute=at[0], hour=at[1], day=number)
        if days == EVERY_DAY:
            return cls(Rhythm.DAILY, minute=at[0], hour=at[1])
        return cls(Rhythm.WEEKLY, minute=at[0], hour=at[1], weekdays=days)

    @classmethod
    def _within_hour(cls, minute: str) -> Self | None:
        if minute in ("*", "*/1"):
            return cls(Rhythm.MINUTES, step=1)
        if minute.startswith("*/"):
            step = _number(minute.removeprefix("*/"), 59)
            return cls(Rhythm.MINUTES, step=step) if step in STEPS else None
        number = _number(minute, 59)
        return None if number is None else cls(Rhythm.HOURLY, minute=number)

    @classmethod
    def _within_day(cls, minute: str, hour: str) -> Self | None:
        step, number = _number(hour.removeprefix("*/"), 23), _number(minute, 59)
        if number is None or step not in HOUR_STEPS:
            return None
        return cls(Rhythm.HOURS, hours=step, minute=number)

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
    return [
        (1, _("Monday")),
        (2, _("Tuesday")),
        (3, _("Wednesday")),
        (4, _("Thursday")),
        (5, _("Friday")),
        (6, _("Saturday")),
        (7, _("Sunday")),
    ]


def _weekly(days: tuple[int, ...]) -> str:
    if days == WORKDAYS:
        return _("on weekdays at %(time)s")
    if days == WEEKEND:
        return _("at weekends at %(time)s")
    # As they stand after “on”: in Russian, the dative after “по”.
    names = {
        1: pgettext("on …", "Mondays"),
        2: pgettext("on …", "Tuesdays"),
        3: pgettext("on …", "Wednesdays"),
        4: pgettext("on …", "Thursdays"),
        5: pgettext("on …", "Fridays"),
        6: pgettext("on …", "Saturdays"),
        7: pgettext("on …", "Sundays"),
    }
    *most, last = [names[day] for day in days]
    listed = f"{', '.join(most)} {_('and')} {last}" if most else last
    return _("on %(days)s at %(time)s").replace("%(days)s", listed)


def _number(text: str, most: int) -> int | None:
    return int(text) if text.isdecimal() and int(text) <= most else None


def _weekdays(text: str) -> tuple[int, ...]:
    """The days that the field names, 1 Monday … 7 Sunday; none if it says more than that."""
    if text == "*":
        return EVERY_DAY
    days: set[int] = set()
    for term in text.split(","):
        first, dash, last = term.partition("-")
        numbers = [_weekday(first), _weekday(last) if dash else _weekday(first)]
        if None in numbers or numbers[0] > numbers[1]:  # type: ignore[operator]
            return ()
        days |= {number or 7 for number in range(numbers[0], numbers[1] + 1)}  # type: ignore
    return tuple(sorted(days))


def _weekday(text: str) -> int | None:
    return DAY_NAMES.index(text) if text in DAY_NAMES else _number(text, 7)
