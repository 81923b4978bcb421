"""Carries a position over a rebase: which rows it has moved, told by their new transactions.

The rebase does it for each bonus server that answers. For any other, and for one that is restored
to a backup from before a rebase, its next run does it: what a rebase keeps in shop All (see
`rebase_log`) says all that the rebase knew.
"""

from dataclasses import replace

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import RestoredFromDump
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.restore.answers import NO_ANSWERS, Answers
from transfer.engine.restore.translate import Renumbered, translate
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.purge_notes import Lost
from transfer.engine.shop_all.rebase_log import Rebase
from transfer.engine.shop_all.source import ShopAll


def carry_over(
    kind: Kind,
    source: ShopAll,
    target: BonusDatabase,
    readers: Readers,
    *,
    answers: Answers = NO_ANSWERS,
    accept_purged: bool = False,
    dry_run: bool = False,
) -> Renumbered | None:
    """Carries over the bonus server's position of before the last rebases, if that is all it has.

    Locks that position: a transfer that still moves it ends first. The caller of a dry run rolls
    the bonus server back. Raises AlreadyRunning; ReaderShared; RestoredFromDump or ShopAllRestored
    where shop All went back once more, which a rebase has to settle first; RowsDoubtful or
    RowsPrepared; RowsPurged if purges since have removed rows that it lacks, unless that is
    accepted.
    """
    target.ensure_schema()
    with source.snapshot():
        source.log.require()
        if _replaced_by(kind, source, target)[1] is None:
            return None
    with source.purge_lock.held_off():
        with source.snapshot(kind):
            source.database.limit_statements(None)
            since, rebase = _replaced_by(kind, source, target)
            if rebase is None:
                return None
            position = target.positions.lock(rebase.origin, kind)
            readers.check_shared(position, target.name)
            source.identity.check_table(kind)
            if not source.identity.is_origin_original():
                raise RestoredFromDump
            source.restore_notes.check(source.identity.origin())
            lost = _count_purged(source, position, since)
            if not accept_purged:
                lost.refuse(position, target.name)
            report, after = translate(kind, source, target, position, rebase, answers)
            report = replace(report, given_up=lost)
        if dry_run:
            target.positions.begin(replace(after, number=0, token=None))
        else:
            target.positions.begin(source.log.add_position(kind, after, target.name))
            target.database.commit()
    return report


def position_of_today(kind: Kind, source: ShopAll, target: BonusDatabase) -> Position | None:
    """The bonus server's position from before a rebase, in today's transaction ids; None where it
    has none that a rebase knows.

    Writes nothing, locks nothing. Rows in doubt count as waiting.
    """
    with source.snapshot(kind), target.database.transaction(commit=False):
        _, rebase = _replaced_by(kind, source, target)
        position = target.positions.get(rebase.origin, kind) if rebase else None
        if rebase is None or position is None:
            return None
        as_waiting = Answers({(target.name, kind.name): False})
        return translate(kind, source, target, position, rebase, as_waiting)[1]


def can_be_carried_over(kind: Kind, source: ShopAll, target: BonusDatabase) -> bool:
    """Whether the server has a position of before a rebase alone, and the rebase knows it."""
    return _replaced_by(kind, source, target)[1] is not None


def _replaced_by(
    kind: Kind, source: ShopAll, target: BonusDatabase
) -> tuple[list[str], Rebase | None]:
    """The identities of shop All since the rebase that the server's only position is older than,
    and that rebase; None where it has a position of today, or none that a rebase knows.
    """
    origin = source.identity.origin()
    since = [origin]
    if target.positions.get(origin, kind) is None:
        for rebase in source.rebase_log.line(kind):
            if target.positions.get(rebase.origin, kind) is not None:
                return since, rebase
            since.append(rebase.origin)
    return since, None


def _count_purged(source: ShopAll, position: Position, since: list[str]) -> Lost:
    """How many rows the server lacks that were purged, before the rebase and after.

    A position whose batch the rebase did not find may call other rows moved than it has received.
    """
    is_kept = source.rebase_log.has_kept(position)
    known = position if is_kept else Position(position.origin, position.kind)
    later = Lost(source.rebase_log.count_purged(known, since), is_kept)
    return source.purge_notes.lost(position) + later


def count_purged(kind: Kind, source: ShopAll, position: Position) -> Lost:
    """How many rows the position has not moved and purges have removed; it may be of before
    rebases. Within a snapshot.

    Of a position under an identity that shop All does not know, every purged row counts.
    """
    origin = source.identity.origin()
    if position.origin == origin:
        return source.purge_notes.lost(position)
    since = [origin]
    for rebase in source.rebase_log.line(kind):
        if rebase.origin == position.origin:
            return _count_purged(source, position, since)
        since.append(rebase.origin)
    return Lost(source.reader.purged(kind)[0], is_exact=False)
