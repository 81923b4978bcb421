"""What a schedule says about days and times of day, however its cron expressions are spelled.

A page says it of each task, and "every minute" has 1,440 times: what was read once is kept.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from cronsim import CronSim, CronSimError

from transfer.schedule import SOME_TIME, Schedule

WORKDAYS, WEEKEND, EVERY_DAY = (1, 2, 3, 4, 5), (6, 7), (1, 2, 3, 4, 5, 6, 7)
LAST_DAY = CronSim.LAST
HOUR, DAY = 60, 24 * 60  # in minutes
# Minutes between two runs. Other numbers do not come evenly over the hour.
STEPS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
MOST_TIMES = 24  # that are listed


@dataclass(frozen=True)
class Days:
    """Days of the week, or days of the month; of some months, or of all."""

    weekdays: tuple[int, ...] = EVERY_DAY  # 1 Monday … 7 Sunday
    of_month: tuple[int, ...] = ()  # 1 … 31, or LAST_DAY; none: the weekdays count
    months: tuple[int, ...] = ()  # 1 … 12; none: all

    @property
    def are_all(self) -> bool:
        return self == Days()


@dataclass(frozen=True)
class Interval:
    """Times of day with `step` minutes between two of them; minutes since midnight."""

    step: int
    first: int
    last: int  # before `first` if it is of the next day
    is_all_day: bool  # also from the last time to the first of the next day


@dataclass(frozen=True)
class TimesOnDays:
    """The times of day at which a schedule runs on some days."""

    days: Days
    times: tuple[int, ...]  # minutes since midnight, in order
    is_listed: bool  # whether the expressions name each time, not a range or a step

    @cached_property
    def interval(self) -> Interval | None:
        """Return the interval that says the same, if there is one."""
        if len(self.times) == 1:
            return None
        gaps = [later - earlier for earlier, later in pairwise(self.times)]
        gaps.append(self.times[0] + DAY - self.times[-1])
        step = min(gaps)
        if step not in STEPS and step % HOUR:
            return None
        wide = [number for number, gap in enumerate(gaps) if gap != step]
        if not wide:
            return Interval(step, self.times[0], self.times[-1], is_all_day=True)
        begin = (wide[0] + 1) % len(self.times)
        if len(wide) > 1 or (begin > 0 and not self.days.are_all):
            return None  # on some days only, what is after midnight is of the next day
        return Interval(step, self.times[begin], self.times[wide[0]], is_all_day=False)


@lru_cache(maxsize=1000)
def by_days(schedule: Schedule) -> tuple[TimesOnDays, ...] | None:
    """Return the times of the schedule for each group of days, in the order of its expressions.

    None if an expression is wrong, or about days that `Days` cannot name.
    """
    groups: dict[Days, TimesOnDays] = {}
    for expression in schedule.expressions:
        found = times_on_days(expression)
        if found is None:
            return None
        known = groups.get(found.days, found)
        times = tuple(sorted({*known.times, *found.times}))
        is_listed = known.is_listed and found.is_listed
        groups[found.days] = TimesOnDays(found.days, times, is_listed)
    return tuple(groups.values())


@lru_cache(maxsize=1000)
def times_on_days(expression: str) -> TimesOnDays | None:
    """Return what a cron expression says; None if it is wrong, or about days without a name."""
    try:
        cron = CronSim(expression, SOME_TIME)
    except CronSimError:
        return None
    days = _days(cron)
    if days is None:
        return None
    times = tuple(sorted(hour * HOUR + minute for hour in cron.hours for minute in cron.minutes))
    is_listed = not set("*/-") & set("".join(expression.split()[:2]))
    return TimesOnDays(days, times, is_listed)


def _days(cron: CronSim) -> Days | None:
    if any(isinstance(day, tuple) for day in cron.weekdays):  # the first Monday, and the like
        return None
    months = tuple(sorted(cron.months)) if len(cron.months) < 12 else ()
    weekdays = tuple(sorted({int(day) or 7 for day in cron.weekdays}))  # type: ignore[arg-type]
    of_month = tuple(sorted(cron.days))
    has_all = (weekdays == EVERY_DAY, len(of_month) == 31)
    if all(has_all) or (any(has_all) and not cron.day_and):
        return Days(months=months)  # without "*", cron takes the days of either field
    match has_all:
        case (False, True):
            return Days(weekdays=weekdays, months=months)
        case (True, False) if min(of_month) > 0 or of_month == (LAST_DAY,):
            return Days(of_month=of_month, months=months)
    return None
