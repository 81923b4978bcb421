"""A bonus server: what it has received, and where its log and shop All's part."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.ledger.rows import NOTHING, WHOLE, ZERO, Key, Line, Refusal, Sum
from tests.chaos.ledger.shop_all import ShopAll


@dataclass(slots=True)
class Reject:
    """A row that was received and whose outcome is not in the vendor's tables."""

    code: str  # refused, not_here, taken_back, gone
    resolved_by: str = ""  # "": open
    root: Key | None = None
    effect: str = ""
    reverses: Key | None = None  # the original that an opposite, or a correction of it, takes back

    def copy(self) -> Reject:
        return Reject(self.code, self.resolved_by, self.root, self.effect, self.reverses)

    @property
    def is_open(self) -> bool:
        return not self.resolved_by


@dataclass(frozen=True, slots=True)
class Receipt:
    """The changesets of the lines that a chunk has passed, up to the line `last`."""

    last: int
    mark: str
    changesets: tuple[str, ...] = ()


@dataclass
class Trace:
    """What happened to a server, for the oracle alone: no rule reads it."""

    delivered: list[tuple[str, Key, int]] = field(default_factory=list)  # (event, row, amount)
    refused: set[Key] = field(default_factory=set)
    filled: dict[Key, int] = field(default_factory=dict)  # what the vendor filled in
    began_with: set[str] = field(default_factory=set)  # changesets that counted as received then
    went_back: bool = False  # it was restored, or began late
    merged: bool = False  # its receipts were
    moved: bool = False  # it read lines late, or its log parted from shop All's

    def copy(self) -> Trace:
        return Trace(
            list(self.delivered), set(self.refused), dict(self.filled), set(self.began_with),
            self.went_back, self.merged, self.moved,
        )  # fmt: skip


