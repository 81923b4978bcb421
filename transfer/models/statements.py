"""Statements for accountants, and the daily sums that they are made of. All are kept for ever."""

import json
from datetime import date
from decimal import Decimal

from django.conf import settings
from django.db import connection, models
from django.utils.translation import gettext_lazy

from transfer.engine.received import Position, Recorded, Totals
from transfer.models.addresses import address
from transfer.models.servers import BonusServer
from transfer.models.shared import AmountField

# Adds to the day of a server and position, in the time zone of schedules; notes the position as it
# is after it. By the unique index.
ADD = """
    insert into transfer_serverday as held
           (day, kind, server_pk, server_name, origin, server_uid, applied, unchanged, rejected,
            amount_applied, amount_rejected, lost, amount_lost, skipped, amount_skipped, position,
            noted_at)
    select (now() at time zone coalesce(
                nullif((select time_zone from transfer_settings where id = 1), ''),
                %(zone)s))::date,
           %(kind)s, %(server_pk)s, %(server_name)s, %(origin)s, %(server_uid)s, %(applied)s,
           %(unchanged)s, %(rejected)s, %(amount_applied)s, %(amount_rejected)s, %(lost)s,
           %(amount_lost)s, %(skipped)s, %(amount_skipped)s, %(position)s, now()
        on conflict (origin, server_uid, kind, day, server_pk) do update
       set applied = held.applied + excluded.applied,
           unchanged = held.unchanged + excluded.unchanged,
           rejected = held.rejected + excluded.rejected,
           amount_applied = held.amount_applied + excluded.amount_applied,
           amount_rejected = held.amount_rejected + excluded.amount_rejected,
           lost = held.lost + excluded.lost,
           amount_lost = held.amount_lost + excluded.amount_lost,
           skipped = held.skipped + excluded.skipped,
           amount_skipped = held.amount_skipped + excluded.amount_skipped,
           server_name = excluded.server_name, position = excluded.position,
           noted_at = excluded.noted_at
"""


class ServerDayManager(models.Manager["ServerDay"]):
    def last_of(self, origin: str, server_uid: str, kind: str) -> "ServerDay | None":
        """Return the day on which a position was noted last. By the unique index."""
        days = self.filter(origin=origin, server_uid=server_uid, kind=kind)
        return days.order_by("-day", "-noted_at").first()

    def note(self, server_pk: int | None, server_name: str, position: Position) -> None:
        """Count what a server has received up to a position, on the day that it is now.

        It is the difference between what the position says that the server has received by its
        name, and what it said when it was noted last, perhaps for a server that was undocked since.
        The first time it is all of it: so each row is counted once, even after our own database and
        shop All have gone back in time. Rows of other installations count, too. A negative
        difference is what the server has lost by a restore.

        In a transaction of the run. Nothing if the server was undocked meanwhile.
        """
        if server_pk is None:
            return
        last = self.last_of(position.origin, position.server, position.kind)
        gained = position.received
        if last is not None:
            before = last.recorded
            if (before.version, last.server_pk) == (position.version, server_pk):
                return
            gained -= before.received
        lost = Totals()
        if gained.read < 0:
            gained, lost = lost, lost - gained
        self._add(server_pk, server_name, position, gained=gained, lost=lost)

    def skip(
        self, server: BonusServer, position: Position, rows: int, amount: Decimal
    ) -> "ServerDay":
        """Count rows that a server does without for good, on the day that it is now; return it.

        `position` is the one before somebody has said so.
        """
        self.note(server.pk, server.name, position)
        self._add(server.pk, server.name, position, skipped=(rows, amount))
        of_server = self.filter(server_pk=server.pk, server_uid=position.server)
        return of_server.filter(origin=position.origin, kind=position.kind).latest("day")

    def _add(
        self,
        server_pk: int,
        server_name: str,
        position: Position,
        *,
        gained: Totals | None = None,
        lost: Totals | None = None,
        skipped: tuple[int, Decimal] = (0, Decimal(0)),
    ) -> None:
        gained, lost = gained or Totals(), lost or Totals()
        values = {
            "zone": settings.TIME_ZONE,
            "kind": position.kind,
            "server_pk": server_pk,
            "server_name": server_name,
            "origin": position.origin,
            "server_uid": position.server,
            **vars(gained),
            "lost": lost.read,
            "amount_lost": lost.amount_applied + lost.amount_rejected,
            "skipped": skipped[0],
            "amount_skipped": skipped[1],
            "position": json.dumps(position.as_json()),
        }
        with connection.cursor() as cursor:
            cursor.execute(ADD, values)


class ServerDay(models.Model):
    """What one bonus server has received by one position on one day, as the runs have counted it.

    Days are those of the time zone of schedules. A day without rows has no row.
    """

    day = models.DateField()
    kind = models.CharField(max_length=10)
    # No foreign key: a day outlives its server.
    server_pk = models.BigIntegerField()
    server_name = models.CharField(max_length=100)
    # Of the position: of which shop All, and the name that it gives its server. A server that is
    # docked again keeps it.
    origin = models.UUIDField()
    server_uid = models.UUIDField()
    applied = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    amount_applied = AmountField(default=0)
    amount_rejected = AmountField(default=0)
    # Received before, and lost by a restore of the server: they are sent, and counted, again.
    lost = models.BigIntegerField(default=0)
    amount_lost = AmountField(default=0)
    # Purged rows that it does without for good, as somebody has agreed.
    skipped = models.BigIntegerField(default=0)
    amount_skipped = AmountField(default=0)
    # The position that the server had after it, see `Position.as_json`.
    position = models.JSONField()
    noted_at = models.DateTimeField()

    objects = ServerDayManager()

    class Meta:
        verbose_name = gettext_lazy("day of a bonus server")
        constraints = [
            models.UniqueConstraint(
                *("origin", "server_uid", "kind", "day", "server_pk"), name="day_of_a_position"
            )
        ]
        indexes = [
            models.Index(fields=["day"], name="server_days"),
            models.Index(fields=["server_pk", "kind", "day"], name="days_of_server"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.kind} {self.server_name}"

    @property
    def recorded(self) -> Recorded:
        return Recorded.from_json(self.position)

    @property
    def counted(self) -> int:
        """How many rows of any outcome: a later state of the same day has more."""
        return self.applied + self.unchanged + self.rejected + self.lost + self.skipped


class LogDay(models.Model):
    """What was staged of one kind on one day, as the log of shop All said last.

    Once lines of the day have reached the end of their lifetime, it stays as it is: see
    `statements/log_days.py`.
    """

    day = models.DateField()
    kind = models.CharField(max_length=10)
    first = models.BigIntegerField()  # the number of the line before the first one of the day
    last = models.BigIntegerField()
    mark = models.UUIDField()  # of the last line
    rows = models.BigIntegerField()
    amount = AmountField()
    withdrawn = models.BigIntegerField()
    amount_withdrawn = AmountField()
    gone = models.BigIntegerField()
    amount_gone = AmountField()
    # Effect → rows, and the amounts of the rows that they are about: see `LogSums.effects`.
    effects = models.JSONField(default=dict)

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
        return address("statement", self.number)

    def audit_params(self) -> dict[str, str]:
        return {"name": str(self), **({"server": self.server_name} if self.server_name else {})}
