"""Lines go when nobody can ask about them any more, and every place that a server names stays."""

from decimal import Decimal

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import DAYS, accounts, age, end, lines, move_from, purge, staged
from tests.engine.operations import confirm
from tests.flow import INSTALLATION, US, known_of
from transfer.causes.ledger import HISTORY_TOO_OLD
from transfer.engine.begin import Answer, begin
from transfer.engine.received import WHOLE
from transfer.engine.shop_all.counts import Count
from transfer.engine.shop_all.lifetime import size_of_log
from transfer.engine.skip import lacking, skip
from transfer.engine.trim import trim
from transfer.errors import PositionKnown, PurgeWaits


def fill(flow, *appends):
    """Stage changesets of one row, so many in each append, and let the server read them."""
    for number, many in enumerate(appends):
        for one in range(many):
            flow.stage((f"a{number}{one}", 1))
        flow.move()


def sums(flow):
    """What the log says that the server has read, and what the server says."""
    with flow.open() as (source, target):
        position = target.positions.get(source.identity.origin(), flow.spec)
        known = target.positions.all_exceptions(position)
        received = {
            name: None if one.last == WHOLE else Count(one.rows or 0, one.amount or Decimal(0))
            for name, one in known.items()
        }
        with source.snapshot(flow.spec):
            counted = source.counts.read_up_to(flow.spec, position.place, received).rows
        return counted, position.totals.read


def test_of_each_append_the_last_place_stays_and_the_sums(flow):
    fill(flow, 3, 2, 1)
    before = lines(flow, "number, mark, rows_to, amount_to")
    age(flow)
    purge(flow, known_of(flow))
    assert end(flow, known_of(flow)) == 5
    assert lines(flow, "number, mark, rows_to, amount_to") == [before[2], before[4], before[5]]
    assert lines(flow, "rows, xid is null") == [(0, True), (0, True), (1, False)]
    assert end(flow, known_of(flow)) == 0
    flow.stage(("new", 1))
    flow.move()
    assert len(accounts(flow)) == 7
    assert sums(flow) == (7, 7)


def test_a_fork_finds_the_place_of_an_append_whose_lines_have_gone(flow, copies):
    fill(flow, 2, 2, 1)
    age(flow)
    purge(flow, known_of(flow))
    end(flow, known_of(flow))
    copies.make(flow.shop_all, "shop")
    flow.stage(("lost", 1))
    flow.move()
    copies.restore(flow.shop_all, "shop")
    flow.stage(("new", 1))
    confirm(flow)
    flow.move()
    assert accounts(flow) == ["a00", "a01", "a10", "a11", "a20", "lost", "new"]


def test_lines_with_rows_stay(flow):
    """removed_with_rows: the daily look would find their rows again, and send them twice."""
    fill(flow, 1, 1, 1)
    purge(flow, known_of(flow))  # they are too young
    age(flow)
    assert end(flow, known_of(flow)) == 0
    query(flow.shop_all, "update datatransfer.log set gone = rows where number = 1")
    assert end(flow, known_of(flow)) == 0
    purge(flow, known_of(flow))
    end(flow, known_of(flow))
    query(flow.shop_all, "update datatransfer.head set looked_at = null, seen_in = null")
    flow.move()
    assert accounts(flow) == ["a00", "a10", "a20"]


def test_young_lines_stay(flow):
    fill(flow, 1, 1, 1)
    age(flow, DAYS - 1)
    purge(flow, known_of(flow))
    assert end(flow, known_of(flow)) == 0
    age(flow, 2)
    assert end(flow, known_of(flow)) == 2


def test_lines_above_a_server_that_was_left_behind_stay(flow, other):
    """removed_above_servers"""
    fill(flow, 1, 1)
    other.move()
    fill(flow, 1, 1, 1)
    left = known_of(other, "left behind")
    age(flow)
    purge(flow, known_of(flow))
    end(flow, known_of(flow), left)
    assert left.place.number == 2
    assert lines(flow, "number") == [(1,), (2,), (3,), (4,), (5,)]
    assert lines(flow, "rows") == [(0,), (1,), (1,), (1,), (1,)]
    with flow.open() as (source, _), source.snapshot():
        assert source.log.removed(flow.spec) == 1


def test_a_server_of_another_past_stops_it(flow, copies):
    fill(flow, 1)
    copies.make(flow.shop_all, "shop")
    fill(flow, 2)
    known = known_of(flow)
    copies.restore(flow.shop_all, "shop")
    with pytest.raises(PurgeWaits):
        end(flow, known)


