"""Shop All: staged rows, the log, appends in pieces, undos, purges, the registry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tests.chaos.ledger.names import name_of_row, name_of_transaction, name_of_undo
from tests.chaos.ledger.rows import REVERSES, ZERO, Key, Line, Row, Sum, sum_rows


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had ended when a statement looked, as a pg_snapshot says it."""

    xmax: int = 0
    running: frozenset[int] = frozenset()

    def has_seen(self, xid: int) -> bool:
        return xid < self.xmax and xid not in self.running


@dataclass(frozen=True, slots=True)
class Head:
    """How far appends have looked at the staging table."""

    seen: Snapshot = Snapshot()
    seen_in: int = -1  # the run of a database server in which `seen` can be compared with xids
    looking: Snapshot | None = None  # of the first piece of a look that is not whole
    looking_in: int = -1
    stopped: tuple[int, int] = (0, 0)  # xid and start at which the last piece stopped


@dataclass(frozen=True, slots=True)
class Load:
    """A row of `load`: what shop All knows of a file or a call. It outlives its line."""

    digest: str
    idempotency_key: str = ""  # of a call


class ShopAll:
    """One kind of rows in one shop All.

    `opposites`: whether loads can be taken back by rows (balance changes), or withdrawn only
    (PIN codes and cards).
    """

    def __init__(self, origin: str, *, opposites: bool = True) -> None:
        self.origin = origin
        self.name_key = f"name key of {origin}".encode()
        self.opposites = opposites
        self.log: list[Line] = []  # line n is log[n - 1]
        self.place: dict[str, int] = {}  # changeset: number
        self.staged: list[Line] = []  # changesets in the staging table without a line
        self.loads: dict[str, Load] = {}
        self.registry: dict[str, int] = {}  # installation: the first line that it needs
        self.registered_at: dict[str, int] = {}  # only the oracle reads this
        self.head = Head()
        self.next_xid = 1
        self.next_id = 1
        self.server_run = 0  # changes when the database server starts

    def copy(self) -> ShopAll:
        """Return a backup: what is not committed is not in it."""
        copy = ShopAll(self.origin, opposites=self.opposites)
        copy.log = [line.copy() for line in self.log]
        copy.place = dict(self.place)
        copy.staged = [line.copy() for line in self.staged if line.committed]
        copy.loads = dict(self.loads)
        copy.registry = dict(self.registry)
        copy.registered_at = dict(self.registered_at)
        copy.head = self.head
        copy.next_xid, copy.next_id = self.next_xid, self.next_id
        copy.server_run = self.server_run
        return copy

    def restart(self, server_run: int, *, new_cluster: bool) -> None:
        """Start a restored shop All: by files, or from a dump in a cluster that counts anew."""
        self.server_run = server_run
        if new_cluster:
            self.next_xid = 3

    # The log --------------------------------------------------------------------------------------

    def line(self, changeset: str) -> Line | None:
        number = self.place.get(changeset)
        return self.log[number - 1] if number else None

    def has(self, number: int, mark: str) -> bool:
        """Return whether the log is the same up to this line: the anchor."""
        if number == 0:
            return mark == ZERO
        return 0 < number <= len(self.log) and self.log[number - 1].mark == mark != ""

    def end(self) -> tuple[int, str]:
        return (len(self.log), self.log[-1].mark) if self.log else (0, ZERO)

    def total_to(self, number: int) -> Sum:
        """Return the sum of all lines up to this one, as the log keeps it."""
        return self.log[number - 1].total_to if number else Sum()

    def append(self, mark: str, limit: int, own: int = 0) -> bool:
        """Append at most `limit` changesets that have no line yet; return whether none is left.

        An append of more goes on in further transactions, each with a mark of its own. `own`: the
        xid of the transaction that appends, if it stages rows itself.
        """
        head = self.head
        if head.looking is None:
            head = replace(
                head, looking=self.take_snapshot(own), looking_in=self.server_run, stopped=(0, 0)
            )
        fresh = self.list_fresh(head, own)
        piece = fresh[:limit]
        for line in sorted(piece, key=lambda line: (line.started, line.xid)):
            self.give_number(line, mark)
        self.staged = [line for line in self.staged if not line.mark]
        whole = len(fresh) <= limit
        self.head = self.move_head(head, piece, own, whole=whole)
        return whole

    def take_snapshot(self, own: int) -> Snapshot:
        """Return the snapshot of a statement. It calls its own transaction ended, as PostgreSQL."""
        running = {line.xid for line in self.staged if not line.committed}
        return Snapshot(self.next_xid, frozenset(running - {own}))

    def list_fresh(self, head: Head, own: int) -> list[Line]:
        """Return the visible changesets without a line: own rows first, the others by xid."""
        found = [
            line
            for line in self.staged
            if self.is_own(line, own)
            or (line.committed and self.is_beyond(head, line) and self.is_unseen(head, line))
        ]
        return sorted(found, key=lambda line: (not self.is_own(line, own), line.xid, line.started))

    def is_own(self, line: Line, own: int) -> bool:
        """Return whether the appending transaction staged this: no snapshot or stop hides it."""
        return line.xid == own and not line.committed

    def is_beyond(self, head: Head, line: Line) -> bool:
        """Return whether a look has not come so far. A restored shop All repeats xids."""
        return (line.xid, line.started) > head.stopped

    def is_unseen(self, head: Head, line: Line) -> bool:
        return not self.is_comparable(head) or not head.seen.has_seen(line.xid)

    def is_comparable(self, head: Head) -> bool:
        """Return whether xids of now can be compared with `seen`."""
        return head.seen_in == self.server_run

    def move_head(self, head: Head, piece: list[Line], own: int, *, whole: bool) -> Head:
        """Return the head after a piece. `seen` moves when the look is whole.

        It becomes the snapshot of the *first* piece: what was committed since, with an xid below
        the stop, was not looked at. A look that goes on after a restart keeps the run in which it
        began, so the next look is at all rows.
        """
        if whole:
            return Head(head.looking or Snapshot(), head.looking_in)
        others = [(line.xid, line.started) for line in piece if not self.is_own(line, own)]
        return replace(head, stopped=max([head.stopped, *others]))

    def give_number(self, line: Line, mark: str) -> None:
        line.mark = mark
        line.total = sum_rows(line.present())
        line.total_to = self.total_to(len(self.log)) + line.total
        self.log.append(line)
        self.place[line.changeset] = len(self.log)

    def add_answer(self, installation: str, changeset: str, mark: str) -> None:
        """Add a line without rows: an installation says that this is the right shop All."""
        self.give_number(Line(changeset, [], installation=installation), mark)

    def last_answer(self, installation: str) -> int:
        """Return the number of this installation's last answer: it counts for forks below it."""
        return max(
            (n for n, line in enumerate(self.log, 1) if line.installation == installation),
            default=0,
        )

    # Staging --------------------------------------------------------------------------------------

    def begin(self) -> int:
        """Begin a transaction; return its xid."""
        self.next_xid += 1
        return self.next_xid - 1

    def stage(
        self,
        rows: Iterable[Row],
        xid: int,
        started: int,
        changeset: str = "",
        *,
        load: bool = False,
    ) -> Line:
        """Stage rows in a transaction that is not committed; column defaults name them."""
        line = Line(
            changeset or name_of_transaction(xid, started), [], xid, started,
            committed=False, load=load, event=started,
        )  # fmt: skip
        for row in rows:
            row.name = name_of_row(row.line, self.next_id)
            row.first = row.first if row.effect else row.amount
            self.next_id += 1
            line.rows.append(row)
        self.staged.append(line)
        return line

    def stage_and_append(
        self, rows: Sequence[Row], started: int, mark: str, limit: int, changeset: str = ""
    ) -> Line:
        """Stage rows that depend on others, and append them.

        The transaction holds the lock of the head from its first append to its commit.
        """
        xid = self.begin()
        self.append(mark, limit, own=xid)
        line = self.stage(rows, xid, started, changeset)
        self.append(mark, limit, own=xid)
        line.committed = True
        return line

    # Undos and dependent rows ---------------------------------------------------------------------

    def undo(self, load: str, started: int, mark: str, limit: int) -> Line | None:
        """Take a load back; return the line of the undo, or None where it cannot be taken back.

        With opposites: one for each row, under a name that is made of the load's. Without: the load
        and the corrections that concern nothing else are withdrawn only, and a line without rows
        says so: else no history would notice that a restore has lost the withdrawal.
        """
        line = self.line(load)
        if not line or not line.load or line.withdrawn or line.purged or line.deleted:
            return None
        line.withdrawn = True
        for other in self.list_withdrawn_with(load):
            other.withdrawn = True
        name = self.choose_name_of_undo(load, started)
        if self.opposites:
            return self.stage_and_append(
                [self.opposite(line, row) for row in line.rows], started, mark, limit, name
            )
        return self.note_withdrawal(name, started, mark)

    def choose_name_of_undo(self, load: str, started: int) -> str:
        return name_of_undo(self.name_key, load)

    def note_withdrawal(self, name: str, started: int, mark: str) -> Line:
        line = Line(name, [], started=started, event=started)
        self.give_number(line, mark)
        return line

    def opposite(self, line: Line, row: Row) -> Row:
        key = (line.changeset, row.name)
        return Row(-row.amount, row.account, REVERSES, key, key, row.first, line=row.name)

    def list_withdrawn_with(self, load: str) -> list[Line]:
        """Return the changesets that are withdrawn with a load.

        With opposites none: corrections find nothing open any more, and an opposite takes back what
        is in effect. One changeset of corrections may concern other loads, too.
        """
        if self.opposites:
            return []
        return [line for line in self.log if line.rows and self.concerns_withdrawn_only(line)]

    def concerns_withdrawn_only(self, line: Line) -> bool:
        return all(row.root and self.is_withdrawn(row.root[0]) for row in line.rows)

    def is_withdrawn(self, changeset: str) -> bool:
        line = self.line(changeset)
        return bool(line and line.withdrawn)

    def refuses_dependent(self, of: Key, root: Key) -> bool:
        """Return whether a row may not be corrected or changed.

        Shop All lost it (its load is repeated first), or it was taken back.
        """
        return not self.line(of[0]) or not self.line(root[0]) or self.is_withdrawn(root[0])

    def list_named_rows(self, changeset: str) -> set[int]:
        """Return the rows of a changeset on which others depend (`dependent` names them)."""
        return {
            key[1]
            for line in self.log
            for row in line.rows
            if row.effect
            for key in (row.of, row.root)
            if key and key[0] == changeset
        }

    # Purges and lifetimes -------------------------------------------------------------------------

    def register(self, installation: str, needs_from: int, event: int) -> None:
        """Note the first line that an installation needs: at dockings, beginnings and purges."""
        self.registry[installation] = needs_from
        self.registered_at[installation] = event

    def needed_from(self) -> int:
        """Return the first line that any installation needs."""
        return min(self.registry.values(), default=len(self.log) + 1)

    def list_expired(self, needs_from: int) -> list[int]:
        """Return the numbers of lines that may go: without rows, needed by nobody and nothing.

        The line before `needs_from` stays: a server may have stopped there, and inside an append
        nothing else would anchor it.
        """
        return [
            number
            for number, line in enumerate(self.log[: max(0, self.expires_below(needs_from) - 1)], 1)
            if not (line.removed or self.stays(line))
            and self.has_no_rows(line)
            and not self.has_dependents(line)
        ]

    def stays(self, line: Line) -> bool:
        """Return whether a line never goes: answers, and what was taken back.

        A server that has read half of a load that was taken back needs no more of it, and could
        not know that without the line.
        """
        return bool(line.installation) or line.withdrawn

    def expires_below(self, needs_from: int) -> int:
        return needs_from - 1

    def has_no_rows(self, line: Line) -> bool:
        return line.purged or not line.rows

    def has_dependents(self, line: Line) -> bool:
        return any(
            row.root and row.root[0] == line.changeset for other in self.log for row in other.rows
        )

    def remove_line(self, number: int) -> None:
        """Remove a line whose lifetime is over.

        Of each append its last number and mark stay, with the sums up to there; `load` stays.
        """
        line = self.log[number - 1]
        last = number == len(self.log) or self.log[number].mark != line.mark
        self.log[number - 1] = Line(
            "", [], mark=line.mark if last else "", total_to=line.total_to, removed=True
        )
        self.place.pop(line.changeset, None)
        self.forget_load(line.changeset)
        if line.present():  # the daily look finds rows that have no line
            again = line.copy()
            again.mark = ""
            self.staged.append(again)

    def forget_load(self, changeset: str) -> None:
        """Keep the load: the same file loaded once more must have another name."""
