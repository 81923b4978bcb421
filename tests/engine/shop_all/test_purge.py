"""Purges: nobody loses a row that he still needs, and nobody counts one that is gone."""

import pytest

from tests.causes import raises
from tests.databases import query
from tests.engine.keeping_small import accounts, age, lines, purge, staged
from tests.flow import US, Flow, known_of
from transfer.causes.ledger import PURGE_OVERTAKEN, ROWS_PURGED
from transfer.engine.begin import Answer
from transfer.engine.received import NOTHING, Place
from transfer.engine.shop_all import purge as purging
from transfer.engine.shop_all.installations import Installation
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import PurgeWaits

THEM = Installation("22222222-2222-4222-8222-222222222222", "them")


def test_old_rows_that_all_servers_have_are_removed_and_stay_counted(flow):
    flow.stage(("a", 1), ("b", 2))
    flow.stage(("c", 4))
    flow.move()
    assert purge(flow, known_of(flow)).rows == 0  # they are young
    flow.stage(("d", 8))
    age(flow)
    rehearsed = purge(flow, known_of(flow), dry_run=True)
    assert (rehearsed.rows, rehearsed.changesets) == (3, 2)
    assert staged(flow) == ["a", "b", "c", "d"]
    assert query(flow.shop_all, "select count(*) from datatransfer.installation") == [(1,)]
    assert lines(flow, "purged") == [(0,), (0,)]
    done = purge(flow, known_of(flow))
    assert (done.rows, done.changesets) == (3, 2)
    assert staged(flow) == ["d"]
    assert lines(flow, "rows, purged") == [(2, 2), (1, 1)]
    flow.move()
    assert accounts(flow) == ["a", "b", "c", "d"]


def test_changesets_with_an_open_masked_reject_are_spared_and_no_others(shop_all, bonus):
    flow = Flow("pincodes", shop_all, bonus)
    flow.stage(("", "2222"))
    flow.stage(("b", "1111"))
    flow.move()
    ((changeset,),) = query(bonus, "select changeset::text from datatransfer.reject")
    age(flow)
    assert purge(flow, known_of(flow), spared=[changeset]).rows == 1
    assert staged(flow) == [""]
    assert purge(flow, known_of(flow)).rows == 1


def test_a_server_that_is_behind_keeps_its_rows_back(flow, other):
    flow.stage(("a", 1))
    flow.move(), other.move()
    flow.stage(("b", 2))
    flow.move()
    age(flow)
    done = purge(flow, known_of(flow), known_of(other, "other"))
    assert (staged(flow), done.need.by) == (["b"], "other")
    other.move()
    assert accounts(other) == ["a", "b"]


def test_the_purge_waits_for_a_server_that_has_read_another_past(flow, other, copies):
    """purge_without_anchor, dead_not_asked: what it needs is known once it was reached."""
    flow.stage(("a", 1))
    flow.move(), other.move()
    copies.make(flow.shop_all, "shop")
    for name in "bcd":
        flow.stage((name, 1))
    other.move()
    dead = known_of(other, "dead")
    copies.restore(flow.shop_all, "shop")
    for name in "xyz":
        flow.stage((name, 1))
    flow.move()
    age(flow)
    assert dead.place.number >= known_of(flow).place.number
    with pytest.raises(PurgeWaits) as waits:
        purge(flow, known_of(flow), dead)
    assert waits.value.params["server"] == "dead"
    assert staged(flow) == ["a", "x", "y", "z"]


def test_a_dead_server_counts_with_what_was_last_known_of_it(flow, other):
    flow.stage(("a", 1))
    other.move()
    dead = known_of(other, "dead")
    flow.stage(("b", 1))
    flow.move()
    age(flow)
    purge(flow, known_of(flow), dead)
    assert staged(flow) == ["b"]


def test_what_a_lost_undo_makes_needed_again_is_kept(flow, copies):
    """A server has passed a line as withdrawn, and a restore has lost that since."""
    flow.stage(("a", 1))
    with flow.open() as (source, _):
        source.log_writer.append(flow.spec)
    copies.make(flow.shop_all, "shop")
    query(flow.shop_all, "update datatransfer.log set withdrawn = true")
    flow.stage(("b", 1))
    flow.move()
    dead = known_of(flow)
    assert [*dead.incomplete.values()] == [NOTHING]
    copies.restore(flow.shop_all, "shop")
    age(flow)
    dead = purging.KnownServer.asked("dead", Place(), dead.incomplete)
    assert purge(flow, dead).rows == 0


def test_a_server_without_a_position_keeps_all_back(flow):
    flow.stage(("a", 1))
    flow.move()
    age(flow)
    done = purge(flow, known_of(flow), purging.KnownServer.unknown("new"))
    assert (done.rows, done.need.by) == (0, "new")


def test_another_installation_keeps_its_rows_back_until_it_is_removed(flow):
    flow.stage(("a", 1))
    flow.stage(("b", 1))
    flow.move()
    age(flow)
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        with source.database.transaction():
            first = source.log.lines(flow.spec, 0, 1)[0]
            source.installations.lower(flow.spec, THEM, first.place)
        done = purge(flow, known_of(flow))
        assert (done.rows, done.need.by, staged(flow)) == (1, "them", ["b"])
        with source.database.transaction():
            names = [one.installation.name for one in source.installations.of(flow.spec)]
            assert sorted(names) == ["them", "us"]
            assert source.installations.remove("them") == 1
    assert purge(flow, known_of(flow)).rows == 1


