"""Which rejected rows were corrected and staged again, as shop All itself knows it.

A row and its note are written in one transaction, so that a process that dies afterwards, or a
second browser, can't send it twice. So is which of its uncertain rejects an operator has sent
again: at other servers that are not certain, the new row is not applied (see `move/replacements`).
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.errors import NotInitialised, NumberUsedTwice
from transfer.engine.kind import Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.renumbering import carry_notes
from transfer.engine.shop_all.rights import grant_as_on_batches

SCHEMA = """
-- Rejects that were not certain, and that an operator has sent again, by their tokens. A correction
-- from before this was noted names none of them.
create table if not exists datatransfer.resent_reject (token uuid primary key);
""" + grant_as_on_batches("resent_reject")

TABLES = ("datatransfer.resent", "datatransfer.resending")
RENUMBERED = "datatransfer.renumbered_transaction"  # only a resend and a rebase need it
RESENT_REJECT = "datatransfer.resent_reject"  # a former version has not made it

# The first of these tables that is missing, or null. By the catalogue.
MISSING = "select min(name) from unnest(%s) as name where to_regclass(name) is null"

# Notes with a transaction that a database can reach. A forged one with another number is left out.
IS_POSSIBLE = "coalesce(new_xid < '9223372036854775808', true)"
# The columns of a `Sent`, of which names are cut off to what our own database can store.
LONGEST_NAME = 200
SENT = f"origin::text, old_id, new_id, new_xid::text::bigint, left(sent_by, {LONGEST_NAME})"
# What was sent in place of these rows: a `Sent`. By the primary key.
NOTES = f"""
    select {SENT} from datatransfer.resent
     where origin = %s and kind = %s and old_id = any(%s) and {IS_POSSIBLE}
"""
# What a transaction has sent, in the order in which rejects are locked: a `Sent` each. Reads the
# notes.
NOTES_OF_TRANSACTION = f"""
    select {SENT} from datatransfer.resent
     where kind = %s and new_xid = %s::text::xid8 order by origin, old_id
"""

# Transactions that have sent corrected rows and whose rejects are not closed: an `Unfinished` each,
# locked, without those that another session has locked. A forged one, of a kind that there is not,
# would keep all later ones from being finished, and is left out. Reads the few that there are.
UNFINISHED = f"""
    select xid::text::bigint, kind, left(sent_by, {LONGEST_NAME}) from datatransfer.resending
     where kind = any(%s) and xid < '9223372036854775808'
     order by xid for update skip locked
"""
# Notes that the rejects of a transaction are closed. By the primary key.
FINISH = "delete from datatransfer.resending where xid = %s::text::xid8"

# The rows of these transactions that replace others only where those were rejected: (xid, id), and
# origin and number of the other, once for each of its origins; and when, in microseconds, as purges
# are numbered. By the index `resent_where_rejected`.
REPLACING = """
    select new_xid::text, new_id, origin::text, old_id,
           floor(extract(epoch from sent_at) * 1000000)::bigint
      from datatransfer.resent
     where where_rejected and kind = %s and new_xid between %s and %s
"""

# Which of these rejects, by their tokens, were sent again. By the primary key.
REJECTS_SENT = "select token::text from datatransfer.resent_reject where token = any(%s::uuid[])"

# For `carry_notes`: copies the notes of today's origin to the new one, with the new transactions,
# and gives them to the old notes as well. Reads the table and the notes. A row that is rejected
# once more, under the new identity of shop All, was sent again all the same.
CARRY = """
    carried as (
        insert into datatransfer.resent (origin, kind, old_id, new_id, new_xid, sent_at,
                                         where_rejected, sent_by)
        select {origin}, kind, old_id, new_id, coalesce(sent.fresh, old.fresh), sent_at,
               where_rejected, sent_by
          from datatransfer.resent as note
          join numbered as old on old.id = old_id and old.xid < new_xid
          left join numbered as sent on sent.id = new_id and sent.xid = new_xid
         where kind = {kind} and origin = (select origin from datatransfer.origin)
            on conflict do nothing
    )
    update datatransfer.resent set new_xid = fresh
      from numbered where kind = {kind} and new_id = id and new_xid = xid
"""

# Which of these rows have their replacement in the staging table. By the primary key and the index
# on (xid, id).
STAGED = """
    select old_id from datatransfer.resent as note
      join {table} as row on row.xid = note.new_xid and row.id = note.new_id
     where note.origin = %s and note.kind = %s and note.old_id = any(%s)
