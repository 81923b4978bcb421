"""The rejects in a bonus server's database, stored where the positions that count them are."""

from transfer.engine.bonus_server.reject_reading import REJECTS, Reject, read_rejects
from transfer.engine.errors import NumberUsedTwice
from transfer.engine.kinds import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.database import Database

# The reader's rejects are numbered without a gap: the position counts them.
ADD_REJECTS = """
    insert into datatransfer.reject (reader, number, origin, kind, xid, staging_id, code, sqlstate,
                                     constraint_name, payload)
    select %s, %s + row_number() over (order by xid, id), %s, %s, xid, id,
           fault, sqlstate, constraint_name, coalesce(as_json, {payload})
      from pg_temp.incoming where fault is not null
"""

# No index keeps staged rows from bearing one number: it would cost every writer, and a table that
# was emptied may count from 1 again. Numbers grow as a rule: whether some were there before is
# asked first, since to look each up costs as much as to write it.
NUMBERS = """
    select min(id), max(id), count(*) > count(distinct id)
      from pg_temp.incoming where fault is not null
"""
SEEN = """
    select exists (
        select from datatransfer.reject
         where origin = %s and kind = %s and staging_id between %s and %s
           and reader = %s and number <= %s)
"""
NAMESAKES = """
    select staging_id
      from datatransfer.reject as mine
      join datatransfer.reject as other using (reader, origin, kind, staging_id)
     where mine.reader = %s and mine.number > %s and mine.xid <> other.xid
     limit 1
"""


class Rejects:
    """Writes and reads the rejects of positions."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, before: Position) -> tuple[int, int]:
        """Writes the rejects of the chunk in `incoming`; returns the lowest and the highest number
        of their rows.

        Raises NumberUsedTwice: by its number a reject is mirrored, decided on and sent again.
        """
        place = [before.reader, before.totals.rejected]
        self.database.execute(
            ADD_REJECTS.format(payload=kind.payload), [*place, before.origin, kind.name]
        )
        first, last, are_twice = self.database.one(NUMBERS)
        if are_twice or self.database.value(SEEN, [before.origin, kind.name, first, last, *place]):
            for (number,) in self.database.rows(NAMESAKES, place):
                raise NumberUsedTwice(number=number, table=f'"{kind.staging}"')
        return first, last

    def of_chunk(self) -> list[tuple[int, str]]:
        """The id and xid of each row in `incoming` that is rejected."""
        return self.database.rows(
            "select id, xid::text from pg_temp.incoming where fault is not null"
        )

    def has(self, reader: str, number: int, token: str) -> bool:
        """Whether it is there, and the same: a restored server may have given its number anew."""
        query = "select from datatransfer.reject where reader = %s and number = %s and token = %s"
        return bool(self.database.rows(query, [reader, number, token]))

    def after(self, kind: Kind, reader: str, number: int, most: int) -> list[Reject]:
        """The reader's rejects after a number, in their order. Raises RejectsUnreadable."""
        rows = self.database.rows(REJECTS, [reader, number, most])
        return [*read_rejects(rows, kind, number, self.database.name)]

    def rejected_rows(self, reader: str) -> list[int]:
        """The numbers of the staged rows that the reader has rejected."""
        rows = self.database.rows(
            "select staging_id from datatransfer.reject where reader = %s", [reader]
        )
        return [staging_id for (staging_id,) in rows]

    def rows_of(self, origin: str, kind: Kind) -> list[tuple[int, str]]:
        """The id and xid of the rows of shop All's identity `origin` that it has rejected."""
        return self.database.rows(
            "select staging_id, xid::text from datatransfer.reject where origin = %s and kind = %s",
            [origin, kind.name],
        )

    def count(self, origin: str, kind: Kind) -> int:
        """How many rejects the position has written, those that were removed included."""
        query = (
            "select rejects_removed + (select count(*) from datatransfer.reject as reject "
            "where reject.reader = position.reader) from datatransfer.position as position "
            "where origin = %s and kind = %s"
        )
        return int(self.database.value(query, [origin, kind.name]))

    def count_of_transaction(self, origin: str, kind: Kind, xid: int) -> int:
        """How many of the rows that a transaction has staged stand among the rejects."""
        query = (
            "select count(*) from datatransfer.reject where origin = %s and kind = %s "
            "and xid = %s::text::xid8"
        )
        return int(self.database.value(query, [origin, kind.name, xid]))

    def remove(self, reader: str, numbers: list[int]) -> None:
        """Removes rejects that nobody needs any more, but never the reader's last: it is compared.

        Waits for whoever moves the position.
        """
        with self.database.transaction():
            self.database.one(
                "select count(*) from (select from datatransfer.position where reader = %s "
                "for update) as locked",
                [reader],
            )
            removed = self.database.execute(
                "delete from datatransfer.reject where reader = %s and number = any(%s) and number "
                "< (select max(number) from datatransfer.reject where reader = %s)",
                [reader, numbers, reader],
            )
            self.database.execute(
                "update datatransfer.position set rejects_removed = rejects_removed + %s "
                "where reader = %s",
                [removed, reader],
            )
