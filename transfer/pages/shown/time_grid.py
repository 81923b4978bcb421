"""What all tasks did in the last hours, on one time axis: squares, and where failures began."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.utils import timezone
from django.utils.translation import gettext as _, gettext_lazy, ngettext

from transfer.models import BonusServer, MaintenanceRun, TransferRun, TransferTask
from transfer.models.addresses import address
from transfer.models.run_base import RunSlot, State
from transfer.pages.shown.task_status import ORDER
from transfer.pages.shown.traced import which
from transfer.text import formats

# Hours → minutes of a square. Hours are a multiple of it, so that squares begin at :00.
SQUARES = {6: 10, 12: 15, 24: 30}
WINDOWS = tuple(SQUARES)
TICKS = 4  # times that are written on the axis
MOST_BEGINNINGS = 6


# The worst first: the sign of a square, how it is drawn, and its words.
WORDS = {
    "bad": State.FAILED.label,
    "open": gettext_lazy("Queued or running"),
    "rejects": State.REJECTS.label,
    "moved": gettext_lazy("Succeeded, with rows"),
    "nothing": gettext_lazy("Succeeded, no rows"),
    "idle": gettext_lazy("Skipped or cancelled"),
}
SIGNS = tuple(WORDS)


class Square(NamedTuple):
    """A square: its place from the left, its sign, where it leads to, and its words."""

    place: int
    sign: str
    url: str
    words: str


class Failure(NamedTuple):
    """A failed run: when it was queued, and its address."""

    at: datetime
    url: str


@dataclass(frozen=True)
class Line:
    """The squares of one task, and what a table says of it."""

    title: str
    squares: list[Square]
    runs: int
    bad: int
    rejects: int
    begins: dict[int, Failure]  # place → the failure that began there

    @property
    def failures(self) -> list[Failure]:
        """Where failures began, the first ones."""
        return sorted(self.begins.values())[:MOST_BEGINNINGS]


@dataclass(frozen=True)
class Group:
    """The tasks of a bonus server, whose number is `key`; without a key, maintenance."""

    key: int | None
    name: str
    lines: list[Line]

    @property
    def squares(self) -> list[Square]:
        """The worst square of all tasks, for each place. It leads on where failures begin."""
        worst: dict[int, Square] = {}
        for line in self.lines:
            for square in line.squares:
                shown = square if square.place in line.begins else square._replace(url="")
                known = worst.get(square.place)
                if known is None or _rank(shown) < _rank(known):
                    worst[square.place] = shown
        return [worst[place] for place in sorted(worst)]


def _rank(square: Square) -> tuple[int, bool]:
    return SIGNS.index(square.sign), not square.url


class Beginning(NamedTuple):
    """Failures that began at about the same time: the first run and its time; the servers."""

    at: datetime
    servers: str
    url: str


class Failing(NamedTuple):
    """A place on the axis, the share of the servers that fail there, and both in words."""

    place: int
    share: float
    words: str


@dataclass(frozen=True)
class Grid:
    """The tasks of all servers in groups, and maintenance; with all that is said of them."""

    hours: int
    edges: Sequence[datetime]
    groups: list[Group]
    maintenance: Group | None
    beginnings: list[Beginning]

    @property
    def places(self) -> int:
        """How many squares a line has room for."""
        return len(self.edges) - 1

    @property
    def ticks(self) -> list[str]:
        """The times at which the quarters of the axis begin."""
        return [formats.clock(self.edges[self.places * n // TICKS]) for n in range(TICKS)]

    @property
    def failing(self) -> list[Failing]:
        """Each place with failures, and on how many of the servers."""
        counts = Counter(
            square.place
            for group in self.groups
            for square in group.squares
            if square.sign == "bad"
        )
        found = []
        for place, count in sorted(counts.items()):
            numbers = {"n": formats.number(count), "all": formats.number(len(self.groups))}
            words = f"{between(self.edges, place)}: {_('%(n)s of %(all)s servers') % numbers}"
            found.append(Failing(place, count / len(self.groups), words))
        return found

    @property
    def all_groups(self) -> list[Group]:
        return [*self.groups, self.maintenance] if self.maintenance else self.groups


def edges_of(hours: int) -> list[datetime]:
    """Return where the squares begin, and where the last one ends, which holds the present."""
    length = timedelta(minutes=SQUARES[hours])
    past = timezone.now().timestamp() // length.total_seconds()
    end = datetime.fromtimestamp((past + 1) * length.total_seconds(), UTC)
    count = int(timedelta(hours=hours) / length)
    return [end - length * (count - place) for place in range(count + 1)]


def grid_of(hours: int) -> Grid:
    """Read the grid: a query for each kind of run, one for the tasks. All groups are open."""
    edges = edges_of(hours)
    slots = _by_task(TransferRun.objects.in_slots(edges, "server", "kind"))
    servers: dict[BonusServer, list[TransferTask]] = {}
    for task in TransferTask.objects.select_related("server").order_by("server_id"):
        servers.setdefault(task.server, []).append(task)
    groups = [
        Group(
            server.pk,
            server.name,
            [
                _line(task.get_kind_display(), slots.get((server.pk, task.kind), {}), edges)
                for task in sorted(tasks, key=lambda one: ORDER[one.kind])
            ],
        )
        for server, tasks in servers.items()
    ]
    return Grid(hours, edges, groups, _maintenance(edges), _beginnings(groups, hours))


def _by_task(slots: Iterable[RunSlot]) -> dict[tuple[Any, ...], dict[int, RunSlot]]:
    """The slots of each task, by their places."""
    of: dict[tuple[Any, ...], dict[int, RunSlot]] = {}
    for slot in slots:
        of.setdefault(slot.of, {})[slot.place] = slot
    return of


def _maintenance(edges: Sequence[datetime]) -> Group | None:
    """Maintenance that has run; None if none has."""
    slots = _by_task(MaintenanceRun.objects.real().in_slots(edges, "kind"))
    words = dict(MaintenanceRun._meta.get_field("kind").flatchoices)
    lines = [
        _line(str(words.get(kind, kind)), of_task, edges, MaintenanceRun.URL_NAME)
        for (kind,), of_task in sorted(slots.items())
    ]
    return Group(None, _("Maintenance"), lines) if lines else None


def _line(
    title: str,
    slots: Mapping[int, RunSlot],
    edges: Sequence[datetime],
    url_name: str = TransferRun.URL_NAME,
) -> Line:
    """The squares of a task, and where it began to fail: after a success, or for the first time."""
    squares, begins, was_bad = [], {}, False
    for place in sorted(slots):
        slot = slots[place]
        sign = _sign(slot)
        first = {"bad": slot.first_bad, "rejects": slot.first_rejects}.get(sign)
        url = address(url_name, first or slot.last)
        squares.append(Square(place, sign, url, f"{between(edges, place)}: {_words(slot, sign)}"))
        if slot.bad_at is not None and not was_bad:
            begins[place] = Failure(slot.bad_at, url)
        if slot.bad or slot.good:  # what was skipped, or goes on, says nothing
            was_bad = slot.bad > 0
    bad, rejects = (
        sum(getattr(one, name) for one in slots.values()) for name in ("bad", "rejects")
    )
    return Line(title, squares, sum(one.runs for one in slots.values()), bad, rejects, begins)


def between(edges: Sequence[datetime], place: int) -> str:
    """The time of a square: "14:10–14:20"."""
    return f"{formats.clock(edges[place])}–{timezone.localtime(edges[place + 1]):%H:%M}"


def _sign(slot: RunSlot) -> str:
    if slot.bad:
        return "bad"
    if slot.open:
        return "open"
    if slot.rejects:
        return "rejects"
    if slot.good:
        return "nothing" if slot.rows == 0 else "moved"
    return "idle"


def _words(slot: RunSlot, sign: str) -> str:
    """What the runs of a square were."""
    runs = formats.number(slot.runs)
    if slot.bad_at is not None:
        return ngettext(
            "%(bad)s of %(n)s run failed, the first %(at)s",
            "%(bad)s of %(n)s runs failed, the first %(at)s",
            slot.runs,
        ) % {"bad": formats.number(slot.bad), "n": runs, "at": formats.clock(slot.bad_at)}
    words = f"{WORDS[sign]}, {ngettext('%(n)s run', '%(n)s runs', slot.runs) % {'n': runs}}"
    return f"{words}, {formats.rows(slot.rows)}" if slot.rows else words


def _beginnings(groups: Sequence[Group], hours: int) -> list[Beginning]:
    """Where failures began: those on the most servers first, then the latest.

    What begins within the minutes of a square after the first failure is one beginning, in
    whichever square it is.
    """
    within = timedelta(minutes=SQUARES[hours])
    failures = sorted(
        (failure, group.name)
        for group in groups
        for line in group.lines
        for failure in line.begins.values()
    )
    found: list[tuple[Failure, dict[str, None]]] = []  # the first one, and the servers in order
    for failure, server in failures:
        if not found or failure.at - found[-1][0].at >= within:
            found.append((failure, {}))
        found[-1][1][server] = None
    found.sort(key=lambda one: (len(one[1]), one[0].at), reverse=True)
    return [
        Beginning(first.at, which(list(servers), len(groups)), first.url)
        for first, servers in found[:MOST_BEGINNINGS]
    ]
