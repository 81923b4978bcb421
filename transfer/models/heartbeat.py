from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy


class Heartbeat(models.Model):
    """When the schedule was last looked at, and by whom: a row for each machine and way."""

    # The tick comes every minute; one may be late, three may not.
    SILENCE = timedelta(minutes=3)

    # How a source ends whose ticks leave the queue to workers.
    LEAVES_QUEUE = ("--no-drain", "run_scheduler")

    source = models.CharField(max_length=200, primary_key=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        verbose_name = gettext_lazy("heartbeat")

    def __str__(self) -> str:
        return f"{self.source} {self.at:%Y-%m-%d %H:%M:%S}"

    @property
    def drains(self) -> bool:
        """Whether this tick also works off the queue, instead of leaving it to workers."""
        return not self.source.endswith(self.LEAVES_QUEUE)

    @property
    def words(self) -> str:
        """Which machine looks at the schedule, and whether cron or a service starts it."""
        host = self.source.rpartition(": ")[0]
        how = _("by cron") if self.drains else _("as a service")
        return f"{host}, {how}"

    @classmethod
    def beat(cls, source: str, now: datetime | None = None) -> None:
        """Notes a tick, also where a host whose clock is behind has deleted the row."""
        at = now or timezone.now()
        if cls.objects.filter(source=source).update(at=at):
            return
        beat: Any = cls(source=source, at=at)
        cls.objects.bulk_create(
            [beat], update_conflicts=True, unique_fields=["source"], update_fields=["at"]
        )

    @classmethod
    def last(cls) -> Self | None:
        """The latest tick, rather one that is not dated later than now; None: there was none."""
        return cls.last_of(list(cls.objects.all()))

    @classmethod
    def last_of(cls, beats: Sequence[Self]) -> Self | None:
        """The same of these ticks, which have the latest first."""
        return next((one for one in beats if not one.is_from_future), next(iter(beats), None))

    @classmethod
    def alive(cls) -> list[Self]:
        """The ticks that are alive, of all machines."""
        return [beat for beat in cls.objects.all() if beat.is_alive()]

    @classmethod
    def by_cron_and_service(cls, beats: Iterable[Self]) -> str:
        """A machine that both cron and a service tick on, by these ticks; or empty."""
        ways: dict[str, set[bool]] = {}
        for beat in beats:
            if not beat.is_alive():
                continue
            ways.setdefault(beat.source.rpartition(": ")[0], set()).add(beat.drains)
        return next((host for host, drains in ways.items() if len(drains) > 1), "")

    @classmethod
    def forget_later(cls, now: datetime) -> bool:
        """Forgets ticks that are dated later than now; whether there were any."""
        later = cls.objects.filter(cls.later_than(now))
        return later.exists() and bool(later.delete()[0])

    @classmethod
    def later_than(cls, now: datetime) -> models.Q:
        """Beats that another machine's clock does not explain: ours was set back."""
        return models.Q(at__gt=now + cls.SILENCE)

    @property
    def is_from_future(self) -> bool:
        return self.at > timezone.now() + self.SILENCE

    def is_alive(self, now: datetime | None = None) -> bool:
        return abs((now or timezone.now()) - self.at) <= self.SILENCE
