"""A server without a position, or with one of another origin: what people say that it has."""

from __future__ import annotations

from tests.chaos.ledger.bonus_server import BonusServer, Receipt
from tests.chaos.ledger.rows import NOTHING, ZERO, Key, Refusal, Row
from tests.chaos.ledger.shop_all import ShopAll


def begin_with_nothing(name: str, shop: ShopAll, version: str) -> BonusServer:
    """Return a server that has nothing yet: what is purged by then is skipped.

    If the first lines have been removed from the log, it begins above them: they can't be sent.
    """
    server = BonusServer(name, shop.origin)
    server.set_version(version)
    removed = [number for number, line in enumerate(shop.log, 1) if line.removed]
    if removed:
        begin_above_removed(server, shop, removed[-1])
    server.skip(list_skipped(shop))
    return server


def list_skipped(shop: ShopAll) -> list[str]:
    return [line.changeset for line in shop.log if line.purged]


def begin_above_removed(server: BonusServer, shop: ShopAll, last: int) -> None:
    """Stand at the end of the append in which the last removed line was."""
    end = next(n for n in range(last, len(shop.log) + 1) if shop.log[n - 1].mark)
    passed = [line.changeset for line in shop.log[:end] if line.rows]
    for changeset in passed:
        server.exceptions[changeset] = NOTHING
    server.number, server.mark = end, shop.log[end - 1].mark
    server.receipts.append(Receipt(server.number, server.mark, tuple(passed)))
    server.set_difference(shop)


def begin_with_everything(name: str, shop: ShopAll, version: str) -> BonusServer:
    """Return a server that has everything up to now, as the vendor has filled it in.

    The caller has appended all that is staged: what has no line yet would be sent once more. The
    server gets the receipts of one that has read the log. What is withdrawn by now is not there.
    Raises Refusal if lines have been removed from the log: their names are lost.
    """
    if any(line.removed for line in shop.log):
        raise Refusal("history_too_old")
    server = BonusServer(name, shop.origin)
    server.set_version(version)
    for number, line in enumerate(shop.log, 1):
        server.add_receipt(number, line.mark, line.changeset if line.rows else ZERO)
        server.number, server.mark = number, line.mark
        server.trace.began_with.add(line.changeset)
        if line.withdrawn:
            skip_withdrawn(server, line.changeset)
            continue
        server.total += line.total
        for row in line.rows:
            fill_in(server, shop, (line.changeset, row.name), row)
    server.set_difference(shop)
    return server


def skip_withdrawn(server: BonusServer, changeset: str) -> None:
    """Note that withdrawn rows are not here and never come, even if a restore loses their undo."""
    server.skip([changeset])


def fill_in(server: BonusServer, shop: ShopAll, key: Key, row: Row) -> None:
    """Fill in a row as the vendor does: balance changes at their amount of now."""
    if not shop.opposites:
        server.trace.filled[key] = row.amount
        server.values[row.account] = (row.amount, key)
    elif not row.effect:
        server.trace.filled[key] = row.amount
        note_filled_amount(server, key, row)


def note_filled_amount(server: BonusServer, key: Key, row: Row) -> None:
    if row.changed:
        server.seen[key] = (row.amount, key)


def begin_as(source: BonusServer, copied: BonusServer, name: str) -> BonusServer:
    """Return a server whose vendor's tables are those of `copied`, an earlier copy of `source`.

    Raises Refusal if the source has moved since.
    """
    refuse_moved(source, copied)
    server = source.copy()
    server.name = name
    server.table, server.values = list(copied.table), dict(copied.values)
    return server


def refuse_moved(source: BonusServer, copied: BonusServer) -> None:
    if source.version != copied.version:
        raise Refusal("moved_since")
