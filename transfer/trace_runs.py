"""Which run moved a row: found by bisection, since positions only ever move on."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from transfer.models import TransferRun

Key = tuple[int, int, int]  # task, xid, id


@dataclass(frozen=True)
class Snapshot:
    """pg_snapshot as text, `xmin:xmax:xip,…`; PostgreSQL, "System Information Functions"."""

    xmin: int
    xmax: int
    under_way: frozenset[int]

    @classmethod
    def of(cls, text: str) -> "Snapshot":
        xmin, xmax, under_way = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, under_way.split(",")))))

    def sees(self, xid: int) -> bool:
        return xid < self.xmin or (xid < self.xmax and xid not in self.under_way)


def has_moved(position: dict[str, Any] | None, origin: str, xid: int, id_: int) -> bool:
    """`position.moved`, for a position as a run keeps it."""
    if position is None or position["origin"] != origin:
        return False
    if Snapshot.of(position["read_through"]).sees(xid):
        return True
    if position["reading"] is None or position["last_xid"] is None:
        return False
    last = (int(position["last_xid"]), int(position["last_id"]))
    return Snapshot.of(position["reading"]).sees(xid) and (xid, id_) <= last


def runs_that_moved(wanted: Iterable[Key], origin: str) -> dict[Key, TransferRun]:
    """The run of each row; without those whose runs are gone from the history.

    All rows are looked for at once: a query for each step of the bisection.
    """
    numbers: dict[int, list[int]] = {}
    searches = dict.fromkeys(wanted, (0, 0))
    for task, pk in (
        TransferRun.objects.filter(task__in={key[0] for key in searches}, read__gt=0)
        .order_by("task", "pk")
        .values_list("task", "pk")
    ):
        numbers.setdefault(task, []).append(pk)
    searches = {key: (0, len(numbers.get(key[0], []))) for key in searches}
    positions: dict[int, Any] = {}
    while any(low < high for low, high in searches.values()):
        middles = {
            key: numbers[key[0]][(low + high) // 2]
            for key, (low, high) in searches.items()
            if low < high
        }
        _fetch(positions, middles.values())
        for key, pk in middles.items():
            (low, high), (_, xid, id_) = searches[key], key
            middle = (low + high) // 2
            is_past = has_moved(positions[pk][1], origin, xid, id_)
            searches[key] = (low, middle) if is_past else (middle + 1, high)
    found = {
        key: numbers[key[0]][low]
        for key, (low, _) in searches.items()
        if low < len(numbers.get(key[0], []))
    }
    _fetch(positions, found.values())
    runs = TransferRun.objects.select_related("actor").in_bulk(set(found.values()))
    return {
        key: runs[pk]
        for key, pk in found.items()
        # A run before it that is gone from the history may have moved the row.
        if not has_moved(positions[pk][0], origin, *key[1:])
    }


def _fetch(positions: dict[int, Any], pks: Iterable[int]) -> None:
    missing = set(pks) - positions.keys()
    if missing:
        rows = TransferRun.objects.filter(pk__in=missing)
        for pk, *both in rows.values_list("pk", "position_from", "position_to"):
            positions[pk] = both
