"""Rows that were deleted by hand: nobody loses them unasked, and nobody is asked twice."""

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import accounts, age, lines, move_from, purge
from tests.engine.operations import load, undo
from tests.flow import known_of
from transfer.causes.ledger import ROWS_DIFFER
from transfer.engine.begin import Answer
from transfer.engine.shop_all import gone
from transfer.engine.shop_all.source import ShopAll


def append(flow):
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        source.log_writer.append(flow.spec)


def delete(flow, *names):
    table = flow.spec.staging_table.quoted
    query(flow.shop_all, f"delete from {table} where account = any(%s)", [[*names]])


def missing(flow, needs_from=1):
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot(flow.spec):
        return [
            (one.number, one.rows, one.amount)
            for one in gone.missing(flow.spec, source, needs_from)
        ]


def accept(flow, numbers=None):
    names = [
        name
        for number, name in lines(flow, "number, changeset::text")
        if numbers is None or number in numbers
    ]
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        return gone.accept(flow.spec, source, names)


def differences(flow):
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot(flow.spec):
        return [
            (one.number, one.rows, one.found, one.amount, one.amount_found)
            for one in gone.compare(flow.spec, source)
        ]


def test_a_server_that_needs_deleted_rows_refuses_until_shop_all_goes_on_without(flow, other):
    """rows_not_counted, gone_is_purged: one answer for all servers."""
    flow.stage(("a", 1), ("b", 2), ("c", 4))
    flow.stage(("d", 8))
    append(flow)
    delete(flow, "b")
    for server in (flow, other):
        with raises(ROWS_DIFFER) as refused:
            server.move()
        assert (len(refused.value.changesets), accounts(server)) == (1, [])
    assert missing(flow) == [(1, 1, 2)]
    assert missing(flow, needs_from=2) == []
    assert accept(flow) == 1
    assert lines(flow, "gone, gone_amount") == [(1, 2), (0, 0)]
    for server in (flow, other):
        server.move()
        assert accounts(server) == ["a", "c", "d"]
        totals = server.position().totals
        assert (totals.read, totals.amount_applied, totals.unchanged) == (4, 13, 1)
    assert (missing(flow), accept(flow), differences(flow)) == ([], 0, [])


def test_a_deleted_row_is_missed_in_a_chunk_that_arrives_ahead(flow):
    """The rows of both lines of the second chunk are counted while the first one is applied."""
    for name in "abcd":
        flow.stage((f"{name}1", 1), (f"{name}2", 2))
    append(flow)
    delete(flow, "d1")
    with raises(ROWS_DIFFER) as refused:
        flow.move(chunk_rows=4)
    assert accounts(flow) == ["a1", "a2", "b1", "b2"]
    assert len(refused.value.changesets) == 1


def test_deleted_rows_of_a_load_leave_closed_rejects(flow):
    """gone_leaves_no_reject: what depends on them later is not applied."""
    load(flow, ("a", 1), ("b", 2), ("c", 4))
    append(flow)
    delete(flow, "b")
    accept(flow)
    flow.move()
    assert [one.outcome for one in flow.rejects()] == [(2, "gone", False)]
    assert accounts(flow) == ["a", "c"]


def test_an_undo_takes_back_nothing_of_a_row_that_a_server_did_without(flow, copies):
    """gone_leaves_no_reject: a restore brings the row back, and its opposite comes."""
    name = load(flow, ("a", 1), ("b", 2), ("c", 4))
    append(flow)
    copies.make(flow.shop_all, "shop")
    delete(flow, "b")
    accept(flow)
    flow.move()
    copies.restore(flow.shop_all, "shop")
    undo(flow, name)
    flow.move()
    assert query(flow.bonus, "select sum(amount) from asset") == [(0,)]


