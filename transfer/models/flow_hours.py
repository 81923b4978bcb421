"""What each transfer task has moved in each hour: rows by outcome, and how long they took."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, zip_longest
from math import inf

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.models import Sum
from django.utils.translation import gettext_lazy

from transfer.engine.received import Totals
from transfer.models.tasks import TransferTask

OUTCOMES = ("applied", "unchanged", "rejected")
# Seconds: a row counts for the first of these that its delay does not exceed, else for the last
# place. A limit of the settings is one of them, so that how many rows kept it is known exactly.
BOUNDS = (
    *(0.5, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45),  # whole seconds, minutes or hours from 1 on
    *(60, 120, 180, 300, 480, 600, 900, 1800, 2700),
    *(3600, 7200, 14400, 28800, 86400),
)
SHARE = 0.95  # of the rows: what is said of all of them leaves out the slowest twentieth
DAY = timedelta(hours=24)
# The hour of all rows that were counted too long ago to tell hours apart.
EARLIER = datetime(1970, 1, 1, tzinfo=UTC)
TELL_APART = timedelta(days=2)

# Adds to an hour of a task. Nothing if the task is gone. By the unique index.
ADD = """
    insert into transfer_flowhour as held (task_id, hour, applied, unchanged, rejected, delays)
    select id, date_trunc('hour', %(at)s::timestamptz, 'UTC'),
           %(applied)s, %(unchanged)s, %(rejected)s, %(delays)s
      from transfer_transfertask where id = %(task)s
        on conflict (task_id, hour) do update
       set applied = held.applied + excluded.applied,
           unchanged = held.unchanged + excluded.unchanged,
           rejected = held.rejected + excluded.rejected,
           delays = array(select coalesce(before, 0) + coalesce(new, 0)
                            from unnest(held.delays, excluded.delays) with ordinality
                                   as place (before, new, number)
                           order by number)
"""
# Adds hours up to a moment to EARLIER. Counters of all time stay what they are.
MERGE = """
    with old as (
        delete from transfer_flowhour where hour < %(before)s and hour > %(earlier)s returning *
    )
    insert into transfer_flowhour as held (task_id, hour, applied, unchanged, rejected, delays)
    select task_id, %(earlier)s, sum(applied), sum(unchanged), sum(rejected), '{}'
      from old group by task_id
        on conflict (task_id, hour) do update
       set applied = held.applied + excluded.applied,
           unchanged = held.unchanged + excluded.unchanged,
           rejected = held.rejected + excluded.rejected
"""

Delays = Sequence[int]  # how many rows, by the places of BOUNDS


class FlowHourQuerySet(models.QuerySet["FlowHour"]):
    def add(
        self, task_id: int | None, moved: Totals, at: datetime, seconds: float | None = None
    ) -> None:
        """Counts rows that a task has moved, which took so many seconds; None: not known."""
        delays: list[int] = []
        if seconds is not None:
            place = sum(seconds > bound for bound in BOUNDS)
            delays = [0] * place + [moved.read]
        values = {
            "task": task_id,
            "at": at,
            **{name: getattr(moved, name) for name in OUTCOMES},
            "delays": delays,
        }
        with connection.cursor() as cursor:
            cursor.execute(ADD, values)

    def merge(self, now: datetime) -> None:
        """Keeps of all hours but the last ones only their sums."""
        with connection.cursor() as cursor:
            cursor.execute(MERGE, {"before": now - TELL_APART, "earlier": EARLIER})

    def totals(self) -> dict[int, dict[str, int]]:
        """Task → rows that it has ever moved, by outcome. They never become fewer. One query."""
        sums = self.order_by().values("task").annotate(**{name: Sum(name) for name in OUTCOMES})
        return {one.pop("task"): one for one in sums}

    def delays(self, now: datetime) -> dict[int, Delays]:
        """Task → how long the rows took that it moved in the last 24 hours. One query."""
        of_tasks: dict[int, Delays] = {}
        hours = self.filter(hour__gt=now - DAY, hour__lte=now).values_list("task", "delays")
        for task, delays in hours:
            of_tasks[task] = added([of_tasks.get(task, []), delays])
        return of_tasks


class FlowHour(models.Model):
    """What one transfer task has moved in one hour."""

    task = models.ForeignKey(TransferTask, on_delete=models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    applied = models.BigIntegerField(default=0)
    unchanged = models.BigIntegerField(default=0)
    rejected = models.BigIntegerField(default=0)
    delays = ArrayField(models.BigIntegerField(), default=list)

    objects = FlowHourQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("hour of a transfer task")
        constraints = [models.UniqueConstraint("task", "hour", name="hour_of_a_task")]

    def __str__(self) -> str:
        return f"{self.task_id} {self.hour}"


def added(of_several: Sequence[Delays]) -> Delays:
    return [sum(counts) for counts in zip_longest(*of_several, fillvalue=0)]


def most_within(delays: Delays) -> float | None:
    """The seconds within which 95 % of the rows arrived, rounded up to one of BOUNDS.

    Infinity if that is more than all of them; None if no row's delay is known.
    """
    rows = sum(delays)
    if not rows:
        return None
    bounds = zip(accumulate(delays), (*BOUNDS, inf), strict=False)
    return next(bound for so_far, bound in bounds if so_far >= SHARE * rows)


def later_than(seconds: float, delays: Delays) -> int:
    """How many rows took longer than that; `seconds` is one of BOUNDS."""
    return sum(delays[BOUNDS.index(seconds) + 1 :])
