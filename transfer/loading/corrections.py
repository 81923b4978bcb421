"""Which rejected rows the lines of a file correct."""

from collections.abc import Iterable
from re import Match
from typing import NamedTuple

from django.db.models import Exists

from transfer.engine.kinds import Kind
from transfer.loading.values import SPACES
from transfer.models import RejectedRow
from transfer.models.rejects import REJECT_KEY, SAME_ROW


class Named(NamedTuple):
    """The rejected row that a line names, or why it can't be corrected."""

    origin: str = ""
    old_id: int = 0
    old_xid: int | None = None
    fault: str = ""


def named(kind: Kind, keys: Iterable[str]) -> dict[str, Named]:
    """Finds the rows that these cells name, in one query."""
    matches = {key: REJECT_KEY.fullmatch(key.strip(SPACES).removeprefix("'")) for key in keys}
    rejects = _rejects({int(match[1]) for match in matches.values() if match})
    return {key: _judged(kind, match, rejects) for key, match in matches.items()}


# Number of a reject → kind, origin, number and transaction of its row, and whether any server's is
# open.
Rejects = dict[int, tuple[str, str, int, int | None, bool]]


def _rejects(numbers: set[int]) -> Rejects:
    rejects = (
        RejectedRow.objects.filter(pk__in=numbers)
        .annotate(is_row_open=Exists(RejectedRow.objects.open().filter(**SAME_ROW)))
        .values_list("pk", "kind", "origin", "staging_id", "xid", "is_row_open")
    )
    return {
        pk: (kind, str(origin), row, xid, is_open)
        for pk, kind, origin, row, xid, is_open in rejects
    }


def _judged(kind: Kind, match: Match[str] | None, rejects: Rejects) -> Named:
    if match is None:
        return Named(fault="reject_unreadable")
    number, row = map(int, match.groups())
    if number not in rejects or rejects[number][2] != row:
        return Named(fault="reject_unknown")
    of, origin, _, xid, is_open = rejects[number]
    if of != kind.name:
        return Named(origin, row, xid, "reject_of_another")
    return Named(origin, row, xid, "" if is_open else "reject_closed")
