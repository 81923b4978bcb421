"""Asks each bonus server about an account or a card: its positions, and its present data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from transfer.engine.begin import Answer as Begin
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.bonus_server.positions import ReceivedOf
from transfer.engine.bonus_server.rejects import Reject, RowName
from transfer.engine.in_log import exceptions_of, in_log
from transfer.engine.kind import Kind
from transfer.engine.received import Place, Position, has_received
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import BonusServer
from transfer.servers.ask import ask_all, bonus_db, shop_all
from transfer.trace.holding import Holding, holding_of


@dataclass(frozen=True)
class Received:
    """What a server has received of some changesets of one kind.

    `place` is its place in the log as it is now.
    """

    position: Position
    place: Place
    exceptions: dict[str, ReceivedOf]
    rejects: dict[RowName, Reject]

    def has(self, name: RowName, number: int | None) -> bool:
        """Whether it has received the row of this name, whose line in the log is `number`."""
        exception = self.exceptions.get(name.changeset)
        last = None if exception is None else exception.last
        return has_received(name.row, number, self.place, last)

    def does_without(self, name: RowName) -> bool:
        """Whether the server does without the row, which it has not received, for good."""
        exception = self.exceptions.get(name.changeset)
        return exception is not None and exception.skipped

    def is_counted(self, name: RowName, number: int | None) -> bool:
        """Whether somebody has said that the server had received the row when its position began.

        Not if its own receipts name it since.
        """
        beginning = self.position.beginning
        return (
            beginning.how != Begin.NOTHING
            and number is not None
            and number <= beginning.place.number
            and name.changeset not in self.exceptions
        )


@dataclass(frozen=True)
class Answer:
    """The answer of one server: what it has received, and its data; or the error.

    `received`: of each kind its position, exceptions and rejects, as far as they concern the rows
    that were asked about.
    """

    server: BonusServer
    received: dict[str, Received] = field(default_factory=dict)
    holding: Holding = field(default_factory=Holding)
    error: TransferError | None = None


def ask_servers(
    servers: list[BonusServer],
    origin: str,
    rows: Mapping[str, Sequence[RowName]],
    subject: str,
    column: str,
    seconds: float,
) -> list[Answer]:
    """Ask each server what it has received of the rows (by kind), and holds of the subject.

    Takes about `seconds` at most, and never raises.
    """
    answers = dict(
        ask_all(
            servers,
            lambda one, within: _answer_of(one, origin, rows, subject, column, within),
            seconds,
        )
    )
    return [
        answer if isinstance(answer := answers[one], Answer) else Answer(one, error=answer)
        for one in servers
    ]


def _answer_of(
    server: BonusServer,
    origin: str,
    rows: Mapping[str, Sequence[RowName]],
    subject: str,
    column: str,
    seconds: float,
) -> Answer:
    # PIN codes are never selected; of errors nothing is quoted all the same.
    with (
        shop_all(seconds, secret=True) as source,
        bonus_db(server, seconds, secret=True) as target,
        target.database.snapshot(),
    ):
        positions = target.positions.of_all_kinds(origin)
        with source.snapshot():
            received = {
                name: received_of(source, target, server.kinds[name], positions[name], some)
                for name, some in rows.items()
                if name in positions
            }
        return Answer(server, received, holding_of(server, target, subject, column))


def received_of(
    source: ShopAll, target: BonusDatabase, kind: Kind, position: Position, rows: Sequence[RowName]
) -> Received:
    """Return what a server says of these rows, within snapshots of both databases."""
    at = in_log(kind, source, target, position)
    changesets = sorted({one.changeset for one in rows})
    rejects = target.rejects.named(kind, position.origin, rows)
    return Received(
        position,
        at.place,
        exceptions_of(target, at, changesets),
        {RowName(one.changeset, one.row): one for one in rejects},
    )