"""
# Whether a note names an old row with a number between these. By the primary key.
HAS_NOTES = """
    select exists (
        select from datatransfer.resent
         where origin = %s and kind = %s and old_id between %s and %s)
"""
# One of these rows that was staged after another of its number had been corrected: it is not that
# one. By the primary key.
NAMESAKES = """
    select row.id from datatransfer.resent as note
      join unnest(%s::bigint[], %s::text[]::xid8[]) as row (id, xid)
        on note.old_id = row.id and note.new_xid < row.xid
     where note.origin = %s and note.kind = %s limit 1
"""


class Sent(NamedTuple):
    """The row that was staged in place of a rejected one, which `origin` and `old_id` name."""

    origin: str
    old_id: int
    new_id: int
    new_xid: int
    by: str


class Replacement(NamedTuple):
    """A staged row (`xid`, `id`) that is only for servers which have rejected another one.

    `sent_at` is in microseconds, as purges are numbered.
    """

    xid: str
    id: int
    origin: str
    old_id: int
    sent_at: int


class Unfinished(NamedTuple):
    """A transaction that has sent corrected rows, and whose rejects are not closed yet."""

    xid: int
    kind: str
    sent_by: str


class CorrectionLog:
    """Reads and writes which staged row was sent in place of which rejected one."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def exists(self) -> bool:
        """Whether the staging database has our tables for them."""
        return not self._missing([*TABLES])

    def require(self) -> None:
        """Raises NotInitialised."""
        if missing := self._missing([*TABLES, RENUMBERED, RESENT_REJECT]):
            raise NotInitialised(missing=missing)

    def _missing(self, tables: list[str]) -> str:
        return self.database.value(MISSING, [tables]) or ""

    def notes_of(self, kind: Kind, origin: str, old_ids: list[int]) -> list[Sent]:
        """The rows that were sent in place of these, if any."""
        rows = self.database.rows(NOTES, [origin, kind.name, old_ids])
        return [Sent(*row) for row in rows]

    def staged(self, kind: Kind, origin: str, old_ids: list[int]) -> list[int]:
        """Those of these rows whose replacement is in the staging table."""
        query = sql.SQL(STAGED).format(table=kind.staging_table)
        rows = self.database.rows(query, [origin, kind.name, old_ids], most=LONG_LIST)
        return [old_id for (old_id,) in rows]

    def unfinished(self, kinds: Collection[str]) -> list[Unfinished]:
        """Those of these kinds, locked until the transaction ends; those that another session has
        locked are left out.
        """
        return [Unfinished(*row) for row in self.database.rows(UNFINISHED, [[*kinds]])]

    def sent_in(self, unfinished: Unfinished) -> Iterator[Sent]:
        """The rows that a transaction has sent, in the order in which rejects are locked."""
        values = [unfinished.kind, unfinished.xid]
        rows = self.database.stream("sent", NOTES_OF_TRANSACTION, values)
        return (Sent(*row) for row in rows)

    def finish(self, xid: int) -> None:
        """Notes that the rejects of a transaction are closed; the caller commits."""
        self.database.execute(FINISH, [xid])

    def replacing(self, kind: Kind, first: int, last: int) -> list[Replacement]:
        """Rows of these transactions that are only for servers which have rejected another; once
        for each origin of the other.
        """
        rows = self.database.rows(REPLACING, [kind.name, str(first), str(last)])
        return [Replacement(*row) for row in rows]

    def rejects_sent(self, tokens: Collection[str]) -> set[str]:
        """Those of these uncertain rejects that an operator has sent again."""
        if self._missing([RESENT_REJECT]):
            return set()
        return {token for (token,) in self.database.rows(REJECTS_SENT, [[*tokens]])}

    def has_notes(self, kind: Kind, origin: str, first: int, last: int) -> bool:
        """Whether a row with a number between these is noted as corrected."""
        with self.database.snapshot():
            return bool(self.database.value(HAS_NOTES, [origin, kind.name, first, last]))

    def check_numbers(self, kind: Kind, origin: str, rejected: list[tuple[int, str]]) -> None:
        """Raises NumberUsedTwice: a note about another row would close one of these rejects."""
        ids, xids = [*zip(*rejected, strict=True)]
        with self.database.snapshot():
            for (number,) in self.database.rows(NAMESAKES, [[*ids], [*xids], origin, kind.name]):
                raise NumberUsedTwice(number=number, table=kind.quoted_staging)

    def renumber(self, kind: Kind, origin: str, is_new: sql.Composable) -> None:
        """Renumbers the notes: see `carry_notes`."""
        carry_notes(self.database, CARRY, kind, origin, is_new)
