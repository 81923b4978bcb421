"""Applying balance changes: rows, corrections, changed amounts, opposites.

A chunk is decided from the state before it, as set-based statements do it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from tests.chaos.ledger.bonus_server import BonusServer, Reject
from tests.chaos.ledger.rows import REPLACES, REVERSES, SETS, Key, Row


@dataclass(frozen=True, slots=True)
class Before:
    """What a chunk's statements see: the server before its rows were applied."""

    server: BonusServer
    rejects: dict[Key, Reject]
    seen: dict[Key, tuple[int, Key | None]]

    def amount_in_effect(self, row: Row) -> tuple[int, Key | None]:
        """Return the amount in effect of an original here, and the row that brought it."""
        assert row.root
        if row.root in self.seen:
            return self.seen[row.root]
        if self.server.has_received(row.root) and row.root not in self.rejects:
            return row.first, row.root
        return 0, None


def apply_rows(server: BonusServer, rows: list[tuple[Key, Row]]) -> None:
    before = Before(
        server, {key: reject.copy() for key, reject in server.rejects.items()}, dict(server.seen)
    )
    for key, row in rows:
        server.trace.delivered.append(("row", key, row.amount))
        if key in before.rejects:
            continue  # taken back, or gone, before it came
        if row.effect == REPLACES:
            apply_correction(server, before, key, row)
        elif row.effect == SETS:
            apply_change(server, before, key, row)
        elif row.effect == REVERSES:
            apply_opposite(server, before, key, row)
        elif write(server, key, row.amount):
            note_changed_row(server, key, row)
        else:
            server.rejects[key] = Reject("refused")


def write(server: BonusServer, key: Key, amount: int) -> bool:
    """Add a row to the vendor's table; return whether it takes it."""
    if amount and zlib.crc32(f"{key}{server.name}{amount}".encode()) % 4 == 0:
        server.trace.refused.add(key)
        return False
    if amount:
        server.table.append((key, amount))
    return True


def note_changed_row(server: BonusServer, key: Key, row: Row) -> None:
    """Remember the amount of a row that was changed before it was read: `first` is another one."""
    if row.changed:
        server.seen[key] = (row.amount, key)


def reject_as_not_here(server: BonusServer, key: Key, row: Row) -> None:
    """Leave a closed reject: the row was not meant for this server."""
    server.rejects[key] = Reject("not_here", key[0], row.root)


# Corrections --------------------------------------------------------------------------------------


def apply_correction(server: BonusServer, before: Before, key: Key, row: Row) -> None:
    """Apply a correction where the reject of its original is open; that closes it."""
    assert row.of
    original = before.rejects.get(row.of)
    if not original or not is_correctable(original):
        reject_as_not_here(server, key, row)
        return
    server.rejects[row.of].resolved_by = key[0]
    if not write(server, key, row.amount):
        server.rejects[key] = Reject("refused", "", row.root, row.effect, original.reverses)
    elif original.reverses:
        close_original_of_opposite(server, key, row)
    else:
        note_corrected_amount(server, key, row)


def is_correctable(original: Reject) -> bool:
    return original.is_open


def close_original_of_opposite(server: BonusServer, key: Key, row: Row) -> None:
    """Close the original after a correction of its refused opposite was applied."""
    assert row.root
    take_away(server, row.root, key[0])


def note_corrected_amount(server: BonusServer, key: Key, row: Row) -> None:
    assert row.root
    server.seen[row.root] = (row.amount, key)


# Changed amounts ----------------------------------------------------------------------------------


def apply_change(server: BonusServer, before: Before, key: Key, row: Row) -> None:
    """Bring the amount in effect to the new one."""
    assert row.root
    opened = find_open(before, row.root)
    amount, bringer = before.amount_in_effect(row)
    if has_nothing_to_change(before, row, opened, bringer):
        reject_as_not_here(server, key, row)
        return
    if write(server, key, row.amount - amount_before_change(amount, row)):
        server.seen[row.root] = (row.amount, bringer or key)
        if opened:
            server.rejects[opened].resolved_by = key[0]
        close_older_changes(server, key, row)
    else:
        note_refused_change(server, key, row, opened)


def find_open(before: Before, root: Key) -> Key | None:
    """Return the open reject of an original or of a correction of it."""
    return next(
        (
            key
            for key, reject in before.rejects.items()
            if reject.is_open
            and not reject.reverses
            and reject.effect != SETS
            and root in (key, reject.root)
        ),
        None,
    )


def has_nothing_to_change(
    before: Before, row: Row, opened: Key | None, bringer: Key | None
) -> bool:
    """Return whether the original was not received, was taken back or was discarded here."""
    assert row.root
    original = before.rejects.get(row.root)
    taken_back = original is not None and original.code == "taken_back"
    return taken_back or not (opened or bringer)


def amount_before_change(in_effect: int, row: Row) -> int:
    return in_effect


def close_older_changes(server: BonusServer, key: Key, row: Row) -> None:
    """Close refused changes of the same original: the newer amount is in effect."""
    for reject in server.rejects.values():
        if reject.effect == SETS and reject.root == row.root and reject.is_open:
            reject.resolved_by = key[0]


def note_refused_change(server: BonusServer, key: Key, row: Row, opened: Key | None) -> None:
    """Reject a change. Where the original's reject is open, that one stays the only question."""
    if opened:
        reject_as_not_here(server, key, row)
    else:
        server.rejects[key] = Reject("refused", "", row.root, SETS)


# Opposites ----------------------------------------------------------------------------------------


def apply_opposite(server: BonusServer, before: Before, key: Key, row: Row) -> None:
    """Take back what is in effect of the original, whichever row brought it."""
    assert row.root
    amount, bringer = amount_to_take_back(before, row)
    if bringer and not write(server, key, -amount):
        note_refused_opposite(server, key, row)
        return
    if not bringer:
        reject_as_not_here(server, key, row)
    if bringer or bars_original(before, row):
        take_away(server, row.root, key[0])


def amount_to_take_back(before: Before, row: Row) -> tuple[int, Key | None]:
    assert row.root
    record = before.rejects.get(row.root)
    if record and record.code == "taken_back":
        return 0, None
    return before.amount_in_effect(row)


def bars_original(before: Before, row: Row) -> bool:
    """Return whether an original with nothing in effect gets a closed reject: received or not."""
    return True


def note_refused_opposite(server: BonusServer, key: Key, row: Row) -> None:
    """Reject an opposite. Nothing else changes: the amount stays, and people are asked."""
    server.rejects[key] = Reject("refused", "", row.root, REVERSES, row.root)


def take_away(server: BonusServer, root: Key, by: str) -> None:
    """Note that the original, and what depends on it, has no outcome in the vendor's tables."""
    _, bringer = server.seen.get(root, (0, root))
    for key in {root, bringer or root}:
        record = server.rejects.setdefault(
            key, Reject("taken_back", by, None if key == root else root)
        )
        record.code = "taken_back"
    close_dependents(server, root, by)
    server.seen[root] = (0, None)


def close_dependents(server: BonusServer, root: Key, by: str) -> None:
    for key, reject in server.rejects.items():
        if root in (key, reject.root) and reject.is_open:
            reject.resolved_by = by