def test_an_installation_that_has_read_another_past_is_named(flow):
    flow.stage(("a", 1))
    flow.move()
    age(flow)
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.database.transaction():
        place = Place(1, "33333333-3333-4333-8333-333333333333")
        source.installations.lower(flow.spec, THEM, place)
    with pytest.raises(PurgeWaits):
        purge(flow, known_of(flow))
    assert staged(flow) == ["a"]


def test_a_server_that_begins_while_the_purge_asks_loses_nothing(flow, other):
    flow.stage(("a", 1))
    flow.move()
    age(flow)
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        with source.database.transaction(commit=False):
            registered = source.installations.own(flow.spec, US)
        servers = [known_of(flow)]
        other.prepare_alone()  # it has nothing
        with raises(PURGE_OVERTAKEN):
            purging.purge(flow.spec, source, servers, US, registered, 1, (), dry_run=False)
    other.move()
    assert accounts(other) == ["a"]


def test_a_server_that_begins_while_rows_are_removed_keeps_what_is_left(flow, other, monkeypatch):
    for name in "abc":
        flow.stage((name, 1))
    flow.move()
    age(flow)
    monkeypatch.setattr(purging, "ROWS_AT_ONCE", 1)
    remove = purging._remove

    def remove_and_begin(*arguments):
        done = remove(*arguments)
        monkeypatch.setattr(purging, "_remove", remove)
        begin_after.append(done)
        return done

    begin_after: list = []
    monkeypatch.setattr(purging, "_remove", remove_and_begin)
    lock = purging._registered_need

    def begin_between(kind, source, own, installation):
        if begin_after:
            source.database.roll_back()
            begin_after.clear()
            other.prepare_alone()
            source.log_writer.lock(kind)
            source.installations.lock()
        return lock(kind, source, own, installation)

    monkeypatch.setattr(purging, "_registered_need", begin_between)
    assert purge(flow, known_of(flow)).rows == 1
    other.move()
    assert accounts(other) == ["b", "c"]


def test_a_server_that_went_back_refuses_with_the_exact_list(flow, copies):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.bonus, "bonus")
    flow.stage(("b", 1), ("c", 1))
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    copies.restore(flow.bonus, "bonus")
    with raises(ROWS_PURGED) as refused:
        flow.move()
    assert [(name,) for name in refused.value.changesets] == lines(flow, "changeset::text")[1:]


def test_a_new_server_does_without_what_is_purged(flow, other):
    """new_server_needs_purged"""
    flow.stage(("a", 1))
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    flow.stage(("b", 1))
    other.answer = Answer.NOTHING
    other.move()
    assert accounts(other) == ["b"]


def test_a_large_changeset_is_removed_in_parts(flow, monkeypatch):
    monkeypatch.setattr(purging, "ROWS_AT_ONCE", 4)
    flow.stage(*((f"a{n}", 1) for n in range(10)))
    flow.stage(("b", 1), ("c", 1))
    flow.move()
    age(flow)
    done = purge(flow, known_of(flow))
    assert (done.rows, done.changesets, staged(flow)) == (12, 2, [])
    assert lines(flow, "rows - purged") == [(0,), (0,)]


def test_a_purge_that_dies_is_finished_by_the_next_one(flow, monkeypatch):
    monkeypatch.setattr(purging, "ROWS_AT_ONCE", 4)
    flow.stage(*((f"a{n}", 1) for n in range(10)))
    flow.move()
    age(flow)
    remove = purging._remove_part

    def die(kind, source, line):
        if line.left_over < 10:
            raise KeyboardInterrupt
        return remove(kind, source, line)

    monkeypatch.setattr(purging, "_remove_part", die)
    with pytest.raises(KeyboardInterrupt):
        purge(flow, known_of(flow))
    assert lines(flow, "purged") == [(4,)]
    monkeypatch.setattr(purging, "_remove_part", remove)
    assert purge(flow, known_of(flow)).rows == 6
    assert (staged(flow), lines(flow, "purged")) == ([], [(10,)])


def test_rows_that_nobody_has_received_are_never_removed(flow):
    """A changeset has more rows than its line says: somebody has filled some in."""
    flow.stage(("a", 1))
    flow.move()
    query(
        flow.shop_all,
        """
        set session_replication_role = replica;
        alter table "changeAccountBalanceTemp" disable trigger all;
        insert into "changeAccountBalanceTemp" (account, amount, xid, started)
        select 'forged', 1, xid, started from "changeAccountBalanceTemp";
        alter table "changeAccountBalanceTemp" enable always trigger zz_datatransfer_1_insert;
        alter table "changeAccountBalanceTemp" enable always trigger zz_datatransfer_1_update;
        alter table "changeAccountBalanceTemp" enable always trigger zz_datatransfer_2_update
        """,
    )
    age(flow)
    assert purge(flow, known_of(flow)).rows == 0
    assert staged(flow) == ["a", "forged"]


def test_rows_that_were_moved_before_us_are_removed(flow):
    flow.stage(("a", 1), ("b", 1))
    flow.move()
    query(flow.shop_all, "update datatransfer.log set gone = rows, gone_amount = amount")
    age(flow)
    assert purge(flow, known_of(flow)).rows == 2
    assert lines(flow, "gone, purged") == [(2, 0)]
    assert staged(flow) == []
