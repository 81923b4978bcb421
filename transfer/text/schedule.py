"""Schedules in words."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _, gettext_noop, ngettext, pgettext

from transfer.schedule import Schedule
from transfer.schedule.days import (
    EVERY_DAY,
    HOUR,
    LAST_DAY,
    MOST_TIMES,
    WEEKEND,
    WORKDAYS,
    Days,
    Interval,
    TimesOnDays,
    by_days,
    times_on_days,
)

# The schedule "as rows arrive", where a schedule is written as text.
AS_ROWS_ARRIVE = "@rows"

# The zones whose time has a name of its own; none of them has summer time.
NAMED_TIMES = {
    "Europe/Kaliningrad": gettext_noop("Kaliningrad time"),
    "Europe/Moscow": gettext_noop("Moscow time"),
    "Europe/Samara": gettext_noop("Samara time"),
    "Asia/Yekaterinburg": gettext_noop("Yekaterinburg time"),
    "Asia/Omsk": gettext_noop("Omsk time"),
    "Asia/Krasnoyarsk": gettext_noop("Krasnoyarsk time"),
    "Asia/Irkutsk": gettext_noop("Irkutsk time"),
    "Asia/Yakutsk": gettext_noop("Yakutsk time"),
    "Asia/Vladivostok": gettext_noop("Vladivostok time"),
    "Asia/Magadan": gettext_noop("Magadan time"),
    "Asia/Kamchatka": gettext_noop("Kamchatka time"),
}

MOST_MINUTES = 12  # of an hour that are listed
MOST_DAYS = 10  # of a month that are listed
FEW_TIMES = 6  # that are listed even if an interval says the same


def in_words(text: str) -> str:
    """Return a schedule in words of the language in use; one without words as its cron."""
    if text == AS_ROWS_ARRIVE:
        return _("as rows arrive")
    schedule = Schedule.parse(text)
    groups = by_days(schedule)
    if groups is not None:
        each = [times_on_days(expression) for expression in schedule.expressions]
        # Times that have no words together may have them one by one.
        for some in (groups, each):
            words = [_of_group(group) if group else "" for group in some]
            if all(words):
                return "; ".join(words)
    return _("by the schedule cron %(cron)s") % {"cron": text}


def clock_in_words(zone: str) -> str:
    """Return the sentence that says whose clock the schedules follow."""
    if zone in NAMED_TIMES:
        return _("The schedule follows %(time)s.") % {"time": _(NAMED_TIMES[zone])}
    sentence = _(
        "The schedule follows the clock of %(name)s, also when it changes to or from summer time."
    )
    return sentence % {"name": zone}


def time_of_day(minutes: int) -> str:
    """Return 09:05 for 545 minutes since midnight."""
    return f"{minutes // HOUR:02}:{minutes % HOUR:02}"


def listed(items: Iterable[object]) -> str:
    """Return "1, 2 and 3"."""
    *most, last = map(str, items)
    return f"{', '.join(most)} {_('and')} {last}" if most else last


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


def _of_group(group: TimesOnDays) -> str:
    """Return the times, days and months in words; "" if there are none."""
    days = group.days
    if not days.months:
        return _of_all_months(group)
    months = listed(date_format(date(2024, month, 1), "E") for month in days.months)
    if not days.of_month:
        words = _of_all_months(replace(group, days=replace(days, months=())))
        return words and _("%(words)s, in %(months)s") % {"words": words, "months": months}
    if days.of_month[0] == LAST_DAY or len(days.of_month) > 1 or len(group.times) > MOST_TIMES:
        return ""
    times = listed(map(time_of_day, group.times))
    params = {"day": days.of_month[0], "months": months, "time": times}
    return _("on day %(day)s of %(months)s at %(time)s") % params


def _of_all_months(group: TimesOnDays) -> str:
    if len(group.days.of_month) > MOST_DAYS:
        return ""
    are_few = group.is_listed and len(group.times) <= FEW_TIMES
    if group.interval and not are_few:
        return _often_on(group.days, _often(group.interval))
    if len(group.times) <= MOST_TIMES:
        return _at_on(group.days, listed(map(time_of_day, group.times)))
    minutes = sorted({at % HOUR for at in group.times})
    if len(minutes) <= MOST_MINUTES and len(group.times) == 24 * len(minutes):
        words = _("every hour at minutes %(minutes)s") % {"minutes": listed(minutes)}
        return _often_on(group.days, words)
    return ""


def _often(interval: Interval) -> str:
    """ "every 15 minutes from 08:00 to 20:00"."""
    minute, hours = interval.first % HOUR, interval.step // HOUR
    if not interval.is_all_day:
        often = ngettext("every %(n)s hour", "every %(n)s hours", hours) % {"n": hours}
        if hours == 0:
            often = _every_minutes(interval.step)
        elif hours == 1:
            often = _("every hour")
        period = {"begin": time_of_day(interval.first), "end": time_of_day(interval.last)}
        return _("%(often)s from %(begin)s to %(end)s") % {"often": often, **period}
    if hours == 1 and minute == 0:
        return _("every hour on the hour")
    if hours == 1:
        return _("every hour at minute %(minute)s") % {"minute": minute}
    first = {"time": time_of_day(interval.first)}
    if hours:
        often = ngettext(
            "every %(n)s hour, from %(time)s on", "every %(n)s hours, from %(time)s on", hours
        )
        return often % {"n": hours, **first}
    often = _every_minutes(interval.step)
    return _("%(often)s, from %(time)s on") % {"often": often, **first} if minute else often


def _every_minutes(step: int) -> str:
    if step == 1:
        return _("every minute")
    return ngettext("every %(step)s minute", "every %(step)s minutes", step) % {"step": step}


def _at_on(days: Days, times: str) -> str:
    """ "on weekdays at 09:00 and 13:30"."""
    if days.of_month:
        return _at_on_days_of_month(days.of_month, times)
    words = {
        EVERY_DAY: _("every day at %(time)s"),
        WORKDAYS: _("on weekdays at %(time)s"),
        WEEKEND: _("at weekends at %(time)s"),
    }.get(days.weekdays, _("on %(days)s at %(time)s"))
    return words % {"days": _names(days.weekdays), "time": times}


def _at_on_days_of_month(days: tuple[int, ...], times: str) -> str:
    params = {"day": days[0], "days": listed(days), "time": times}
    if days == (LAST_DAY,):
        return _("on the last day of every month at %(time)s") % params
    if len(days) > 1:
        return _("on the days %(days)s of every month at %(time)s") % params
    if days[0] > 28:
        return _("on day %(day)s at %(time)s, in months that have it") % params
    return _("on day %(day)s of every month at %(time)s") % params


def _often_on(days: Days, often: str) -> str:
    """ "every 15 minutes, on weekdays"."""
    if days.are_all:
        return often
    if days.of_month == (LAST_DAY,):
        words = _("%(often)s, on the last day of every month")
    elif days.of_month:
        words = _("%(often)s, on the days of every month: %(days)s")
    else:
        words = {
            WORKDAYS: _("%(often)s, on weekdays"),
            WEEKEND: _("%(often)s, at weekends"),
        }.get(days.weekdays, _("%(often)s, on %(days)s"))
    named = listed(days.of_month) if days.of_month else _names(days.weekdays)
    return words % {"often": often, "days": named}


def _names(weekdays: tuple[int, ...]) -> str:
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
    return listed(names[day - 1] for day in weekdays)
