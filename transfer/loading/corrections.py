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
    `uncertain` is the token of the reject, if it is not certain.
    """

    origin: str = ""
    old_id: int = 0
    old_xid: int | None = None
    fault: str = ""
    uncertain: str | None = None
    payload: Mapping[str, str | None] = MappingProxyType({})


def named(kind: Kind, keys: Iterable[str]) -> dict[str, Named]:
    """Finds the rows that these cells name, in one query."""
    matches = {key: REJECT_KEY.fullmatch(key.strip(SPACES).removeprefix("'")) for key in keys}
    rejects = _rejects({int(match[1]) for match in matches.values() if match})
    return {key: _judged(kind, match, rejects) for key, match in matches.items()}


# Number of a reject → its kind, whether it can be corrected, and the row.
Rejects = dict[int, tuple[str, bool, Named]]


def _rejects(numbers: set[int]) -> Rejects:
    """A reject can be corrected if any server's of the row is open; an uncertain one, if it is."""
    rejects = RejectedRow.objects.filter(pk__in=numbers).annotate(
        is_row_open=Exists(RejectedRow.objects.open().filter(**SAME_ROW))
    )
    return {one.pk: (one.kind, _is_open(one), _row_of(one)) for one in rejects}


def _is_open(reject: RejectedRow) -> bool:
    return reject.is_open if reject.is_uncertain else reject.is_row_open  # type: ignore[attr-defined]


def _row_of(reject: RejectedRow) -> Named:
    return Named(
        origin=str(reject.origin),
        old_id=reject.staging_id,
        old_xid=reject.xid,
        uncertain=str(reject.token) if reject.is_uncertain else None,
        payload=reject.payload,
    )


def _judged(kind: Kind, match: Match[str] | None, rejects: Rejects) -> Named:
    if match is None:
        return Named(fault="reject_unreadable")
    number, row = map(int, match.groups())
    if number not in rejects or rejects[number][2].old_id != row:
        return Named(fault="reject_unknown")
    of, is_open, found = rejects[number]
    if of != kind.name:
        return found._replace(fault="reject_of_another")
    return found if is_open else found._replace(fault="reject_closed")
