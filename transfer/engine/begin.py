"""A bonus server without a position: somebody says what it has received of the staged rows.

A position is never begun by itself where it matters. All answers write the receipts of a server
that has read these lines, so that a later restore of shop All finds where the logs part. What is
withdrawn by then was not received, and is never read.
"""

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from uuid import uuid4

from psycopg2 import sql

from transfer.causes.ledger import POSITION_KNOWN, POSITION_MOVED, SERVER_HAS_MOVED
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.kinds import KINDS
from transfer.engine.move.fork import is_in_history
from transfer.engine.received import (
    BEFORE_THE_FIRST_LINE,
    NOTHING,
    WHOLE,
    Beginning,
    Place,
    Position,
    Receipt,
    Totals,
)
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.log import Line, receipts_of
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import PositionKnown, TransferError

LINES = 50_000
"""The most lines that are read at once."""

# The rows that were changed since they were staged: what is in effect where they were received. By
# the index on changed rows; their lines by the log's unique key.
CHANGED = """
    select log.changeset::text, ours."row", ours.amount::text, {others}::text
      from {staged} join datatransfer.log
        on log.kind = {kind} and log.xid = ours.xid and log.started = ours.started
     where ours.changes is not null and not log.withdrawn
"""
ADD_SEEN = """
    insert into datatransfer.seen (origin, kind, changeset, "row", amount, others, by_changeset,
                                   by_row)
    values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing
"""
# What a copy of a server's tables takes over of ours.
COPIED = {
    "receipt": "last, mark, changesets, rows, amounts, at",
    "exception": "changeset, last, skipped, rows, amount, at",
    "reject": """
        changeset, "row", code, sqlstate, constraint_name, payload, effect, root_changeset,
        root_row, resolved_by, rejected_at, changed_in""",
    "seen": 'changeset, "row", amount, others, by_changeset, by_row',
}
READ_ROWS = """
    select row_to_json(copied)::text from (
        select {columns} from datatransfer.{table} where origin = %s and kind = %s) as copied
"""
WRITE_ROWS = """
    insert into datatransfer.{table} (origin, kind, {columns})
    select %s, %s, {columns} from json_populate_recordset(null::datatransfer.{table}, %s)
"""
COPIED_AT_ONCE = 1000


class Answer(StrEnum):
    """What a server has received of the staged rows, as somebody says."""

    NOTHING = "nothing"
    EVERYTHING = "everything"


@dataclass(frozen=True)
class Begun:
    """A position that has begun: how many rows it will be sent, and how many it does without.

    `amount_skipped` is the sum of the latter.
    """

    position: Position
    sent: int
    skipped: int
    amount_skipped: Decimal


def begin(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    answer: Answer,
    by: str,
    server: str,
    installation: Installation,
    counted: Totals | None,
) -> Begun:
    """Begin a position by this answer; the caller commits the target.

    `by` is who says so, `server` the name that the position gives its server, `counted` what our
    own history says that it has received by this name; None if it knows nothing of it.

    1. Adds to the log what was staged until now. Keeps purges from what the server will need.
    2. Nothing received: the position begins before the first line, or at the one up to which lines
       have gone. Rows that are purged by then are skipped, for good.
    3. Everything received: it begins at the last line. What is withdrawn was not received. The
       amounts of changed rows are taken as they are now. What the server has received by its name
       goes on counting: what the position said that makes way, or else what our own history says.

    A position that is too old for the log makes way: see `_make_way`. Raises PositionKnown where
    there is another one, AlreadyRunning.
    """
    target.ensure_schema()
    source.log_writer.append_all(kind)
    everything = answer == Answer.EVERYTHING
    with source.database.transaction():
        before = source.log.end(kind) if everything else Place()
        source.installations.lower(kind, installation, before)
    with source.snapshot(kind):
        origin = source.identity.origin()
        removed, lost = _make_way(kind, origin, source, target, keeps_outcomes=everything)
        floor = source.log.floor(kind)
        place = source.log.end(kind) if everything else floor
        beginning = Beginning(answer.value, place, by)
        version = str(uuid4())
        position = Position(origin, kind.name, server, place, version, beginning=beginning)
        target.positions.begin(position)
        target.positions.set_exceptions(position, dict.fromkeys(lost, WHOLE))
        totals, sent, skipped = _write(kind, source, target, position, floor, everything=everything)
        received = None
        if everything:
            received = removed.received if removed and removed.server == server else counted
        position = replace(position, totals=totals, uncounted=totals - (received or Totals()))
        target.positions.set_totals(position)
        if everything and kind.appends:
            _note_changed(kind, source, target, position)
    return Begun(position, sent, skipped.rows, skipped.amount)