def test_a_line_goes_after_those_that_depend_on_it(flow):
    """removed_before_dependents"""
    fill(flow, 1, 1, 1, 1, 1)
    age(flow)
    purge(flow, known_of(flow))
    query(
        flow.shop_all,
        """
        insert into datatransfer.dependent
        select kind, changeset, 1, 'replaces', original, 1, root, 1, 1
          from datatransfer.log,
               (select min(changeset::text) filter (where number = 1)::uuid as root,
                       min(changeset::text) filter (where number = 3)::uuid as original
                  from datatransfer.log) as others
         where number in (2, 5)
        """,
    )
    assert end(flow, known_of(flow)) == 2
    assert lines(flow, "rows") == [(1,), (0,), (1,), (0,), (1,)]
    assert query(flow.shop_all, "select count(*) from datatransfer.dependent") == [(1,)]
    query(flow.shop_all, "delete from datatransfer.dependent")
    assert end(flow, known_of(flow)) == 2


def test_withdrawn_lines_and_loads_stay(flow):
    """load_goes_with_its_line: a file that is loaded again would have the name of the old load."""
    fill(flow, 1, 1, 1, 1)
    query(flow.shop_all, "update datatransfer.log set withdrawn = true where number = 2")
    query(
        flow.shop_all,
        "insert into datatransfer.load (changeset, kind, rows) "
        "select changeset, kind, rows from datatransfer.log where number = 1",
    )
    age(flow)
    purge(flow, known_of(flow))
    assert end(flow, known_of(flow)) == 2
    assert lines(flow, "rows") == [(0,), (1,), (0,), (1,)]
    assert query(flow.shop_all, "select count(*) from datatransfer.load") == [(1,)]


def restored_to_below(flow, copies):
    """A server that was restored to before lines that have gone."""
    fill(flow, 1, 1)
    copies.make(flow.bonus, "bonus")
    fill(flow, 1, 1, 1)
    age(flow)
    purge(flow, known_of(flow))
    end(flow, known_of(flow))
    copies.restore(flow.bonus, "bonus")
    query(flow.bonus, "delete from asset")


def test_such_a_server_without_the_vendors_table_holds_no_rows(flow, copies):
    """What it has received is asked first; the next run says that the table is missing."""
    restored_to_below(flow, copies)
    query(flow.bonus, "drop table asset")
    with raises(HISTORY_TOO_OLD) as refused:
        flow.move()
    assert refused.value.params["held"] == "0"


@pytest.mark.parametrize("answer", Answer)
def test_a_server_that_was_restored_to_below_is_too_old_and_begins_again(flow, copies, answer):
    """below_removed_goes_on: its rows would be lost in silence."""
    restored_to_below(flow, copies)
    flow.stage(("new", 1))
    for dry_run in (True, False):
        with raises(HISTORY_TOO_OLD):
            flow.move(dry_run=dry_run)
    assert accounts(flow) == []
    with flow.open() as (source, target):
        begun = begin(flow.spec, source, target, answer, "tests", INSTALLATION, US, None)
        target.database.commit()
    assert begun.skipped == (1 if answer == Answer.NOTHING else 0)  # the last line is still there
    flow.stage(("newer", 1))
    flow.move()
    nothing = answer == Answer.NOTHING
    assert accounts(flow) == (["new", "newer"] if nothing else ["newer"])
    with flow.open() as (source, target), pytest.raises(PositionKnown):
        begin(flow.spec, source, target, answer, "tests", INSTALLATION, US, None)


@pytest.mark.parametrize("answer", Answer)
def test_the_sums_of_a_server_that_begins_after_lines_have_gone_agree(flow, other, answer):
    fill(flow, 3, 1, 2, 1)
    query(flow.shop_all, "update datatransfer.log set withdrawn = true where number = 2")
    age(flow)
    purge(flow, known_of(flow))
    end(flow, known_of(flow))
    flow.stage(("new", 1))
    other.answer = answer
    other.prepare_alone()
    flow.stage(("newer", 1))
    other.move()
    counted, read = sums(other)
    assert counted == read


def test_a_restore_to_far_below_is_asked_of_a_server_that_began_since(flow, other, copies):
    """Of the lines that had gone by then it has no receipts: it would be sent them."""
    fill(flow, 1)
    copies.make(flow.shop_all, "shop")
    fill(flow, 1, 1)
    age(flow)
    purge(flow, known_of(flow))
    assert end(flow, known_of(flow)) == 2
    other.answer = Answer.EVERYTHING
    other.prepare_alone()
    copies.restore(flow.shop_all, "shop")
    other.stage(("x", 1))
    with raises(HISTORY_TOO_OLD):
        other.move()
    assert accounts(other) == []


