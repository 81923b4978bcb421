"""Histories that broke an earlier version of a rule, and the limits that are known."""

import pytest

from tests.chaos.ledger.beginning import begin_with_everything, begin_with_nothing
from tests.chaos.ledger.bonus_server import BonusServer
from tests.chaos.ledger.chunk import commit_chunk, plan_chunk
from tests.chaos.ledger.controls import sums_by_exceptions
from tests.chaos.ledger.histories import make_content
from tests.chaos.ledger.installation import Answer, Installation
from tests.chaos.ledger.names import digest_of, name_of_call, name_of_file
from tests.chaos.ledger.rows import REPLACES, SETS, Line, Refusal, Row, Sum
from tests.chaos.ledger.shop_all import Load, ShopAll

ALL = 100  # more changesets than any of these histories has: an append in one piece


class Story:
    """One shop All, told step by step."""

    def __init__(self, *, opposites: bool = True) -> None:
        self.shop = ShopAll("chain", opposites=opposites)
        self.clock = 0

    def draw(self) -> str:
        self.clock += 1
        return f"drawn{self.clock}"

    def begin(self, *amounts: int) -> Line:
        """A writer stages rows in a transaction that is not committed yet."""
        rows = [Row(amount, f"account{amount}") for amount in amounts]
        self.clock += 1
        return self.shop.stage(rows, self.shop.begin(), self.clock)

    def write(self, *amounts: int) -> Line:
        line = self.begin(*amounts)
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

    def restore(self, copy: ShopAll, *, new_cluster: bool = False) -> None:
        self.shop = copy.copy()
        self.clock += 1
        self.shop.restart(self.clock, new_cluster=new_cluster)

    def move(self, server: BonusServer, limit: int = ALL) -> list[tuple[str, int]]:
        """Move a chunk; return the rows that came."""
        if not server.is_anchored(self.shop):
            server.go_back(self.shop, self.shop.last_answer("ours"))
        plan = plan_chunk(server, self.shop, limit)
        commit_chunk(server, plan, self.draw(), opposites=self.shop.opposites)
        return [key for key, _ in plan.rows]

    def names(self) -> list[str]:
        return [line.changeset for line in self.shop.log]


def server(name: str = "server") -> BonusServer:
    return BonusServer(name, "chain")


# Pieces of an append ------------------------------------------------------------------------------


def test_an_append_in_pieces_finds_what_has_the_xid_at_which_it_stopped() -> None:
    """A restored shop All repeats xids: only xid and start together say where a look stopped."""
    story = Story()
    old = [story.write(1), story.write(2), story.write(3)]
    story.restore(story.shop.copy(), new_cluster=True)
    new = story.write(4)
    assert new.xid == old[2].xid
    story.append_whole(limit=3)
    assert sorted(story.names()) == sorted(line.changeset for line in [*old, new])


def test_what_is_committed_between_two_pieces_is_found_by_the_next_look() -> None:
    story = Story()
    slow = story.begin(1)
    others = [story.write(2), story.write(3)]
    assert not story.append(limit=1)
    slow.committed = True  # its xid is below the one at which the first piece stopped
    assert story.append(limit=1)
    assert story.names() == [line.changeset for line in others]
    story.append_whole(limit=1)
    assert story.names() == [line.changeset for line in [*others, slow]]


def test_a_crash_between_two_pieces_loses_nothing_and_repeats_nothing() -> None:
    story = Story()
    lines = [story.write(1), story.write(2), story.write(3)]
    assert not story.append(limit=1)
    story.restore(story.shop.copy())
    lines.append(story.write(4))
    story.append_whole(limit=1)
    story.append_whole(limit=1)
    assert sorted(story.names()) == sorted(line.changeset for line in lines)


