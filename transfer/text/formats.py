"""Numbers, amounts and times as people read them, in the active language and time zone."""

from collections.abc import Iterable
from datetime import MAXYEAR, MINYEAR, date, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from itertools import takewhile
from math import inf

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.formats import date_format, get_format
from django.utils.translation import (
    get_language,
    gettext as _,
    gettext_lazy,
    ngettext,
    ngettext_lazy,
    pgettext,
)

NOTHING = "—"
THIN = "\u202f"  # narrow no-break space
NBSP = "\u00a0"
MINUS = "\u2212"

# Zones with a name of their own; the rest are named by their offset.
ZONES = {"MSK": gettext_lazy("MSK"), "UTC": gettext_lazy("UTC")}

MINUTE, HOUR, DAY = 60, 3600, 86400
PAST = {
    DAY: ngettext_lazy("%(n)d day ago", "%(n)d days ago", "n"),
    HOUR: ngettext_lazy("%(n)d hour ago", "%(n)d hours ago", "n"),
    MINUTE: ngettext_lazy("%(n)d minute ago", "%(n)d minutes ago", "n"),
    1: ngettext_lazy("%(n)d second ago", "%(n)d seconds ago", "n"),
}
FUTURE = {
    DAY: ngettext_lazy("in %(n)d day", "in %(n)d days", "n"),
    HOUR: ngettext_lazy("in %(n)d hour", "in %(n)d hours", "n"),
    MINUTE: ngettext_lazy("in %(n)d minute", "in %(n)d minutes", "n"),
    1: ngettext_lazy("in %(n)d second", "in %(n)d seconds", "n"),
}
JUST_NOW = 5
NEAR = {-1: gettext_lazy("yesterday"), 0: gettext_lazy("today"), 1: gettext_lazy("tomorrow")}


def number(value: int | None) -> str:
    """1234567 as "1 234 567", with thin spaces."""
    if value is None:
        return NOTHING
    return f"{value:,d}".replace(",", THIN).replace("-", MINUS)


BIG = 10**9
BIG_UNITS = {10**9: gettext_lazy("%(n)s bn"), 10**12: gettext_lazy("%(n)s tn")}


def short_number(value: int | None) -> str:
    """A number where there is little room: in full below a billion, then "1.0 bn".

    The full number has to be near by: in a tooltip, or in the table of a chart.
    """
    if value is None or abs(value) < BIG:
        return number(value)
    unit = max(size for size in BIG_UNITS if round(abs(value) / size, 1) >= 1)
    rounded = f"{value / unit:.1f}".replace(".", get_format("DECIMAL_SEPARATOR"))
    return (str(BIG_UNITS[unit]) % {"n": rounded.replace("-", MINUS)}).replace(" ", NBSP)


def number_in(text: str | None, digits: int = 9) -> int | None:
    """The whole number that a text is, if it is one of so many digits."""
    if text and text.isascii() and text.isdecimal() and len(text) <= digits:
        return int(text)
    return None


def amount(value: Decimal | None, *, signed: bool = True) -> str:
    """A sum with two decimals, or as many as it has; `signed` puts a plus before what is added."""
    if value is None:
        return NOTHING
    # Nothing is rounded. Not abs(): that rounds to 28 digits, and a staged sum may have more.
    whole, _point, cents = f"{value:,f}".removeprefix("-").partition(".")
    cents = cents.rstrip("0").ljust(2, "0")
    # Not int(): Python reads no number of more than 4300 digits.
    shown_as_zero = not f"{whole}{cents}".strip("0,")
    sign = "" if shown_as_zero else MINUS if value < 0 else "+" if signed else ""
    return f"{sign}{whole.replace(',', THIN)}{get_format('DECIMAL_SEPARATOR')}{cents}"


def typed_amount(text: str) -> str:
    """An amount as it is typed into a field: 250.5 with the decimal separator of the language."""
    return text.replace(".", get_format("DECIMAL_SEPARATOR"))


def rows(count: int, more: str = "") -> str:
    """A count with its noun: "412 rows"; `more` stands behind the number."""
    return ngettext("%(n)s row", "%(n)s rows", count) % {"n": f"{number(count)}{more}"}


def about_rows(count: int) -> str:
    """A count by estimate: "about 412 rows", "no row"."""
    if not count:
        return _("no row")
    words = ngettext("about %(n)s row", "about %(n)s rows", count)
    return words % {"n": number(count)}


def rows_wait(count: int) -> str:
    """Likewise, with the verb: "412 rows wait"."""
    words = ngettext("%(n)s row waits", "%(n)s rows wait", count)
    return words % {"n": number(count)}


