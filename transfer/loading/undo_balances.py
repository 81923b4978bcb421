"""Which accounts an undo would take below zero, and on which server."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from django.conf import settings
from psycopg2 import sql

from transfer.engine.postgres.answer_size import LONG_LIST
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import Load, Undo
from transfer.errors import TransferError
from transfer.loading.below_zero import MOST_LINES, MOST_SERVERS, NAMED, Warning
from transfer.models import BonusServer, Upload
from transfer.servers.ask import ask_all, bonus_db
from transfer.servers.balances import balances_of

# The rows of a load that count now: (xid, id) is their place. By the index on (xid, id).
ROWS = """
    select id, account, amount from {staged}
     where xid = {xid}::xid8 and coalesce(validfrom, now()) <= now()
       and coalesce(validto, now()) >= now()
"""

Row = tuple[int, str, Decimal]


def warnings(load: Upload, seconds: float) -> Iterator[Warning]:
    """One warning for each server where balances would go below zero, or that did not answer.

    A server takes back what it has accepted. Rows that still wait there are not counted, and of a
    load with too many lines it is only said that it was not compared. Raises TransferError.
    """
    if load.kind != "balances":
        return
    servers = [*BonusServer.objects.order_by("pk")]
    if load.good > MOST_LINES or len(servers) > MOST_SERVERS:
        yield "balances_not_compared", {"lines": MOST_LINES, "servers": MOST_SERVERS}
        return
    found, rows = _rows(load, seconds)
    answers = dict(
        ask_all(servers, lambda one, within: _below(one, within, load, found, rows), seconds)
    )
    for server in servers:
        below = answers[server]
        if isinstance(below, TransferError):
            yield "balances_unknown", {"server": server.name}
        elif below:
            accounts = ", ".join(sorted(below)[:NAMED])
            yield "below_zero", {"server": server.name, "n": len(below), "accounts": accounts}


def _rows(load: Upload, seconds: float) -> tuple[Load, list[Row]]:
    kind = load.kind_spec
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "undo", seconds=seconds) as shop_all,
        shop_all.database.transaction(commit=False),
    ):
        undo = Undo(shop_all, kind, load.token)
        undo.require()
        found = undo.rows()
        query = sql.SQL(ROWS).format(staged=kind.staged, xid=sql.Literal(str(found.xid)))
        return found, shop_all.database.rows(query, most=LONG_LIST)


def _below(
    server: BonusServer, seconds: float, load: Upload, found: Load, rows: list[Row]
) -> list[str]:
    """The accounts that would go below zero on the server."""
    kind = load.kind_spec
    with bonus_db(server, seconds) as target:
        position = target.positions.existing(found.origin, kind)
        if position is None:
            return []
        with target.database.transaction(commit=False):
            rejected = target.rejects.of_transaction(found.origin, kind, found.xid)
            rejected |= target.rejects.of_transaction(str(load.origin), kind, load.xid or 0)
            taken: defaultdict[str, Decimal] = defaultdict(Decimal)
            for number, account, amount in rows:
                if number not in rejected and position.has_moved(found.xid, number):
                    taken[account] += amount
            deducted = {account: amount for account, amount in taken.items() if amount > 0}
            if not deducted:
                return []
            held = balances_of(server, target, deducted)
    return [one for one, amount in deducted.items() if held.get(one, Decimal(0)) < amount]