def test_rows_of_the_appending_transaction_get_a_line_wherever_a_look_stopped() -> None:
    story = Story()
    xid = story.shop.begin()
    others = [story.write(1), story.write(2), story.write(3)]
    assert not story.append(limit=2)  # stops beyond that xid
    story.clock += 1
    own = story.shop.stage([Row(9, line=1)], xid, story.clock)
    story.shop.append(story.draw(), 1, own=xid)
    own.committed = True
    assert own.changeset in story.names()
    story.append_whole(limit=2)
    assert len(story.names()) == len({*story.names()}) == len(others) + 1


def test_everything_up_to_now_is_appended_by_a_look_that_begins_now() -> None:
    """A look that has begun before passes over what was committed since, below its stop."""
    story = Story()
    slow = story.begin(1)
    story.write(2), story.write(3)
    assert not story.append(limit=1)
    slow.committed = True
    story.append_whole(limit=1)
    assert slow.changeset not in story.names()  # so one whole look is not enough
    story.append_whole(limit=1)
    begun = begin_with_everything("begun", story.shop, story.draw())
    assert story.move(begun) == []


def test_a_load_without_a_line_is_taken_back_after_a_whole_look() -> None:
    story = Story()
    story.write(1)
    story.load("load", 2)
    assert not story.append(limit=1)
    assert story.take_back("load") is None
    story.append_whole(limit=1)
    assert story.take_back("load")
    assert story.shop.is_withdrawn("load")


# Names of rows and loads --------------------------------------------------------------------------


def test_two_loads_of_one_content_name_their_rows_alike() -> None:
    story = Story()
    first = story.load("load", 10, 20, 30)
    story.restore(ShopAll("chain"))
    story.write(1), story.write(2)
    second = story.load("load", 10, 20, 30)
    assert (first.xid, first.started) != (second.xid, second.started)
    assert [row.name for row in first.rows] == [row.name for row in second.rows] == [1, 2, 3]


def test_a_load_that_shop_all_lost_half_read_goes_on_where_it_was_cut() -> None:
    story = Story()
    before = story.shop.copy()
    story.load("load", 10, 20, 30)
    story.append()
    ours = server()
    assert story.move(ours, limit=2) == [("load", 1), ("load", 2)]
    story.restore(before)
    story.write(1)
    story.append()
    story.shop.add_answer("ours", "answer", story.draw())
    story.move(ours)
    story.load("load", 10, 20, 30)
    story.append()
    assert story.move(ours) == [("load", 3)]
    assert ours.find_missing_sum(story.shop) == Sum()


def test_a_call_that_shop_all_lost_is_loaded_under_its_old_name() -> None:
    story, installation, rows = Story(), Installation("ours"), make_content("a call")
    before = story.shop.copy()
    first = installation.answer_call(story.shop, "key", rows)
    assert first.status == 201
    installation.record_load(story.shop, first.changeset, Load(digest_of(rows), "key"))
    assert installation.answer_call(story.shop, "key", rows) == Answer(200, first.changeset)
    story.restore(before)
    assert installation.answer_call(story.shop, "key", rows) == first


def test_a_key_is_refused_with_other_content_even_where_shop_all_lost_the_first() -> None:
    story, installation = Story(), Installation("ours")
    before = story.shop.copy()
    rows = make_content("a call")
    name = installation.answer_call(story.shop, "key", rows).changeset
    installation.record_load(story.shop, name, Load(digest_of(rows), "key"))
    assert installation.answer_call(story.shop, "key", make_content("another")).status == 409
    story.restore(before)
    assert installation.answer_call(story.shop, "key", make_content("another")).status == 409


def test_a_call_that_was_taken_back_and_lost_is_refused_and_a_file_gets_the_next_name() -> None:
    story, installation, rows = Story(), Installation("ours"), make_content("content")
    before = story.shop.copy()
    call = installation.answer_call(story.shop, "key", rows).changeset
    file = installation.choose_file_name(story.shop, rows)
    installation.record_load(story.shop, call, Load(digest_of(rows), "key"))
    installation.record_load(story.shop, file, Load(digest_of(rows)))
    installation.taken_back |= {call, file}
    story.restore(before)
    assert installation.answer_call(story.shop, "key", rows).status == 409
    next_file = installation.choose_file_name(story.shop, rows)
    assert next_file not in installation.taken_back


