"""Cells as people write them, into what PostgreSQL reads. Judging is left to the checks."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from transfer.engine.checks import CARD_STATUSES
from transfer.engine.table_mapping import Column

Cell = str | float | int | bool | date | datetime | time | timedelta | None

LONGEST_LINE = 1_000_000  # characters: all its cells are in memory at once
LONGEST_TEXT = 10_000  # longer than any check allows, and short enough for a report
EXACT = 10**15  # Excel keeps 15 digits
SPACES = " \t\r\n\u00a0\u2007\u202f\u2009\ufeff"
UNREADABLE = re.compile("[\x00\ufffd\ud800-\udfff]")  # PostgreSQL stores none, or means none
# The mask of a PIN code, or what another encoding makes of it. Only one part of the pattern may
# match a given character: otherwise a long cell takes time that grows with its square.
MASKED = re.compile(r"\s*[•●∙·*?\x07][•●∙·*?\x07\s]*")
POWER_OF_TEN = re.compile(r"[+-]?\d+(?:[.,]\d+)?E[+-]?\d+", re.IGNORECASE)
WRITTEN_AS_AMOUNT = re.compile(r"[0-9]+[.,]0+")  # how programs write a number that has gaps
UNIT = re.compile(r"(?:₽|руб(?:\.|лей|ля|ль)?|р\.|rub|баллов|бонусов)$", re.IGNORECASE)
GROUPS = re.compile(r"\d{1,3}(?:(?P<sign>[.,'’])\d{3})(?:(?P=sign)\d{3})+")
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)

# Names of card statuses as people write them, of their small letters alone.
STATUSES = {
    status.name.lower().replace("_", ""): number for number, status in CARD_STATUSES.items()
} | {
    "тольконачисление": 0, "начисление": 0,
    "начислениеисписание": 1, "активна": 1, "активная": 1,
    "заблокирована": 2, "заблокированная": 2, "нетопераций": 2,
    "толькосписание": 3, "списание": 3,
}  # fmt: skip


class Read(NamedTuple):
    """A value as COPY takes it, or why the cell can't be read."""

    value: str | None
    fault: str = ""


Reader = Callable[[Cell], Read]
NOTHING = Read(None)
DIGITS_LOST = Read(None, "digits_lost")
NOT_A_NUMBER = Read(None, "not_a_number")
NOT_A_STATUS = Read(None, "not_a_status")
NOT_A_DATE = Read(None, "not_a_date")


def reader(column: Column, zone: ZoneInfo) -> Reader:
    """The function that reads the cells of a column; times without a zone are in `zone`."""
    if column.carried_as == "numeric":
        return number
    if column.name == "status":
        return status
    if column.carried_as.startswith("timestamp"):
        return Moments(zone, ends=column.name == "validto").read
    return remark if column.name == "comment" else text


def remark(cell: Cell) -> Read:
    """Free text, which may begin with any sign; exports put an apostrophe before some."""
    if isinstance(cell, str):
        value = cell.strip(SPACES)
        return _checked(value[1:] if value[:1] == "'" and value[1:2] in ("=", *"+-@") else value)
    return text(cell)


def text(cell: Cell) -> Read:
    """An account, a card or a PIN code, without the spaces around it."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, bool):
        return Read(str(int(cell)))
    if isinstance(cell, float | int):
        if cell != cell or abs(cell) >= EXACT:
            return DIGITS_LOST
        whole = int(cell)
        return Read(str(whole) if whole == cell else f"{cell:.15g}")
    if not isinstance(cell, str):
        return Read(str(cell))
    value = cell.strip(SPACES).removeprefix("'")  # how a cell is marked as text
    if value[:2] == '="' and value[-1:] == '"':  # how Excel's CSV keeps leading zeros
        value = value[2:-1]
    elif value[:1] == "=":
        return Read(None, "formula")
    if value[:1].isdigit() and POWER_OF_TEN.fullmatch(value):
        return DIGITS_LOST
    if WRITTEN_AS_AMOUNT.fullmatch(value):
        return Read(None, "written_as_amount")
    return _checked(value)


def _checked(value: str) -> Read:
    if len(value) > LONGEST_TEXT:
        return Read(None, "value_too_long")
    if UNREADABLE.search(value):
        return Read(None, "unreadable_character")
    return Read(value or None)


def number(cell: Cell) -> Read:
    """An amount, with a decimal comma or point, and spaces wherever."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, str):
        return _number(cell)
    if isinstance(cell, bool) or not isinstance(cell, float | int):
        return NOT_A_NUMBER
    # 15 digits are what Excel shows: 0.1 + 0.2 is 0.3 there.
    return Read(f"{Decimal(f'{cell:.15g}'):f}") if abs(cell) < EXACT else DIGITS_LOST