def _make_way(
    kind: Kind, origin: str, source: ShopAll, target: BonusDatabase, *, keeps_outcomes: bool
) -> tuple[Position | None, list[str]]:
    """Remove a position that is too old for the log of shop All; return it, and changesets.

    With `keeps_outcomes` the vendor's tables are as they were: rejects and amounts in effect stay,
    and the changesets are those that the server has received and this log has lost. Should they
    come back by a restore, they are not sent again. Raises PositionKnown where it is not too old.
    """
    position = target.positions.lock(origin, kind)
    if position is None:
        return None, []
    exceptions = target.positions.exceptions(position)
    is_in_log = source.log.has(kind, position.place)
    places = [position.place] if is_in_log else target.positions.places(position)
    fork = source.log.last_common(kind, places)
    if fork is not None and is_in_history(
        kind, source, target, replace(position, place=fork), exceptions
    ):
        raise PositionKnown(POSITION_KNOWN, database=target.name, kind=kind.name)
    lost: list[str] = []
    if not keeps_outcomes:
        target.rejects.forget(position)
    elif not is_in_log:
        known = target.positions.all_exceptions(position).items()
        named = [name for name, one in known if one.last == WHOLE]
        received = {*named, *target.positions.received_above(position, -1)}
        lost = source.log.lacks(kind, [*received])
    target.positions.forget(position)
    return position, lost


def _write(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    position: Position,
    floor: Place,
    *,
    everything: bool,
) -> tuple[Totals, int, Count]:
    """Write receipts and exceptions; return totals, how many rows are sent, and what is skipped.

    No receipt names a place below the floor: a log that has lines there which have gone by now
    can't be told from a lost one, so a later restore to there is asked about.

    What is counted as received is in the totals from the beginning, as if the server had read it
    and nothing had changed there: so the sums of the log and of the server stay comparable,
    whatever is restored later.
    """
    sent, skipped = 0, Count()
    received: dict[str, Count | None] = {}  # by the exceptions: nothing
    below: list[Line] = []  # the lines up to the floor that are still in the log
    if floor.is_begin:
        target.positions.add_receipts(position, [BEFORE_THE_FIRST_LINE])
    after = 0
    while lines := source.log.lines(kind, after, LINES):
        with_rows = [line for line in lines if line.rows]
        below += [line for line in with_rows if line.number <= floor.number]
        if everything:
            above = [line for line in lines if line.number > floor.number]
            target.positions.add_receipts(position, receipts_of(above))
            skips = missed = [line for line in with_rows if line.withdrawn]
        else:
            skips = [line for line in with_rows if line.purged and not line.withdrawn]
            missed = [line for line in with_rows if line.number <= floor.number]
            purged = (Count(one.purged, one.amount - one.gone_amount) for one in skips)
            skipped = sum(purged, skipped)
            sent += sum(line.awaited for line in lines if not line.withdrawn and not line.purged)
        received |= {line.changeset: Count() for line in [*missed, *skips]}
        _set_not_received(target, position, missed, skipped=False)
        _set_not_received(target, position, skips, skipped=True)
        after = lines[-1].number
    if not floor.is_begin:
        receipt = Receipt(
            floor.number,
            floor.mark,
            [line.changeset for line in below],
            [line.rows for line in below],
            [line.amount for line in below],
        )
        target.positions.add_receipts(position, [receipt])
    counted = source.counts.read_up_to(kind, position.place, received)
    totals = Totals(unchanged=counted.rows, amount_applied=counted.amount)
    return totals, sent, skipped


