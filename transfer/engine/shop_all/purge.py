"""Removes staged rows that nobody needs any more, by whole changesets.

Nobody needs a row below the first line of which any docked server, of any installation, needs one.
A server that can't be reached counts with what was last known of it, if that is in this log. What
is purged stays counted in the log: a server that is restored to before it refuses, with the exact
list.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from psycopg2 import sql

from transfer.causes.ledger import PURGE_WAITS
from transfer.engine import events
from transfer.engine.kind import Kind
from transfer.engine.received import WHOLE, Place
from transfer.engine.shop_all.installations import Installation, Registered
from transfer.engine.shop_all.log import BY_INDEX
from transfer.engine.shop_all.schema.indexes import Indexes
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import PurgeWaits

ROWS_AT_ONCE = 50_000
"""How many rows a transaction removes at most."""
LINES_AT_ONCE = 50_000

# The line before another one, which may have gone. By the primary key.
BEFORE = """
    select number, mark::text from datatransfer.log where kind = %s and number < %s
     order by number desc limit 1
"""
# The next lines whose rows a purge removes, each with how many rows it has left. Lines of rows that
# were moved before us are all `gone`, and their rows are there still. By the indexes `log_unpurged`
# and `log_not_as_staged`, and that on (xid, started, row).
CHOOSE = """
    with spared as materialized (
        select changeset from unnest({spared}::uuid[]) as spared (changeset)
    ), old as (
        (select number, xid, started, rows - gone - purged as left_over, purged > 0 as is_begun
           from datatransfer.log
          where kind = {kind} and number > {after} and number < {before}
            and xid is not null and purged + gone < rows
            and started < now() - make_interval(days => {days})
            and not exists (select from spared where spared.changeset = log.changeset)
          order by number limit {most})
        union all
        (select number, xid, started, rows, true
           from datatransfer.log
          where kind = {kind} and number > {after} and number < {before}
            and xid is not null and gone > 0 and gone = rows
            and started < now() - make_interval(days => {days})
            and exists (select from {table} as staged
                         where staged.xid = log.xid and staged.started = log.started)
          order by number limit {most})
    )
    select number, xid::text, started::text, left_over, is_begun from old
     order by number limit {most}
"""
# How many rows changesets have in the table. By the index on (xid, started, row).
COUNT = """
    select number, count(staged.xid)
      from unnest({numbers}::bigint[], {xids}::text[]::xid8[], {started}::timestamptz[])
           as line (number, xid, started)
      left join {table} as staged on staged.xid = line.xid and staged.started = line.started
     group by number
"""
# Removes rows of changesets. By that index.
DELETE = """
    delete from {table} as staged
     using rows from (pg_catalog.unnest({xids}::pg_catalog.text[]::pg_catalog.xid8[]),
                      pg_catalog.unnest({started}::pg_catalog.timestamptz[])) as line (xid, started)
     where staged.xid operator(pg_catalog.=) line.xid
       and staged.started operator(pg_catalog.=) line.started
"""
# Removes some rows of one changeset. By that index.
DELETE_PART = """
    delete from {table} as staged
     where ctid operator(pg_catalog.=) any (array(
               select ctid from {table} as part
                where part.xid operator(pg_catalog.=) {xid}::pg_catalog.xid8
                  and part.started operator(pg_catalog.=) {started}::pg_catalog.timestamptz
                limit {most}))
"""
# Notes that all rows of these lines are purged that were not deleted by hand. By the primary key.
NOTE_PURGED = """
    update datatransfer.log set purged = rows - gone
     where kind = %s and number = any(%s::bigint[])
"""
# Notes that so many more are.
NOTE_PART = """
    update datatransfer.log set purged = purged + %s
     where kind = %s and number = %s and gone < rows
"""


@dataclass(frozen=True)
class KnownServer:
    """What is known of a docked server and a kind: read now, or, if it can't be reached, last.

    `place` is None where it has no position: then it may need everything. `may_lack_last`: of the
    changeset of its last line it may have received a part only. `incomplete` is changeset
    → last row, of the exceptions that lack rows and are not skipped (`Exceptions.incomplete`).
    """

    name: str
    place: Place | None
    incomplete: Mapping[str, int]
    may_lack_last: bool

    @classmethod
    def unknown(cls, name: str) -> Self:
        """Return a server of which nothing is known: it may need everything."""
        return cls(name, None, {}, may_lack_last=False)

    @classmethod
    def asked(cls, name: str, place: Place, incomplete: Mapping[str, int]) -> Self:
        """Return what a server has answered."""
        return cls(name, place, incomplete, may_lack_last=False)

    @classmethod
    def remembered(cls, name: str, place: Place, *, may_lack_last: bool) -> Self:
        """Return what our own history knows of a server that can't be reached."""
        return cls(name, place, {}, may_lack_last=may_lack_last)