class BonusServer:
    """Our tables on a bonus server, and the vendor's."""

    def __init__(self, name: str, origin: str = "") -> None:
        self.name = name
        self.origin = origin  # of the position; "" before the first beginning
        self.number = 0
        self.mark = ZERO
        self.version: object = 0
        self.receipts = [Receipt(0, ZERO)]
        self.exceptions: dict[str, int] = {}  # changeset: last row that was received
        # What was read of a changeset that is not complete; None: some rows were gone.
        self.parts: dict[str, Sum | None] = {}
        self.skipped: set[str] = set()
        self.rejects: dict[Key, Reject] = {}
        self.seen: dict[Key, tuple[int, Key | None]] = {}  # original: amount in effect, its bringer
        self.total = Sum()  # all rows ever received, counted as they came
        self.difference = Sum()  # how far `total` is from the sum of the log at the position
        self.table: list[tuple[Key, int]] = []  # the vendor's: balance changes
        self.values: dict[str, tuple[int, Key]] = {}  # the vendor's: PIN codes or cards by account
        self.trace = Trace()

    def copy(self) -> BonusServer:
        copy = BonusServer(self.name, self.origin)
        copy.number, copy.mark, copy.version = self.number, self.mark, self.version
        copy.receipts = list(self.receipts)
        copy.exceptions, copy.parts = dict(self.exceptions), dict(self.parts)
        copy.skipped = set(self.skipped)
        copy.rejects = {key: reject.copy() for key, reject in self.rejects.items()}
        copy.seen = dict(self.seen)
        copy.total, copy.difference = self.total, self.difference
        copy.table, copy.values = list(self.table), dict(self.values)
        copy.trace = self.trace.copy()
        return copy

    def has_received(self, key: Key) -> bool:
        """Return whether a row was received, given that its line is below the position.

        A chunk asks this of originals, whose lines are always below the line that depends on them.
        """
        return key[1] <= self.exceptions.get(key[0], WHOLE)

    # What it needs --------------------------------------------------------------------------------

    def list_needed(self, shop: ShopAll) -> list[tuple[int, Line, int]]:
        """Return (number, line, last row received) of the lines of which rows are needed."""
        found = []
        for number, line in enumerate(shop.log, 1):
            if not line.rows or line.withdrawn or line.changeset in self.skipped:
                continue
            last = self.exceptions.get(line.changeset)
            if number > self.number if last is None else last < line.last_name():
                found.append((number, line, NOTHING if last is None else last))
        return found

    def needs_from(self, shop: ShopAll) -> int | None:
        """Return the first line that a purge must keep for this server; None: not known."""
        if not self.is_anchored(shop):
            return None
        needed = [number for number, _, _ in self.list_needed(shop)]
        masked = self.list_masked(shop)
        return min([self.number + 1, *needed, *masked])

    def is_anchored(self, shop: ShopAll) -> bool:
        return shop.has(self.number, self.mark)

    def list_masked(self, shop: ShopAll) -> list[int]:
        """Return the lines whose values the open rejects of PIN codes still show.

        The bonus server keeps these values masked, so shop All's row is the only one. A correction
        of a withdrawn load is refused, so its rows need not stay.
        """
        if shop.opposites:
            return []
        return [
            shop.place[key[0]]
            for key, reject in self.rejects.items()
            if reject.is_open and key[0] in shop.place and not shop.is_withdrawn(key[0])
        ]

    # The fork -------------------------------------------------------------------------------------

    def check_origin(self, shop: ShopAll) -> None:
        """Raise Refusal if the position is of another chain of shop Alls."""
        if self.origin != shop.origin:
            raise Refusal("another_origin")

    def go_back(self, shop: ShopAll, confirmed: int) -> None:
        """Set the position to the last line that receipts and log share, by number and mark.

        `confirmed`: the number of the last answer of our installation. Raises Refusal.
        """
        fork = next(
            (each for each in reversed(self.receipts) if shop.has(each.last, each.mark)), None
        )
        if fork is None:
            raise Refusal("history_too_old")
        above = [
            changeset
            for receipt in self.receipts
            if receipt.last > fork.last
            for changeset in receipt.changesets
            if changeset != ZERO
        ]
        lost = [
            changeset
            for changeset in above
            if self.exceptions.get(changeset) != NOTHING and not shop.line(changeset)
        ]
        if lost and not fork.last < confirmed:
            raise Refusal("shop_all_went_back", lost)
        self.name_what_is_above(above)
        self.receipts = [receipt for receipt in self.receipts if receipt.last <= fork.last]
        self.number, self.mark = fork.last, fork.mark
        self.set_difference(shop)
        self.trace.moved = True

    def name_what_is_above(self, above: list[str]) -> None:
        for changeset in above:
            self.exceptions.setdefault(changeset, WHOLE)

    def set_difference(self, shop: ShopAll) -> None:
        """Note the difference after the position was set otherwise than by a chunk."""
        self.difference = self.total - shop.total_to(self.number)

    def refuse_removed(self, shop: ShopAll) -> None:
        """Raise Refusal if the server needs, or half read, lines whose lifetime is over."""
        if any(line.removed for line in shop.log[self.number :]):
            raise Refusal("history_too_old")
        for changeset, last in self.exceptions.items():
            incomplete = NOTHING < last < WHOLE and changeset not in self.skipped
            if incomplete and changeset not in shop.place and self.has_passed(changeset):
                raise Refusal("history_too_old")

    def has_passed(self, changeset: str) -> bool:
        return any(changeset in receipt.changesets for receipt in self.receipts)

    def add_receipt(self, number: int, mark: str, changeset: str) -> None:
        """Note a line that was passed; lines of one append share a receipt."""
        last = self.receipts[-1]
        if last.mark == mark and number > 1:
            self.receipts[-1] = Receipt(number, mark, (*last.changesets, changeset))
        else:
            self.receipts.append(Receipt(number, mark, (changeset,)))

    def merge_receipts(self) -> None:
        """Merge the older half of the receipts; their last (number, mark) stays."""
        self.trace.merged = True
        half = len(self.receipts) // 2
        merged = self.receipts[half]
        self.receipts = [Receipt(merged.last, merged.mark), *self.receipts[half + 1 :]]

    def skip(self, changesets: list[str]) -> None:
        """Do without the rows of these changesets, for good."""
        for changeset in changesets:
            self.exceptions.setdefault(changeset, NOTHING)
            self.skipped.add(changeset)

    def find_missing_sum(self, shop: ShopAll) -> Sum:
        """Return total minus what the log and the difference say: reconciliation, zero if exact."""
        return self.total - self.expected_total(shop)

    def expected_total(self, shop: ShopAll) -> Sum:
        return shop.total_to(self.number) + self.difference

    # The version ----------------------------------------------------------------------------------

    def set_version(self, drawn: str) -> None:
        """Take a version that the caller has drawn at random: no two states have the same."""
        self.version = drawn

    def is_at(self, version: object, position: tuple[int, str]) -> bool:
        """Return whether nothing has changed since a chunk was read ahead."""
        return self.version == version