def at_least(count: str) -> str:
    """A number that is a lower bound: "at least 412"."""
    return _("at least %(n)s") % {"n": count}


def zone_name(when: datetime | None = None) -> str:
    """The name of the user's time zone at that moment: "MSK", "UTC+5"."""
    return _zone_name(timezone.localtime(when), get_language())


def _zone_name(local: datetime, language: str | None) -> str:
    return _named(local.tzname() or "", local.utcoffset() or timedelta(), language)


# A page has hundreds of moments, of the same few days and one zone: their words are cached.
@lru_cache(maxsize=1000)
def _named(zone: str, offset: timedelta, language: str | None) -> str:
    if zone in ZONES:
        return str(ZONES[zone])
    return zone if zone.isalpha() else offset_name(offset)


def offset_name(offset: timedelta) -> str:
    """The offset of a clock from UTC: "UTC+3", "UTC+5:30"."""
    minutes = int(offset.total_seconds()) // 60
    hours, rest = divmod(abs(minutes), 60)
    sign = MINUS if minutes < 0 else "+"
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "")


def day(value: date, *, today: date | None = None) -> str:
    """ "today", "24 Nov", or with its year when that is another one."""
    return _day(value, today or timezone.localdate(), get_language())


@lru_cache(maxsize=1000)
def _day(value: date, today: date, language: str | None) -> str:
    if word := NEAR.get((value - today).days):
        return str(word)
    if value.year == today.year:
        return date_format(value, pgettext("date without a year", "j M")).replace(" ", NBSP)
    return date_format(value, pgettext("date with a year", "j M Y")).replace(" ", NBSP)


# As far as Python counts: what people write as infinity.
NEVER_ENDS, NEVER_BEGAN = "∞", "−∞"


def stored_moment(value: object) -> datetime | None:
    """Return the moment of a stored text in ISO format; None if the value is no such text."""
    try:
        return parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        return None


def moment(when: datetime | None, *, zone: bool = True, seconds: bool = False) -> str:
    """ "today 14:05 MSK". Without `zone` where the heading names it already."""
    if when is None:
        return NOTHING
    if when.year in (MINYEAR, MAXYEAR):
        return NEVER_BEGAN if when.year == MINYEAR else NEVER_ENDS
    # A page has hundreds of moments: language and zone are looked up once for each.
    local, language = timezone.localtime(when), get_language()
    day_ = _day(local.date(), _today(local), language)
    text = f"{day_}{NBSP}{local:{'%H:%M:%S' if seconds else '%H:%M'}}"
    return f"{text}{NBSP}{_zone_name(local, language)}" if zone else text


def _today(local: datetime) -> date:
    """The date now, in the zone of a local time."""
    return timezone.now().astimezone(local.tzinfo).date()


def clock(when: datetime) -> str:
    """ "14:05"; with its day, unless that is today."""
    local = timezone.localtime(when)
    day_, today = local.date(), _today(local)
    text = f"{local:%H:%M}"
    return text if day_ == today else f"{day(day_, today=today)}{NBSP}{text}"


def bound(when: datetime | None, *, zone: bool = False) -> str:
    """ "14:05", "tomorrow, 14:05" or "24 Nov, 14:05": fits after "since" and "until"."""
    if when is None or when.year in (MINYEAR, MAXYEAR):
        return moment(when)
    local, language = timezone.localtime(when), get_language()
    text = f"{local:%H:%M}"
    if local.date() != _today(local):
        text = f"{_bound_day(local.date(), _today(local), language)},{NBSP}{text}"
    return f"{text}{NBSP}{_zone_name(local, language)}" if zone else text


def period(begin: datetime, end: datetime) -> str:
    """ "from 03:10 to 03:20 MSK today", "from 24 Nov, 23:50 to 25 Nov, 00:10 MSK"."""
    first, last, language = timezone.localtime(begin), timezone.localtime(end), get_language()
    if first.date() != last.date():
        words = {"begin": bound(begin), "end": bound(end, zone=True)}
        return _("from %(begin)s to %(end)s") % words
    words = {
        "begin": f"{first:%H:%M}",
        "end": f"{last:%H:%M}{NBSP}{_zone_name(last, language)}",
        "day": _day(last.date(), _today(last), language),
    }
    return _("from %(begin)s to %(end)s %(day)s") % words


@lru_cache(maxsize=1000)
def _bound_day(value: date, today: date, language: str | None) -> str:
    """A day as `day` writes it, but for "yesterday", which no Russian preposition fits."""
    if value < today and value.year == today.year:
        return _dated(value, language)
    return _day(value, today, language)