def test_a_restore_to_before_lines_went_sends_nothing_twice(flow, other, copies):
    fill(flow, 1, 1, 1)
    age(flow)
    purge(flow, known_of(flow))
    copies.make(flow.shop_all, "shop")
    end(flow, known_of(flow))
    other.answer = Answer.EVERYTHING
    other.prepare_alone()
    fill(flow, 1)
    other.move()
    copies.restore(flow.shop_all, "shop")
    other.stage(("x", 1))
    confirm(flow)
    other.move()
    assert accounts(other) == ["a00", "x"]


def test_a_changeset_read_in_part_whose_line_has_gone_is_too_old(flow, copies):
    """below_removed_goes_on: the position is not below it, and its rest would be lost."""
    flow.stage(("a", 1), ("b", 1), ("c", 1))
    next(move_from(flow, chunk_rows=2))
    copies.make(flow.bonus, "bonus")
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    fill(flow, 1, 1)
    purge(flow, known_of(flow))
    assert end(flow, known_of(flow)) == 1
    copies.restore(flow.bonus, "bonus")
    with raises(HISTORY_TOO_OLD):
        flow.move()


def test_a_changeset_read_in_part_that_shop_all_has_lost_is_not_too_old(flow, copies):
    fill(flow, 1, 1)
    age(flow)
    purge(flow, known_of(flow))
    fill(flow, 1)
    end(flow, known_of(flow))
    copies.make(flow.shop_all, "shop")
    flow.stage(("a", 1), ("b", 1), ("c", 1))
    next(move_from(flow, chunk_rows=2))
    copies.restore(flow.shop_all, "shop")
    confirm(flow)
    flow.stage(("new", 1))
    flow.move()
    assert accounts(flow) == ["a", "a00", "a00", "a10", "b", "new"]


# Receipts and exceptions of servers.


def trimmed(flow, days=DAYS):
    with flow.open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        return trim(flow.spec, source, target, origin, days)


def receipts(flow):
    """Number and length of each receipt."""
    return query(
        flow.bonus,
        "select last, cardinality(changesets) from datatransfer.receipt order by last",
    )


def age_receipts(flow, days=2):
    query(flow.bonus, f"update datatransfer.receipt set at = at - interval '{days} days'")


def test_receipts_of_one_append_are_merged_and_no_others(flow, copies):
    """Merged with its neighbour, the fork would be below the place of the copy."""
    for name in "abcd":
        flow.stage((name, 1))
    flow.move(chunk_rows=2)
    copies.make(flow.shop_all, "shop")
    flow.stage(("e", 1))
    flow.move()
    assert receipts(flow) == [(0, 0), (2, 2), (4, 2), (5, 1)]
    assert trimmed(flow).receipts == 0  # they are young
    age_receipts(flow)
    before = flow.position().version
    assert trimmed(flow).receipts == 1
    assert receipts(flow) == [(0, 0), (4, 4), (5, 1)]
    assert flow.position().version != before
    copies.restore(flow.shop_all, "shop")
    flow.stage(("new", 1))
    confirm(flow)
    flow.move()
    assert accounts(flow) == ["a", "b", "c", "d", "e", "new"]
    names = query(flow.bonus, "select count(*) from datatransfer.exception")
    assert names == [(1,)]  # the fork is at 4: only "e" was above it


def test_merged_receipts_name_every_changeset(flow, copies):
    fill(flow, 1)
    copies.make(flow.shop_all, "shop")
    for name in "bcd":
        flow.stage((name, 1))
    flow.move(chunk_rows=1)
    age_receipts(flow)
    trimmed(flow)
    later = query(flow.shop_all, "select changeset::text from datatransfer.log where number > 1")
    copies.restore(flow.shop_all, "shop")
    confirm(flow)
    flow.move()
    named = query(flow.bonus, "select changeset::text from datatransfer.exception order by 1")
    assert named == sorted(later)


def test_a_fork_above_receipts_that_were_cut_is_found_and_one_below_is_too_old(flow, copies):
    fill(flow, 1, 1)
    copies.make(flow.shop_all, "deep")
    fill(flow, 1)
    age_receipts(flow, DAYS + 1)
    copies.make(flow.shop_all, "shop")
    fill(flow, 1)
    trimmed(flow)
    assert receipts(flow) == [(3, 0), (4, 1)]
    copies.restore(flow.shop_all, "shop")
    flow.stage(("new", 1))
    confirm(flow)
    flow.move()
    assert accounts(flow) == ["a00", "a00", "a00", "a10", "new"]
    copies.restore(flow.shop_all, "deep")
    flow.stage(("x", 1))
    with raises(HISTORY_TOO_OLD):
        flow.move()