@lru_cache(4096)
def _number(cell: str) -> Read:
    if len(cell) > 100:
        return NOT_A_NUMBER
    value = UNIT.sub("", re.sub(rf"[{SPACES}]", "", cell)).replace("−", "-").removeprefix("'")
    if not value:
        return NOT_A_NUMBER if cell.strip(SPACES) else NOTHING
    if POWER_OF_TEN.fullmatch(value):
        return DIGITS_LOST
    if value[0] == "(" and value[-1] == ")":  # how accountants write what is taken away
        value = f"-{value[1:-1]}"
    value = _with_point(value)
    return Read(f"{Decimal(value):f}") if NUMBER.fullmatch(value) else NOT_A_NUMBER


def _with_point(value: str) -> str:
    """The last sign is the decimal one, unless it repeats: then it parts thousands."""
    last = max(value.rfind(","), value.rfind("."))
    if last < 0:
        return value.replace("'", "").replace("’", "")
    if GROUPS.fullmatch(value.lstrip("+-")):
        return re.sub(r"[.,'’]", "", value)
    whole, decimals = value[:last], value[last + 1 :]
    unsigned = whole.lstrip("+-")
    if re.search(r"[.,'’]", unsigned):
        # 1.234,50 and 1,234.50, but never 1.2.3
        if value[last] in unsigned or not re.fullmatch(r"\d{1,3}(?:[.,'’]\d{3})+", unsigned):
            return "?"
        whole = re.sub(r"[.,'’]", "", whole)
    return f"{whole}.{decimals}"


def status(cell: Cell) -> Read:
    """A card status: its number, or its name."""
    if cell is None or cell == "":
        return NOTHING
    if isinstance(cell, float | int) and not isinstance(cell, bool):
        cell = f"{cell:.15g}"
    if not isinstance(cell, str):
        return NOT_A_STATUS
    value = cell.strip(SPACES).removeprefix("'")
    if not value:
        return NOTHING
    if re.fullmatch(r"[+-]?[0-9]{1,9}(?:[.,]0+)?", value):
        return Read(str(int(re.split("[.,]", value)[0])))
    name = re.sub(r"[\W_\d]+", "", value.casefold()).replace("ё", "е")
    meant = str(STATUSES.get(name, ""))
    digits = re.sub(r"\D+", "", value)
    return Read(meant) if meant and digits in ("", meant) else NOT_A_STATUS


DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4}|\d{2})(?:\s*г\.?)?(?:[ T,]+(.+))?")
CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?")
SERIAL_DAYS = (20_000, 80_000)  # 1954 to 2119, as Excel counts days
EXCEL_EPOCH = datetime(1899, 12, 30)  # noqa: DTZ001 - Excel knows no zones
NO_CLOCK = ("0:00", "0:00:00")  # how Excel and 1C write a day; by hand one says 00:00
NO_TIME_LIMIT = {"бессрочно", "безсрока", "never", "-", "—"}


