"""Applies a row whose effect depends on another one exactly where that is right.

Two kinds of rows depend on another row, their original:

- A **replacement** of a rejected row is applied on those servers that rejected the original. A
  server whose reject is not certain applies it only if an operator has sent this very reject again:
  rejects are known by their tokens, which stay with the data of a server. Elsewhere the replacement
  becomes an uncertain reject in its turn, of which the operator of that server decides.
- A row that **takes back** another one is applied on those servers that accepted the original.

Whether a server has accepted a row is decided by what that server has recorded, in the order of
the rows. So in a chunk, rows that depend on others are held back until all other rows are applied
or rejected, even those that fail a check. Then a row is released if the outcome of its original, in
this chunk or before, allows it. A released row may be refused in its turn, and other rows may
depend on it: so rows are released in turns, until a turn releases none. What is still held back
then is a reject.

It is not certain whether a server has accepted an original in two cases. It may have been told to
go on without purged rows, and the original is one of them (`--accept-purged`). Or it has rejected
the original under an identity of shop All that was lost with a restore to before a rebase. Then the
row is a reject that says so, an uncertain one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.checks import NOT_FOR_THIS_SERVER as IN_DOUBT, NOTHING_TO_TAKE_BACK
from transfer.engine.kind import Kind
from transfer.engine.move.plan import ChunkPlan, Last
from transfer.engine.move.stream import as_source_failure
from transfer.engine.move.undone import undone_in_chunk
from transfer.engine.position import NOTHING_READ
from transfer.engine.shop_all.correction_log import Replacement
from transfer.engine.shop_all.source import ShopAll

# The codes of the rejects, if rows stay held back: of a replacement; of a row that takes back
# another, it is NOTHING_TO_TAKE_BACK.
ACCEPTED_BEFORE = "accepted_before"
HELD_BACK = f"('{ACCEPTED_BEFORE}', '{NOTHING_TO_TAKE_BACK}')"
# The codes of rejects that come with a chunk and release nothing in it: no operator has looked at
# an uncertain one yet.
RELEASES_NOTHING = f"('{ACCEPTED_BEFORE}', '{NOTHING_TO_TAKE_BACK}', '{IN_DOUBT}')"

# The original of a row, under each of its origins. `is_unseen`: this server has never read it.
# `old_xid` is null of the original of a replacement: its number alone names it. `is_given_up`: this
# server may lack that one since it was purged. `is_undecided`: this server has an uncertain reject
# of that one, which was not sent again.
ORIGINALS = """
    create temporary table datatransfer_original (
        xid xid8, id bigint, origin uuid, old_xid xid8, old_id bigint, is_unseen boolean,
        is_given_up boolean not null default false, is_undecided boolean not null default false
    ) on commit drop;
"""
# Fills it with those of replacements.
ADD_REPLACED = """
    insert into pg_temp.datatransfer_original (xid, id, origin, old_id, is_unseen, is_given_up)
    select xid::xid8, id, origin::uuid, old_id, is_unseen, is_given_up
      from unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::boolean[], %s::boolean[])
           as row (xid, id, origin, old_id, is_unseen, is_given_up)
"""
# The tokens of this server's uncertain rejects of originals. By the index `reject_of_row`, for each
# original.
UNCERTAIN = f"""
    select before.token::text from pg_temp.datatransfer_original as original
     cross join lateral (select token, code from datatransfer.reject as reject
                          where reject.origin = original.origin and reject.kind = %s
                            and reject.staging_id = original.old_id offset 0) as before
     where before.code = '{IN_DOUBT}'
"""
# Marks the originals of those with these tokens. By the same index.
MARK_UNDECIDED = """
    update pg_temp.datatransfer_original as original set is_undecided = true
     where (select true from datatransfer.reject as before
             where before.origin = original.origin and before.kind = %s
               and before.staging_id = original.old_id and before.token = any(%s::uuid[]) limit 1)
"""
# Fills it with those that are taken back.
ADD_UNDONE = """
    insert into pg_temp.datatransfer_original (xid, id, origin, old_xid, old_id, is_unseen)
    select xid::xid8, id, origin::uuid, old_xid::xid8, old_id, is_unseen
      from unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::bigint[], %s::boolean[])
           as row (xid, id, origin, old_xid, old_id, is_unseen)
"""
# Holds the rows back, and makes the indexes that RELEASE and RELEASE_UNDONE use. A row that a check
# rejects is held back as well, and `checked` keeps the code: where the original was accepted, that
# reject would otherwise release what replaces the row.
HOLD_BACK = f"""
    alter table pg_temp.incoming
        add column turn integer not null default 0, add column checked text;
    create index on pg_temp.incoming (xid, id);
    create index on pg_temp.incoming (id);
    create index on pg_temp.datatransfer_original (xid, id);
    update pg_temp.incoming as row
       set checked = fault,
           fault = case when is_undone then '{NOTHING_TO_TAKE_BACK}' else '{ACCEPTED_BEFORE}' end
      from (select distinct xid, id, old_xid is not null as is_undone
              from pg_temp.datatransfer_original) as original
     where row.fault is distinct from '{IN_DOUBT}'
       and row.xid = original.xid and row.id = original.id
