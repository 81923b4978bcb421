"""Which accounts a file, or an undo, would take below zero, and on which server.

Rows that are still waiting are not counted. Where there are too many lines or servers, it is only
said that the balances were not compared.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from psycopg2 import sql

from transfer.engine.kind import Kind
from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.received import has_received
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.loading.loader import Loader
from transfer.models import BonusServer, Upload
from transfer.servers.ask import ask_all, bonus_db
from transfer.servers.balances import ask_balances, balances_of

MOST_LINES, MOST_SERVERS = 10_000, 10
SECONDS = 3.0
NAMED = 3  # accounts, as examples

# The rows of a load that count now. By the primary key and the index on the names of rows.
ROWS = """
    select ours."row", account, ours.amount from {staged} join datatransfer.load
        on load.xid = ours.xid and load.started = ours.started
     where load.changeset = {changeset}::uuid and coalesce(validfrom, now()) <= now()
       and coalesce(validto, now()) >= now()
"""

Row = tuple[int, str, Decimal]
Warning = tuple[str, dict[str, Any]]


def warnings_of_file(kind: Kind, loader: Loader) -> Iterator[Warning]:
    """Yield the warnings about a file of balance changes. Of one that deducts nothing: none."""
    if not kind.appends or not loader.totals().taken:
        return
    sums = loader.sums(MOST_LINES)
    if sums is None or BonusServer.objects.count() > MOST_SERVERS:
        yield _not_compared()
        return
    deducted = {account: -amount for account, amount in sums.items() if amount < 0}
    for server, held in ask_balances(deducted, SECONDS) if deducted else []:
        below = held if isinstance(held, TransferError) else _too_low(deducted, held)
        yield from _warnings(server, below)


def warnings_of_undo(load: Upload, seconds: float) -> Iterator[Warning]:
    """Yield the warnings about an undo: a server takes back what it has accepted.

    Raises TransferError.
    """
    if not load.kind_spec.appends:
        return
    servers = [*BonusServer.objects.order_by("pk")]
    if load.good > MOST_LINES or len(servers) > MOST_SERVERS:
        yield _not_compared()
        return
    place, rows = _rows(load, seconds)
    answers = dict(
        ask_all(servers, lambda one, within: _of_undo(one, within, load, place, rows), seconds)
    )
    for server in servers:
        yield from _warnings(server, answers[server])


def _not_compared() -> Warning:
    return "balances_not_compared", {"lines": MOST_LINES, "servers": MOST_SERVERS}


def _warnings(server: BonusServer, below: list[str] | TransferError) -> Iterator[Warning]:
    """Yield a warning if accounts would go below zero on the server, or if it did not answer."""
    if isinstance(below, TransferError):
        yield "balances_unknown", {"server": server.name}
    elif below:
        accounts = ", ".join(sorted(below)[:NAMED])
        yield "below_zero", {"server": server.name, "n": len(below), "accounts": accounts}


def _too_low(deducted: Mapping[str, Decimal], held: Mapping[str, Decimal]) -> list[str]:
    """Return the accounts from which more is deducted than they hold."""
    return [one for one, amount in deducted.items() if held.get(one, Decimal(0)) < amount]


@dataclass(frozen=True)
class Place:
    """Where the load is: the identity of shop All, and its line in the log."""

    origin: str
    number: int | None


def _rows(load: Upload, seconds: float) -> tuple[Place, list[Row]]:
    kind, changeset = load.kind_spec, str(load.changeset)
    with ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", seconds=seconds, secret=False) as shop_all:
        shop_all.log_writer.append(kind)
        with shop_all.snapshot(kind):
            origin = shop_all.identity.origin()
            lines = shop_all.log.lines_of(kind, [changeset])
            query = sql.SQL(ROWS).format(staged=kind.staged, changeset=sql.Literal(changeset))
            rows = shop_all.database.rows(query, most=LONG_LIST)
    return Place(origin, lines[0].number if lines else None), rows


def _of_undo(
    server: BonusServer, seconds: float, load: Upload, place: Place, rows: list[Row]
) -> list[str]:
    """Return the accounts that the undo would take below zero on the server."""
    kind, changeset = load.kind_spec, str(load.changeset)
    with (
        bonus_db(server, seconds, secret=False) as target,
        target.database.transaction(commit=False),
    ):
        position = target.positions.get(place.origin, kind)
        if position is None:
            return []
        exception = target.positions.exceptions_of(position, [changeset]).get(changeset)
        last = None if exception is None else exception.last
        rejected = target.rejects.of_changeset(kind, place.origin, changeset)
        taken: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row, account, amount in rows:
            if row not in rejected and has_received(row, place.number, position.place, last):
                taken[account] += amount
        deducted = {account: amount for account, amount in taken.items() if amount > 0}
        return _too_low(deducted, balances_of(server, target, deducted)) if deducted else []
