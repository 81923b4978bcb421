"""Loads whose rows are gone since shop All was restored: the file can be loaded again.

Undos are loads, too: one that is gone can be ordered again.
"""

from collections.abc import Collection, Iterable
from datetime import timedelta

from django.conf import settings

from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import BonusServer, TransferRun, Upload
from transfer.rejects.old_positions import OldPositions
from transfer.rejects.reopening import reopen_taken_back

# The clocks of the machines that load, and that move rows, may differ by so much.
CLOCKS_DIFFER = timedelta(hours=1)


def note_lost(kind: Kind, loads: Iterable[Upload] | None = None) -> list[Upload]:
    """Notes which of these loads, or of all of the kind, are gone with a restore, and returns them;
    and undos that are gone though a server may have received rows of them, whose state stays.

    A load of which a bonus server has received rows, or may have, counts as loaded: to load it
    again would double them. Rejects that a lost undo has closed are open again. Raises
    TransferError where shop All can't be asked.
    """
    if loads is None:
        loads = Upload.objects.loaded().filter(
            kind=kind.name, origin__isnull=False, xid__isnull=False
        )
    loads = list(loads)
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "restored", secret=True) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        noted = shop_all.records.noted_loads([str(load.token) for load in loads])
        arrivals, lost = Arrivals(kind, shop_all), []
        for load in loads:
            if str(load.token) in noted:
                continue
            if not arrivals.may_have_come(load):
                _note(load)
                lost.append(load)
            elif load.is_undo:
                lost.append(load)
    return lost


def _note(load: Upload) -> None:
    load.saved.filter(state=Upload.State.LOADED).update(state=Upload.State.LOST)
    load.state = Upload.State.LOST
    if load.undoes is not None:
        reopen_taken_back(load.undoes, since=load.confirmed_at or load.created_at)


class Arrivals:
    """Whether a bonus server may have received rows of loads that shop All does not know.

    - Of a load under an earlier identity of shop All, or one that is lost with a restore to before
      a rebase, the position of that time says so.
    - Under the identity of today, a server has received nothing if its batch is in shop All's log:
      then it has read in a history without the load. And our own history must not know of a batch
      since that none of these positions knows, such as that of a server which is undocked.
    """

    def __init__(self, kind: Kind, shop_all: ShopAll) -> None:
        self.kind = kind
        self.shop_all = shop_all
        self.origin = shop_all.identity.origin()
        self.positions = OldPositions(kind)
        self.servers = list(BonusServer.objects.all())

    def may_have_come(self, load: Upload) -> bool:
        """Whether a server has received a row of the load, or can't say."""
        if str(load.origin) == self.origin:
            return self._may_have_come_today(load)
        if load.is_undo and not load.good:  # it has withdrawn rows, and staged none
            return False
        return any(
            self.positions.has_received(server, str(load.origin), load.xid or 0, 0) is not False
            for server in self.servers
            if load.closed_at is None or server.created_at < load.closed_at
        )

    def _may_have_come_today(self, load: Upload) -> bool:
        positions = []
        for server in self.servers:
            try:
                position = self.positions.ask(server, self.origin)
                if position is not None:
                    self.shop_all.identity.check_position(self.kind, position, server.name)
                    positions.append(position)
            except TransferError:
                return True
        return was_read_elsewhere(load, self.origin, positions)


def was_read_elsewhere(load: Upload, origin: str, positions: Collection[Position]) -> bool:
    """Whether our own history knows of a batch since a load, under this identity of shop All, that
    none of the positions knows: that of a server which is undocked, or was restored.
    """
    known = {position.reader: position.number for position in positions}
    since = (load.confirmed_at or load.created_at) - CLOCKS_DIFFER
    batches = TransferRun.objects.filter(kind=load.kind).batches(origin, since)
    return any(number > known.get(reader, -1) for reader, number in batches)
