from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy


class Heartbeat(models.Model):
    """When the schedule was last looked at, and by whom: a row for each machine and way."""

    # The tick comes every minute; one may be late, three may not.
    SILENCE = timedelta(minutes=3)

    source = models.CharField(gettext_lazy("source"), max_length=200, primary_key=True)
    at = models.DateTimeField(gettext_lazy("last tick"))

    class Meta:
        ordering = ["-at"]
        verbose_name = gettext_lazy("heartbeat")
        verbose_name_plural = gettext_lazy("heartbeats")

    def __str__(self) -> str:
        return f"{self.source} {self.at:%Y-%m-%d %H:%M:%S}"

    @classmethod
    def beat(cls, source: str, now: datetime | None = None) -> None:
        beat: Any = cls(source=source, at=now or timezone.now())
        cls.objects.bulk_create(
            [beat], update_conflicts=True, unique_fields=["source"], update_fields=["at"]
        )

    @classmethod
    def last(cls) -> Self | None:
        """The latest tick; None when there has never been one."""
        return cls.objects.first()

    def is_alive(self, now: datetime | None = None) -> bool:
        return (now or timezone.now()) - self.at <= self.SILENCE