@dataclass(frozen=True)
class Need:
    """The first line of which somebody needs a row, the place before it, and who that is."""

    line: int
    before: Place
    by: str


@dataclass(frozen=True)
class Purged:
    """What a purge has removed, or would remove; and who needs the rows that it has left."""

    rows: int
    changesets: int
    need: Need


def needs_from(kind: Kind, source: ShopAll, servers: Sequence[KnownServer]) -> Need:
    """Return the first line of which any of these servers needs a row.

    The caller has a snapshot or transaction of shop All. Where nobody needs a line that is in the
    log, it is the number after the last one. Raises PurgeWaits with the name of a server whose
    place is not in this log: it has not been reached since a restore, and its fork may be anywhere.
    """
    end = source.log.end(kind)
    least = Need(end.number + 1, end, "")
    for server in servers:
        line = _needs_from(kind, source, server)
        if line < least.line:
            rows = source.database.rows(BEFORE, [kind.name, line])
            before = Place(*rows[0]) if rows else Place()
            least = Need(line, before, server.name)
    return least


def _needs_from(kind: Kind, source: ShopAll, server: KnownServer) -> int:
    if server.place is None:
        return 1
    if not source.log.has(kind, server.place):
        raise PurgeWaits(PURGE_WAITS, server=server.name)
    lacking = [name for name, last in server.incomplete.items() if last != WHOLE]
    lines = source.log.lines_of(kind, lacking) if lacking else []
    needed = [line.number for line in lines if not line.withdrawn and line.awaited]
    next_one = server.place.number + (0 if server.may_lack_last else 1)
    return max(1, min([next_one, *needed]))


def least_needed(kind: Kind, source: ShopAll, own: Need, installation: Installation) -> Need:
    """Return the first line of which a server of any installation needs a row.

    Of this installation it is `own`. Raises PurgeWaits with the name of an installation that has
    read another log.
    """
    least = own
    for registered in source.installations.of(kind):
        if registered.installation.id == installation.id:
            continue
        if not source.log.has(kind, registered.before):
            raise PurgeWaits(PURGE_WAITS, server=registered.installation.name)
        if registered.needs_from < least.line:
            least = Need(registered.needs_from, registered.before, registered.installation.name)
    return least


def purge(
    kind: Kind,
    source: ShopAll,
    servers: Sequence[KnownServer],
    installation: Installation,
    known: Registered | None,
    days: int,
    spared: Collection[str],
    *,
    dry_run: bool,
) -> Purged:
    """Remove the rows of changesets that are older than `days` and that nobody needs.

    `known` is what this installation had said (`Installations.own`) before the caller asked its
    servers. `spared` are changesets with an open reject whose value is masked: PIN codes, which
    could not be corrected without the row.

    1. Writes the first line that this installation needs, for the purges of others.
    2. Removes rows by whole changesets, at most 50,000 a transaction; in each it looks again what
       all installations need. A larger changeset is removed in parts. A changeset that has more
       rows than the log says is left alone: nobody has received these.
    3. Makes room for new rows in the table.

    A dry run counts, and writes nothing. Raises PurgeWaits, PURGE_OVERTAKEN.
    """
    if dry_run:
        with source.snapshot(kind):
            need = least_needed(kind, source, needs_from(kind, source, servers), installation)
            lines = _choose(kind, source, need, 0, days, spared, most=None)
            return Purged(sum(line.left_over for line in lines), len(lines), need)
    watch = events.Stopwatch()
    events.tell(events.PURGE_BEGINS, kind=kind.name)
    with source.database.transaction():
        own = needs_from(kind, source, servers)
        source.installations.replace(kind, installation, own.before, known)
    rows = changesets = after = 0
    while True:
        with source.database.transaction():
            source.database.limit_statements(None)
            source.log_writer.lock(kind)
            source.installations.lock()
            need = _registered_need(kind, source, own, installation)
            lines = _choose(kind, source, need, after, days, spared, most=LINES_AT_ONCE)
            if not lines:
                break
            done = _remove(kind, source, _that_fit(lines))
        rows, changesets, after = rows + done.rows, changesets + done.changesets, done.after
    if rows:
        Indexes(source.database).vacuum(kind)
    events.tell(
        events.PURGE_ENDS,
        kind=kind.name,
        rows=rows,
        changesets=changesets,
        seconds=watch.seconds,
    )
    return Purged(rows, changesets, need)


