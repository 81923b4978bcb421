"""Closes rejects in our own database whose rows were sent again with the right values.

The bonus servers close their own when the corrected row arrives. Closing ours at once keeps people
from correcting a row twice; it would do no harm, since a correction applies only where the reject
is open. Until a server has closed its own, ours is not `is_written`: if shop All loses the
correction before, the mirror opens ours again.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Any, TypeVar

from django.db import connection
from django.utils import timezone

from transfer.engine.kind import Kind
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.models import RejectedRow

AT_ONCE = 5000

Row = TypeVar("Row", bound=tuple[Any, ...])

CLOSE = """
    update transfer_rejectedrow as reject
       set state = 'resent', closed_at = %s, closed_by = %s, resent_changeset = %s,
           resent_row = sent.new_row, is_written = false
      from unnest(%s::bigint[], %s::bigint[]) as sent (old_row, new_row)
     where reject.kind = %s and reject.changeset = %s and reject."row" = sent.old_row
       and reject.state = 'open'
"""


def lock(kind: Kind, rows: Iterable[tuple[str, int]]) -> int:
    """Lock the open rejects of these rows; return how many of the rows have any.

    The rows come in the order of changeset and row, in which everybody locks, or two would lock
    each other out.
    """
    locked = 0
    for changeset, batch in batches(rows):
        rejects = (
            RejectedRow.objects.open()
            .filter(kind=kind.name, changeset=changeset, row__in=[row for _, row in batch])
            .in_locking_order()
            .select_for_update(of=("self",))
        )
        locked += len(set(rejects.values_list("row", flat=True)))
    return locked


def batches(rows: Iterable[Row]) -> Iterator[tuple[str, list[Row]]]:
    """Yield parts of rows that begin with their changeset and come in its order, each of one."""
    for changeset, some in groupby(rows, key=lambda row: row[0]):
        while batch := list(islice(some, AT_ONCE)):
            yield str(changeset), batch


def close_staged(staged: StagingImport, by: str) -> int:
    """Close the rejects whose rows `staged` has just sent again, at every server; return how many.

    Both databases have to commit.
    """
    closed, now = 0, timezone.now()
    sent = ((one.of_changeset, one.of_row, one.row) for one in staged.sent())
    with connection.cursor() as cursor:
        for changeset, batch in batches(sent):
            old, new = [one[1] for one in batch], [one[2] for one in batch]
            about: list[Any] = [now, by, staged.changeset, old, new, staged.kind.name, changeset]
            cursor.execute(CLOSE, about)
            closed += cursor.rowcount
    return closed
