"""Why rows need a second person: the limits of a person or key, and users' own numbers."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zlib import crc32

from django.db import OperationalError, connection
from django.db.models import Exists, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from transfer.approvals.rows import Rows
from transfer.causes.approvals import PERSON_BUSY
from transfer.errors import TransferError
from transfer.models import ApiKey, Entry, OwnNumber, Person, Settings
from transfer.queue.locks import Space, wait_for_lock
from transfer.text import formats

SECONDS = 10
"""How long one entry of a person waits for another one of the same person."""

Reason = dict[str, Any]


class Limits(NamedTuple):
    """What goes without a second person; None: any amount."""

    row: int | None
    load: int | None
    day: int | None


def limits_of(person: Person) -> Limits:
    """Return the limits of a user; of a key its own, or else those of the settings for keys."""
    settings = Settings.load()
    if person.key is None:
        return Limits(settings.row_limit, settings.load_limit, settings.day_limit)
    own = (person.key.row_limit, person.key.load_limit, person.key.day_limit)
    default = (settings.key_row_limit, settings.key_load_limit, settings.key_day_limit)
    return Limits(*(b if a is None else a for a, b in zip(own, default, strict=True)))


def reasons(person: Person, rows: Rows) -> list[Reason]:
    """Return why these rows need a second person; empty if they need none.

    Where there is a limit of a day, other entries of the person wait until the transaction under
    way ends. Raises PERSON_BUSY.
    """
    if limits_of(person).day is not None and rows.total:
        _wait_for_others(person)
    return foreseen(person, rows)


def foreseen(person: Person, rows: Rows) -> list[Reason]:
    """Return why these rows would need a second person if they were entered now.

    Amounts count without their signs, so that +50,000 and -50,000 are not nothing.
    """
    limits, found = limits_of(person), []
    if rows.own:
        found.append({"code": "own", "numbers": rows.own})
    if limits.row is not None and rows.largest > limits.row:
        found.append(_reason("row", limits.row, rows.largest))
    if limits.load is not None and rows.total > limits.load:
        found.append(_reason("load", limits.load, rows.total))
    if limits.day is not None and rows.total:
        total = Entry.objects.total_since(person.name, midnight()) + rows.total
        if total > limits.day:
            found.append(_reason("day", limits.day, total))
    return found


def with_limits() -> QuerySet[Settings]:
    """Return the settings if anything may need a second person, else nothing."""
    named = ("row_limit", "load_limit", "day_limit")
    of_settings, of_keys = Q(), Q()
    for name in named:
        of_settings |= Q(**{f"{name}__isnull": False}) | Q(**{f"key_{name}__isnull": False})
        of_keys |= Q(**{f"{name}__isnull": False})
    keys, numbers = ApiKey.objects.usable().filter(of_keys), OwnNumber.objects.all()
    found = of_settings | Q(Exists(keys)) | Q(Exists(numbers))
    return Settings.objects.filter(found, pk=1)


def has_limits() -> bool:
    """Return whether anything may need a second person."""
    return with_limits().exists()


def midnight(now: datetime | None = None) -> datetime:
    """Return the begin of the present day, in the time zone of the settings."""
    local = (now or timezone.now()).astimezone(Settings.load().zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def words(reason: Reason) -> str:
    """Return a reason in the reader's language."""
    if reason["code"] == "own":
        names = ", ".join(reason["numbers"])
        return _("The rows name numbers that belong to users: %(numbers)s.") % {"numbers": names}
    sentence = {
        "row": _("The largest amount is %(value)s, above the limit of a row, %(limit)s."),
        "load": _("The amounts sum up to %(value)s, above the limit of a load, %(limit)s."),
        "day": _("The amounts of this day sum up to %(value)s, above the limit, %(limit)s."),
    }[reason["code"]]
    return sentence % {
        "value": formats.amount(Decimal(reason["value"]), signed=False),
        "limit": formats.amount(Decimal(reason["limit"]), signed=False),
    }


def _reason(code: str, limit: int, value: Decimal) -> Reason:
    return {"code": code, "limit": str(limit), "value": str(value)}


def _wait_for_others(person: Person) -> None:
    """Hold the person's lock until the transaction ends. Raises PERSON_BUSY."""
    with connection.cursor() as cursor:
        cursor.execute(f"set local lock_timeout = '{SECONDS}s'")
    try:
        wait_for_lock(Space.PERSON, crc32(person.name.encode()) >> 1)
    except OperationalError as error:
        raise TransferError(PERSON_BUSY, who=person.name) from error
    with connection.cursor() as cursor:
        cursor.execute("set local lock_timeout to default")
