"""Translates a position from before a rebase into today's transaction ids: which rows it has moved.

A rebase gives all rows new transactions, and keeps the old ones (`rebase_log`). A row is judged by
its old transaction; where that does not decide, an operator answers (`answers`).
"""

from dataclasses import dataclass, replace
from uuid import uuid4

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import RowsDoubtful, RowsPrepared
from transfer.engine.kind import Kind
from transfer.engine.position import NOTHING_READ, Position, moved, visible
from transfer.engine.restore.answers import Answers
from transfer.engine.shop_all.purge_notes import NOTHING_LOST, Lost
from transfer.engine.shop_all.rebase_log import Rebase
from transfer.engine.shop_all.renumbering import LOWEST
from transfer.engine.shop_all.source import ShopAll

# What a position of before has moved of the rows that a rebase has renumbered, by their new
# transactions: how many rows are in doubt, and whether only because their transaction may have been
# prepared; how many rows were moved and their amount, how many wait; the last transaction that was
# moved as a whole; those up to the last moved one that were not; and the one that was moved in
# part. Reads the table and what the rebase has kept. A row of a transaction before the first one
# was never renumbered. Any other row without an old transaction was written after the rebase, also
# if its transaction began before and has a lower number.
JUDGE = """
    with rows as (
        select coalesce(known.old_xid, ours.xid) as xid, coalesce(known.is_new, false) as is_new,
               known.new_xid is not null or ours.xid < '3' as is_of_before,
               ours.xid::text::bigint as number, id, created_at, {amount} as amount
          from {staged}
          left join datatransfer.renumbered_transaction as known
            on known.new_xid = ours.xid and known.origin = {origin} and known.kind = {kind}
    ), judged as (
        select number, amount, case when is_of_before then {verdict} else 'waiting' end as verdict
          from rows
    ), transactions as (
        select number, count(*) as rows, count(*) filter (where verdict <> 'waiting') as moved,
               coalesce(sum(amount) filter (where verdict <> 'waiting'), 0) as amount,
               bool_or(verdict not in ('moved', 'waiting')) as is_doubtful,
               bool_or(verdict not in ('moved', 'waiting', 'prepared')) as is_otherwise
          from judged group by number
    ), decided as materialized (
        select *, case when is_doubtful and not {doubtful_moved} then 0 else moved end as done
          from transactions
    )
    select coalesce(sum(moved) filter (where is_doubtful), 0)::bigint,
           coalesce(not bool_or(is_otherwise), true),
           coalesce(sum(done), 0)::bigint, coalesce(sum(amount) filter (where done > 0), 0),
           coalesce(sum(rows - done), 0)::bigint,
           max(number) filter (where done = rows),
           array(select number from decided
                  where done < rows and number < (select max(number) from decided where done > 0)
                  order by number),
           max(number) filter (where 0 < done and done < rows)
      from decided
"""

# The verdict on a row, with its old transaction: whether the position has moved it, or why that is
# in doubt. Of a position whose batch shop All still had, and of any other.
BY_ITS_WORD = "case when {moved} then 'moved' else 'waiting' end"
IN_DOUBT = """
    case when is_new then 'waiting' when not {moved} then {left}
         when created_at > {at} then 'younger' when {sure} then 'moved' else 'prepared' end
"""


@dataclass(frozen=True)
class Renumbered:
    """One position carried over."""

    database: str
    kind: str
    moved: int
    waiting: int
    vanished: int  # rows that had been moved and are not in the restored table
    given_up: Lost = NOTHING_LOST  # rows that purges have removed and the server lacks


def is_lost(shop_all: ShopAll, target: BonusDatabase, position: Position) -> bool:
    """Whether shop All, as the rebase found it, lacked the position's batch; or whether a later
    position has its reader.
    """
    is_kept = shop_all.rebase_log.has_kept(position)
    return not is_kept or target.positions.rows_since(position) > 0


