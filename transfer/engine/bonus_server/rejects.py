"""The rejects in a bonus server's database, stored where the positions that count them are."""

import json

from transfer.engine.bonus_server.reject_reading import REJECTS, Reject, read_rejects
from transfer.engine.errors import NumberUsedTwice
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database

# Writes the rejects of the chunk. Reads `incoming`. The reader's rejects are numbered without a
# gap: the position counts them.
ADD_REJECTS = """
    insert into datatransfer.reject (reader, number, origin, kind, xid, staging_id, code, sqlstate,
                                     constraint_name, payload)
    select %s, %s + row_number() over (order by xid, id), %s, %s, xid, id,
           fault, sqlstate, constraint_name, coalesce(as_json, {payload})
      from pg_temp.incoming where fault is not null
"""

# The id and xid of each row of the chunk that is rejected. Reads `incoming`.
OF_CHUNK = "select id, xid::text from pg_temp.incoming where fault is not null"

# No index keeps two staged rows from having one number: it would cost every writer, and a table
# that was emptied may count from 1 again. As a rule numbers grow, so it is asked first whether any
# between the lowest and the highest was rejected before: looking each up costs as much as writing
# it.

# The lowest and the highest number of the chunk's rejected rows, and whether one appears twice.
# Reads `incoming`.
NUMBERS = """
    select min(id), max(id), count(*) > count(distinct id)
      from pg_temp.incoming where fault is not null
"""
# Whether the reader had rejected a number between two others before this chunk. By the index
# `reject_of_row`.
WERE_REJECTED = """
    select exists (
        select from datatransfer.reject
         where origin = %s and kind = %s and staging_id between %s and %s
           and reader = %s and number <= %s)
"""
# A number that two rejected rows of the reader have, one of them in this chunk. By the index
# `reject_of_row`.
NAMESAKES = """
    select staging_id
      from datatransfer.reject as mine
      join datatransfer.reject as other using (reader, origin, kind, staging_id)
     where mine.reader = %s and mine.number > %s and mine.xid <> other.xid
     limit 1
"""

# A row if the reader has this reject. By the primary key.
HAS = "select from datatransfer.reject where reader = %s and number = %s and token = %s"
# The numbers of the staged rows that a reader has rejected. By the primary key.
OF_READER = "select staging_id from datatransfer.reject where reader = %s"
# How many rejects a position has written. By the primary keys.
COUNT = """
    select rejects_removed + (select count(*) from datatransfer.reject as reject
                               where reject.reader = position.reader)
      from datatransfer.position as position where origin = %s and kind = %s
"""
# How many rows of a transaction are rejected. By the index `reject_of_row`: reads all of the kind.
COUNT_OF_TRANSACTION = """
    select count(*) from datatransfer.reject
     where origin = %s and kind = %s and xid = %s::text::xid8
"""
# Their ids. By the same index.
OF_TRANSACTION = """
    select staging_id from datatransfer.reject
     where origin = %s and kind = %s and xid = %s::text::xid8
"""

# Locks the reader's positions. Reads all positions, which are few.
LOCK_POSITIONS = """
    select count(*) from (select from datatransfer.position where reader = %s for update) as locked
"""
# Removes these rejects of the reader, but never its last. By the primary key.
REMOVE = """
    delete from datatransfer.reject
     where reader = %s and number = any(%s)
       and number < (select max(number) from datatransfer.reject where reader = %s)
"""
# Counts them as removed. Reads all positions.
COUNT_REMOVED = """
    update datatransfer.position set rejects_removed = rejects_removed + %s where reader = %s
"""

# Writes a reject again, with its own name. By the primary key.
PUT_BACK = """
    insert into datatransfer.reject (reader, number, token, origin, kind, xid, staging_id, code,
                                     sqlstate, constraint_name, payload, rejected_at)
    values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
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
        if are_twice or self.database.value(
            WERE_REJECTED, [before.origin, kind.name, first, last, *place]
        ):
            for (number,) in self.database.rows(NAMESAKES, place):
                raise NumberUsedTwice(number=number, table=kind.quoted_staging)
        return first, last

    def of_chunk(self) -> list[tuple[int, str]]:
        """The id and xid of each row in `incoming` that is rejected."""
        return self.database.rows(OF_CHUNK, most=LONG_LIST)

    def has(self, reader: str, number: int, token: str) -> bool:
        """Whether it has this very reject: a restored server may have used its number again."""
        return bool(self.database.rows(HAS, [reader, number, token]))

    def after(self, kind: Kind, reader: str, number: int, most: int) -> list[Reject]:
        """The reader's rejects after a number, in their order. Raises RejectsUnreadable."""
        rows = self.database.rows(REJECTS, [reader, number, most], most=most)
        return [*read_rejects(rows, kind, number, self.database.name)]

    def rejected_rows(self, reader: str) -> list[int]:
        """The numbers of the staged rows that the reader has rejected."""
        rows = self.database.rows(OF_READER, [reader], most=LONG_LIST)
        return [staging_id for (staging_id,) in rows]

    def count(self, origin: str, kind: Kind) -> int:
        """How many rejects the position has written, those that were removed included."""
        return int(self.database.value(COUNT, [origin, kind.name]))

    def count_of_transaction(self, origin: str, kind: Kind, xid: int) -> int:
        """How many of the rows that a transaction has staged are rejected."""
        return int(self.database.value(COUNT_OF_TRANSACTION, [origin, kind.name, xid]))

    def of_transaction(self, origin: str, kind: Kind, xid: int) -> set[int]:
        """The numbers of the rows that a transaction has staged and the server has rejected."""
        rows = self.database.rows(OF_TRANSACTION, [origin, kind.name, xid], most=LONG_LIST)
        return {number for (number,) in rows}

    def put_back(self, kind: Kind, reader: str, reject: Reject) -> None:
        """Writes a reject again that the server has lost; the caller commits."""
        names = (reader, reject.number, reject.token, reject.origin, kind.name, str(reject.xid))
        why = (reject.code, reject.sqlstate or None, reject.constraint or None)
        payload = json.dumps(reject.payload)
        values = [*names, reject.staging_id, *why, payload, reject.at]
        self.database.execute(PUT_BACK, values)

    def remove(self, reader: str, numbers: list[int]) -> None:
        """Removes rejects that are no longer needed, but never the reader's last: it is compared.

        Waits until no transaction moves the position.
        """
        with self.database.transaction():
            self.database.one(LOCK_POSITIONS, [reader])
            removed = self.database.execute(REMOVE, [reader, numbers, reader])
            self.database.execute(COUNT_REMOVED, [removed, reader])
