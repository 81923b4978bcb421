"""How many bonus servers each load of a list has reached, by our own history.

The page of a load asks the servers themselves: see `arrival`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Subquery

from transfer.engine.shop_all.loads import Load
from transfer.errors import TransferError
from transfer.models import TransferRun, TransferTask, Upload
from transfer.models.run_base import GOOD_STATES
from transfer.servers.ask import shop_all


@dataclass(frozen=True)
class Reached:
    """How many of the docked bonus servers have received all rows of a load."""

    servers: int
    of: int

    @property
    def is_complete(self) -> bool:
        return self.servers == self.of


@dataclass(frozen=True)
class _Passed:
    """The last line of the log that a server has passed, and whether with all of its rows."""

    number: int
    is_whole: bool

    def has(self, number: int) -> bool:
        return number < self.number or (number == self.number and self.is_whole)


def reached(uploads: Iterable[Upload], seconds: float) -> dict[int, Reached]:
    """Return the number of a load → how many servers it has reached. Asks shop All, no server.

    Without loads of which nobody can say it like this: those that are not loaded or were taken
    back, those whose line is gone from the log; and all of them where shop All does not answer.
    """
    loaded = [one for one in uploads if one.state == Upload.State.LOADED and one.changeset]
    if not loaded:
        return {}
    found: dict[int, Reached] = {}
    with suppress(TransferError):
        origin, loads, removed = _ask(loaded, seconds)
        passed = _passed({one.kind for one in loaded}, origin)
        for upload in loaded:
            load, servers = loads.get(str(upload.changeset)), passed[upload.kind]
            if load is None or load.withdrawn or not load.rows or not servers:
                continue
            if load.number is not None:
                count = sum(one is not None and one.has(load.number) for one in servers)
                found[upload.pk] = Reached(count, len(servers))
            elif not removed[upload.kind]:  # no transfer has read it yet
                found[upload.pk] = Reached(0, len(servers))
    return found


def _ask(
    uploads: Sequence[Upload], seconds: float
) -> tuple[str, Mapping[str, Load], Mapping[str, int]]:
    """Return shop All's origin, its loads by their names, and of each kind the last line that is
    gone from the log. Raises TransferError.
    """
    kinds = {one.kind: one.kind_spec for one in uploads}
    with shop_all(seconds, secret=False) as source, source.snapshot():
        loads = source.loads.named([str(one.changeset) for one in uploads])
        removed = {name: source.log.removed(kind) for name, kind in kinds.items()}
        return source.identity.origin(), loads, removed


def _passed(kinds: Iterable[str], origin: str) -> Mapping[str, list[_Passed | None]]:
    """Return of each kind what each docked server has passed; None where no run has said it."""
    runs = TransferRun.objects.filter(task=OuterRef("pk")).begun().that_may_have_moved()
    tasks: Any = TransferTask.objects.filter(kind__in=kinds)
    tasks = tasks.annotate(moved_by=Subquery(runs.values("pk")[:1]))
    kind_and_run = [*tasks.order_by("pk").values_list("kind", "moved_by")]
    last = TransferRun.objects.in_bulk([run for _kind, run in kind_and_run if run])
    found: dict[str, list[_Passed | None]] = defaultdict(list)
    for kind, run in kind_and_run:
        found[kind].append(_passed_by(last.get(run), origin))
    return found


def _passed_by(run: TransferRun | None, origin: str) -> _Passed | None:
    counted = run.counted_to if run else None
    if run is None or counted is None or counted.origin != origin:
        return None
    # A position passes a line when its first rows are moved.
    return _Passed(counted.place.number, is_whole=run.state in GOOD_STATES)
