"""The one place that knows how the engine is called: everything else here measures through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.databases import query
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.errors import BeginningUndecided
from transfer.engine.kinds import KINDS
from transfer.engine.move import transfer as engine
from transfer.engine.move.prepare import prepare
from transfer.engine.position import Totals
from transfer.engine.restore.set_position import Request, set_position
from transfer.engine.shop_all.batches import Readers
from transfer.engine.shop_all.indexes import Indexes
from transfer.engine.shop_all.source import ShopAll

Opened = tuple[ShopAll, BonusDatabase]


@contextmanager
def open_databases(shop_all: str, bonus: str) -> Iterator[Opened]:
    """Connections to both sides."""
    with (
        ShopAll(shop_all, "bench") as source,
        BonusDatabase(bonus, "bonus server", "bench") as target,
    ):
        yield source, target


def begin(shop_all: str, bonus: str, kind: str) -> None:
    """A position that has read nothing yet."""
    with open_databases(shop_all, bonus) as opened:
        _begun(opened, kind)


def _begun(opened: Opened, kind: str) -> str:
    """The origin of a position that begins at the start where there is none."""
    try:
        return prepare(KINDS[kind], *opened).origin
    except BeginningUndecided:
        request = Request(start=True, accept_purged=True)
        return set_position(KINDS[kind], *opened, request, Readers()).position.origin


def move_through(opened: Opened, kind: str) -> Totals:
    """A whole transfer of what waits."""
    origin = _begun(opened, kind)
    chunks = engine.transfer(KINDS[kind], *opened, origin)
    return sum((chunk.totals for chunk in chunks), Totals())


def move(shop_all: str, bonus: str, kind: str) -> Totals:
    """Likewise, including the connection."""
    with open_databases(shop_all, bonus) as opened:
        return move_through(opened, kind)


def forget_readers(shop_all: str) -> None:
    """Shop All forgets who has read: the next bonus server's database may be a new one."""
    for table in ("datatransfer.batch", "datatransfer.purge_note"):
        if query(shop_all, "select to_regclass(%s)", [table]) != [(None,)]:
            query(shop_all, f"delete from {table}")


def vacuum(shop_all: str, kind: str) -> None:
    """What a purge does at its end."""
    with ShopAll(shop_all, "bench") as source:
        Indexes(source.database).vacuum(KINDS[kind])


def columns(kind: str) -> list[str]:
    return [column.name for column in KINDS[kind].columns]


def tables(kind: str) -> tuple[str, str]:
    """The staging table, and the bonus server's."""
    return KINDS[kind].staging, KINDS[kind].target


def error_code(error: Any) -> str:
    return getattr(error, "code", type(error).__name__)
