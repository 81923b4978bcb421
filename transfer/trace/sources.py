"""Where staged rows come from: a file, a person, a rejected row in whose place they are, a program.

All of it was noted by the transaction that wrote the row.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.conf import settings

from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.writers import WriterLog
from transfer.errors import one_line
from transfer.models import Upload

LOADS = """
    select xid::text::bigint, token::text from datatransfer.loaded
     where origin = %s and kind = %s and xid = any(%s::text[]::xid8[])
       and token::text ~ '^[0-9a-f-]{36}$'
"""
# Names are cut off: a changed table may hold one that is too long for a page.
CORRECTIONS = """
    select new_id, old_id, left(sent_by, 200) from datatransfer.resent
     where origin = %s and kind = %s and new_id = any(%s)
"""
WRITERS = """
    select xid::text::bigint, left(name, 200), left(program, 200)
      from datatransfer.writer
     where origin = %s and xid = any(%s::text[]::xid8[])
"""


@dataclass
class Source:
    """Where a staged row comes from, if known."""

    load: str | None = None  # the token of one
    upload: Upload | None = None  # the same, while the list of loads has it
    corrects: int | None = None  # the number of the rejected row
    sent_by: str = ""
    undoes: int | None = None  # the number of the row that it takes back
    undone_by: int | None = None  # the number of the row that takes it back
    name: str = ""  # of the database's user who wrote it
    program: str = ""


def note_sources(source: ShopAll, rows: Iterable[Any], origin: str) -> None:
    """Gives the rows, which have a kind, xid and id, their `source`, still without uploads."""
    if not WriterLog(source.database).exists():
        return
    of_kind = attrgetter("kind.name")
    for kind, some in groupby(sorted(rows, key=of_kind), key=of_kind):
        mine = list(some)
        xids = list({str(row.xid) for row in mine})
        loads = dict(source.database.rows(LOADS, [origin, kind, xids]))
        ids = [row.id for row in mine]
        corrections = {
            new: values for new, *values in source.database.rows(CORRECTIONS, [origin, kind, ids])
        }
        writers = {xid: values for xid, *values in source.database.rows(WRITERS, [origin, xids])}
        for row in mine:
            old_id, sent_by = corrections.get(row.id, (None, ""))
            name, program = writers.get(row.xid, ("", ""))
            row.source = Source(
                load=loads.get(row.xid),
                corrects=old_id,
                sent_by=one_line(sent_by),
                name=one_line(name),
                program=one_line(program),
            )
        _note_undone(source, kind, mine, origin)


def _note_undone(source: ShopAll, kind: str, rows: list[Any], origin: str) -> None:
    """Says which of these rows takes back which other, and by which it is taken back."""
    by_place = {(row.xid, row.id): row.source for row in rows}
    for pair in source.undo_log.pairs(settings.KINDS[kind], origin, by_place):
        if opposite := by_place.get((pair.new_xid, pair.new_id)):
            opposite.undoes = pair.old_id
        if original := by_place.get((pair.old_xid, pair.old_id)):
            original.undone_by = pair.new_id


def attach_uploads(rows: Iterable[Any]) -> None:
    """Gives the sources their uploads. One query."""
    sources = [row.source for row in rows if row.source.load]
    tokens = {source.load for source in sources}
    by_token = {str(one.token): one for one in Upload.objects.filter(token__in=tokens)}
    for source in sources:
        source.upload = by_token.get(source.load)