def _set_not_received(
    target: BonusDatabase, position: Position, lines: list[Line], *, skipped: bool
) -> None:
    lasts = {line.changeset: NOTHING for line in lines}
    target.positions.set_exceptions(position, lasts, skipped=skipped)


def _note_changed(kind: Kind, source: ShopAll, target: BonusDatabase, position: Position) -> None:
    """Record the amounts in effect of rows that were changed since they were staged."""
    pairs = ", ".join(f"'{one.name}', ours.{one.name}" for one in kind.beside_amount)
    query = sql.SQL(CHANGED).format(
        others=sql.SQL(f"json_build_object({pairs})"),
        staged=kind.staged,
        kind=sql.Literal(kind.name),
    )
    for changeset, row, amount, values in source.database.stream("changed", query):
        named = [position.origin, kind.name, changeset, row, amount, values, changeset, row]
        target.database.execute(ADD_SEEN, named)


def begin_as(
    kind: Kind,
    source: ShopAll,
    original: BonusDatabase,
    target: BonusDatabase,
    by: str,
    server: str,
    version: str,
) -> Position:
    """Begin a position as that of another server, of whose tables this server's are a copy.

    `version` is that of the other server's position when the vendor copied its tables: each chunk
    draws another one. It copies position, receipts, exceptions, rejects and amounts in effect,
    while the other position is locked. The caller commits the target.

    Raises PositionKnown; SERVER_HAS_MOVED where the other one has no position or another version by
    now; AlreadyRunning.
    """
    target.ensure_schema()
    with source.snapshot(kind), original.database.transaction(commit=False):
        origin = source.identity.origin()
        _make_way(kind, origin, source, target, keeps_outcomes=False)
        held = original.positions.lock(origin, kind) if original.has_schema() else None
        if held is None or held.version != version:
            raise TransferError(SERVER_HAS_MOVED, database=original.name, kind=kind.name)
        beginning = Beginning("as", held.place, by)
        drawn = str(uuid4())
        position = Position(
            *(origin, kind.name, server, held.place, drawn, held.totals, beginning),
            uncounted=held.totals,
        )
        target.positions.begin(position)
        for table, columns in COPIED.items():
            _copy(kind, origin, original, target, table, columns)
    target.positions.set_totals(position)
    return position


def take_own_name(origin: str, target: BonusDatabase, server: str) -> None:
    """Give the positions of a copied database this name of the server, and commit.

    The database was copied with our schema, so it goes on from where the copy was made. Raises
    AlreadyRunning, POSITION_MOVED.
    """
    with target.database.transaction():
        for name in target.positions.of_all_kinds(origin):
            position = target.positions.lock(origin, KINDS[name])
            if position is None or not target.positions.rename(position, server):
                raise TransferError(POSITION_MOVED)


def _copy(
    kind: Kind,
    origin: str,
    original: BonusDatabase,
    target: BonusDatabase,
    table: str,
    columns: str,
) -> None:
    """Copy the rows of one of our tables from the one server to the other, as JSON, in parts."""
    read = READ_ROWS.format(table=table, columns=columns)
    write = WRITE_ROWS.format(table=table, columns=columns)
    rows = original.database.stream("copied", read, [origin, kind.name], at_once=COPIED_AT_ONCE)
    texts = (text for (text,) in rows)
    while some := [*islice(texts, COPIED_AT_ONCE)]:
        target.database.execute(write, [origin, kind.name, f"[{','.join(some)}]"])