def _registered_need(kind: Kind, source: ShopAll, own: Need, installation: Installation) -> Need:
    """Return the first line that anybody needs by now: a server may have begun meanwhile."""
    registered = source.installations.own(kind, installation)
    if registered is None:  # somebody has removed it: then nothing is known of our servers
        raise PurgeWaits(PURGE_WAITS, server=installation.name)
    if registered.needs_from < own.line:
        own = Need(registered.needs_from, registered.before, installation.name)
    return least_needed(kind, source, own, installation)


@dataclass(frozen=True)
class _Line:
    number: int
    xid: str
    started: str
    left_over: int  # rows that it should have in the table
    is_begun: bool  # a part of them may have gone already


@dataclass(frozen=True)
class _Done:
    rows: int
    changesets: int
    after: int  # the line after which to go on


def _choose(
    kind: Kind,
    source: ShopAll,
    need: Need,
    after: int,
    days: int,
    spared: Collection[str],
    *,
    most: int | None,
) -> list[_Line]:
    query = sql.SQL(CHOOSE).format(
        kind=sql.Literal(kind.name),
        table=kind.staging_table,
        after=sql.Literal(after),
        before=sql.Literal(need.line),
        days=sql.Literal(days),
        spared=sql.Literal([*spared]),
        most=sql.Literal(most),
    )
    return [_Line(*row) for row in source.database.rows(query)]


def _that_fit(lines: list[_Line]) -> list[_Line]:
    """Return the first lines whose rows fit into one transaction; at least one."""
    size = 0
    for place, line in enumerate(lines):
        size += line.left_over
        if place and size > ROWS_AT_ONCE:
            return lines[:place]
    return lines


def _remove(kind: Kind, source: ShopAll, lines: list[_Line]) -> _Done:
    """Remove the rows of these lines, but of those that have more rows than they should."""
    database = source.database
    database.execute(BY_INDEX)
    if len(lines) == 1 and lines[0].left_over > ROWS_AT_ONCE:
        return _remove_part(kind, source, lines[0])
    found = _count(kind, source, lines)
    right = [line for line in lines if found[line.number] <= line.left_over]
    delete = sql.SQL(DELETE).format(
        table=kind.staging_table,
        xids=sql.Literal([line.xid for line in right]),
        started=sql.Literal([line.started for line in right]),
    )
    with database.vendors_path():
        rows = database.execute(delete)
    database.execute(NOTE_PURGED, [kind.name, [line.number for line in right]])
    return _Done(rows, len(right), lines[-1].number)


def _remove_part(kind: Kind, source: ShopAll, line: _Line) -> _Done:
    """Remove the next rows of a large changeset."""
    database = source.database
    if not line.is_begun and _count(kind, source, [line])[line.number] > line.left_over:
        return _Done(0, 0, line.number)
    delete = sql.SQL(DELETE_PART).format(
        table=kind.staging_table,
        xid=sql.Literal(line.xid),
        started=sql.Literal(line.started),
        most=sql.Literal(ROWS_AT_ONCE),
    )
    with database.vendors_path():
        rows = database.execute(delete)
    if rows < ROWS_AT_ONCE:
        database.execute(NOTE_PURGED, [kind.name, [line.number]])
        return _Done(rows, 1, line.number)
    database.execute(NOTE_PART, [rows, kind.name, line.number])
    return _Done(rows, 0, line.number - 1)


def _count(kind: Kind, source: ShopAll, lines: list[_Line]) -> dict[int, int]:
    query = sql.SQL(COUNT).format(
        table=kind.staging_table,
        numbers=sql.Literal([line.number for line in lines]),
        xids=sql.Literal([line.xid for line in lines]),
        started=sql.Literal([line.started for line in lines]),
    )
    return dict(source.database.rows(query))
