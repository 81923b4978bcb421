"""Keeps the receipts of a bonus server small.

A receipt says which changesets the server has passed: a fork needs their names, and the places that
a log may have in common with them. So two things can be left out, and no more:

- Receipts of one append are merged. An append is one transaction, so a log has all of its lines or
  none: the last of their places is in the log if any of them is. Receipts of different appends are
  not merged: between the two, a fork would be put too low.
- The names in receipts go that are older than any backup of shop All that anybody would restore.
  The last place of them stays, as the lowest fork.

An exception "agreed to do without" goes with the receipt that names its changeset, once the log
lacks the line, too: until then one of them would say that the rows were received. Exceptions of
changesets that shop All has lost stay, and the names of one that was read in part: see
`move/fork.py`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from transfer.causes.ledger import POSITION_INVALID
from transfer.engine.bonus_server.positions import MOST_EXCEPTIONS
from transfer.engine.postgres.database import Database
from transfer.engine.received import NOTHING, WHOLE, Position, is_count, is_sum, is_uuid
from transfer.errors import TransferError

MERGED_AFTER = "1 day"

# Merges older receipts of the same append. By the primary key: reads all receipts of the kind.
MERGE = f"""
    with same as materialized (
        select mark from datatransfer.receipt
         where origin = %(origin)s and kind = %(kind)s and at < now() - interval '{MERGED_AFTER}'
         group by mark having count(*) > 1
    ), part as (
        delete from datatransfer.receipt using same
         where origin = %(origin)s and kind = %(kind)s and at < now() - interval '{MERGED_AFTER}'
           and receipt.mark = same.mark
        returning last, receipt.mark, changesets, rows, amounts, at
    )
    insert into datatransfer.receipt (origin, kind, last, mark, changesets, rows, amounts, at)
    select %(origin)s, %(kind)s, max(last), mark, array_agg(passed.changeset order by last, place),
           array_agg(passed.rows order by last, place),
           array_agg(passed.amount order by last, place), max(at)
      from part cross join unnest(changesets, part.rows, amounts)
           with ordinality as passed (changeset, rows, amount, place)
     group by mark
"""
# The last receipt whose names can go: it is old enough, and neither it nor one before it names a
# changeset that was read in part. By the primary keys and the index `exception_incomplete`.
LAST_TO_CUT = """
    select max(last) from datatransfer.receipt
     where origin = %(origin)s and kind = %(kind)s and at < now() - make_interval(days => %(days)s)
       and last < coalesce((
           select min(receipt.last) from datatransfer.exception
             join datatransfer.receipt
               on receipt.origin = exception.origin and receipt.kind = exception.kind
              and exception.changeset = any(receipt.changesets)
            where exception.origin = %(origin)s and exception.kind = %(kind)s
              and exception.last > %(nothing)s and exception.last < %(whole)s and not skipped),
           %(whole)s)
"""
# The skipped changesets that receipts up to one name, with the rows and sums of them.
SKIPPED_UP_TO = """
    select passed.changeset::text, passed.rows, passed.amount
      from datatransfer.receipt
     cross join unnest(changesets, receipt.rows, amounts) as passed (changeset, rows, amount)
      join datatransfer.exception
        on exception.origin = receipt.origin and exception.kind = receipt.kind
       and exception.changeset = passed.changeset
     where receipt.origin = %s and receipt.kind = %s and receipt.last <= %s and skipped
       and exception.last < 9223372036854775807
"""
FORGET_SKIPPED = """
    delete from datatransfer.exception
     where origin = %s and kind = %s and changeset = any(%s::uuid[]) and skipped
"""
DELETE_BELOW = "delete from datatransfer.receipt where origin = %s and kind = %s and last < %s"
EMPTY = """
    update datatransfer.receipt set changesets = '{}', rows = '{}', amounts = '{}'
     where origin = %s and kind = %s and last = %s and changesets <> '{}'
"""
# Which of these changesets receipts name up to a line. Reads all receipts of the kind.
NAMED = """
    select name::text from unnest(%s::uuid[]) as name
     where exists (select from datatransfer.receipt
                    where origin = %s and kind = %s and last <= %s and name = any(changesets))
