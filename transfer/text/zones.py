"""Time zones by the names that people know: city and country, in the language in use."""

from collections import Counter
from datetime import UTC, date, datetime, time
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.dates import get_timezone_location
from django.utils import timezone
from django.utils.translation import get_language

from transfer.text import formats

Choice = tuple[str, str]  # the zone's name in the database of time zones, and as it is shown


NOWHERE = ("001", "ZZ")  # the countries of zones that are in none


def named(zone: str) -> str:
    """Country and city of a zone; its own name if it is not a place, such as "UTC"."""
    country = _country_code(zone)
    if country is None or country in NOWHERE:
        return zone
    return f"{_locale().territories[country]} ({_city(zone)})"


def _country_code(zone: str) -> str | None:
    """The country of a zone, also of one that is an older name of another."""
    canonical = get_global("zone_aliases").get(zone, zone)
    code: str | None = get_global("zone_territories").get(canonical)
    return code


def _city(zone: str) -> str:
    return get_timezone_location(zone, locale=_locale(), return_city=True)


def _locale() -> Locale:
    return Locale.parse(get_language() or "en", sep="-")


def russian(zones: set[str]) -> list[Choice]:
    """The zones in Russia, from west to east: "Moscow, UTC+3"."""
    now = datetime.now(UTC)
    found = [zone for zone in zones if _country_code(zone) == "RU"]
    shown = [(now.astimezone(ZoneInfo(zone)).utcoffset(), _city(zone), zone) for zone in found]
    return [
        (zone, f"{city}, {formats.offset_name(offset)}")
        for offset, city, zone in sorted(shown)
        if offset is not None
    ]


def others(zones: set[str]) -> list[Choice]:
    """The zones in the order of their names. Zones with one name also show their own."""
    return _others(frozenset(zones), get_language())


@lru_cache(maxsize=4)
def _others(zones: frozenset[str], language: str | None) -> list[Choice]:
    shown = {zone: named(zone) for zone in zones}
    count = Counter(shown.values())
    choices = [
        (zone, words if count[words] == 1 else f"{words}, {zone}") for zone, words in shown.items()
    ]
    return sorted(choices, key=lambda choice: choice[1])


def midnight(day: date) -> datetime:
    """Return the beginning of the day in the user's time zone."""
    return datetime.combine(day, time(), timezone.get_current_timezone())