def test_the_key_of_a_call_is_unique_in_shop_all_whatever_its_content() -> None:
    story, rows = Story(), make_content("content")
    ours, theirs = Installation("ours"), Installation("theirs")
    ours.record_load(story.shop, "name", Load(digest_of(rows), "key"))
    with pytest.raises(Refusal, match="key_used"):
        theirs.record_load(story.shop, "other", Load("other digest", "key"))


def test_names_need_the_key_of_the_origin() -> None:
    assert name_of_file(b"key", "digest", {}, set()) != name_of_file(b"other", "digest", {}, set())
    assert name_of_call(b"key", "call", "digest") != name_of_call(b"other", "call", "digest")


# PIN codes and cards ------------------------------------------------------------------------------


def test_a_withdrawal_that_shop_all_lost_is_noticed() -> None:
    """Without a line of its own, the log after a restore would have all that was ever seen."""
    story, installation = Story(opposites=False), Installation("ours")
    story.load("load", 1)
    story.append()
    before = story.shop.copy()
    story.take_back("load")
    installation.remember(story.shop)
    story.restore(before)
    assert not story.shop.is_withdrawn("load")
    assert installation.lacks_what_we_saw(story.shop)


def test_a_server_that_has_not_read_a_withdrawn_load_does_not_get_it() -> None:
    story = Story(opposites=False)
    story.load("load", 3, 4)
    story.append()
    quick, slow = server("quick"), server("slow")
    story.move(quick)
    story.take_back("load")
    assert story.move(slow) == []
    assert quick.values
    assert not slow.values


def test_a_correction_of_a_value_goes_to_all_servers_and_closes_the_reject_where_it_is_open() -> (
    None
):
    story = Story(opposites=False)
    line = story.load("load", *range(1, 9))
    story.append()
    servers = [server("a"), server("b")]
    for each in servers:
        story.move(each)
    key = next(key for key in servers[0].rejects if key not in servers[1].rejects)
    row = line.find(key[1])
    assert row
    for value in range(100, 120):  # until both tables take it
        tried = [each.copy() for each in servers]
        copy = story.shop.copy()
        story.correct(Row(value, row.account, REPLACES, key, key, row.first))
        came = [story.move(each) for each in tried]
        if not any(keys[0] in each.rejects for keys, each in zip(came, tried, strict=True)):
            break
        story.shop = copy
    assert [each.values[row.account][0] for each in tried] == [value, value]
    assert tried[0].rejects[key].resolved_by == came[0][0][0]


def test_a_load_of_values_takes_corrections_with_it_that_concern_nothing_else() -> None:
    story = Story(opposites=False)
    story.load("first", 1)
    story.load("second", 2)
    story.append()
    own = story.correct(Row(5, "a", REPLACES, ("first", 1), ("first", 1)))
    rows = [
        Row(6, "a", REPLACES, (name, 1), (name, 1), line=n)
        for n, name in enumerate(("first", "second"), 1)
    ]
    both = story.shop.stage_and_append(rows, story.clock + 1, story.draw(), ALL)
    story.take_back("first")
    assert (own.withdrawn, both.withdrawn) == (True, False)
    story.take_back("second")
    assert both.withdrawn


# Lifetimes ----------------------------------------------------------------------------------------


def test_a_server_that_half_read_what_was_taken_back_goes_on_after_its_lifetime() -> None:
    """The line of a load that was taken back stays: else half a load looks lost."""
    story = Story()
    story.load("load", 1, 2, 3)
    story.append()
    ours = server()
    assert story.move(ours, limit=2) == [("load", 1), ("load", 2)]
    story.take_back("load")
    story.write(5)
    story.append()
    story.move(ours)
    for line in story.shop.log:
        line.purged = True
    for number in reversed(range(1, len(story.shop.log))):
        if number in story.shop.list_expired(len(story.shop.log) + 1):
            story.shop.remove_line(number)
    assert story.shop.line("load")
    assert story.move(ours) == []


