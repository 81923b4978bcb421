"""The one place that knows how the engine is called: everything else here measures through it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.databases import query
from tests.flow import US
from transfer.causes.ledger import BEGINNING_UNDECIDED
from transfer.engine.begin import Answer, begin as begin_position
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kinds import KINDS
from transfer.engine.knowledge import Knowledge
from transfer.engine.move import transfer as engine
from transfer.engine.move.transfer import prepare
from transfer.engine.received import Totals
from transfer.engine.shop_all.schema.indexes import Indexes
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided

Opened = tuple[ShopAll, BonusDatabase]
SERVER = "22222222-2222-4222-8222-222222222222"
ROWS_OF_A_CHUNK = engine.CHUNK_ROWS
NOTHING_KNOWN = Knowledge(US.id, {}, {})


@contextmanager
def open_databases(shop_all: str, bonus: str) -> Iterator[Opened]:
    """Connections to both sides."""
    with (
        ShopAll(shop_all, "bench", secret=False) as source,
        BonusDatabase(bonus, "bonus server", "bench", secret=False) as target,
    ):
        yield source, target


def begin(shop_all: str, bonus: str, kind: str) -> None:
    """A position that has read nothing yet."""
    with open_databases(shop_all, bonus) as opened:
        _begun(opened, kind)


def _begun(opened: Opened, kind: str) -> str:
    """The origin of a position that begins at the start where there is none."""
    try:
        return prepare(KINDS[kind], *opened, NOTHING_KNOWN, dry_run=False).origin
    except ServerUndecided as error:
        if error.cause is not BEGINNING_UNDECIDED:
            raise
        opened[1].database.roll_back()
        begun = begin_position(KINDS[kind], *opened, Answer.NOTHING, "bench", SERVER, US, None)
        opened[1].database.commit()
        return begun.position.origin


def move_through(opened: Opened, kind: str) -> Totals:
    """A whole transfer of what waits."""
    origin = _begun(opened, kind)
    chunks = engine.transfer(KINDS[kind], *opened, origin, NOTHING_KNOWN)
    return sum((chunk.totals for chunk in chunks), Totals())


def move(shop_all: str, bonus: str, kind: str) -> Totals:
    """Likewise, including the connection."""
    with open_databases(shop_all, bonus) as opened:
        return move_through(opened, kind)


def forget_log(shop_all: str) -> None:
    """Empty the log of shop All, so that the next append adds all staged rows."""
    query(
        shop_all,
        "delete from datatransfer.log; delete from datatransfer.installation; "
        "update datatransfer.head set number = 0, seen = null, seen_in = null, looked_at = null",
    )


def vacuum(shop_all: str, kind: str) -> None:
    """What a purge does at its end."""
    with ShopAll(shop_all, "bench", secret=False) as source:
        Indexes(source.database).vacuum(KINDS[kind])


def columns(kind: str) -> list[str]:
    return [column.name for column in KINDS[kind].columns]


def tables(kind: str) -> tuple[str, str]:
    """The staging table, and the bonus server's."""
    return KINDS[kind].staging, KINDS[kind].target


def error_code(error: Any) -> str:
    return getattr(error, "code", type(error).__name__)
