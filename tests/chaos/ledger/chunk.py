"""One chunk: choosing lines, reading rows, and the transaction of the bonus server."""

from __future__ import annotations

from dataclasses import dataclass

from tests.chaos.ledger import balances, latest_values
from tests.chaos.ledger.bonus_server import BonusServer, Reject
from tests.chaos.ledger.rows import NOTHING, WHOLE, ZERO, Key, Line, Refusal, Row, Sum, sum_rows
from tests.chaos.ledger.shop_all import ShopAll

Needed = tuple[int, Line, int]


@dataclass(slots=True)
class Plan:
    """What a chunk will do, read in one snapshot of shop All; may be read ahead."""

    version: object
    position: tuple[int, str]
    chosen: list[str]
    last_names: dict[str, int]  # of the chosen changesets
    rows: list[tuple[Key, Row]]
    cut: bool
    more: bool
    late: bool  # a line below the position is read
    gone: list[Key]  # rows that people have agreed to do without, as far as they have names
    lacking: list[Key]  # all of these, with a name or not: only the oracle reads this
    end: int
    passed: list[tuple[str, str]]  # (changeset, mark) of the lines that the position passes
    passed_total: Sum
    said: dict[str, Sum | None]  # what the log says of the chosen lines; None: rows are gone


def plan_chunk(server: BonusServer, shop: ShopAll, limit: int) -> Plan:
    """Return the next chunk of about `limit` rows. Raises Refusal."""
    server.refuse_removed(shop)
    needed = server.list_needed(shop)
    purged = [line.changeset for _, line, _ in needed if is_purged(line)]
    if purged:
        raise Refusal("rows_purged", purged)
    chosen = choose_lines(needed, limit)
    refuse_different(chosen)
    rows = [
        ((line.changeset, row.name), row.copy())
        for _, line, last in chosen
        for row in line.present()
        if row.name > last
    ]
    cut = len(rows) > limit
    rest = needed[len(chosen) :]
    end = rest[0][0] - 1 if rest else len(shop.log)
    end = max(end, server.number)
    last_row = rows[limit - 1][0][1] if cut else WHOLE
    return Plan(
        server.version,
        (server.number, server.mark),
        [line.changeset for _, line, _ in chosen],
        {line.changeset: line.last_name() for _, line, _ in chosen},
        rows[:limit],
        cut,
        more=cut or bool(rest),
        late=any(number <= server.number and last == NOTHING for number, _, last in chosen),
        gone=[
            (line.changeset, name)
            for _, line, last in chosen
            if line.gone
            for name in list_known_gone(shop, line)
            if last < name <= last_row
        ],
        lacking=[
            (line.changeset, name)
            for _, line, last in chosen
            for name in sorted(line.deleted)
            if last < name <= last_row
        ],
        end=end,
        passed=[
            (line.changeset if line.rows else ZERO, line.mark)
            for line in shop.log[server.number : end]
        ],
        passed_total=shop.total_to(end) - shop.total_to(server.number),
        said={line.changeset: None if line.gone else line.total for _, line, _ in chosen},
    )


def is_purged(line: Line) -> bool:
    """Return whether rows are missing that a server must agree to skip. Gone ones nobody needs."""
    return line.purged


def choose_lines(needed: list[Needed], limit: int) -> list[Needed]:
    """Return whole lines up to the limit, or one that is larger.

    The chunk ends before a line that depends on another one in it, or on the same original: so each
    original is decided before.
    """
    chosen: list[Needed] = []
    size = 0
    roots: set[Key] = set()
    changesets: set[str] = set()
    for number, line, last in needed:
        size += len(line.rows)
        if (chosen and size > limit) or depends(line, roots, changesets):
            break
        chosen.append((number, line, last))
        changesets.add(line.changeset)
        roots |= {original for row in line.rows if (original := original_of(row))}
    return chosen