class Moments:
    """Reads dates. A last day is meant with all its hours: `ends` makes it 23:59:59."""

    def __init__(self, zone: ZoneInfo, *, ends: bool) -> None:
        self.zone = zone
        self.without_time = time(23, 59, 59) if ends else time()
        self.ends = ends
        self.read_text = lru_cache(4096)(self._read_text)

    def read(self, cell: Cell) -> Read:
        if cell is None or cell == "":
            return NOTHING
        if isinstance(cell, str):
            return self.read_text(cell)
        if isinstance(cell, float | int) and SERIAL_DAYS[0] <= cell <= SERIAL_DAYS[1]:
            cell = EXCEL_EPOCH + timedelta(days=cell)
        if isinstance(cell, datetime):
            bare = cell.replace(microsecond=0)
            return self._at(bare.date() if bare.time() == time() and self.ends else bare)
        return self._at(cell) if isinstance(cell, date) else NOT_A_DATE

    def _read_text(self, cell: str) -> Read:
        value = cell.strip(SPACES).removeprefix("'")
        if not value or value.casefold().replace(" ", "") in NO_TIME_LIMIT:
            return NOTHING
        if len(value) > 40:
            return NOT_A_DATE
        with suppress(ValueError):
            if match := DAY_FIRST.fullmatch(value):
                return self._day_first(*match.groups())
            if re.fullmatch(r"\d{4}-\d{1,2}-\d{1,2}", value):
                return self._at(date(*map(int, value.split("-"))))
            if re.match(r"\d{4}-\d{2}-\d{2}[ T]", value):
                return self._at(datetime.fromisoformat(value))
        return NOT_A_DATE

    def _day_first(self, day: str, month: str, year: str, clock: str | None) -> Read:
        when = date(int(year) + (2000 if len(year) == 2 else 0), int(month), int(day))
        if clock is None or (self.ends and clock in NO_CLOCK):
            return self._at(when)
        match = CLOCK.fullmatch(clock.strip())
        if not match:
            return NOT_A_DATE
        hour, minute, second = (int(part or 0) for part in match.groups())
        return self._at(datetime.combine(when, time(hour, minute, second)))

    def _at(self, when: date | datetime) -> Read:
        if not isinstance(when, datetime):
            when = datetime.combine(when, self.without_time)
        if not 1900 <= when.year <= 9998:
            return NOT_A_DATE
        zoned = when if when.tzinfo else when.replace(tzinfo=self.zone)
        return Read(zoned.astimezone(UTC).isoformat())


def is_masked(cell: Cell) -> bool:
    """Whether the cell holds the mask of a secret in place of one."""
    return isinstance(cell, str) and MASKED.fullmatch(cell) is not None


def written(column: Column, cell: Cell, zone: ZoneInfo) -> str:
    """A cell as text that, read again, means the same or has the same fault."""
    if cell is None or isinstance(cell, str):
        return UNREADABLE.sub("\ufffd", cell or "")[: LONGEST_TEXT + 1]
    if column.carried_as.startswith("timestamp"):
        moment = reader(column, zone)(cell).value
        return as_people_write(column.name, moment, zone) if moment else str(cell)
    if isinstance(cell, float | int) and (
        column.carried_as == "text" or not isinstance(cell, bool)
    ):
        return f"{cell:.15g}"
    return str(cell)


# The time that a date without one means: see `Moments`.
UNSAID = {"validfrom": " 00:00:00", "validto": " 23:59:59"}


def as_people_write(name: str, text: str | None, zone: ZoneInfo) -> str:
    """A value of a payload as a person would type it; moments in the zone of files."""
    if name not in UNSAID or not text:
        return text or ""
    try:
        moment = datetime.fromisoformat(text)
        local = moment.astimezone(zone) if moment.tzinfo else None
    except (ValueError, OverflowError):  # infinity
        return text
    return text if local is None else f"{local:%d.%m.%Y %H:%M:%S}".removesuffix(UNSAID[name])


def described(cell: Any) -> str:
    """A cell as a report shows it."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return printable(str(cell if cell is not None else ""))[:100]


def printable(text: str) -> str:
    """The text without characters that a page or a database does not take."""
    return re.sub("[\x00-\x1f\x7f\ud800-\udfff]", " ", text)


def outlined(text: str) -> str:
    """The form of a text, by which texts can be told apart, without its characters."""
    return re.sub(r"[^\s.,:/+-]", "•", text)
