"""Ends the lifetimes of what the log of shop All and the bonus servers note of the past.

At the end of each purge, since a line goes only when all its rows are gone. The lifetime is a
setting: at least the age of the oldest backup that anybody would restore.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.shop_all.lifetime import end_lifetimes
from transfer.engine.shop_all.purge import KnownServer
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.trim import trim
from transfer.errors import PurgeWaits, TransferError
from transfer.models import Settings, TransferTask
from transfer.runs.needed import this_installation

SECONDS = 60.0
"""That each bonus server is waited for."""


def shorten_log(kind: Kind, shop_all: ShopAll, servers: Sequence[KnownServer]) -> int:
    """Remove the lines of the log whose lifetime has ended; return how many.

    `servers` are all docked ones, those that are left behind too. Nothing is removed where it is
    not known what one of them needs. Raises TransferError.
    """
    days = Settings.load().log_days
    with suppress(PurgeWaits):
        return end_lifetimes(kind, shop_all, servers, this_installation(), days)
    return 0


def trim_servers(kind: Kind, shop_all: ShopAll, tasks: Iterable[TransferTask], origin: str) -> None:
    """Shorten what the tasks' bonus servers note of lines whose lifetime has ended.

    A server that does not answer, or is being written to, is left to the next purge.
    """
    days = Settings.load().log_days
    for task in tasks:
        server = task.server
        with (
            suppress(TransferError),
            BonusDatabase(server.dsn, server.name, "trim", seconds=SECONDS, secret=False) as target,
        ):
            trim(kind, shop_all, target, origin, days)
