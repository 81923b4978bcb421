"""Loads whose rows are gone since shop All was restored: the file can be loaded again.

Undos are loads, too: one that is gone can be ordered again.
"""

from django.conf import settings

from transfer.engine.kind import Kind
from transfer.engine.shop_all.source import ShopAll
from transfer.loading.loader import known_loads
from transfer.models import BonusServer, Upload
from transfer.rejects.old_positions import OldPositions


def note_lost(kind: Kind) -> list[Upload]:
    """Notes which loads of the kind are gone with a restore, and returns them; and undos that are
    gone though a server may have received rows of them, whose state stays.

    Looks at loads under other identities of shop All than that of today: those that rebases have
    replaced, and those that were lost with a restore to before a rebase. A load of which a bonus
    server has received rows, or may have, counts as loaded: to load it again would double them.
    Raises TransferError where shop All can't be asked.
    """
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "restored", secret=True) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        noted = Upload.objects.loaded().filter(
            kind=kind.name, origin__isnull=False, xid__isnull=False
        )
        loads = noted.exclude(origin=shop_all.identity.origin())
        known = known_loads(shop_all.database, [str(load.token) for load in loads])
    positions, servers = OldPositions(kind), list(BonusServer.objects.all())
    lost = []
    for load in loads:
        if str(load.token) not in known and not _may_have_arrived(load, servers, positions):
            load.saved.filter(state=Upload.State.LOADED).update(state=Upload.State.LOST)
            load.state = Upload.State.LOST
            lost.append(load)
        elif load.is_undo and str(load.token) not in known:
            lost.append(load)
    return lost


def _may_have_arrived(load: Upload, servers: list[BonusServer], positions: OldPositions) -> bool:
    """Whether a server has received a row of the load, or can't say."""
    return any(
        positions.has_received(server, str(load.origin), load.xid or 0, 0) is not False
        for server in servers
        if load.closed_at is None or server.created_at < load.closed_at
    )
