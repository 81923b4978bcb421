"""What the bonus servers of this installation still need of shop All."""

import platform
from collections.abc import Iterable, Iterator
from functools import partial

from django.conf import settings

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.knowledge import Knowledge
from transfer.engine.received import Place
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.purge import KnownServer
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import Settings, TransferTask
from transfer.models.run_base import GOOD_STATES
from transfer.servers.ask import ask_all


def this_installation() -> Installation:
    """Return the name by which shop All knows this installation."""
    return _named(str(Settings.load().installation))


def installation_of(knowledge: Knowledge) -> Installation:
    """Return the same for what was read of our own database already."""
    return _named(knowledge.installation)


def _named(installation: str) -> Installation:
    return Installation(installation, settings.SITE_URL or platform.node())


def keep_needed_rows(kind: Kind, source: ShopAll, installation: Installation, place: Place) -> None:
    """Keep purges, also those of other installations, from rows above this place; commits.

    For a server that needs more than this installation has said so far: it begins, or was restored.
    """
    with source.database.transaction():
        source.installations.lower(kind, installation, place)


def ask_servers(
    tasks: Iterable[TransferTask], origin: str, seconds: float
) -> Iterator[tuple[TransferTask, KnownServer | TransferError]]:
    """Yield each task with what its server says that it has received, within `seconds`."""
    yield from ask_all(tasks, partial(_known_server, origin=origin), seconds)


def _known_server(task: TransferTask, seconds: float, origin: str) -> KnownServer:
    server, kind = task.server, task.kind_spec
    with (
        BonusDatabase(server.dsn, server.name, "purge", seconds=seconds, secret=False) as target,
        target.database.transaction(commit=False),
    ):
        position = target.positions.get(origin, kind)
        if position is None:
            return KnownServer.unknown(server.name)
        incomplete = target.positions.exceptions(position).incomplete
        return KnownServer.asked(server.name, position.place, incomplete)


def last_known(task: TransferTask, origin: str) -> KnownServer:
    """Return what our own history knows of a server that can't be reached; at worst, nothing.

    A position passes a changeset when its first rows are moved. So where the last run did not end
    well, the server may have received the last changeset in part.
    """
    run = task.runs.begun().that_may_have_moved().first()
    recorded = run.counted_to if run else None
    if run is None or recorded is None or recorded.origin != origin:
        return KnownServer.unknown(task.server.name)
    has_ended_well = run.state in GOOD_STATES
    return KnownServer.remembered(
        task.server.name, recorded.place, may_lack_last=not has_ended_well
    )
