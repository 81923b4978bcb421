"""Applying PIN codes and cards: an account has one value, the last one that was accepted."""

from __future__ import annotations

import zlib

from tests.chaos.ledger.bonus_server import BonusServer, Reject
from tests.chaos.ledger.rows import REPLACES, Key, Row

Rows = list[tuple[Key, Row]]


def apply_rows(server: BonusServer, rows: Rows) -> None:
    """Apply rows, which come in the order (number, row).

    1. Corrections close the reject of their original where it is open; else they are ordinary rows.
    2. Each row that the table refuses becomes a reject.
    3. Of the accepted rows of an account, the last one is written.
    """
    server.trace.delivered += [("row", key, row.amount) for key, row in rows]
    rows = [(key, row) for key, row in rows if key not in server.rejects]
    for key, row in rows:
        if row.effect == REPLACES:
            close_original(server, key, row)
    for key, row in list_winners(list_accepted(server, rows)):
        server.values[row.account] = (row.amount, key)


def close_original(server: BonusServer, key: Key, row: Row) -> None:
    """Close the reject of a correction's original where it is open."""
    original = server.rejects.get(row.of) if row.of else None
    if original and original.is_open:
        original.resolved_by = key[0]


def list_accepted(server: BonusServer, rows: Rows) -> Rows:
    """Return the rows that the table takes; leave an open reject for each of the others.

    All rows are tried, not only the last one of each account: the row before a refused one counts.
    """
    accepted = []
    for key, row in rows:
        if is_refused(server, key, row):
            server.trace.refused.add(key)
            server.rejects[key] = Reject("refused", "", row.root, row.effect)
        else:
            accepted.append((key, row))
    return accepted


def is_refused(server: BonusServer, key: Key, row: Row) -> bool:
    return zlib.crc32(f"{key}{server.name}{row.amount}".encode()) % 4 == 0


def list_winners(accepted: Rows) -> Rows:
    """Return the last row of each account, by (number, row): the order in which they come."""
    return list({row.account: (key, row) for key, row in accepted}.values())