def translate(
    kind: Kind,
    shop_all: ShopAll,
    target: BonusDatabase,
    position: Position,
    rebase: Rebase,
    answers: Answers,
) -> tuple[Renumbered, Position]:
    """Counts what a position from before `rebase` has moved, and translates it into today's ids.

    Raises RowsDoubtful or RowsPrepared where rows may have been moved or not, and there is no
    answer for them.
    """
    doubtful_moved = answers.moved.get((target.name, kind.name))
    judge = sql.SQL(JUDGE).format(
        amount=sql.SQL(kind.amount),
        staged=kind.staged,
        origin=sql.SQL("{}::uuid").format(sql.Literal(rebase.origin)),
        kind=sql.Literal(kind.name),
        verdict=_verdict(shop_all, target, position, rebase, answers),
        doubtful_moved=sql.Literal(bool(doubtful_moved)),
    )
    doubtful, is_prepared, rows, amount, waiting, last, hidden, part = shop_all.database.one(judge)
    if doubtful and doubtful_moved is None:
        error = RowsPrepared if is_prepared else RowsDoubtful
        raise error(rows=doubtful, kind=kind.name, database=target.name)
    unseen = sorted({*hidden, *shop_all.reader.running()})  # a transaction under way may yet write
    after, origin = _in_new_numbers(position, last, unseen, part), shop_all.identity.origin()
    totals = target.positions.furthest(position)
    purged_rows, purged_amount = shop_all.reader.purged(kind)
    after = replace(
        after,
        origin=origin,
        totals=totals,
        reader=position.reader or str(uuid4()),
        purge_accepted=shop_all.purge_notes.latest(origin, kind),
        # What vanished with the restore counts as removed from now on.
        purged_rows=rows + purged_rows - totals.read,
        purged_amount=amount + purged_amount - totals.amount_applied - totals.amount_rejected,
    )
    vanished = totals.read - rows - (purged_rows - position.purged_rows)
    return Renumbered(target.name, kind.name, rows, waiting, vanished), after


def _verdict(
    shop_all: ShopAll,
    target: BonusDatabase,
    position: Position,
    rebase: Rebase,
    answers: Answers,
) -> sql.Composable:
    """SQL over a row with its old transaction: moved, waiting, or why it is in doubt.

    A position whose batch shop All still had is taken at its word, also for rows written since the
    restore: it has moved them under the numbers that they had. Of any other, rows written since the
    restore wait. A row that its numbers call moved is in doubt if it is younger than all that the
    position knows, or if its transaction may have been prepared when the copy was made; and so are
    rows that wait at a position whose reader has gone on under another identity of shop All.
    """
    if not is_lost(shop_all, target, position):
        return sql.SQL(BY_ITS_WORD).format(moved=moved(position))
    at = shop_all.log.begun_at(position) or target.positions.updated_at(position)
    is_overtaken = target.positions.rows_since(position) > 0
    return sql.SQL(IN_DOUBT).format(
        moved=moved(position),
        left=sql.Literal("overtaken" if is_overtaken else "waiting"),
        at=sql.Literal(at),
        sure=sql.SQL("true") if answers.none_prepared else _is_sure(shop_all, position, rebase),
    )


def _is_sure(shop_all: ShopAll, position: Position, rebase: Rebase) -> sql.Composable:
    """SQL over a row with its old transaction: that had ended when the copy was made."""
    if rebase.sure is None:
        return sql.SQL("true")
    own = shop_all.rebase_log.last_snapshot_before(position, rebase.restored_at)
    return sql.SQL("({} or {})").format(visible(rebase.sure), visible(own))


def _in_new_numbers(
    position: Position, last: int | None, hidden: list[int], part: int | None
) -> Position:
    """The position by new transactions: it has moved all up to `last` without those in `hidden`;
    and of `part`, which then is the batch under way, the rows up to the last moved one.
    """
    after = replace(
        position,
        read_through=_snapshot(last or 0, hidden),
        reading=None,
        last_xid=None,
        last_id=None,
    )
    if position.snapshot == NOTHING_READ and last is None:  # nothing was answered as moved
        return replace(after, read_through=NOTHING_READ)
    if part is None:
        return after
    reading = _snapshot(max(part, last or 0), [xid for xid in hidden if xid != part])
    return replace(after, reading=reading, last_xid=part, last_id=position.last_id)


def _snapshot(last: int, hidden: list[int]) -> str:
    """The snapshot that sees the transactions up to `last` without those in `hidden`.

    The text form is xmin:xmax:xip_list (PostgreSQL, "Snapshot Components").
    """
    end = max(last + 1, LOWEST)
    unseen = [xid for xid in hidden if xid < end]
    return f"{unseen[0] if unseen else end}:{end}:{','.join(map(str, unseen))}"
