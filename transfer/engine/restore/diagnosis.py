"""Whether shop All was restored, and whether enough is known of it to renumber its rows."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from psycopg2 import sql

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import HistoryChanged, RestoreUnknown, RowsRewritten, RowsUndated
from transfer.engine.kind import Kind
from transfer.engine.position import Position, moved
from transfer.engine.restore.new_numbers import Restored, is_new_since_dump
from transfer.engine.shop_all.batch_log import ORIGINAL
from transfer.engine.shop_all.records import Recorded
from transfer.engine.shop_all.source import ShopAll

# How many rows have no time. Reads the table, as all of these do.
COUNT_UNDATED = "select count(*) from {table} where created_at is null"
# How many rows look new since a dump was restored, and are older than the last batch that it
# brought.
COUNT_REWRITTEN = """
    select count(*) from {table}
     where {is_new}
       and created_at < (select max(at) from datatransfer.batch where not ({original}))
"""
# How many rows are older than a time, and were written in one transaction with rows since then.
COUNT_DIVIDED = """
    select count(*) from {table}
     where created_at < {at} and xid >= '3'
       and xid in (select xid from {table} where created_at >= {at})
"""
# Whether the dump brought a row that is younger than a position which claims to have moved it.
HAS_YOUNGER = """
    select exists (select from {table} where created_at > {at} and {moved} and not {is_new})
"""


class Held(NamedTuple):
    """A position that is locked, and where it is."""

    target: BonusDatabase
    kind: Kind
    position: Position

    def flow(self) -> tuple[str, str]:
        """The names of the kind and the server."""
        return self.kind.name, self.target.name


def is_anything_wrong(
    shop_all: ShopAll, kinds: Collection[Kind], held: list[Held], recorded: Recorded
) -> bool:
    """Whether a flow would refuse. Looks at all of them: another staging table stops everything."""
    is_broken = [_is_broken(shop_all, kind, held) for kind in kinds]
    is_broken.append(shop_all.restore_notes.exist(shop_all.identity.origin()))
    is_broken.append(any(shop_all.records.missing(recorded)))
    is_broken.append(bool(shop_all.records.missing_batches(recorded)))
    return any(is_broken) or any(one.target.positions.rows_since(one.position) for one in held)


def _is_broken(shop_all: ShopAll, kind: Kind, held: list[Held]) -> bool:
    positions = [one.position for one in held if one.kind == kind]
    is_broken = False
    for position in positions or [Position(shop_all.identity.origin(), kind.name)]:
        try:
            shop_all.identity.check_past(kind, position)
        except HistoryChanged:
            is_broken = True
    return is_broken


def check_knowledge(
    shop_all: ShopAll, kinds: Collection[Kind], held: list[Held], restored: Restored | None
) -> bool:
    """Whether shop All came from a dump.

    Raises RestoreUnknown, RowsUndated or RowsRewritten if too little is known.
    """
    if restored is not None and restored.at is not None:
        _require_dates(shop_all, kinds)
    is_dump = not shop_all.identity.is_origin_original()
    if is_dump:
        _require_dump(shop_all, kinds)
    elif restored is not None and restored.at is not None:
        _require_whole_transactions(shop_all, kinds, restored.at)
    if restored is None and not (is_dump and _has_one_past(shop_all, held)):
        raise RestoreUnknown
    return is_dump


def _require_dates(shop_all: ShopAll, kinds: Collection[Kind]) -> None:
    """A row without a time may be either, new or moved. Raises RowsUndated."""
    for kind in kinds:
        query = sql.SQL(COUNT_UNDATED).format(table=kind.staging_table)
        if undated := shop_all.database.value(query):
            raise RowsUndated(rows=undated, table=kind.quoted_staging)


def _require_whole_transactions(shop_all: ShopAll, kinds: Collection[Kind], at: datetime) -> None:
    """A transaction came with the copy as a whole, or is new as a whole. Raises RowsRewritten."""
    for kind in kinds:
        query = sql.SQL(COUNT_DIVIDED).format(table=kind.staging_table, at=sql.Literal(at))
        if divided := shop_all.database.value(query):
            raise RowsRewritten(rows=divided, table=kind.quoted_staging)


def _require_dump(shop_all: ShopAll, kinds: Collection[Kind]) -> None:
    """A row that the dump did not bring is younger than the last batch that it brought.

    Raises RowsRewritten.
    """
    for kind in kinds:
        query = sql.SQL(COUNT_REWRITTEN).format(
            table=kind.staging_table,
            is_new=is_new_since_dump(shop_all, kind),
            original=sql.SQL(ORIGINAL),
        )
        if rewritten := shop_all.database.value(query):
            raise RowsRewritten(rows=rewritten, table=kind.quoted_staging)


def _has_one_past(shop_all: ShopAll, held: list[Held]) -> bool:
    """Whether no row that the dump brought is younger than a position that claims to have moved it.

    Such a row has the number of another one: the files had gone back before they were dumped.
    """
    for one in held:
        query = sql.SQL(HAS_YOUNGER).format(
            table=one.kind.staging_table,
            at=sql.Literal(_known_at(shop_all, one)),
            moved=moved(one.position),
            is_new=is_new_since_dump(shop_all, one.kind),
        )
        if shop_all.database.value(query):
            return False
    return True


def _known_at(shop_all: ShopAll, one: Held) -> datetime:
    """When the position's batch was begun, or else when it was moved: it knows nothing later."""
    return shop_all.log.begun_at(one.position) or one.target.positions.updated_at(one.position)