def test_receipts_that_name_a_changeset_read_in_part_are_not_cut(flow):
    fill(flow, 1)
    flow.stage(("a", 1), ("b", 1), ("c", 1))
    next(move_from(flow, chunk_rows=2))
    age_receipts(flow, DAYS + 1)
    trimmed(flow)
    assert receipts(flow) == [(1, 0), (2, 1)]
    flow.move()
    age_receipts(flow, 1)
    trimmed(flow)
    assert receipts(flow) == [(2, 0)]


def skip_all(flow):
    with flow.open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
            position = target.positions.get(origin, flow.spec)
            found = [one.changeset for one in lacking(flow.spec, source, target, position)]
        skip(flow.spec, source, target, origin, found)


def test_an_exception_goes_with_its_line_and_receipt_and_the_sums_agree(flow, other, copies):
    """A server that does without rows: nothing says that it has them, before or after."""
    fill(flow, 1)
    other.move()
    copies.make(other.bonus, "other")
    fill(flow, 1)
    other.move()
    age(flow)
    purge(flow, known_of(flow), known_of(other))
    copies.restore(other.bonus, "other")
    fill(flow, 1, 1)
    skip_all(other)
    other.move()
    assert sums(other) == (3, 3)
    age_receipts(other, DAYS + 1)
    assert trimmed(other, DAYS + 30).exceptions == 0  # its receipt is there, and its line
    age(flow)
    purge(flow, known_of(flow), known_of(other))
    assert end(flow, known_of(flow), known_of(other)) == 3
    assert trimmed(other).exceptions == 1
    assert query(other.bonus, "select count(*) from datatransfer.exception") == [(0,)]
    assert sums(other) == (4, 4)  # the row counts as passed without effect
    assert other.position().totals.applied == 3


def test_an_exception_whose_line_is_in_the_log_stays_when_its_receipt_is_cut(flow):
    flow.stage(("a", 1))
    with flow.open() as (source, _):
        source.log_writer.append(flow.spec)
    query(flow.shop_all, "update datatransfer.log set withdrawn = true")
    fill(flow, 1)
    age_receipts(flow, DAYS + 1)
    assert trimmed(flow).exceptions == 0
    assert receipts(flow) == [(2, 0)]
    assert query(flow.bonus, "select count(*) from datatransfer.exception") == [(1,)]
    assert sums(flow) == (1, 1)


def test_exceptions_of_changesets_that_shop_all_lost_stay(flow, copies):
    """exceptions_removed: it comes back to that past, and they would be sent again."""
    fill(flow, 1, 1)
    age_receipts(flow, DAYS + 1)
    copies.make(flow.shop_all, "old")
    flow.stage(("lost", 1))
    flow.move()
    copies.make(flow.shop_all, "young")
    copies.restore(flow.shop_all, "old")
    flow.stage(("x", 1))
    confirm(flow)
    flow.move()
    query(flow.bonus, "update datatransfer.exception set at = at - interval '100 days'")
    assert trimmed(flow).exceptions == 0
    assert receipts(flow)[0] == (2, 0)
    copies.restore(flow.shop_all, "young")
    flow.stage(("y", 1))
    confirm(flow)
    flow.move()
    assert accounts(flow) == ["a00", "a10", "lost", "x", "y"]


def test_sizes_are_told(flow):
    fill(flow, 1)
    query(flow.shop_all, "analyze datatransfer.log")
    query(flow.bonus, "analyze datatransfer.receipt")
    with flow.open() as (source, target):
        size = size_of_log(source.database)
        assert size.rows == 1
        assert size.bytes > 8192
        rows, length = target.receipts.sizes()["receipt"]
        assert rows == 2
        assert length > 8192
        assert target.receipts.sizes()["exception"][0] == 0


def test_nothing_that_is_staged_is_lost_by_all_of_it(flow, copies):
    for round_ in range(4):
        fill(flow, 2, 1)
        age(flow)
        age_receipts(flow, 100)
        purge(flow, known_of(flow))
        end(flow, known_of(flow))
        trimmed(flow)
        assert len(accounts(flow)) == (round_ + 1) * 3
        assert staged(flow) == []
    assert sums(flow) == (12, 12)
