"""Work in the background: each job waits in the queue, and the worker that locks it does it.

The queue forgets an entry whose worker was killed. The job itself records that it is pending, so
the tick finds it and queues it again.

An entry only says "look": it may come twice, late or never. Another queue than the table of
django-tasks-db is another backend of Django's task API: a rollback has to take entries back,
`lost` and `others_wait` find those that wait, `worker.py` takes them, `runs/workers.py` says how
long they wait.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from traceback import format_tb
from typing import Any, ClassVar, Self

from django.apps import apps
from django.db import Error, connection, models
from django.db.models import Q
from django.utils.module_loading import import_string
from django_tasks_db.models import DBTaskResult

from transfer.causes.connections import CONNECTION_LOST
from transfer.causes.runs import UNEXPECTED
from transfer.errors import AlreadyRunning, ConnectionLost, TransferError
from transfer.logs import about
from transfer.parties import OWN
from transfer.queue.locks import Space, held, lock
from transfer.queue.residents import count_workers
from transfer.queue.worker import stop_of_worker

try:
    from django.tasks import task
except ImportError:  # Django before 6.0
    from django_tasks import task  # type: ignore[no-redef]

logger = logging.getLogger(__name__)

# What is done for the jobs of each model, with the job and with Stopped; `apps` fills it in, since
# the work lies in upper layers. By name: a tick that has nothing to do need not load all of it.
WORK: dict[type["Job"], str] = {}


def queue_of_server(number: int) -> str:
    """Return the name of the queue in which all jobs of this bonus server wait."""
    return f"server {number}"


class JobQuerySet(models.QuerySet[Any]):
    def pending(self) -> Self:
        """Jobs that are still to be done."""
        raise NotImplementedError

    def locked(self) -> Self:
        """Jobs that a process does at this moment."""
        return self.filter(**{f"{self.model.LOCKED_BY}__in": held(self.model.LOCK_SPACE)})

    def idle(self) -> Self:
        """Jobs that no process does at this moment."""
        return self.exclude(**{f"{self.model.LOCKED_BY}__in": held(self.model.LOCK_SPACE)})

    def lost(self) -> Self:
        """Pending jobs that are neither locked nor queued: their worker is gone."""
        ready = DBTaskResult.objects.ready().values("pk")
        return self.pending().idle().filter(Q(queue_entry=None) | ~Q(queue_entry__in=ready))


class Job(models.Model):
    """Something that a worker does."""

    LOCK_SPACE: ClassVar[Space]
    LOCKED_BY: ClassVar[str] = "pk"  # the field whose number is locked
    PRIORITY: ClassVar[int] = 0  # in the queue; the highest comes first
    gave_way = False  # it ended its turn, since other jobs wait, and has more to do

    queue_entry = models.UUIDField(null=True, editable=False)

    class Meta:
        abstract = True

    @property
    def saved(self) -> Any:
        """Its row, to be changed only if it still is as the query says."""
        return type(self)._default_manager.filter(pk=self.pk)

    @property
    def queue_name(self) -> str:
        """The queue that it waits in: that of its bonus server, else that of all such jobs."""
        server: int | None = getattr(self, "server_id", None)
        return queue_of_server(server) if server else str(self._meta.model_name)

    def enqueue(self) -> None:
        """Puts it into the queue; twice does no harm, since one worker alone can claim it."""
        queued = work_off.using(priority=self.PRIORITY, queue_name=self.queue_name)
        entry = queued.enqueue(str(self._meta.model_name), self.pk)
        self.queue_entry = entry.id
        self.save(update_fields=["queue_entry"])

    def others_wait(self) -> bool:
        """Return whether jobs of other queues wait that no worker is free for.

        Those of a lower priority wait until this one is done.
        """
        ready = DBTaskResult.objects.ready().filter(priority__gte=self.PRIORITY)
        waiting = ready.exclude(queue_name=self.queue_name).count()
        return waiting > 0 and waiting > count_workers().free

    def lock(self) -> AbstractContextManager[None]:
        """The lock of the job, held while it is done. Raises AlreadyRunning."""
        return lock(self.LOCK_SPACE, self.pk)

    def claim(self) -> bool:
        """Whether the job is still pending. The caller holds the lock."""
        raise NotImplementedError

    def fail(self, error: TransferError) -> None:
        """Closes it as failed."""
        raise NotImplementedError

    def do(self, work: Callable[[], object]) -> None:
        """Does the job, unless it is done or locked. A failure of the work is stored in the job.

        `work` may be repeated after a crash. A job that gave way goes back into the queue.
        """
        with suppress(AlreadyRunning), self.lock():
            if self.claim():
                with self.failures():
                    work()
        if self.gave_way:  # once the lock is free: a worker that is faster would find it held
            self.enqueue()

    def log_names(self) -> dict[str, Any]:
        """What a line of the log names the job by."""
        return {str(self._meta.model_name): self.pk}

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Fails the job on any exception of the block, whose log lines name the job."""
        with about(**self.log_names()):
            try:
                yield
            except TransferError as error:
                self.fail(error)
            except Error as error:  # InterfaceError is no DatabaseError
                connection.close_if_unusable_or_obsolete()
                self.fail(ConnectionLost(CONNECTION_LOST, type(error).__name__, party=OWN))
            except Exception as error:
                # Without the error's own text: it may quote a PIN code.
                name, place = type(error).__name__, "".join(format_tb(error.__traceback__))
                logger.error("%s %s: %s\n%s", self._meta.model_name, self.pk, name, place)
                self.fail(TransferError(UNEXPECTED, name))


@task()
def work_off(model: str, number: int) -> None:
    """Does the job of this model that has this number."""
    job = apps.get_model("transfer", model)._default_manager.pending().filter(pk=number).first()
    if job is not None:
        job.do(lambda: import_string(WORK[type(job)])(job, stop_of_worker()))
