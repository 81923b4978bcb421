"""Since when a part of a bonus server, or of shop All, has failed: the one record of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from django.db import connection, models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy

# In this time each part was tried, or its checks do not run. Parts that were first seen to fail
# within it failed together, as far as anybody can know.
ALL_TRIED = timedelta(minutes=3)

# The earlier one of two that notice a failure counts. A part that had answered fails again.
FAILED = """
    insert into transfer_outagepart as p (server_id, part, since)
    select server, part, at
      from unnest(%s::bigint[], %s::text[], %s::timestamptz[]) as seen (server, part, at)
     where server is null or exists (select from transfer_bonusserver where id = server)
     order by server, part
        on conflict (coalesce(server_id, 0), part) do update
       set since = least(p.since, excluded.since),
           answered_at = case when p.answered_at >= excluded.since then p.answered_at end
     where excluded.since < p.since or p.answered_at < excluded.since
"""

# Parts that failed together have one begin: the first one.
TOGETHER = """
    update transfer_outagepart as p
       set since = first.since
      from (select later.id, min(earlier.since) as since
              from transfer_outagepart as later
              join transfer_outagepart as earlier
                on coalesce(earlier.server_id, 0) = coalesce(later.server_id, 0)
               and earlier.since between later.since - make_interval(secs => %s) and later.since
             where coalesce(later.server_id, 0) = any(%s)
             group by later.id) as first
     where p.id = first.id and first.since < p.since
"""

ANSWERED = """
    update transfer_outagepart as p
       set answered_at = at
      from unnest(%s::bigint[], %s::text[], %s::timestamptz[]) as seen (server, part, at)
     where coalesce(p.server_id, 0) = coalesce(server, 0) and p.part = seen.part
       and p.answered_at is null and p.since < at
"""


class Part(models.TextChoices):
    """What can fail. Transfers need the database. Their runs may fail for other reasons."""

    DATABASE = "database"
    ADMIN = "admin"  # the administration port
    SERVICE = "service"  # the service port
    RUNS = "runs"


class Seen(NamedTuple):
    """What somebody has seen of a part: `server_id` is None for shop All."""

    server_id: int | None
    part: Part
    at: datetime


class OutagePartQuerySet(models.QuerySet["OutagePart"]):
    def over(self, now: datetime) -> Self:
        """Those that fail no longer, if no run fails at the moment."""
        is_over = models.Q(answered_at__lte=now) | models.Q(part=Part.RUNS, since__lte=now)
        return self.filter(is_over)

    def lock(self) -> None:
        """Lock them until the transaction ends, in one order."""
        list(self.order_by("pk").select_for_update().values_list("pk"))


class OutagePart(models.Model):
    """A part that fails, or has failed in an outage that goes on.

    Whoever sees a failure notes it here: a run, a check, a page that asks. `since` never becomes
    later, and all parts that failed together have the same one. The row is removed when the part
    answers and no run has to be repeated: see `problems/incidents.py`.
    """

    server = models.ForeignKey(
        "BonusServer", on_delete=models.CASCADE, null=True, related_name="outage_parts"
    )
    part = models.CharField(max_length=10, choices=Part)
    since = models.DateTimeField()
    # When it was first seen to answer again; null while it fails. A run says nothing of that.
    answered_at = models.DateTimeField(null=True)

    objects = OutagePartQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("part of an outage")
        constraints = [
            models.UniqueConstraint(Coalesce("server", 0), "part", name="one_row_per_failing_part")
        ]

    def __str__(self) -> str:
        return f"{self.server_id} {self.part}"

    @staticmethod
    def note_failures(seen: Iterable[Seen]) -> None:
        """Note failures, in two statements. An undocked server is left out."""
        if listed := list(seen):
            _execute(FAILED, listed)
            with connection.cursor() as cursor:
                servers = [one.server_id or 0 for one in listed]
                cursor.execute(TOGETHER, [ALL_TRIED.total_seconds(), servers])

    @staticmethod
    def note_answers(seen: Iterable[Seen]) -> None:
        """Note that parts answer, in one statement; of those that had not failed, nothing."""
        if listed := list(seen):
            _execute(ANSWERED, listed)


def _execute(statement: str, seen: Sequence[Seen]) -> None:
    columns = [list(column) for column in zip(*seen, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(statement, columns)
