"""Which accounts a file of balance changes would take below zero, and on which server."""

from collections.abc import Iterator
from typing import Any

from transfer.engine.kind import Kind
from transfer.errors import TransferError
from transfer.loading.loader import Loader
from transfer.models import BonusServer
from transfer.servers.balances import ask_balances

MOST_LINES, MOST_SERVERS = 10_000, 10
SECONDS = 3.0
NAMED = 3  # accounts, as examples

Warning = tuple[str, dict[str, Any]]


def warnings(kind: Kind, loader: Loader) -> Iterator[Warning]:
    """One warning for each server where balances would go below zero, or that did not answer.

    Rows that are still waiting are not counted. A file that deducts nothing is not compared, and
    one with too many lines only says that it was not.
    """
    if not kind.appends or not loader.totals().taken:
        return
    sums = loader.sums(MOST_LINES)
    if sums is None or BonusServer.objects.count() > MOST_SERVERS:
        yield "balances_not_compared", {"lines": MOST_LINES, "servers": MOST_SERVERS}
        return
    deducted = {account: amount for account, amount in sums.items() if amount < 0}
    for server, balances in ask_balances(deducted, SECONDS) if deducted else []:
        if isinstance(balances, TransferError):
            yield "balances_unknown", {"server": server.name}
            continue
        below = [one for one, amount in deducted.items() if balances.get(one, 0) + amount < 0]
        if below:
            accounts = ", ".join(sorted(below)[:NAMED])
            yield "below_zero", {"server": server.name, "n": len(below), "accounts": accounts}
