"""The usual schedules, as a form asks for them, and their cron expressions."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from transfer.schedule import Schedule
from transfer.schedule.days import DAY, EVERY_DAY, HOUR, MOST_TIMES, STEPS, WORKDAYS, by_days

# Hours between two runs. Other numbers do not come evenly over the day.
HOUR_STEPS = (2, 3, 4, 6, 8, 12)


class Rhythm(StrEnum):
    MINUTES = "minutes"
    HOURLY = "hourly"
    HOURS = "hours"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


@dataclass(frozen=True)
class Preset:
    """A usual schedule. Of the fields, those count that the rhythm needs.

    Times of day are minutes since midnight.
    """

    rhythm: Rhythm
    step: int = 5  # minutes
    begin: int | None = None  # without it, MINUTES is all day
    end: int | None = None  # the last run is then at the latest; before `begin`: of the next day
    hours: int = 6  # from one run to the next
    minute: int = 0
    times: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = WORKDAYS  # 1 Monday … 7 Sunday; of MINUTES and WEEKLY
    day: int = 1

    @property
    def schedule(self) -> Schedule:
        return Schedule(tuple(self._expressions()))

    def _expressions(self) -> list[str]:
        match self.rhythm:
            case Rhythm.MINUTES:
                days = f"* * {_weekdays(self.weekdays)}"
                return [f"{often} {days}" for often in self._in_period()]
            case Rhythm.HOURLY:
                return [f"{self.minute} * * * *"]
            case Rhythm.HOURS:
                return [f"{self.minute} */{self.hours} * * *"]
            case Rhythm.DAILY:
                days = "* * *"
            case Rhythm.WEEKLY:
                days = f"* * {_weekdays(self.weekdays)}"
            case Rhythm.MONTHLY:
                days = f"{self.day} * *"
        return [f"{at % HOUR} {at // HOUR} {days}" for at in sorted(self.times)]

    def _in_period(self) -> list[str]:
        """Return the fields for minute and hour of each expression: at most three pairs."""
        begin, end = self.begin, self.end
        if begin is None or end is None:
            begin, end = 0, DAY - 1
        minutes_of: dict[int, list[int]] = defaultdict(list)
        for at in range(begin, end + (DAY if end < begin else 0) + 1, self.step):
            minutes_of[at // HOUR % 24].append(at % HOUR)
        hours_with: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for hour, minutes in minutes_of.items():
            hours_with[tuple(sorted(set(minutes)))].append(hour)
        fields = []
        for some, hours in hours_with.items():
            field = "*" if len(hours) == 24 else _field(hours)
            fields.append(f"{self._minutes(some)} {field}")
        return fields

    def _minutes(self, minutes: tuple[int, ...]) -> str:
        """Return the field for these minutes of an hour."""
        first, last = minutes[0], minutes[-1]
        if minutes != tuple(range(first, last + 1, self.step)):
            return ",".join(map(str, minutes))
        is_to_the_end = last + self.step >= HOUR
        if first == last and not is_to_the_end:
            return str(first)
        every = "*" if first == 0 and is_to_the_end else f"{first}-{59 if is_to_the_end else last}"
        return every if self.step == 1 else f"{every}/{self.step}"

    @classmethod
    def of(cls, schedule: Schedule) -> Self | None:
        """Return the preset that says the same as a valid schedule, if there is one."""
        groups = by_days(schedule)
        if groups is None or len(groups) > 1:
            return None
        (group,) = groups
        days = group.days
        if days.months:
            return None
        is_list = group.is_listed and len(group.times) <= MOST_TIMES
        interval = None if is_list else group.interval
        if interval and interval.step in STEPS and not days.of_month:
            is_any_time = interval.is_all_day and interval.first == 0
            return cls(
                Rhythm.MINUTES,
                step=interval.step,
                begin=None if is_any_time else interval.first,
                end=None if is_any_time else interval.last,
                weekdays=days.weekdays,
            )
        if interval and interval.is_all_day and interval.first < HOUR and days.are_all:
            if interval.step == HOUR:
                return cls(Rhythm.HOURLY, minute=interval.first)
            return cls(Rhythm.HOURS, hours=interval.step // HOUR, minute=interval.first)
        if len(group.times) > MOST_TIMES:
            return None
        if days.are_all:
            return cls(Rhythm.DAILY, times=group.times)
        if not days.of_month:
            return cls(Rhythm.WEEKLY, times=group.times, weekdays=days.weekdays)
        if len(days.of_month) == 1 and days.of_month[0] > 0:
            return cls(Rhythm.MONTHLY, times=group.times, day=days.of_month[0])
        return None


def _weekdays(days: tuple[int, ...]) -> str:
    return "*" if set(days) == set(EVERY_DAY) else _field(days)


def _field(numbers: Iterable[int]) -> str:
    """Return the field for these numbers: a range for three or more that are consecutive."""
    groups: list[list[int]] = []
    for number in sorted(numbers):
        if groups and groups[-1][-1] == number - 1:
            groups[-1].append(number)
        else:
            groups.append([number])
    terms = (
        f"{group[0]}-{group[-1]}" if len(group) > 2 else ",".join(map(str, group))
        for group in groups
    )
    return ",".join(terms)
