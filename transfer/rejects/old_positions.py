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
        self.known: dict[tuple[int, str], Position | TransferError | None] = {}

    def has_received(
        self, server: BonusServer | None, origin: str, xid: int, id_: int
    ) -> bool | None:
        """Whether the server has received the row; None where it can't say."""
        if server is None:
            return None
        try:
            position = self.ask(server, origin)
        except TransferError:
            return None
        return None if position is None else position.has_moved(xid, id_)

    def ask(self, server: BonusServer, origin: str) -> Position | None:
        """The server's position under an identity of shop All. Raises TransferError."""
        key = (server.pk, origin)
        if key not in self.known:
            try:
                with BonusDatabase(server.dsn, server.name, "restored") as target:
                    self.known[key] = target.positions.existing(origin, self.kind)
            except TransferError as error:
                self.known[key] = error
        known = self.known[key]
        if isinstance(known, TransferError):
            raise known
        return known
