"""What rebases have renumbered: by it a bonus server that took no part is carried over later.

A rebase gives all staged rows of a kind new transactions, and shop All a new identity. A position
of before tells rows by their old transactions. So each rebase keeps which transaction the rows of
an old one are staged under now, and the batches that counted until then, with their snapshots.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.position import NOTHING_READ, Position
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.batch_log import IS_VALID, ORIGINAL
from transfer.engine.shop_all.purge_notes import MOVED, SIZE, place_of
from transfer.engine.shop_all.rights import grant_as_on_batches

SCHEMA = """
-- Rebases: which identity of shop All each has replaced by which, and what was known of the
-- restore: when it was, whether it was one of a dump, and a snapshot of transactions that had
-- surely ended when the copy was made (null: all of them had).
create table if not exists datatransfer.rebase (
    origin uuid not null,
    kind text not null,
    next uuid not null,
    restored_at timestamptz,
    is_dump boolean not null,
    sure pg_snapshot,
    at timestamptz not null default now(),
    primary key (origin, kind)
);
-- The transaction under which the rows of an old one are staged now, null once all of them are
-- purged; whether they were written since the restore; how many rows purges have removed.
create table if not exists datatransfer.renumbered_transaction (
    origin uuid not null,
    kind text not null,
    old_xid xid8 not null,
    is_new boolean not null,
    new_xid xid8,
    purged bigint not null default 0,
    primary key (origin, kind, old_xid, is_new)
);
-- The numbers of those rows.
alter table datatransfer.renumbered_transaction
    add column if not exists purged_ids int8multirange not null default '{}';
create index if not exists renumbered_transaction_as
    on datatransfer.renumbered_transaction (kind, new_xid);
-- The batches that counted when a rebase replaced their identity.
create table if not exists datatransfer.rebased_batch (
    token uuid primary key,
    origin uuid not null,
    kind text not null,
    reader uuid not null,
    number bigint not null,
    snapshot pg_snapshot not null,
    at timestamptz not null
);
create index if not exists rebased_batch_of on datatransfer.rebased_batch (reader, number);
-- A version that kept this for rejected rows alone does not find its table, and sends none again.
do $$ begin
    if to_regclass('datatransfer.renumbered') is not null then
        insert into datatransfer.renumbered_transaction (origin, kind, old_xid, is_new, new_xid)
        select distinct on (origin, kind, old_xid) origin, kind, old_xid, false, xid
          from datatransfer.renumbered on conflict do nothing;
        drop table datatransfer.renumbered;
    end if;
end $$;
""" + grant_as_on_batches("rebase", "renumbered_transaction", "rebased_batch")
# Notes a rebase. By the primary key.
ADD = """
    insert into datatransfer.rebase (origin, kind, next, restored_at, is_dump, sure)
    values (%s, %s, %s, %s, %s, %s)
"""

# The rebases that have led to the identity of today, the latest first. Reads the few that there
# are.
LINE = """
    with recursive line as (
        select origin as next, 0 as place from datatransfer.origin
        union all
        select rebase.origin, place + 1
          from line join datatransfer.rebase on rebase.next = line.next and rebase.kind = %(kind)s
    )
    select rebase.origin::text, restored_at, is_dump, sure::text
      from line join datatransfer.rebase on rebase.next = line.next and rebase.kind = %(kind)s
     order by place
"""

# Keeps the batches of a kind that count now. One that has seen transactions which the cluster has
# yet to reach is of another past. Reads the log.
KEEP_BATCHES = f"""
    insert into datatransfer.rebased_batch (token, origin, kind, reader, number, snapshot, at)
    select token, (select origin from datatransfer.origin), kind, reader, number, snapshot, at
      from datatransfer.batch
     where kind = %s and {IS_VALID} and (select {ORIGINAL} from datatransfer.origin)
       and pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
        on conflict do nothing
"""

# Whether a rebase has kept the batch that a position names. By the primary key.
HAS_KEPT = """
    select exists (select from datatransfer.rebased_batch
                    where token = %s and origin = %s and snapshot::text = %s)
"""

# The snapshot of the reader's last batch before this one and before a time. By the index.
LAST_KEPT = """
    select snapshot::text from datatransfer.rebased_batch
     where origin = %(origin)s and reader = %(reader)s and number < %(number)s
       and at < coalesce(%(before)s::timestamptz, 'infinity')
     order by number desc limit 1
"""

# Under which transactions the rows of these old ones are staged now. A row that was written since
# the restore may have had the number of one that came with the copy. By the primary key.
OF_TODAY = """
    select known.origin::text, known.old_xid::text::bigint, known.new_xid::text::bigint
      from unnest(%s::uuid[], %s::text[]) as asked (origin, xid)
      join datatransfer.renumbered_transaction as known
        on known.origin = asked.origin and known.kind = %s and known.old_xid = asked.xid::xid8
     where known.new_xid is not null and not is_new
