"""Statements for accountants, and the daily sums that they are made of. All are kept for ever."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.utils.translation import gettext_lazy

from transfer.engine.received import Place, Position, Totals
from transfer.models.shared import AmountField, numbered

# Adds to the day of a server and kind, in the time zone of schedules; remembers the place where the
# server is after it. By the unique index.
ADD = """
    insert into transfer_serverday as held
           (day, kind, server_pk, server_name, applied, unchanged, rejected, amount_applied,
            amount_rejected, lost, amount_lost, number, mark)
    select (now() at time zone coalesce(
                nullif((select time_zone from transfer_settings where id = 1), ''),
                %(zone)s))::date,
           %(kind)s, %(server_pk)s, %(server_name)s, %(applied)s, %(unchanged)s, %(rejected)s,
           %(amount_applied)s, %(amount_rejected)s, %(lost)s, %(amount_lost)s, %(number)s, %(mark)s
        on conflict (server_pk, kind, day) do update
       set applied = held.applied + excluded.applied,
           unchanged = held.unchanged + excluded.unchanged,
           rejected = held.rejected + excluded.rejected,
           amount_applied = held.amount_applied + excluded.amount_applied,
           amount_rejected = held.amount_rejected + excluded.amount_rejected,
           lost = held.lost + excluded.lost,
           amount_lost = held.amount_lost + excluded.amount_lost,
           server_name = excluded.server_name, number = excluded.number, mark = excluded.mark
"""


class ServerDayManager(models.Manager["ServerDay"]):
    def add(self, run: Any, gained: Totals, after: Place) -> None:
        """Count rows that a run has moved, in its own transaction; `after` is where the server is.

        Nothing if the server was undocked meanwhile.
        """
        self._execute(run, vars(gained), {"lost": 0, "amount_lost": 0}, after)

    def go_back(self, run: Any, lost: Totals, position: Position) -> None:
        """Count rows that a restored server has lost, and note where it is now."""
        amount = lost.amount_applied + lost.amount_rejected
        going = {"lost": lost.read, "amount_lost": amount}
        self._execute(run, vars(Totals()), going, position.place)

    def _execute(
        self, run: Any, gained: Mapping[str, Any], lost: Mapping[str, Any], place: Place
    ) -> None:
        if run.server_id is None:
            return
        about = {
            "zone": settings.TIME_ZONE,
            "kind": run.kind,
            "server_pk": run.server_id,
            "server_name": run.server_name,
            "number": place.number,
            "mark": place.mark,
        }
        with connection.cursor() as cursor:
            cursor.execute(ADD, {**about, **gained, **lost})


class ServerDay(models.Model):
    """What one bonus server has received of one kind on one day, as the runs have counted it.

    Days are those of the time zone of schedules. A day without rows has no row.
    """

    day = models.DateField()
    kind = models.CharField(max_length=10)
    # No foreign key: a day outlives its server.
    server_pk = models.BigIntegerField()
    server_name = models.CharField(max_length=100)
    applied = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    amount_applied = AmountField(default=0)
    amount_rejected = AmountField(default=0)
    # Received before, and lost by a restore of the server: they are sent, and counted, again.
    lost = models.BigIntegerField(default=0)
    amount_lost = AmountField(default=0)
    # The last line of the log that the server had passed.
    number = models.BigIntegerField()
    mark = models.UUIDField()

    objects = ServerDayManager()

    class Meta:
        verbose_name = gettext_lazy("day of a bonus server")
        constraints = [
            models.UniqueConstraint("server_pk", "kind", "day", name="day_of_a_server_and_kind")
        ]
        indexes = [models.Index(fields=["day"], name="server_days")]

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.server_name}"


class LogDay(models.Model):
    """What was staged of one kind on one day, as the log of shop All said after the day."""

    day = models.DateField()
    kind = models.CharField(max_length=10)
    first = models.BigIntegerField()  # the number of the line before the first one of the day
    last = models.BigIntegerField()
    mark = models.UUIDField()  # of the last line
    rows = models.BigIntegerField()
    amount = AmountField()
    withdrawn = models.BigIntegerField()
    gone = models.BigIntegerField()

    class Meta:
        verbose_name = gettext_lazy("day of a log")
        constraints = [models.UniqueConstraint("kind", "day", name="day_of_a_kind")]

    def __str__(self) -> str:
        return f"{self.day} {self.kind}"


class StatementQuerySet(models.QuerySet["Statement"]):
    def of_period(self, first: date, last: date, server: int | None) -> "StatementQuerySet":
        """Those of the same period and server, the latest first."""
        return self.filter(first=first, last=last, server_pk=server).order_by("-number")


class Statement(models.Model):
    """A statement that was made: the signed file as it was sent out, and where it is in the chain.

    Nothing changes or removes one.
    """

    number = models.BigIntegerField(gettext_lazy("number"), unique=True)
    made_at = models.DateTimeField(gettext_lazy("made"))
    made_by = models.CharField(gettext_lazy("by"), max_length=200)
    first = models.DateField(gettext_lazy("first day"))
    last = models.DateField(gettext_lazy("last day"))
    # No foreign key: a statement outlives its server. Null: of all servers.
    server_pk = models.BigIntegerField(null=True)
    server_name = models.CharField(gettext_lazy("bonus server"), max_length=100, blank=True)
    digest = models.CharField(gettext_lazy("digest"), max_length=64)
    # The signed file, byte for byte.
    document = models.TextField()

    objects = StatementQuerySet.as_manager()

    class Meta:
        ordering = ["-number"]
        verbose_name = gettext_lazy("statement")
        indexes = [models.Index(fields=["first", "last", "server_pk"], name="statements_of_period")]

    def __str__(self) -> str:
        return f"{self.number}: {self.first} – {self.last}"

    def get_absolute_url(self) -> str:
        return numbered("statement", self.number)

    def audit_params(self) -> dict[str, str]:
        return {"name": str(self), **({"server": self.server_name} if self.server_name else {})}