@lru_cache(maxsize=1000)
def _dated(value: date, language: str | None) -> str:
    """A day without its year."""
    return date_format(value, pgettext("date without a year", "j M")).replace(" ", NBSP)


def day_in_numbers(day: date) -> str:
    """ "2026-11-24", or "24.11.2026": as accountants read it."""
    return date_format(day, pgettext("a date in numbers", "Y-m-d"))


def date_in_numbers(local: datetime) -> str:
    """ "2026-11-24 14:05", or "24.11.2026 14:05": as accountants read it, and on any day."""
    return f"{day_in_numbers(local.date())} {local:%H:%M}"


def on_paper(stored: str) -> str:
    """Return a stored moment as a document has it, in the zone in which it was stored."""
    at = stored_moment(stored)
    return stored if at is None else date_in_numbers(at)


def full_moment(when: datetime) -> str:
    """Everything there is to say about a moment: date, seconds, zone. It may wrap in between."""
    if when.year in (MINYEAR, MAXYEAR):
        return moment(when)
    local, language = timezone.localtime(when), get_language()
    day = _full_day(local.date(), language).replace(" ", NBSP)
    return f"{day}, {local:%H:%M:%S}{NBSP}{_zone_name(local, language)}"


@lru_cache(maxsize=1000)
def _full_day(value: date, language: str | None) -> str:
    """A day with its year."""
    return date_format(value, pgettext("date with a year", "j M Y"))


def ago(when: datetime | None, *, now: datetime | None = None) -> str:
    """ "5 minutes ago", "in 2 hours"."""
    if when is None:
        return NOTHING
    seconds = int(((now or timezone.now()) - when).total_seconds())
    if abs(seconds) < JUST_NOW:
        return _("just now")
    size = next(size for size in PAST if abs(seconds) >= size)
    return _ago(size, abs(seconds) // size, seconds > 0, get_language())


@lru_cache(maxsize=1000)
def _ago(size: int, count: int, is_past: bool, language: str | None) -> str:
    return str((PAST if is_past else FUTURE)[size] % {"n": count})


def capital(words: str) -> str:
    """Words that begin a line: "next 14:05" → "Next 14:05"."""
    return f"{words[:1].upper()}{words[1:]}"


def sentence(words: str) -> str:
    """Words as a sentence of their own: "next run today 14:05 MSK" → "Next run … MSK."."""
    return f"{capital(words)}."


def told_apart(names: Iterable[str]) -> dict[str, str]:
    """Each name without the words that all begin with: of "Server 8" and "Server 9" the number."""
    words = {name: name.split() for name in names}
    if len(words) < 2:
        return {name: name for name in words}
    # At least the last word of each is left.
    places = zip(*(parts[:-1] for parts in words.values()), strict=False)
    same = sum(1 for _ in takewhile(lambda alike: len(set(alike)) == 1, places))
    return {name: " ".join(parts[same:]) for name, parts in words.items()}


def duration(value: timedelta | float | None) -> str:
    """How long something took, in the two units that matter: "2 min 05 s"."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return _milliseconds(get_language()) % {"n": seconds * 1000}
    return _long_duration(int(seconds), get_language()).replace(" ", NBSP)


def span(seconds: float) -> str:
    """A time that is whole seconds, minutes or hours: "5 s", "2 min", "1 h"."""
    if seconds < MINUTE:
        return duration(seconds)
    unit = HOUR if seconds >= HOUR else MINUTE
    words = _("%(n)d h") if unit == HOUR else _("%(n)d min")
    return (words % {"n": seconds / unit}).replace(" ", NBSP)


def within(seconds: float | None) -> str:
    """The time that most rows took at most, of `flow_hours.most_within`."""
    if seconds is None:
        return NOTHING
    if seconds == inf:
        return f"> {span(DAY)}".replace(" ", NBSP)
    return span(seconds)


@cache
def _milliseconds(language: str | None) -> str:
    return _("%(n)d ms").replace(" ", NBSP)


@lru_cache(maxsize=1000)
def _long_duration(seconds: int, language: str | None) -> str:
    if seconds < MINUTE:
        return _("%(s)d s") % {"s": seconds}
    if seconds < HOUR:
        return _("%(m)d min %(s)02d s") % {"m": seconds // MINUTE, "s": seconds % MINUTE}
    if seconds < DAY:
        return _("%(h)d h %(m)02d min") % {"h": seconds // HOUR, "m": seconds % HOUR // MINUTE}
    return _("%(d)d d %(h)d h") % {"d": seconds // DAY, "h": seconds % DAY // HOUR}
