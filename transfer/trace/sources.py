"""Where staged rows come from: a file, a person, a rejected row in whose place they are, a program.

All of it was noted by the transaction that wrote the row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import one_line
from transfer.models import RejectedRow, Upload

# The loads among these changesets, and by whom. By the primary key. Names are cut off: a changed
# table may hold one that is too long for a page.
LOADS = """
    select changeset::text, left(staged_for, 200) from datatransfer.load
     where changeset = any(%s::uuid[])
"""
# What these rows depend on, and how; and the number that row has in the table, null if it is gone
# from there. By the primary keys, and the index on (xid, started, row).
DEPENDENT = """
    select dependent.changeset::text, dependent."row", effect, ours.id
      from unnest({changesets}::uuid[], {rows}::bigint[]) as named (changeset, "row")
      join datatransfer.dependent
        on dependent.kind = {kind} and dependent.changeset = named.changeset
       and dependent."row" = named."row"
      left join datatransfer.log on log.kind = {kind} and log.changeset = of_changeset
      left join {staged}
        on ours.xid = log.xid and ours.started = log.started and ours."row" = of_row
     where effect <> 'decided'
"""
# What depends on these rows, how, and since when. By the index `dependent_of`, and as above.
DEPENDING = """
    select of_changeset::text, of_row, effect, ours.id, log.started
      from unnest({changesets}::uuid[], {rows}::bigint[]) as named (changeset, "row")
      join datatransfer.dependent
        on dependent.kind = {kind} and of_changeset = named.changeset and of_row = named."row"
      left join datatransfer.log on log.kind = {kind} and log.changeset = dependent.changeset
      left join {staged}
        on ours.xid = log.xid and ours.started = log.started and ours."row" = dependent."row"
     where effect <> 'decided'
"""


@dataclass(frozen=True)
class Other:
    """Another row of the same table: its number there, None if it is not there any more."""

    id: int | None


@dataclass
class Source:
    """Where a staged row comes from, if known."""

    load: str | None = None  # the changeset of one
    upload: Upload | None = None  # the same, while the list of loads has it
    corrects: Other | None = None  # the rejected row in whose place it is
    sets: Other | None = None  # the row whose changed amount it brings
    sent_by: str = ""
    undoes: Other | None = None  # the row that it takes back
    undone_by: Other | None = None  # the row that takes it back
    name: str = ""  # of the database's user who wrote it


def note_sources(source: ShopAll, rows: Iterable[Any]) -> None:
    """Give the rows, which have a kind, a name and `staged_by`, their `source`, without uploads."""
    of_kinds: dict[str, list[Any]] = {}
    for row in rows:
        row.source.name = one_line(row.staged_by or "")
        of_kinds.setdefault(row.kind.name, []).append(row)
    for some in of_kinds.values():
        names = sorted({row.name.changeset for row in some})
        loads = dict(source.database.rows(LOADS, [names]))
        for row in some:
            if row.name.changeset in loads:
                row.source.load = row.name.changeset
                row.source.sent_by = one_line(loads[row.name.changeset])
        _note_dependent(source, some[0].kind, some)


def _note_dependent(source: ShopAll, kind: Kind, rows: list[Any]) -> None:
    by_name = {(row.name.changeset, row.name.row): row for row in rows}
    parts: dict[str, sql.Composable] = {
        "changesets": sql.Literal([name for name, _row in by_name]),
        "rows": sql.Literal([number for _name, number in by_name]),
        "kind": sql.Literal(kind.name),
        "staged": kind.staged,
    }
    dependent = source.database.rows(sql.SQL(DEPENDENT).format(**parts))
    for changeset, number, effect, of_id in dependent:
        found = by_name[changeset, number].source
        if effect == "replaces":
            found.corrects = Other(of_id)
        elif effect == "sets":
            found.sets = Other(of_id)
        else:
            found.undoes = Other(of_id)
    depending = source.database.rows(sql.SQL(DEPENDING).format(**parts))
    for changeset, number, effect, by_id, at in depending:
        row = by_name[changeset, number]
        if effect == "reverses":
            row.source.undone_by = Other(by_id)
        elif effect == "replaces":
            row.sent_again = Other(by_id), at


def attach_from_history(rows: Iterable[Any]) -> None:
    """Give the sources what our own history knows: their uploads, and who has corrected a row.

    Two queries at most.
    """
    listed = list(rows)
    loads = {row.source.load for row in listed if row.source.load}
    uploads = Upload.objects.filter(changeset__in=loads) if loads else []
    by_name = {str(one.changeset): one for one in uploads}
    corrections = {row.name.changeset for row in listed if row.source.corrects}
    sent_by: dict[str, str] = {}  # changeset of a correction → who has sent it
    if corrections:
        rejects = RejectedRow.objects.filter(resent_changeset__in=corrections)
        found = (
            rejects.exclude(closed_by="").order_by().values_list("resent_changeset", "closed_by")
        )
        sent_by = {str(changeset): who for changeset, who in found.distinct()}
    for row in listed:
        row.source.upload = by_name.get(row.source.load)
        row.source.sent_by = row.source.sent_by or sent_by.get(row.name.changeset, "")
