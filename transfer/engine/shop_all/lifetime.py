"""The lifetime of lines: a log would grow for ever.

A line goes when nobody can ask about it any more: all its rows are gone, no docked server stands
below it, and it is older than any backup that anybody would restore. What a server may compare with
stays: of each append the last line, as one without rows, whose number, mark and running sums are as
before. `head.removed` is the last number that has gone: a server that was restored to below it
can't be told what it lacks (HISTORY_TOO_OLD). Loads stay, so a file that is loaded again has
another name.

Withdrawn lines and answers of installations stay. They are few, and exceptions of bonus servers and
questions after a restore refer to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.database import Database
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.log import BY_INDEX
from transfer.engine.shop_all.purge import KnownServer, least_needed, needs_from
from transfer.engine.shop_all.source import ShopAll

LINES_AT_ONCE = 50_000

# The next lines whose lifetime has ended, each with whether its append has later ones. A line stays
# as long as a row of another line depends on one of its rows, or rows of it are in the table: those
# that were moved before us, or appeared since. By the indexes `log_emptied`, `dependent_root` and
# `dependent_of`, the primary key, and the index on (xid, started, row).
CHOOSE = """
    select number, changeset::text,
           coalesce((select later.mark from datatransfer.log as later
                      where later.kind = log.kind and later.number > log.number
                      order by later.number limit 1) = log.mark, false)
      from datatransfer.log
     where kind = {kind} and number > {after} and number < {before}
       and xid is not null and purged + gone >= rows and not withdrawn
       and appended_at < now() - make_interval(days => {days})
       and not exists (select from datatransfer.dependent
                        where dependent.kind = log.kind and root_changeset = log.changeset)
       and not exists (select from datatransfer.dependent
                        where dependent.kind = log.kind and of_changeset = log.changeset)
       and not exists (select from {table} as staged
                        where staged.xid = log.xid and staged.started = log.started)
     order by number limit {most}
"""
# What the rows of these changesets depend on. By the primary key.
FORGET_DEPENDENTS = """
    delete from datatransfer.dependent where kind = %s and changeset = any(%s::uuid[])
"""
# By the primary keys, as what follows.
DELETE = "delete from datatransfer.log where kind = %s and number = any(%s::bigint[])"
# Keeps the place of the last line of an append, and the sums up to it.
KEEP_PLACE = """
    update datatransfer.log
       set changeset = gen_random_uuid(), xid = null, started = null, staged_by = null, rows = 0,
           amount = 0, gone = 0, gone_amount = 0, purged = 0, depends = false
     where kind = %s and number = any(%s::bigint[])
"""
NOTE_REMOVED = """
    update datatransfer.head set removed = greatest(removed, %s) where kind = %s
"""
# What the log takes: its lines as the planner estimates them, and its bytes with all indexes.
SIZE = """
    select greatest(reltuples, 0)::bigint, pg_total_relation_size(oid)
      from pg_class where oid = 'datatransfer.log'::regclass
"""


@dataclass(frozen=True)
class Size:
    """Rows of a table, as the planner estimates them, and bytes with its indexes."""

    rows: int
    bytes: int


def end_lifetimes(
    kind: Kind,
    source: ShopAll,
    servers: Sequence[KnownServer],
    installation: Installation,
    days: int,
) -> int:
    """Remove the lines whose lifetime has ended; return how many.

    `servers` are all docked ones and those that were left behind; `days` is the setting. The lines
    of a server's place stay, and those above what installations, this one too, have registered: a
    purge comes first. What depends on a line goes before it. Raises PurgeWaits.
    """
    removed = 0
    while True:
        gone = _end_lifetimes_once(kind, source, servers, installation, days)
        if not gone:
            return removed
        removed += gone  # a line on which only these have depended may go now


def _end_lifetimes_once(
    kind: Kind,
    source: ShopAll,
    servers: Sequence[KnownServer],
    installation: Installation,
    days: int,
) -> int:
    removed = after = 0
    while True:
        with source.database.transaction():
            source.database.limit_statements(None)
            source.log_writer.lock(kind)
            source.installations.lock()
            need = least_needed(kind, source, needs_from(kind, source, servers), installation)
            registered = source.installations.own(kind, installation)
            own = registered.needs_from if registered else 1
            lines = _choose(kind, source, min(need.line, own) - 1, after, days)
            if not lines:
                return removed
            source.database.execute(FORGET_DEPENDENTS, [kind.name, [one for _, one, _ in lines]])
            inner = [number for number, _, has_later in lines if has_later]
            last = [number for number, _, has_later in lines if not has_later]
            source.database.execute(DELETE, [kind.name, inner])
            source.database.execute(KEEP_PLACE, [kind.name, last])
            after = lines[-1][0]
            source.database.execute(NOTE_REMOVED, [after, kind.name])
        removed += len(lines)


def _choose(
    kind: Kind, source: ShopAll, before: int, after: int, days: int
) -> list[tuple[int, str, bool]]:
    source.database.execute(BY_INDEX)
    query = sql.SQL(CHOOSE).format(
        kind=sql.Literal(kind.name),
        table=kind.staging_table,
        after=sql.Literal(after),
        before=sql.Literal(before),
        days=sql.Literal(days),
        most=sql.Literal(LINES_AT_ONCE),
    )
    return source.database.rows(query)


def size_of_log(database: Database) -> Size:
    """Return what the log of all kinds takes in shop All."""
    return Size(*database.only_row(SIZE))
