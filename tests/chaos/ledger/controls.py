"""Rules that can be taken out, one by one.

A control names a guard, puts another in its place, and records a seed whose history notices it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from tests.chaos.ledger import (
    balances,
    beginning,
    chunk,
    histories,
    latest_values,
    rows,
    shop_all,
    two_shop_alls,
)
from tests.chaos.ledger.beginning import begin_with_everything
from tests.chaos.ledger.bonus_server import BonusServer, Receipt
from tests.chaos.ledger.chunk import note_received
from tests.chaos.ledger.installation import Installation, find_key
from tests.chaos.ledger.names import digest_of, sign
from tests.chaos.ledger.rows import NOTHING, REPLACES, ZERO, Line
from tests.chaos.ledger.shop_all import Head, ShopAll
from tests.chaos.ledger.two_shop_alls import TwoShopAlls
from tests.chaos.ledger.world import World

Where = type | ModuleType


@dataclass(frozen=True)
class Control:
    """A rule that is taken out: what replaces the guards, and the seed that notices it."""

    name: str
    guards: tuple[tuple[Where, str, Callable[..., Any]], ...]
    play: Callable[[int], object]
    seed: int


CONTROLS: list[Control] = []


def taken_out(
    where: Where, guard: str, seed: int, play: Callable[[int], object] = histories.play
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register the function as a control that replaces one guard."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        CONTROLS.append(Control(function.__name__, ((where, guard, function),), play, seed))
        return function

    return register


def never(*_: Any, **__: Any) -> None:
    """A guard that does nothing, or says no."""


def always(*_: Any, **__: Any) -> bool:
    return True


def nothing(*_: Any, **__: Any) -> list[Any]:
    return []


# Guards that are simply left out.
LEFT_OUT: dict[str, tuple[Where, str, Callable[..., Any], int]] = {
    # The log and names
    "own_rows_not_looked_for": (ShopAll, "is_own", never, 1),
    "seen_of_another_cluster": (ShopAll, "is_comparable", always, 16),
    "begins_after_one_piece": (histories, "append_before_beginning", never, 286),
    "rows_not_counted": (chunk, "refuse_different", never, 1),
    "chunk_goes_on": (chunk, "depends", never, 7),
    # Forks, lifetimes, purges
    "above_the_fork_not_named": (BonusServer, "name_what_is_above", never, 2),
    "difference_not_set": (BonusServer, "set_difference", never, 1),
    "below_removed_goes_on": (BonusServer, "refuse_removed", never, 345),
    "removed_before_dependents": (ShopAll, "has_dependents", never, 173),
    "removed_with_rows": (ShopAll, "has_no_rows", always, 1),
    "masked_rejects_purged": (BonusServer, "list_masked", nothing, 84),
    "registration_not_lowered": (Installation, "lower_registration", never, 2897),
    # Beginnings
    "new_server_needs_purged": (beginning, "list_skipped", nothing, 35),
    "as_server_that_moved": (beginning, "refuse_moved", never, 27),
    "seen_not_noted_at_beginning": (beginning, "note_filled_amount", never, 4),
    # Applying
    "gone_leaves_no_reject": (chunk, "note_gone", never, 211),
    "withdrawn_not_checked_again": (histories, "is_still_valid", always, 119),
    "seen_not_noted_when_read": (balances, "note_changed_row", never, 1),
    "seen_not_noted_by_correction": (balances, "note_corrected_amount", never, 1),
    "corrected_opposite_leaves_original": (balances, "close_original_of_opposite", never, 8),
    "correction_applies_where_closed": (balances, "is_correctable", always, 1),
    "dependents_stay_open": (balances, "close_dependents", never, 8),
    "older_changes_stay_open": (balances, "close_older_changes", never, 47),
    "change_leaves_open_reject": (balances, "find_open", never, 1),
    "corrected_value_stays_open": (latest_values, "close_original", never, 15),
    # Loads and undos
    "undos_not_repeated": (Installation, "list_undos_to_repeat", nothing, 4),
    "name_taken_back_is_used": (Installation, "list_refused_names", nothing, 39),
    "taken_back_call_is_loaded": (Installation, "was_call_taken_back", never, 65),
    "lost_key_with_other_content": (Installation, "is_other_content", never, 340),
    "corrections_of_values_stay_valid": (ShopAll, "concerns_withdrawn_only", never, 22),
}
# Those of the question.
LEFT_OUT_OF_QUESTION: dict[str, tuple[Where, str, Callable[..., Any], int]] = {
    "question_by_servers_only": (Installation, "lacks_what_we_saw", never, 2),
    "asked_after_moving": (TwoShopAlls, "ask_before_moving", always, 2),
    "origin_of_position_not_compared": (BonusServer, "check_origin", never, 8),
    "origin_of_history_not_compared": (Installation, "is_another_origin", never, 16),
}
for name, (where, guard, replacement, seed) in LEFT_OUT.items():
    CONTROLS.append(Control(name, ((where, guard, replacement),), histories.play, seed))
for name, (where, guard, replacement, seed) in LEFT_OUT_OF_QUESTION.items():
    CONTROLS.append(Control(name, ((where, guard, replacement),), two_shop_alls.play, seed))


# The log and names --------------------------------------------------------------------------------


@taken_out(shop_all, "name_of_transaction", seed=1)
def named_by_xid(xid: int, started: int) -> str:
    return f"w{xid}"


@taken_out(shop_all, "name_of_row", seed=4)
def rows_of_loads_named_by_id(line: int, id: int) -> int:
    return id


@taken_out(ShopAll, "has", seed=1)
def anchor_without_mark(self: ShopAll, number: int, mark: str) -> bool:
    return number <= len(self.log)


@taken_out(ShopAll, "move_head", seed=2)
def seen_moves_with_each_piece(
    self: ShopAll, head: Head, piece: list[Line], own: int, *, whole: bool
) -> Head:
    assert head.looking
    return Head(head.looking, head.looking_in)


@taken_out(ShopAll, "move_head", seed=150)
def seen_of_the_last_piece(
    self: ShopAll, head: Head, piece: list[Line], own: int, *, whole: bool
) -> Head:
    if whole:
        return Head(self.take_snapshot(own), self.server_run)
    return MOVE_HEAD(self, head, piece, own, whole=whole)


MOVE_HEAD = ShopAll.move_head


@taken_out(ShopAll, "is_beyond", seed=26)
def stops_by_xid(self: ShopAll, head: Head, line: Line) -> bool:
    return line.xid > head.stopped[0]


@taken_out(World, "append_before_answer", seed=128)
def undos_repeated_after_one_piece(self: World) -> None:
    self.append_piece()


@taken_out(rows, "amount_of_sums", seed=1)
def sums_of_changed_amounts(row: rows.Row) -> int:
    return row.amount


@taken_out(BonusServer, "expected_total", seed=1)
def sums_by_exceptions(self: BonusServer, shop: ShopAll) -> rows.Sum:
    """The sum up to the position, minus what exceptions say is lacking, plus what they say is here.

    Exceptions of lines that are gone, or that shop All lost, have no sums.
    """
    total = shop.total_to(self.number)
    for changeset, last in self.exceptions.items():
        line = shop.line(changeset)
        if not line:
            continue
        received = rows.sum_rows(row for row in line.rows if row.name <= last)
        passed = shop.place[changeset] <= self.number
        total += received - line.total if passed else received
    return total


# Forks, lifetimes, purges -------------------------------------------------------------------------


@taken_out(chunk, "note_received", seed=2)
def passed_not_in_receipts(server: BonusServer, plan: chunk.Plan) -> None:
    note_received(server, plan)
    known = {changeset for changeset, _ in plan.passed} - set(plan.chosen)
    server.receipts = [
        Receipt(
            receipt.last,
            receipt.mark,
            tuple(ZERO if changeset in known else changeset for changeset in receipt.changesets),
        )
        for receipt in server.receipts
    ]


@taken_out(BonusServer, "list_needed", seed=453)
def withdrawn_is_final(self: BonusServer, shop: ShopAll) -> list[Any]:
    return [
        needed
        for needed in LIST_NEEDED(self, shop)
        if needed[0] > self.number or needed[2] != NOTHING
    ]


LIST_NEEDED = BonusServer.list_needed


@taken_out(BonusServer, "needs_from", seed=9)
def purge_by_position(self: BonusServer, shop: ShopAll) -> int | None:
    return self.number + 1 if self.is_anchored(shop) else None


@taken_out(BonusServer, "needs_from", seed=127)
def purge_without_anchor(self: BonusServer, shop: ShopAll) -> int | None:
    needed = [number for number, _, _ in self.list_needed(shop)]
    return min([self.number + 1, *needed, *self.list_masked(shop)])


@taken_out(ShopAll, "needed_from", seed=4)
def purge_by_one_installation(self: ShopAll) -> int:
    return max(self.registry.values())


@taken_out(World, "list_docked", seed=67)
def dead_not_asked(self: World, installation: str) -> list[BonusServer]:
    return [
        server
        for name, server in self.servers.items()
        if self.owner[name] == installation and name not in self.dead
    ]


@taken_out(chunk, "is_purged", seed=1)
def gone_is_purged(line: Line) -> bool:
    return line.purged or bool(line.gone)


@taken_out(ShopAll, "expires_below", seed=77)
def removed_above_servers(self: ShopAll, needs_from: int) -> int:
    return len(self.log) + 2


@taken_out(ShopAll, "expires_below", seed=225)
def line_of_position_removed(self: ShopAll, needs_from: int) -> int:
    return needs_from


@taken_out(ShopAll, "stays", seed=1433)
def line_of_undone_load_removed(self: ShopAll, line: Line) -> bool:
    return bool(line.installation)


@taken_out(ShopAll, "forget_load", seed=269)
def load_goes_with_its_line(self: ShopAll, changeset: str) -> None:
    self.loads.pop(changeset, None)


@taken_out(histories, "remove_exceptions", seed=20)
def exceptions_removed(world: World) -> None:
    for server in world.servers.values():
        for changeset in set(server.exceptions) - set(world.shop.place):
            del server.exceptions[changeset]


# The version --------------------------------------------------------------------------------------


@taken_out(BonusServer, "is_at", seed=9)
def version_is_position(self: BonusServer, version: object, position: tuple[int, str]) -> bool:
    return (self.number, self.mark) == position


@taken_out(BonusServer, "set_version", seed=9)
def version_counts(self: BonusServer, drawn: str) -> None:
    self.version = self.version + 1 if isinstance(self.version, int) else 1


def is_at_version_and_position(
    self: BonusServer, version: object, position: tuple[int, str]
) -> bool:
    return (self.version, self.number, self.mark) == (version, *position)


CONTROLS.append(
    Control(
        "version_counts_beside_position",
        (
            (BonusServer, "set_version", version_counts),
            (BonusServer, "is_at", is_at_version_and_position),
        ),
        histories.play,
        seed=9,
    )
)


# Beginnings ---------------------------------------------------------------------------------------


@taken_out(beginning, "skip_withdrawn", seed=1336)
def beginning_does_not_skip(server: BonusServer, changeset: str) -> None:
    server.exceptions[changeset] = NOTHING


@taken_out(histories, "begin_with_everything", seed=2)
def beginning_without_receipts(name: str, shop: ShopAll, version: str) -> BonusServer:
    server = begin_with_everything(name, shop, version)
    server.receipts = [Receipt(server.number, server.mark)]
    return server


# Applying -----------------------------------------------------------------------------------------


@taken_out(chunk, "original_of", seed=7629)
def chunk_ends_by_direct_original(row: rows.Row) -> rows.Key | None:
    return row.of


@taken_out(chunk, "list_known_gone", seed=875)
def gone_rows_of_loads_only(shop: ShopAll, line: Line) -> list[int]:
    return LIST_KNOWN_GONE(shop, line) if line.load else []


LIST_KNOWN_GONE = chunk.list_known_gone


@taken_out(balances, "amount_before_change", seed=1)
def change_from_first(in_effect: int, row: rows.Row) -> int:
    return row.first


@taken_out(balances, "has_nothing_to_change", seed=38)
def change_applies_everywhere(
    before: balances.Before, row: rows.Row, opened: rows.Key | None, bringer: rows.Key | None
) -> bool:
    return False


@taken_out(balances, "note_refused_change", seed=1)
def refused_change_opens_second(
    server: BonusServer, key: rows.Key, row: rows.Row, opened: rows.Key | None
) -> None:
    server.rejects[key] = balances.Reject("refused", "", row.root, rows.SETS)


@taken_out(balances, "amount_to_take_back", seed=7)
def opposite_takes_back_staged_amount(
    before: balances.Before, row: rows.Row
) -> tuple[int, rows.Key | None]:
    return -row.amount, AMOUNT_TO_TAKE_BACK(before, row)[1]


@taken_out(balances, "amount_to_take_back", seed=4)
def opposite_takes_back_original_only(
    before: balances.Before, row: rows.Row
) -> tuple[int, rows.Key | None]:
    return (0, None) if row.root in before.rejects else AMOUNT_TO_TAKE_BACK(before, row)


AMOUNT_TO_TAKE_BACK = balances.amount_to_take_back


@taken_out(balances, "bars_original", seed=42)
def taken_back_only_if_received(before: balances.Before, row: rows.Row) -> bool:
    assert row.root
    return before.server.has_received(row.root)


@taken_out(balances, "note_refused_opposite", seed=3)
def refused_opposite_closes_original(server: BonusServer, key: rows.Key, row: rows.Row) -> None:
    assert row.root
    NOTE_REFUSED_OPPOSITE(server, key, row)
    balances.take_away(server, row.root, key[0])


NOTE_REFUSED_OPPOSITE = balances.note_refused_opposite


@taken_out(latest_values, "list_accepted", seed=2)
def only_last_values_are_tried(server: BonusServer, chunk_rows: Any) -> Any:
    return LIST_ACCEPTED(server, latest_values.list_winners(chunk_rows))


LIST_ACCEPTED = latest_values.list_accepted


@taken_out(latest_values, "list_winners", seed=46)
def last_value_by_row_alone(accepted: Any) -> Any:
    return LIST_WINNERS(sorted(accepted, key=lambda named: named[0][1]))


LIST_WINNERS = latest_values.list_winners


@taken_out(latest_values, "apply_rows", seed=15)
def value_corrected_where_open_only(server: BonusServer, chunk_rows: Any) -> None:
    APPLY_VALUES(
        server,
        [
            (key, row)
            for key, row in chunk_rows
            if row.effect != REPLACES
            or (row.of in server.rejects and server.rejects[row.of].is_open)
        ],
    )


APPLY_VALUES = latest_values.apply_rows


# Loads and undos ----------------------------------------------------------------------------------


@taken_out(ShopAll, "note_withdrawal", seed=639)
def withdrawn_without_a_line(self: ShopAll, name: str, started: int, mark: str) -> Line:
    return Line(name, [], started=started, event=started)


@taken_out(ShopAll, "list_withdrawn_with", seed=7)
def corrections_withdrawn(self: ShopAll, load: str) -> list[Line]:
    return [
        line
        for line in self.log
        if any(row.effect == REPLACES and row.root and row.root[0] == load for row in line.rows)
    ]


@taken_out(ShopAll, "refuses_dependent", seed=6)
def withdrawn_values_corrected(self: ShopAll, of: rows.Key, root: rows.Key) -> bool:
    return not self.line(of[0]) or not self.line(root[0])


@taken_out(Installation, "choose_file_name", seed=11)
def name_by_larger_count(self: Installation, shop: ShopAll, chosen: list[rows.Row]) -> str:
    digest = digest_of(chosen)
    count = max(
        sum(load.digest == digest for load in loads.values()) for loads in (shop.loads, self.loaded)
    )
    return "f" + sign(shop.name_key, "file", digest, str(count))


@taken_out(Installation, "find_call", seed=8)
def own_history_answers_calls(self: Installation, shop: ShopAll, key: str) -> Any:
    return find_key(shop.loads, key) or find_key(self.loaded, key)


# The question -------------------------------------------------------------------------------------


@taken_out(two_shop_alls, "is_answered", seed=12, play=two_shop_alls.play)
def answer_counts_for_all(pointed: two_shop_alls.Pointed, shop: ShopAll) -> bool:
    return any(line.installation for line in shop.log)


@taken_out(TwoShopAlls, "ask", seed=16, play=two_shop_alls.play)
def undos_before_question(self: TwoShopAlls, pointed: two_shop_alls.Pointed) -> bool:
    self.repeat_undos(pointed)
    return ASK(self, pointed)


ASK = TwoShopAlls.ask