"""
# Whether the chunk has rows that depend on others. By the catalogue.
HAS_ORIGINALS = "select to_regclass('pg_temp.datatransfer_original') is not null"
# Refuses rows that make up for a change of another row, unless this server surely has that one with
# the values before the change. One that it has rejected, under any identity of shop All, is
# corrected by way of its reject.
NOT_FOR_THIS_SERVER = f"""
    update pg_temp.incoming as row set fault = '{IN_DOUBT}'
      from unnest(%s::text[], %s::bigint[], %s::bigint[], %s::boolean[])
           as staged (xid, id, old_id, had_read)
     where row.xid = staged.xid::xid8 and row.id = staged.id
       and (not had_read
            or exists (select from datatransfer.reject as before
                        where before.origin = any(%s::uuid[]) and before.kind = %s
                          and before.staging_id = staged.old_id))
"""
# Rejects the rows whose original this server has rejected under a lost identity of shop All alone.
# A rebase changes no numbers of rows, but a restored shop All gives those of later rows out again,
# so the number may also be another row's. By the index `reject_of_row`.
DOUBT_LOST = f"""
    update pg_temp.incoming as row set fault = '{IN_DOUBT}'
      from pg_temp.datatransfer_original as original
     where row.xid = original.xid and row.id = original.id
       and exists (select from datatransfer.reject as before
                    where before.origin = any(%(lost)s::uuid[]) and before.kind = %(kind)s
                      and before.staging_id = original.old_id and before.code not in {HELD_BACK}
                      and not exists (select from pg_temp.datatransfer_original as known
                                       where known.xid = row.xid and known.id = row.id
                                         and known.origin = before.origin))
"""
# Releases the replacements whose original is rejected or unseen; returns how many by its row count.
# By the index `reject_of_row` and those of HOLD_BACK; `exists` would read all rejects of the kind,
# and hash them. A reject with a code of HELD_BACK says that there is nothing to replace.
RELEASE = f"""
    update pg_temp.incoming as mine set fault = checked, turn = %(turn)s
      from pg_temp.datatransfer_original as original
     where mine.fault = '{ACCEPTED_BEFORE}'
       and mine.xid = original.xid and mine.id = original.id
       and not original.is_undecided
       and ((select true from datatransfer.reject as before
              where before.origin = original.origin and before.kind = %(kind)s
                and before.staging_id = original.old_id and before.code not in {HELD_BACK} limit 1)
            or (select true from pg_temp.incoming as other
                 where other.id = original.old_id and other.fault not in {RELEASES_NOTHING} limit 1)
            or original.is_unseen
               and (select true from pg_temp.incoming as other
                     where other.id = original.old_id limit 1) is null)
"""
# Rejects the replacements that stay held back, and whose original this server may lack; returns how
# many by its row count: they may be originals of others in this chunk. By the same indexes.
LEAVE_IN_DOUBT = f"""
    update pg_temp.incoming as mine set fault = '{IN_DOUBT}'
      from pg_temp.datatransfer_original as original
     where mine.fault = '{ACCEPTED_BEFORE}'
       and mine.xid = original.xid and mine.id = original.id
       and (original.is_given_up or original.is_undecided
            or (select true from pg_temp.incoming as other
                 where other.id = original.old_id and other.fault = '{IN_DOUBT}' limit 1))
"""
# Releases the rows whose original, which they take back, this server has read, and rejected under
# none of its origins, neither before nor in this chunk. By the same indexes.
RELEASE_UNDONE = f"""
    update pg_temp.incoming as mine set fault = checked, turn = %(turn)s
     where mine.fault = '{NOTHING_TO_TAKE_BACK}'
       and (select true from pg_temp.datatransfer_original as original
             where original.xid = mine.xid and original.id = mine.id
               and not original.is_unseen limit 1)
       and (select true from pg_temp.datatransfer_original as original
              join datatransfer.reject as before
                on before.origin = original.origin and before.kind = %(kind)s
               and before.staging_id = original.old_id and before.xid = original.old_xid
             where original.xid = mine.xid and original.id = mine.id limit 1) is null
       and (select true from pg_temp.datatransfer_original as original
              join pg_temp.incoming as other
                on other.id = original.old_id and other.xid = original.old_xid
             where original.xid = mine.xid and original.id = mine.id
               and original.origin = %(origin)s::uuid
               and other.fault is not null limit 1) is null
