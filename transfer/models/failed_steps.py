"""Steps of background loops that an exception has ended, so that people see them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self

from django.db import connection, models
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy

from transfer.errors import TransferError
from transfer.models.failing import retry_delay

logger = logging.getLogger(__name__)

LONGEST_DELAY = timedelta(minutes=30)
# A step or an item that still exists is tried again sooner than that.
FORGOTTEN_AFTER = timedelta(hours=2)


class FailedStepQuerySet(models.QuerySet["FailedStep"]):
    def failing(self) -> Self:
        """Steps and items that failed when they were last tried."""
        lately = timezone.now() - FORGOTTEN_AFTER
        return self.filter(failing_since__isnull=False, failed_at__gt=lately)


class FailedStep(models.Model):
    """A step of a background loop, or one item of a step, that has failed at least once.

    The row stays after the step has succeeded: `total` is a counter of /metrics.
    """

    step = models.CharField(max_length=50)
    item = models.CharField(max_length=150, blank=True)  # "transfertask 12"; "": the whole step
    total = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)  # in a row
    failing_since = models.DateTimeField(null=True)  # null: it succeeded when last tried
    failed_at = models.DateTimeField()
    put_off_until = models.DateTimeField()
    error = models.CharField(max_length=100)  # the class; the text may quote a row

    objects = FailedStepQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("failed step")
        constraints = [models.UniqueConstraint("step", "item", name="one_row_per_failed_step")]

    def __str__(self) -> str:
        return f"{self.step} {self.item}".strip()

    @classmethod
    def note_failure(cls, step: str, item: str, error: Exception) -> None:
        """Counts the failure and puts the item off: 1, 2, 4 … minutes, half an hour at most."""
        now = timezone.now()
        known = {"failed_at": now, "put_off_until": now}
        row, _created = cls.objects.get_or_create(step=step, item=item, defaults=known)
        delay = retry_delay(row.failures, LONGEST_DELAY)
        cls.objects.filter(pk=row.pk).update(
            total=F("total") + 1,
            failures=F("failures") + 1,
            failing_since=row.failing_since or now,
            failed_at=now,
            put_off_until=now + delay,
            error=error.code if isinstance(error, TransferError) else type(error).__name__,
        )

    @classmethod
    def note_success(cls, step: str, item: str) -> None:
        cls.objects.filter(step=step, item=item).update(failures=0, failing_since=None)


class Steps:
    """Runs the steps of a loop so that an exception ends one step and no other.

    It knows which steps and items fail, so that a step that succeeds as usual costs no query.
    """

    def __init__(self) -> None:
        self.failed: list[tuple[str, str]] = []  # (step, item) that this object has seen failing

    @cached_property
    def failing(self) -> dict[tuple[str, str], datetime]:
        """(step, item) → until when the item is put off."""
        listed = FailedStep.objects.failing().values_list("step", "item", "put_off_until")
        return {(step, item): until for step, item, until in listed}

    @contextmanager
    def isolated(
        self, step: str, item: str = "", but: tuple[type[Exception], ...] | type[Exception] = ()
    ) -> Iterator[None]:
        """Swallows any exception of the block, except `but`: it is logged, counted and shown.

        Raises django.db.Error when our own database can't even note the failure: while it is away,
        no other step can work either.
        """
        try:
            yield
        except but:
            raise
        except Exception as error:
            logger.exception("this step failed: %s %s", step, item)
            if not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
            FailedStep.note_failure(step, item, error)
            self.failed.append((step, item))
        else:
            if (step, item) in self.failing:
                FailedStep.note_success(step, item)
                del self.failing[step, item]

    def is_put_off(self, step: str, item: str) -> bool:
        """Whether the item failed a moment ago, and is to be tried later."""
        now = timezone.now()
        return self.failing.get((step, item), now) > now
