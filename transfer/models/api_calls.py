"""Calls of the API, counted until the audit has them.

The audit has an entry of its own for each change. Calls that only read are too many for that: there
is one entry for each key, address and hour, which says how often each operation was called.
"""

from collections import defaultdict
from datetime import timedelta
from typing import Any, Self

from django.db import connection, models, transaction
from django.db.models.functions import Now

from transfer.models.api_keys import ApiKey
from transfer.models.audit import AuditEntry

# One statement, so that processes that count at the same moment count each call.
COUNT = """
    insert into transfer_apicall (key_id, address, hour, operation, calls)
    values (%s, %s, date_trunc('hour', now(), 'UTC'), %s, 1)
    on conflict (key_id, address, hour, operation)
    do update set calls = transfer_apicall.calls + 1
"""
HOUR = timedelta(hours=1)


class ApiCall(models.Model):
    """How often an operation was called with a key, from an address, in an hour."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=45, blank=True)
    hour = models.DateTimeField()
    operation = models.CharField(max_length=100)  # "GET tasks/{id}"
    calls = models.PositiveIntegerField()

    class Meta:
        verbose_name = "call of the API"
        constraints = [
            models.UniqueConstraint("key", "address", "hour", "operation", name="api_calls_once")
        ]

    def __str__(self) -> str:
        return f"{self.operation} × {self.calls}"

    @classmethod
    def count(cls, key: ApiKey, address: str | None, operation: str) -> None:
        """Counts one call in the present hour of the database's clock."""
        with connection.cursor() as cursor:
            cursor.execute(COUNT, [key.pk, address or "", operation])

    @classmethod
    def of_past_hours(cls) -> Any:
        """Counts of hours that have ended."""
        return cls.objects.filter(hour__lte=Now() - HOUR)

    @classmethod
    @transaction.atomic
    def note_past_hours(cls) -> None:
        """Writes the calls of hours that have ended into the audit, and removes their counts.

        A row that another process has in hand is left for the next time.
        """
        past = cls.of_past_hours().select_related("key")
        together = defaultdict[object, list[Self]](list)
        for one in past.select_for_update(of=("self",), skip_locked=True).order_by("hour", "pk"):
            together[one.hour, one.key_id, one.address].append(one)
        for calls in together.values():
            first = calls[0]
            new = {
                "hour": first.hour.isoformat(),
                "times": sum(one.calls for one in calls),
                "operations": sorted(map(str, calls)),
            }
            actor = first.key.actor(first.address or None)
            AuditEntry.record(actor, AuditEntry.Action.CALLS, first.key, new=new)
            cls.objects.filter(pk__in=[one.pk for one in calls]).delete()
