"""Which scheduled tasks: those that are due, paused, watched; with the runs that pages show."""

from datetime import datetime
from typing import Any, Self

from django.db import models, transaction
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from transfer.models.settings import Settings


class ScheduledTaskQuerySet(models.QuerySet[Any]):
    def enabled(self) -> Self:
        return self.filter(enabled=True)

    def watched(self) -> Self:
        """Tasks whose runs begin as rows arrive, except failing ones: they wait for a retry."""
        rests = Q(paused_until__gt=timezone.now())
        return self.enabled().filter(as_rows_arrive=True, failures=0).exclude(rests)

    def disabled(self) -> Self:
        return self.filter(enabled=False)

    def paused(self) -> Self:
        return self.filter(paused_until__gt=timezone.now())

    def failing(self) -> Self:
        return self.filter(failures__gt=0)

    def due(self, now: datetime) -> Self:
        """Tasks whose next time or retry has come."""
        return self.enabled().filter(Q(next_run_at__lte=now) | Q(retry_at__lte=now))

    def unplanned(self) -> Self:
        """Switched on past `switch`: they have no next time yet."""
        return self.enabled().filter(next_run_at=None)

    def with_runs(self) -> Self:
        """For `attach_runs`: the numbers of the last run, the last success and the open run."""
        runs = self.model._meta.get_field("runs").related_model.objects
        of_task = latest_of_task(runs).values("pk")
        return self.annotate(
            last_run_id=Subquery(of_task.real().closed().exclude(state="skipped")[:1]),
            last_success_id=Subquery(of_task.real().good()[:1]),
            open_run_id=Subquery(of_task.open()[:1]),
        )

    def plan_earlier(self, now: datetime) -> None:
        """Computes the next times again that were computed while the clock was ahead."""
        zone, planned = Settings.load().zone, self.enabled().exclude(next_run_at=None)
        late = [one.pk for one in planned if one.next_time(now, zone=zone) < one.next_run_at]
        self.filter(pk__in=late).replan(now)

    @transaction.atomic
    def replan(self, now: datetime | None = None) -> None:
        """Computes the next times again: the time zone changed, or the clock was set back."""
        now, zone = now or timezone.now(), Settings.load().zone
        tasks = list(self.enabled().select_for_update(of=("self",)))
        for task in tasks:
            task.next_run_at = task.next_time(now, zone=zone)
        self.bulk_update(tasks, ["next_run_at"])


def latest_of_task(runs: Any) -> Any:
    """Runs of the task of the outer query, the latest first.

    No "=", for which the planner may walk back through the runs of all tasks, by their key: it
    does where most of them are of one, and takes half a second for a task that hardly ever runs.
    """
    of_task = runs.filter(task__gte=OuterRef("pk"), task__lte=OuterRef("pk"))
    return of_task.order_by("task_id", "-pk")
