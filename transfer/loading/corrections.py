"""Which rejected rows the lines of a file correct."""

from collections.abc import Iterable, Mapping
from re import Match
from types import MappingProxyType
from typing import NamedTuple

from django.db.models import Exists

from transfer.engine.kind import Kind
from transfer.loading.values import SPACES
from transfer.models import RejectedRow
from transfer.models.rejects import REJECT_KEY, SAME_ROW


class Named(NamedTuple):
    """The rejected row that a line names, or why it can't be corrected.

    `payload` is what the bonus server recorded of the row, and the file of rejected rows shows.
    """

    changeset: str = ""
    row: int = 0
    fault: str = ""
    payload: Mapping[str, str | None] = MappingProxyType({})


def named(kind: Kind, keys: Iterable[str]) -> dict[str, Named]:
    """Finds the rows that these cells name, in one query."""
    matches = {key: REJECT_KEY.fullmatch(key.strip(SPACES).removeprefix("'")) for key in keys}
    numbers = {int(match[1]) for match in matches.values() if match}
    # A reject can be corrected if that of any server of its row is open.
    found = RejectedRow.objects.filter(pk__in=numbers).annotate(
        is_row_open=Exists(RejectedRow.objects.open().filter(**SAME_ROW))
    )
    rejects: Rejects = {}
    for one in found:
        row = Named(changeset=str(one.changeset), row=one.row, payload=one.payload)
        rejects[one.pk] = one.kind, one.is_row_open, row
    return {key: _judged(kind, match, rejects) for key, match in matches.items()}


# Number of a reject → its kind, whether it can be corrected, and the row.
Rejects = dict[int, tuple[str, bool, Named]]


def _judged(kind: Kind, match: Match[str] | None, rejects: Rejects) -> Named:
    if match is None:
        return Named(fault="reject_unreadable")
    number, row = map(int, match.groups())
    if number not in rejects or rejects[number][2].row != row:
        return Named(fault="reject_unknown")
    of, is_open, found = rejects[number]
    if of != kind.name:
        return found._replace(fault="reject_of_another")
    return found if is_open else found._replace(fault="reject_closed")
