"""Applies a row that replaces a rejected one on exactly those servers that rejected the other.

Whether a server has accepted a row is decided by what that server has recorded, in the order of
the rows. In a chunk, the replacements are therefore held back until all other rows are applied or
rejected. Then those are released whose original this server has rejected, in this chunk or before,
or has never seen. A released row may be refused in its turn, which decides on the row that
replaces it: so rows are released in turns, until a turn releases none. What is still held back
then replaces a row that the server has accepted.
"""

from collections.abc import Iterator

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.move.plan import ChunkPlan, Last
from transfer.engine.move.stream import as_source_failure
from transfer.engine.position import NOTHING_READ
from transfer.engine.shop_all.source import ShopAll

HELD_BACK = "accepted_before"  # the code of the reject, if the row stays so

# The original of a row, under each of its origins.
ORIGINALS = """
    create temporary table datatransfer_original (
        xid xid8, id bigint, origin uuid, old_id bigint, is_unseen boolean
    ) on commit drop;
"""
# Fills it. The first parameter names those that are unseen (see `_unseen`).
ADD_ORIGINALS = """
    insert into pg_temp.datatransfer_original (xid, id, origin, old_id, is_unseen)
    select xid::xid8, id, origin::uuid, old_id, old_id = any(%s::bigint[])
      from unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[])
           as row (xid, id, origin, old_id)
"""
# Marks the rows that replace others, and makes the indexes that RELEASE uses.
HOLD_BACK = f"""
    alter table pg_temp.incoming add column turn integer not null default 0;
    create index on pg_temp.incoming (xid, id);
    create index on pg_temp.incoming (id);
    update pg_temp.incoming set fault = '{HELD_BACK}'
     where fault is null
       and (xid, id) in (select xid, id from pg_temp.datatransfer_original)
"""
# Whether the chunk has rows that replace others. By the catalogue.
HAS_ORIGINALS = "select to_regclass('pg_temp.datatransfer_original') is not null"
# Refuses rows that make up for a change of another row, unless this server surely has that one with
# the values before the change. One that it has rejected is corrected by way of its reject.
NOT_FOR_THIS_SERVER = """
    update pg_temp.incoming as row set fault = 'not_for_this_server'
      from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::boolean[])
           as staged (xid, id, old_id, had_read)
     where row.xid = staged.xid::xid8 and row.id = staged.id and row.fault is null
       and (not had_read
            or exists (select from datatransfer.reject as before
                        where before.origin = %s and before.kind = %s
                          and before.staging_id = staged.old_id))
"""
# Releases the rows whose original is rejected or unseen; returns how many by its row count. By the
# index `reject_of_row` and those of HOLD_BACK; `exists` would read all rejects of the kind, and
# hash them. A reject with the code HELD_BACK says that the server has accepted what the row
# replaces.
RELEASE = f"""
    update pg_temp.incoming as mine set fault = null, turn = %(turn)s
      from pg_temp.datatransfer_original as original
     where mine.fault = '{HELD_BACK}' and mine.xid = original.xid and mine.id = original.id
       and ((select true from datatransfer.reject as before
              where before.origin = original.origin and before.kind = %(kind)s
                and before.staging_id = original.old_id and before.code <> '{HELD_BACK}' limit 1)
            or (select true from pg_temp.incoming as other
                 where other.id = original.old_id and other.fault <> '{HELD_BACK}' limit 1)
            or original.is_unseen
               and (select true from pg_temp.incoming as other
                     where other.id = original.old_id limit 1) is null)
"""


def hold_back(plan: ChunkPlan, last: Last, source: ShopAll, target: BonusDatabase) -> None:
    """Marks the rows of `incoming` that replace others, so that they are not applied yet."""
    with as_source_failure():
        rows = source.corrections.replacing(plan.kind, plan.before.oldest_unread, last[0])
        unseen = _unseen(plan, [old_id for *_, old_id in rows], source) if rows else []
        staged_for = source.changes.staged_for(plan.kind, plan.before, last[0])
        _note_changed(plan, last, source)
    if staged_for:
        values = [*map(list, zip(*staged_for, strict=True))]
        target.database.execute(NOT_FOR_THIS_SERVER, [*values, plan.before.origin, plan.kind.name])
    if rows:
        target.database.execute(ORIGINALS)
        target.database.execute(ADD_ORIGINALS, [unseen, *map(list, zip(*rows, strict=True))])
        target.database.execute(HOLD_BACK)


def _note_changed(plan: ChunkPlan, last: Last, source: ShopAll) -> None:
    """Notes rows of the chunk that were changed since their batch began."""
    changes = source.uncertain_changes
    numbers = changes.in_chunk(plan.kind, plan.before, plan.batch.snapshot, last)
    if numbers and not plan.dry_run:
        with source.another() as other:
            other.uncertain_changes.add(plan.kind, numbers, plan.before.reader)


def _unseen(plan: ChunkPlan, numbers: list[int], source: ShopAll) -> list[int]:
    """The numbers among these whose rows were purged before the position began.

    A purge spares rows with open rejects, so a row is replaced while it is in the staging table:
    a position that begins later meets the replacement in its first batch.
    """
    if plan.before.read_through != NOTHING_READ:
        return []
    return source.reader.missing(plan.kind, numbers)


def release(kind: Kind, target: BonusDatabase) -> Iterator[str]:
    """Yields the condition of the rows that are to be applied next; the caller applies them."""
    if not target.database.value(HAS_ORIGINALS):
        return
    turn = 1
    while target.database.execute(RELEASE, {"turn": turn, "kind": kind.name}):
        yield f"fault is null and turn = {turn}"
        turn += 1
