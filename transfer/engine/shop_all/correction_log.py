"""Which rejected rows have been staged anew, as the staging database itself knows it. No Django.

A row and its note are written in one transaction, so that a process which dies afterwards, or a
second browser, can't send it twice.
"""

from collections.abc import Iterator
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.errors import NotInitialised
from transfer.engine.kinds import Kind
from transfer.engine.shop_all.staging import Staging

TABLES = ("datatransfer.resent", "datatransfer.resending")

NOTES = """
    select origin::text, old_id, new_id, new_xid::text::bigint, sent_by from datatransfer.resent
"""

# A row that is rejected once more, under the new identity of shop All, was sent again all the same.
CARRY = """
    with numbered as materialized (select id, xid, {fresh} as fresh from {table}), carried as (
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


class Sent(NamedTuple):
    """The row that was staged in place of a rejected one, which `origin` and `old_id` name."""

    origin: str
    old_id: int
    new_id: int
    new_xid: int
    by: str


class Unfinished(NamedTuple):
    """A transaction that has sent corrected rows, and nobody has said that they are closed."""

    xid: int
    kind: str
    sent_by: str


class Notes(Staging):
    def have_notes(self) -> bool:
        """Whether the staging database has our tables for them."""
        return not self._missing()

    def require_notes(self) -> None:
        """Raises NotInitialised."""
        if missing := self._missing():
            raise NotInitialised(missing=missing)

    def _missing(self) -> str:
        query = "select min(name) from unnest(%s) as name where to_regclass(name) is null"
        return self.value(query, [list(TABLES)]) or ""

    def notes_of(self, kind: Kind, origin: str, old_ids: list[int]) -> list[Sent]:
        """What was sent in place of these rows, as far as anything was."""
        rows = self.rows(
            f"{NOTES} where origin = %s and kind = %s and old_id = any(%s)",
            [origin, kind.name, old_ids],
        )
        return [Sent(*row) for row in rows]

    def mark_where_rejected(self, kind: Kind, origin: str, old_ids: list[int]) -> None:
        """What replaces these rows is for those servers only that have rejected them."""
        self.execute(
            "update datatransfer.resent set where_rejected = true "
            "where origin = %s and kind = %s and old_id = any(%s)",
            [origin, kind.name, old_ids],
        )

    def unfinished(self) -> list[Unfinished]:
        """Locked until the transaction ends; those that somebody else has in hand are left out."""
        rows = self.rows(
            "select xid::text::bigint, kind, sent_by from datatransfer.resending "
            "order by xid for update skip locked"
        )
        return [Unfinished(*row) for row in rows]

    def sent_in(self, unfinished: Unfinished) -> Iterator[Sent]:
        """What a transaction has sent, in the order in which rejects are locked."""
        query = f"{NOTES} where kind = %s and new_xid = %s::text::xid8 order by origin, old_id"
        rows = self.stream("sent", query, [unfinished.kind, unfinished.xid])
        return (Sent(*row) for row in rows)

    def finish(self, xid: int) -> None:
        """Notes that the rejects of a transaction are closed; the caller commits."""
        self.execute("delete from datatransfer.resending where xid = %s::text::xid8", [xid])


def carry_notes(staging: Staging, kind: Kind, origin: str, fresh: sql.Composable) -> None:
    """Before the rows are numbered anew, each by `fresh`, under the identity `origin`."""
    staging.execute(
        sql.SQL(CARRY).format(
            table=kind.staging_table,
            kind=sql.Literal(kind.name),
            origin=sql.SQL("{}::uuid").format(sql.Literal(origin)),
            fresh=fresh,
        )
    )