"""
# The changesets above a line of which rows were received: changeset, rows, sum, when. Then those of
# exceptions: whatever the line, it may be of another past. By the primary keys.
RECEIVED_ABOVE = """
    select passed.changeset::text, passed.rows, passed.amount, receipt.at
      from datatransfer.receipt
     cross join unnest(changesets, receipt.rows, amounts) as passed (changeset, rows, amount)
     where receipt.origin = %(origin)s and receipt.kind = %(kind)s and receipt.last > %(number)s
       and passed.changeset <> '00000000-0000-0000-0000-000000000000'
       and not exists (select from datatransfer.exception
                        where exception.origin = receipt.origin
                          and exception.kind = receipt.kind
                          and exception.changeset = passed.changeset
                          and exception.last < 9223372036854775807)
    union all
    select changeset::text, rows, amount, at
      from datatransfer.exception
     where origin = %(origin)s and kind = %(kind)s and last > %(nothing)s
       and (last < 9223372036854775807
            or not exists (select from datatransfer.receipt
                            where receipt.origin = exception.origin
                              and receipt.kind = exception.kind
                              and exception.changeset = any(receipt.changesets)
                              and receipt.last > %(number)s))
"""
# What a table takes: its rows as the planner estimates them, and its bytes with all indexes.
SIZES = """
    select relname, greatest(reltuples, 0)::bigint, pg_total_relation_size(oid)
      from pg_class
     where oid in (to_regclass('datatransfer.receipt'), to_regclass('datatransfer.exception'))
"""


@dataclass(frozen=True)
class Skipped:
    """A changeset that the server does without, with its rows and their sum."""

    changeset: str
    rows: int
    amount: Decimal


class Receipts:
    """Merges and cuts the receipts of a position that the caller has locked."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def merge(self, position: Position) -> int:
        """Merge the receipts of each append that are older than a day; return into how many."""
        return self.database.execute(MERGE, _of(position))

    def last_to_cut(self, position: Position, days: int) -> int | None:
        """Return the last of the receipts whose names can go since they are older than `days`."""
        values = _of(position) | {"days": days, "nothing": NOTHING, "whole": WHOLE}
        number: int | None = self.database.value(LAST_TO_CUT, values)
        return number

    def skipped_up_to(self, position: Position, last: int) -> list[Skipped]:
        """Return the skipped changesets that receipts up to this one name."""
        rows = self.database.rows(SKIPPED_UP_TO, [position.origin, position.kind, last])
        if None in {value for row in rows for value in row} or not all(
            is_uuid(name) and is_count(count) and is_sum(amount) for name, count, amount in rows
        ):
            raise TransferError(POSITION_INVALID, database=self.database.name, column="receipt")
        return [Skipped(*row) for row in rows]

    def cut(self, position: Position, last: int, skipped: Collection[Skipped]) -> int:
        """Forget the names in receipts up to this one, and these skipped changesets.

        Returns how many receipts that has changed.
        """
        where = [position.origin, position.kind]
        names = [one.changeset for one in skipped]
        if names:
            self.database.execute(FORGET_SKIPPED, [*where, names])
        return self.database.execute(DELETE_BELOW, [*where, last]) + self.database.execute(
            EMPTY, [*where, last]
        )

    def named(self, position: Position, changesets: Collection[str]) -> list[str]:
        """Return those of these changesets that receipts name up to the position."""
        values = [[*changesets], position.origin, position.kind, position.place.number]
        return [name for (name,) in self.database.rows(NAMED, values)]

    def received_above(self, position: Position, number: int) -> Iterator[tuple[Any, ...]]:
        """Yield what was received above a line: changeset, rows, sum, and when.

        Raises POSITION_INVALID where no transfer can have written it.
        """
        values = _of(position) | {"number": number, "nothing": NOTHING}
        rows = self.database.stream("received", RECEIVED_ABOVE, values)
        for place, (name, count, amount, at) in enumerate(rows):
            is_possible = is_uuid(name) and is_count(count) and is_sum(amount)
            if not is_possible or place >= MOST_EXCEPTIONS:
                raise TransferError(
                    POSITION_INVALID, database=self.database.name, column="receipt, exception"
                )
            yield name, count, amount, at if isinstance(at, datetime) else None

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return "receipt" and "exception" → estimated rows, and bytes with indexes."""
        return {name: (int(rows), int(size)) for name, rows, size in self.database.rows(SIZES)}


def _of(position: Position) -> dict[str, object]:
    return {"origin": position.origin, "kind": position.kind}