# Sums ---------------------------------------------------------------------------------------------


def test_sums_stay_right_when_the_line_of_an_exception_has_gone() -> None:
    """Exceptions name changesets. When the line goes, nothing says how much it was."""
    story = Story()
    skipped = story.write(100)
    story.append()
    skipped.purged = True
    story.write(5)
    story.append()
    story.write(6)
    story.append()
    ours = server()
    ours.skip([skipped.changeset])
    story.move(ours)
    assert ours.find_missing_sum(story.shop) == Sum()
    assert sums_by_exceptions(ours, story.shop) == ours.total
    for line in story.shop.log:
        line.purged = True
    story.shop.remove_line(1)
    assert ours.find_missing_sum(story.shop) == Sum()
    assert sums_by_exceptions(ours, story.shop) != ours.total


def test_a_row_that_a_server_did_without_is_not_missed_where_the_agreement_is_lost() -> None:
    story = Story()
    load = story.load("load", 1, 2, 3, 4)
    story.append()
    before = story.shop.copy()
    load.deleted.add(2)
    load.gone = 1
    ours = server()
    assert story.move(ours, limit=2) == [("load", 1), ("load", 3)]
    story.restore(before)
    assert story.move(ours) == [("load", 4)]
    assert ours.find_missing_sum(story.shop) == Sum()


def test_a_row_that_comes_too_little_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.ledger.chunk.refuse_different", lambda chosen: None)
    story = Story()
    line = story.write(10, 20)
    story.append()
    line.deleted.add(line.rows[0].name)
    ours = server()
    story.move(ours)
    assert ours.find_missing_sum(story.shop) == Sum(-1, -10)


def test_an_amount_that_is_changed_in_place_changes_no_sum() -> None:
    story = Story()
    line = story.write(10)
    line.rows[0].amount, line.rows[0].changed = 15, True
    story.append()
    ours = server()
    story.move(ours)
    assert (ours.total, ours.find_missing_sum(story.shop)) == (Sum(1, 10), Sum())


# Origins and the registry -------------------------------------------------------------------------


def test_a_position_of_another_chain_is_asked_about_even_at_line_zero() -> None:
    """Line 0 is in every log: without the origin a server would read on in any shop All."""
    with pytest.raises(Refusal, match="another_origin"):
        server().check_origin(ShopAll("another chain"))


def test_an_installation_purges_nothing_that_another_one_needs() -> None:
    story, ours, theirs = Story(), Installation("ours"), Installation("theirs")
    story.write(1)
    story.append()
    quick, slow = server("quick"), server("slow")
    story.move(quick)
    ours.register(story.shop, ours.needs_from(story.shop, [quick]) or 0, 0)
    theirs.register(story.shop, theirs.needs_from(story.shop, [slow]) or 0, 0)
    assert story.shop.needed_from() == 1
    story.move(slow)
    theirs.register(story.shop, theirs.needs_from(story.shop, [slow]) or 0, 0)
    assert story.shop.needed_from() == 2


def test_a_server_that_begins_lowers_what_its_installation_needs_at_once() -> None:
    story, theirs = Story(), Installation("theirs")
    story.write(1)
    story.append()
    theirs.register(story.shop, 2, 0)
    begun = begin_with_nothing("begun", story.shop, story.draw())
    theirs.lower_registration(story.shop, begun.needs_from(story.shop) or 0, 0)
    assert story.shop.needed_from() == 1


# Known limits -------------------------------------------------------------------------------------


def test_limit_a_deleted_row_of_a_writer_has_no_name_where_nothing_depends_on_it() -> None:
    """It counts as applied. A change of it that comes from another branch is added to nothing."""
    story = Story()
    line = story.write(100, 200)
    story.append()
    key = (line.changeset, line.rows[0].name)
    before = story.shop.copy()
    line.deleted.add(key[1])
    line.gone = 1
    ours = server()
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
