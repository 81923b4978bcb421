"""What our own database knows, and the engine has to be told before it moves anything.

None of it decides which rows move. It only decides whether somebody is asked first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import uuid4

from transfer.causes.ledger import COPY_OF, SHOP_ALL_WENT_BACK
from transfer.engine.kind import Kind
from transfer.engine.received import Place, Position
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import ServerUndecided, ShopAllWentBack


@dataclass(frozen=True)
class Knowledge:
    """`installation`: the id of this installation.

    `seen`: (origin, kind) → the last place of that shop All's log that our own history has seen.
    `others`: the name that a position gives its server → which other docked server of ours that is.
    `server`: the name that a position of the server gets where it begins by itself.
    """

    installation: str
    seen: Mapping[tuple[str, str], Place]
    others: Mapping[str, str]
    server: str = field(default_factory=lambda: str(uuid4()))

    def check_shop_all(self, source: ShopAll, origin: str) -> None:
        """See `check_shop_all` below."""
        check_shop_all(self.seen, source, origin)

    def check_server(self, position: Position, database: str, kind: Kind) -> None:
        """Raises COPY_OF where the position is that of another server of ours."""
        other = self.others.get(position.server)
        if other is not None:
            raise ServerUndecided(
                COPY_OF,
                database=database,
                other=other,
                kind=kind.name,
                version=position.version,
            )


def check_shop_all(seen: Mapping[tuple[str, str], Place], source: ShopAll, origin: str) -> None:
    """Raises ShopAllWentBack where a log lacks what our own history has seen of it, or where it is
    that of another chain than those that we have seen.

    The caller has a snapshot of shop All. Asked before anything is moved or written, since only an
    administrator can tell a restored shop All from a copy of it.
    """
    if seen and origin not in {known_origin for known_origin, _kind in seen}:
        raise ShopAllWentBack(SHOP_ALL_WENT_BACK)
    places = [
        (kind, place) for (known_origin, kind), place in seen.items() if known_origin == origin
    ]
    if source.log.lacks_places(places):
        raise ShopAllWentBack(SHOP_ALL_WENT_BACK)