"""


def hold_back(plan: ChunkPlan, last: Last, source: ShopAll, target: BonusDatabase) -> None:
    """Marks the rows of `incoming` that depend on others, so that they are not applied yet."""
    with as_source_failure():
        replaced = _replaced_in_chunk(plan, last, source)
        staged_for = source.change_decisions.staged_for(plan.kind, plan.before, last[0])
        undone = undone_in_chunk(plan, last, source, target)
        _note_changed(plan, last, source)
    staged_for += [one.staged_for for one in undone if one.staged_for]
    if staged_for:
        values = [*map(list, zip(*staged_for, strict=True))]
        origins = target.positions.origins(plan.kind)
        target.database.execute(NOT_FOR_THIS_SERVER, [*values, origins, plan.kind.name])
    if replaced or undone:
        target.database.execute(ORIGINALS)
    if replaced:
        target.database.execute(ADD_REPLACED, [*map(list, zip(*replaced, strict=True))])
        _mark_undecided(plan, source, target)
    if undone:
        originals = [one.original for one in undone]
        target.database.execute(ADD_UNDONE, [*map(list, zip(*originals, strict=True))])
    if replaced or undone:
        lost = _lost_identities(plan, source, target)
        if lost:
            target.database.execute(DOUBT_LOST, {"lost": lost, "kind": plan.kind.name})
        target.database.execute(HOLD_BACK)


def _mark_undecided(plan: ChunkPlan, source: ShopAll, target: BonusDatabase) -> None:
    """Marks originals whose reject at this server is not certain, and was not sent again itself."""
    tokens = {token for (token,) in target.database.rows(UNCERTAIN, [plan.kind.name])}
    if not tokens:
        return
    with as_source_failure():
        undecided = tokens - source.corrections.rejects_sent(tokens)
    if undecided:
        target.database.execute(MARK_UNDECIDED, [plan.kind.name, [*undecided]])


def _lost_identities(plan: ChunkPlan, source: ShopAll, target: BonusDatabase) -> list[str]:
    """The identities of shop All under which the server has read, and that no rebase knows."""
    with as_source_failure():
        known = {
            plan.before.origin,
            *(rebase.origin for rebase in source.rebase_log.line(plan.kind)),
        }
    return [origin for origin in target.positions.origins(plan.kind) if origin not in known]


def _note_changed(plan: ChunkPlan, last: Last, source: ShopAll) -> None:
    """Notes rows of the chunk that were changed since their batch began."""
    changes = source.uncertain_changes
    numbers = changes.in_chunk(plan.kind, plan.before, plan.batch.snapshot, last)
    if numbers and not plan.dry_run:
        with source.another() as other:
            other.uncertain_changes.add(plan.kind, numbers, plan.before.reader)


class Replaced(NamedTuple):
    """A replacement (`xid`, `id`), and its original under one of its origins."""

    xid: str
    id: int
    origin: str
    old_id: int
    is_unseen: bool
    is_given_up: bool


def _replaced_in_chunk(plan: ChunkPlan, last: Last, source: ShopAll) -> list[Replaced]:
    notes = source.corrections.replacing(plan.kind, plan.before.oldest_unread, last[0])
    if not notes:
        return []
    purged = _purged(plan, notes, source)
    is_new = plan.before.read_through == NOTHING_READ
    return [
        Replaced(
            note.xid,
            note.id,
            note.origin,
            note.old_id,
            is_unseen=is_new and note.old_id in purged,
            is_given_up=not is_new and note.old_id in purged,
        )
        for note in notes
    ]


def _purged(plan: ChunkPlan, notes: list[Replacement], source: ShopAll) -> set[int]:
    """The numbers of originals that are purged, as far as this server may never have read them.

    A purge spares rows with open rejects, so a row is replaced while it is in the staging table:
    - A position that begins after the purge meets the replacement in its first batch.
    - A position that has given up purged rows may lack those that were replaced before that.
    """
    is_new, accepted = plan.before.read_through == NOTHING_READ, plan.before.purge_accepted
    asked = {note.old_id for note in notes if is_new or note.sent_at <= accepted}
    return {*source.reader.missing(plan.kind, [*asked])} if asked else set()


def release(kind: Kind, origin: str, target: BonusDatabase) -> Iterator[str]:
    """Yields the condition of the rows that are to be applied next; the caller applies them."""
    if not target.database.value(HAS_ORIGINALS):
        return
    turn = 1
    values = {"kind": kind.name, "origin": origin}
    while sum(
        target.database.execute(statement, {"turn": turn, **values})
        for statement in (RELEASE, RELEASE_UNDONE)
    ):
        yield f"fault is null and turn = {turn}"
        turn += 1
    while target.database.execute(LEAVE_IN_DOUBT):
        pass
