"""What bonus servers had received before a rebase of shop All, by their positions of that time.

A rebase leaves these positions in the bonus servers' databases.
"""

from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.kind import Kind
from transfer.engine.position import Position
from transfer.errors import TransferError
from transfer.models import BonusServer


class OldPositions:
    """Asks each bonus server once for its position under an earlier identity of shop All."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.known: dict[tuple[int, str], Position | None] = {}

    def has_received(
        self, server: BonusServer | None, origin: str, xid: int, id_: int
    ) -> bool | None:
        """Whether the server has received the row; None where it can't say."""
        if server is None:
            return None
        key = (server.pk, origin)
        if key not in self.known:
            self.known[key] = self._position(server, origin)
        position = self.known[key]
        return None if position is None else position.has_moved(xid, id_)

    def _position(self, server: BonusServer, origin: str) -> Position | None:
        try:
            with BonusDatabase(server.dsn, server.name, "restored") as target:
                return target.positions.existing(origin, self.kind)
        except TransferError:
            return None
