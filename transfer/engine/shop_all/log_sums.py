"""Sums over the lines of the log between two places, for statements. Reads only; within a snapshot.

Which lines are of a period is said by places: the end of a period is the last line that was added
before a moment. So each line is of exactly one of two periods that follow each other, even if two
appends have begun in another order than they have added their lines.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.received import NO_MARK, Place
from transfer.engine.shop_all.counts import Count

# The last line that was added before a moment, and the sums up to it. Lines are in the order of
# their moments, but for appends that waited for each other: so it halves the log until it knows
# where the hour after the moment ends, and walks back from there. All by the primary key: some
# twenty lines, and those of an hour. The lifetime of lines keeps the last line of each append, so
# the answer is the same for ever.
END_BEFORE = """
    with recursive halved as (
        select 0::bigint as below,
               coalesce((select number from datatransfer.log where kind = %(kind)s
                          order by number desc limit 1), 0) + 1 as above
         union all
        select case when appended_at < %(moment)s + interval '1 hour' then number else below end,
               case when appended_at < %(moment)s + interval '1 hour' then above
                    else below + (above - below) / 2 end
          from halved
          left join lateral (
               select number, appended_at from datatransfer.log
                where kind = %(kind)s and number >= below + (above - below) / 2 and number < above
                order by number limit 1) as middle on true
         where above - below > 1
    )
    select number, mark::text, rows_to, amount_to from datatransfer.log
     where kind = %(kind)s and number < (select min(above) from halved)
       and appended_at < %(moment)s
     order by number desc limit 1
"""
# When the first line that is left was added. By the primary key.
BEGAN = "select appended_at from datatransfer.log where kind = %s order by number limit 1"
# Of the lines after one, up to another: withdrawn ones, and rows deleted by hand of the others. By
# the index `log_not_as_staged`.
NOT_AS_STAGED = """
    select coalesce(sum(rows) filter (where withdrawn), 0),
           coalesce(sum(amount) filter (where withdrawn), 0),
           coalesce(sum(gone) filter (where not withdrawn), 0),
           coalesce(sum(gone_amount) filter (where not withdrawn), 0)
      from datatransfer.log
     where kind = %s and number > %s and number <= %s and (gone > 0 or withdrawn)
"""
# Rows of these lines that depend on other rows, by effect, with the amounts that the others had as
# they were staged. By the index `log_depends` and the primary key of `dependent`.
DEPENDENT = """
    select effect, count(*),
           coalesce(sum(first) filter (where first > '-infinity' and first < 'infinity'), 0)
      from datatransfer.log
     cross join lateral (
           select effect, first from datatransfer.dependent
            where dependent.kind = log.kind and dependent.changeset = log.changeset) as of_line
     where log.kind = %s and number > %s and number <= %s and depends and not withdrawn
     group by effect
"""
# The sums up to a line with this mark. By the primary key.
AT = "select rows_to, amount_to from datatransfer.log where kind = %s and number = %s and mark = %s"

EFFECTS = ("replaces", "reverses", "sets")
"""How a row may depend on another one."""


@dataclass(frozen=True)
class End:
    """The end of a period: its last line, and the sums of all lines up to it."""

    place: Place
    to: Count


@dataclass(frozen=True)
class LogSums:
    """What the lines between two ends say.

    `staged`: all rows. Of them `withdrawn`, by an undo before they were received by all; and
    `gone`, deleted by hand. `effects`: rows that correct (replaces), take back (reverses) or change
    (sets) others, with the amounts of those others.
    """

    opening: End
    closing: End
    staged: Count
    withdrawn: Count
    gone: Count
    effects: dict[str, Count]


def began_at(database: Database, kind: Kind) -> datetime | None:
    """Return when the first line was added that the log still has."""
    for (at,) in database.rows(BEGAN, [kind.name]):
        return at if isinstance(at, datetime) else None
    return None


def end_before(database: Database, kind: Kind, moment: datetime) -> End:
    """Return the last line that was added before a moment; that before the first one if none."""
    values = {"kind": kind.name, "moment": moment}
    for number, mark, rows_to, amount_to in database.rows(END_BEFORE, values):
        return End(Place(number, mark), Count(int(rows_to), amount_to))
    return End(Place(0, NO_MARK), Count())


def sums_between(database: Database, kind: Kind, opening: End, closing: End) -> LogSums:
    """Return the sums of the lines after `opening`, up to `closing`."""
    between = [kind.name, opening.place.number, closing.place.number]
    rows, amount, gone, gone_amount = database.only_row(NOT_AS_STAGED, between)
    effects = dict.fromkeys(EFFECTS, Count())
    for effect, count, first in database.rows(DEPENDENT, between):
        if effect in effects:
            effects[effect] = Count(int(count), first or Decimal(0))
    return LogSums(
        opening,
        closing,
        closing.to - opening.to,
        Count(int(rows), amount),
        Count(int(gone), gone_amount),
        effects,
    )


def waiting_up_to(database: Database, kind: Kind, place: Place, closing: End) -> Count | None:
    """Return what waits, up to the end of a period, for a server that has passed this place.

    None if the log lacks that place, since a restore of shop All. Leaves out what is withdrawn or
    was deleted by hand since.
    """
    if place.number >= closing.place.number:
        return Count()
    passed = Count()
    if not place.is_begin:
        found = database.rows(AT, [kind.name, place.number, place.mark])
        if not found:
            return None
        passed = Count(int(found[0][0]), found[0][1])
    between = [kind.name, place.number, closing.place.number]
    rows, amount, gone, gone_amount = database.only_row(NOT_AS_STAGED, between)
    return closing.to - passed - Count(int(rows + gone), amount + gone_amount)