def original_of(row: Row) -> Key | None:
    """Return the row on which this one depends, followed to the one that depends on nothing."""
    return row.root


def depends(line: Line, roots: set[Key], changesets: set[str]) -> bool:
    """Return whether a row depends on one in the chunk, or on the original of another one there."""
    for row in line.rows:
        original = original_of(row)
        if original and (original in roots or original[0] in changesets):
            return True
        if row.of and row.of[0] in changesets:
            return True
    return False


def refuse_different(chosen: list[Needed]) -> None:
    """Raise Refusal if a changeset has not as many rows as its line says, minus `gone`."""
    for _, line, _ in chosen:
        if len(line.present()) != len(line.rows) - line.gone:
            raise Refusal("rows_differ", [line.changeset])


def list_known_gone(shop: ShopAll, line: Line) -> list[int]:
    """Return the names of deleted rows as far as shop All can know them.

    A load's rows are its lines, 1, 2, 3 …; of others only those on which rows depend have a name.
    """
    present = {row.name for row in line.present()}
    lines = set(range(1, len(line.rows) + 1))
    known = lines if line.load else shop.list_named_rows(line.changeset)
    return sorted(known - present)


def is_still_valid(plan: Plan, shop: ShopAll) -> bool:
    """Return whether no chosen line was withdrawn since it was read ahead."""
    return not any(shop.is_withdrawn(changeset) for changeset in plan.chosen)


# The transaction of the bonus server --------------------------------------------------------------


def commit_chunk(server: BonusServer, plan: Plan, version: str, *, opposites: bool) -> BonusServer:
    """Apply a chunk and note what was received.

    Returns a copy of the server on which the rows were applied one by one: it must be the same.
    """
    note_received(server, plan)
    count(server, plan)
    server.set_version(version)
    note_gone(server, plan)
    server.trace.moved = server.trace.moved or plan.late
    server.trace.delivered += [("gone", key, 0) for key in plan.lacking]
    one_by_one = server.copy()
    apply = balances.apply_rows if opposites else latest_values.apply_rows
    apply(server, plan.rows)
    for row in plan.rows:
        apply(one_by_one, [row])
    return one_by_one


def note_received(server: BonusServer, plan: Plan) -> None:
    for changeset in plan.chosen:
        server.exceptions[changeset] = WHOLE
    if plan.cut:
        server.exceptions[plan.chosen[0]] = plan.rows[-1][0][1]
    for number, (changeset, mark) in enumerate(plan.passed, server.number + 1):
        if changeset != ZERO:
            server.exceptions.setdefault(changeset, NOTHING)  # it is withdrawn
        server.add_receipt(number, mark, changeset)
    if plan.passed:
        server.number, server.mark = plan.end, plan.passed[-1][1]
    for changeset in {*plan.chosen, *(name for name, _ in plan.passed if name != ZERO)}:
        if server.exceptions[changeset] == WHOLE:
            del server.exceptions[changeset]


def count(server: BonusServer, plan: Plan) -> None:
    """Count the rows that came, and note by how much they differ from what the log passes.

    A complete line counts as the log says, so a row too few or too many stays visible; a part of a
    line, or a line that had gone rows when it was read, counts as it came.
    """
    expected = Sum()
    for changeset in plan.chosen:
        came = sum_rows(row for key, row in plan.rows if key[0] == changeset)
        server.total += came
        said = plan.said[changeset]
        before = server.parts.pop(changeset, Sum())
        cut = plan.cut and changeset == plan.chosen[0]
        if cut:
            server.parts[changeset] = None if said is None or before is None else before + came
        expected += came if cut or said is None or before is None else said - before
    server.difference += expected - plan.passed_total


def note_gone(server: BonusServer, plan: Plan) -> None:
    """Leave closed rejects for gone rows: nothing may count them as applied."""
    for key in plan.gone:
        server.rejects.setdefault(key, Reject("gone", "agreed"))
