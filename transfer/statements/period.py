"""Whole days, in the time zone of schedules."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from django.utils import timezone

from transfer.causes.statements import PERIOD_NOT_OVER, PERIOD_TURNED_ROUND
from transfer.errors import TransferError
from transfer.models import Settings


@dataclass(frozen=True)
class Period:
    """From the first moment of the day `first` to the last one of the day `last`."""

    first: date
    last: date
    zone: ZoneInfo

    @classmethod
    def of(cls, first: date, last: date) -> Self:
        """Return a period that is over. Raises PERIOD_TURNED_ROUND, PERIOD_NOT_OVER."""
        zone = Settings.load().zone
        if last < first:
            raise TransferError(PERIOD_TURNED_ROUND, first=str(first), last=str(last))
        today = timezone.now().astimezone(zone).date()
        if last >= today:
            raise TransferError(PERIOD_NOT_OVER, last=str(last), day=str(today - timedelta(1)))
        return cls(first, last, zone)

    @classmethod
    def month_before(cls, now: datetime) -> Self:
        """Return the month that was over last."""
        zone = Settings.load().zone
        last = now.astimezone(zone).date().replace(day=1) - timedelta(1)
        return cls(last.replace(day=1), last, zone)

    @property
    def starts(self) -> datetime:
        return datetime.combine(self.first, time(), self.zone)

    @property
    def ends(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last + timedelta(1), time(), self.zone)

    def as_json(self) -> dict[str, str]:
        return {"from": str(self.first), "to": str(self.last), "time_zone": self.zone.key}
