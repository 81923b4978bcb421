"""What no random history reaches: rules that none of them breaks, and a limit that is known.

Other histories that once broke a rule are found by the seeds of `controls.py`.
"""

import pytest

from tests.chaos.ledger.bonus_server import BonusServer
from tests.chaos.ledger.chunk import commit_chunk, plan_chunk
from tests.chaos.ledger.histories import make_content
from tests.chaos.ledger.installation import Installation
from tests.chaos.ledger.names import digest_of, name_of_call, name_of_file
from tests.chaos.ledger.rows import SETS, Line, Refusal, Row
from tests.chaos.ledger.shop_all import Load, ShopAll

ALL = 100  # more changesets than any of these histories has: an append in one piece


class Story:
    """One shop All, told step by step."""

    def __init__(self) -> None:
        self.shop = ShopAll("chain")
        self.clock = 0

    def draw(self) -> str:
        self.clock += 1
        return f"drawn{self.clock}"

    def write(self, *amounts: int) -> Line:
        rows = [Row(amount, f"account{amount}") for amount in amounts]
        self.clock += 1
        line = self.shop.stage(rows, self.shop.begin(), self.clock)
        line.committed = True
        return line

    def load(self, name: str, *amounts: int) -> Line:
        rows = [Row(amount, f"account{amount}", line=n) for n, amount in enumerate(amounts, 1)]
        self.clock += 1
        line = self.shop.stage(rows, self.shop.begin(), self.clock, name, load=True)
        line.committed = True
        return line

    def append(self, limit: int = ALL) -> bool:
        return self.shop.append(self.draw(), limit)

    def append_whole(self, limit: int) -> None:
        while not self.append(limit):
            pass

    def take_back(self, load: str) -> Line | None:
        self.clock += 1
        return self.shop.undo(load, self.clock, self.draw(), ALL)

    def correct(self, row: Row) -> Line:
        self.clock += 1
        row.line = 1
        return self.shop.stage_and_append([row], self.clock, self.draw(), ALL)

    def restore(self, copy: ShopAll) -> None:
        self.shop = copy.copy()
        self.clock += 1
        self.shop.restart(self.clock, new_cluster=False)

    def move(self, server: BonusServer) -> list[tuple[str, int]]:
        """Move a chunk; return the rows that came."""
        if not server.is_anchored(self.shop):
            server.go_back(self.shop, self.shop.last_answer("ours"))
        plan = plan_chunk(server, self.shop, ALL)
        commit_chunk(server, plan, self.draw(), opposites=True)
        return [key for key, _ in plan.rows]


def test_a_load_without_a_line_is_taken_back_after_a_whole_look() -> None:
    story = Story()
    story.write(1)
    story.load("load", 2)
    assert not story.append(limit=1)
    assert story.take_back("load") is None
    story.append_whole(limit=1)
    assert story.take_back("load")
    assert story.shop.is_withdrawn("load")


def test_the_key_of_a_call_is_unique_in_shop_all_whatever_its_content() -> None:
    story, rows = Story(), make_content("content")
    ours, theirs = Installation("ours"), Installation("theirs")
    ours.record_load(story.shop, "name", Load(digest_of(rows), "key"))
    with pytest.raises(Refusal, match="key_used"):
        theirs.record_load(story.shop, "other", Load("other digest", "key"))


def test_names_need_the_key_of_the_origin() -> None:
    assert name_of_file(b"key", "digest", {}, set()) != name_of_file(b"other", "digest", {}, set())
    assert name_of_call(b"key", "call", "digest") != name_of_call(b"other", "call", "digest")


def test_limit_a_deleted_row_of_a_writer_has_no_name_where_nothing_depends_on_it() -> None:
    """It counts as applied. A change of it that comes from another branch is added to nothing."""
    story = Story()
    line = story.write(100, 200)
    story.append()
    key = (line.changeset, line.rows[0].name)
    before = story.shop.copy()
    line.deleted.add(key[1])
    line.gone = 1
    ours = BonusServer("server", "chain")
    assert key not in story.move(ours)
    assert key not in ours.rejects
    story.restore(before)
    for amount in range(101, 120):  # until the table takes it
        copy, tried = story.shop.copy(), ours.copy()
        story.correct(Row(amount, "account100", SETS, key, key, 100))
        came = story.move(tried)
        if came[0] not in tried.rejects:
            break
        story.shop = copy
    assert [added for row, added in tried.table if row == came[0]] == [amount - 100]