"""

# Notes which rows a purge has removed of transactions that a rebase has renumbered. By the index on
# (kind, new_xid).
MARK_PURGED = """
    update datatransfer.renumbered_transaction as known
       set purged = purged + gone.rows, purged_ids = purged_ids + gone.ids
      from pg_temp.gone where known.kind = %s and known.new_xid = gone.xid
"""

# How many rows purges have removed since the rebase, without those that a position of before had
# moved. Reads what the rebase has kept, and the notes of purges.
COUNT_PURGED = f"""
    select coalesce((select sum(rows) from datatransfer.purge_note
                      where kind = %(kind)s and origin = any(%(since)s::uuid[])), 0)
           - coalesce((select sum(case when moved_ids = purged_ids then purged
                                       else {SIZE.format(ids="moved_ids")} end)
                         from datatransfer.renumbered_transaction,
                              lateral (select {MOVED.format(xid="old_xid", ids="purged_ids")}
                                           as moved_ids) as of_position
                        where kind = %(kind)s and origin = %(origin)s and purged > 0), 0)
"""

# Forgets what rebases have kept that are older than some days. Entries whose rows are staged stay:
# by them a rejected row of before is found. Reads what was kept of the kind.
FORGET = """
    with old as (
        delete from datatransfer.rebase
         where kind = {kind} and at < now() - make_interval(days => {days}) returning origin
    ), batches as (
        delete from datatransfer.rebased_batch
         where kind = {kind} and origin in (select origin from old)
    )
    delete from datatransfer.renumbered_transaction as known
     where kind = {kind}
       and not exists (select from datatransfer.rebase as young
                        where young.origin = known.origin and young.kind = {kind}
                          and young.at >= now() - make_interval(days => {days}))
       and not exists (select from {table} as row where row.xid = known.new_xid)
"""


@dataclass(frozen=True)
class Rebase:
    """A rebase that has replaced the identity `origin` of shop All."""

    origin: str
    restored_at: datetime | None
    is_dump: bool
    sure: str | None  # a snapshot; null where every transaction had surely ended


class RebaseLog:
    """Writes and reads what rebases have kept."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def add(self, kind: Kind, rebase: Rebase, following: str) -> None:
        """Notes a rebase that gives shop All the identity `following`."""
        about = (rebase.restored_at, rebase.is_dump, rebase.sure)
        self.database.execute(ADD, [rebase.origin, kind.name, following, *about])

    def line(self, kind: Kind) -> Iterator[Rebase]:
        """The rebases that have led to the identity of today, the latest first."""
        return (Rebase(*row) for row in self.database.rows(LINE, {"kind": kind.name}))

    def keep_batches(self, kind: Kind) -> None:
        """Keeps the batches that count now."""
        self.database.execute(KEEP_BATCHES, [kind.name])

    def has_kept(self, position: Position) -> bool:
        """Whether the position's batch counted when a rebase replaced its identity."""
        named = [position.token, position.origin, position.snapshot]
        return bool(self.database.value(HAS_KEPT, named))

    def last_snapshot_before(self, position: Position, before: datetime | None) -> str:
        """What had ended when the reader's batch was begun that came before the position's."""
        values = {
            "origin": position.origin,
            "reader": position.reader,
            "number": position.number,
            "before": before,
        }
        rows = self.database.rows(LAST_KEPT, values)
        return rows[0][0] if rows else NOTHING_READ

    def transactions_of_today(
        self, kind: Kind, before: Collection[tuple[str, int]]
    ) -> dict[tuple[str, int], int]:
        """Under which transactions the rows of these ones are staged, where they still are.

        `before` are identities of shop All before a rebase, and transactions of that time.
        """
        origins, xids = [origin for origin, _ in before], [str(xid) for _, xid in before]
        rows = self.database.rows(OF_TODAY, [origins, xids, kind.name], most=LONG_LIST)
        return {(origin, old): new for origin, old, new in rows}

    def mark_purged(self, kind: Kind) -> None:
        """Notes what a purge has removed: the transactions are in the temporary table `gone`."""
        self.database.execute(MARK_PURGED, [kind.name])

    def count_purged(self, position: Position, since: list[str]) -> int:
        """How many rows that the position has not moved were purged under the identities `since`.

        The position is of before the rebase that replaced its identity.
        """
        values = {
            "kind": position.kind,
            "origin": position.origin,
            "since": since,
            **place_of(position),
        }
        return int(self.database.value(COUNT_PURGED, values))

    def forget(self, kind: Kind, days: int) -> None:
        """Forgets rebases older than `days`."""
        self.database.execute(
            sql.SQL(FORGET).format(
                kind=sql.Literal(kind.name), days=sql.Literal(days), table=kind.staging_table
            )
        )
