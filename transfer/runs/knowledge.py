"""What our own database tells the engine before a transfer."""

from uuid import UUID, uuid4

from transfer.engine.knowledge import Knowledge
from transfer.engine.received import Position
from transfer.models import BonusServer, LogPlace, Settings


def knowledge_of(server: BonusServer | None) -> Knowledge:
    """Return what we know before rows are moved to this server; None: before shop All is asked.

    How far we have seen the logs of shop All, and which positions are those of other servers.
    """
    others = BonusServer.objects.exclude(pk=server.pk) if server else BonusServer.objects.all()
    return Knowledge(
        installation=str(Settings.load().installation),
        seen=LogPlace.objects.seen(),
        others={str(uid): name for uid, name in others.values_list("uid", "name")},
        server=str(server.uid if server else uuid4()),
    )


def take_name(server: BonusServer, position: Position) -> None:
    """Note the name that the position gives this server, which no other docked server has.

    A server that was docked before has another one than that which was drawn when it was docked
    again. By this name a copy of its database is recognised.
    """
    if str(server.uid) != position.server:
        BonusServer.objects.filter(pk=server.pk).update(uid=position.server)
        server.uid = UUID(position.server)