def test_deleted_rows_of_a_load_read_in_part_leave_closed_rejects_once(flow):
    load(flow, *((f"a{number}", 1) for number in range(6)))
    next(move_from(flow, chunk_rows=2))
    delete(flow, "a3", "a5")
    with raises(ROWS_DIFFER):
        flow.move(chunk_rows=2)
    accept(flow)
    flow.move(chunk_rows=2)
    assert sorted(one.outcome for one in flow.rejects()) == [(4, "gone", False), (6, "gone", False)]
    assert accounts(flow) == ["a0", "a1", "a2", "a4"]
    assert flow.position().totals.read == 6


def test_more_rows_deleted_later_are_asked_about_again(flow):
    flow.stage(("a", 1), ("b", 2), ("c", 4))
    append(flow)
    delete(flow, "b")
    accept(flow)
    delete(flow, "c")
    with raises(ROWS_DIFFER):
        flow.move()
    assert missing(flow) == [(1, 1, 4)]
    accept(flow)
    assert lines(flow, "gone, gone_amount") == [(2, 6)]
    flow.move()
    assert accounts(flow) == ["a"]


def test_a_changeset_without_any_row_left_is_passed(flow):
    load(flow, ("a", 1), ("b", 2))
    append(flow)
    delete(flow, "a", "b")
    accept(flow)
    flow.move()
    assert [one.outcome for one in flow.rejects()] == [(1, "gone", False), (2, "gone", False)]
    assert flow.position().totals.read == 2


def test_rows_deleted_after_all_servers_have_them_concern_nobody(flow):
    flow.stage(("a", 1), ("b", 2))
    flow.move()
    delete(flow, "a")
    assert missing(flow, needs_from=2) == []
    assert differences(flow) == [(1, 2, 1, 3, 2)]
    age(flow)
    assert purge(flow, known_of(flow)).rows == 1
    assert (lines(flow, "purged, gone"), differences(flow)) == ([(2, 0)], [])


def test_withdrawn_changesets_are_not_asked_about(flow):
    flow.stage(("a", 1))
    append(flow)
    query(flow.shop_all, "update datatransfer.log set withdrawn = true")
    delete(flow, "a")
    assert missing(flow) == []


def test_the_daily_comparison_finds_rows_that_were_deleted_changed_or_appeared(flow):
    flow.stage(("a", 1), ("b", 2))
    flow.stage(("c", 4))
    flow.stage(("d", 8))
    flow.stage(("e", 16))
    flow.move()
    assert differences(flow) == []
    table = flow.spec.staging_table.quoted
    query(
        flow.shop_all,
        f"""
        alter table {table} disable trigger all;
        delete from {table} where account in ('a', 'c');
        update {table} set amount = 9 where account = 'd';
        insert into {table} (account, amount, xid, started)
        select 'forged', 1, xid, started from {table} where account = 'e';
        alter table {table} enable always trigger zz_datatransfer_1_insert;
        alter table {table} enable always trigger zz_datatransfer_1_update;
        alter table {table} enable always trigger zz_datatransfer_2_update
        """,
    )
    assert differences(flow) == [
        (1, 2, 1, 3, 2),
        (2, 1, 0, 4, 0),
        (3, 1, 1, 8, 9),
        (4, 1, 2, 16, 17),
    ]


def test_the_daily_comparison_finds_no_difference_in_changed_dependent_and_purged_rows(flow):
    flow.stage(("a", 1))
    flow.stage(("b", 2))
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    flow.stage(("c", 4), ("d", 8))
    append(flow)
    table = flow.spec.staging_table.quoted
    query(flow.shop_all, f"update {table} set amount = 5 where account = 'c'")
    assert differences(flow) == []


def test_a_server_that_begins_with_everything_has_no_deleted_rows_to_ask_about(flow, other):
    flow.stage(("a", 1), ("b", 2))
    append(flow)
    delete(flow, "a")
    other.answer = Answer.EVERYTHING
    other.move()
    assert (accounts(other), missing(flow, known_of(other).place.number + 1)) == ([], [])
