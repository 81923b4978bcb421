"""The question after a restore of shop All: what is lost, and whom the answer counts for."""

import pytest

from tests.databases import query
from tests.engine.keeping_small import accounts, move_from
from tests.engine.operations import load, undo
from tests.flow import INSTALLATION, Flow
from transfer.engine.kinds import KINDS
from transfer.engine.knowledge import Knowledge
from transfer.engine.question import (
    LostOfKind,
    confirm,
    lost_changesets,
    lost_places,
    lost_undos,
    stage_undos_again,
)
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import undo_again
from transfer.errors import ShopAllWentBack

THEM = "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def flow(shop_all, bonus):
    return Flow("balances", shop_all, bonus)


def origin_of(flow):
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        return source.identity.origin()


def seen_by(flow):
    """What our own history has seen of this shop All."""
    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        source.log_writer.append(flow.spec)
        with source.snapshot():
            return {
                (source.identity.origin(), kind.name): source.log.end(kind)
                for kind in KINDS.values()
            }


def answer(flow, *taken_back, by=INSTALLATION):
    with ShopAll(flow.shop_all, "tests", secret=False) as source:

        def again(kind, loads):
            undo_again(source, kind, loads, "undone", "tests")

        places = confirm(source, [*KINDS.values()], by, {flow.kind: taken_back}, again)
        with source.snapshot():
            origin = source.identity.origin()
        return {(origin, kind): place for kind, place in places.items()}


def lost(flow):
    """What the bonus server has and the log lacks: rows, sum."""
    origin = origin_of(flow)
    with flow.open() as (source, target), source.snapshot(), target.database.transaction():
        found = [*lost_changesets(flow.spec, source, target, origin)]
    return sorted(((one.rows, one.amount) for one in found), key=str)


def go_back(flow, copies):
    """Shop All loses two changesets that the server has received, one in part."""
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 2), ("c", 4))
    flow.stage(("d", 8), ("e", 8), ("f", 8))
    chunks = move_from(flow, chunk_rows=2)
    next(chunks), next(chunks)
    chunks.close()
    copies.restore(flow.shop_all, "shop")


def test_what_a_server_has_and_the_log_lacks_is_listed(flow, copies):
    go_back(flow, copies)
    flow.stage(("x", 1))
    assert lost(flow) == [(2, 16), (2, 6)]  # one of them was received in part
    answer(flow)
    flow.move()
    flow.stage(("y", 1))
    flow.move()
    assert lost(flow) == [(2, 16), (2, 6)]


def test_what_a_server_passed_as_withdrawn_is_not_lost(flow, copies):
    flow.stage(("a", 1))
    flow.move()
    assert lost(flow) == []  # the log is the same
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 1))
    seen_by(flow)
    query(flow.shop_all, "update datatransfer.log set withdrawn = true where number = 2")
    flow.move()
    copies.restore(flow.shop_all, "shop")
    flow.stage(("c", 1))
    assert lost(flow) == []


def test_two_servers_are_added_up_by_changeset(flow, other, copies):
    flow.stage(("a", 1))
    flow.move(), other.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 2))
    flow.move(), other.move()
    flow.stage(("c", 4))
    flow.move()
    copies.restore(flow.shop_all, "shop")
    origin, total, known = origin_of(flow), LostOfKind(), set()
    for one in (flow, other):
        with one.open() as (source, target), source.snapshot(), target.database.transaction():
            total.add(lost_changesets(one.spec, source, target, origin), known)
    assert (total.changesets, total.rows, total.amount) == (2, 2, 6)
    assert total.first <= total.last
    assert [*total.servers.values()] == [3]
    assert sorted(len(servers) for _, servers in total.listed.values()) == [1, 2]
    assert total.is_something


def test_our_own_history_says_how_far_it_has_seen(flow, copies):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 1))
    seen = seen_by(flow)
    copies.restore(flow.shop_all, "shop")
    origin = origin_of(flow)
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        found = lost_places(KINDS.values(), source, origin, seen)
    assert {kind: (one.seen.number, one.end.number) for kind, one in found.items()} == {
        "balances": (2, 1)
    }


def test_nothing_is_moved_before_the_answer(flow, copies):
    """question_by_servers_only, asked_after_moving: no server has what was lost."""
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 1))
    flow.knowledge = Knowledge(INSTALLATION, seen_by(flow), {})
    copies.restore(flow.shop_all, "shop")
    flow.stage(("test", 1))
    for _ in range(2):
        with pytest.raises(ShopAllWentBack):
            flow.move()
        assert accounts(flow) == ["a"]
    flow.knowledge = Knowledge(INSTALLATION, answer(flow), {})
    flow.move()
    assert accounts(flow) == ["a", "test"]


def test_the_answer_of_another_installation_does_not_count(flow, copies):
    """answer_counts_for_all"""
    go_back(flow, copies)
    flow.stage(("x", 1))
    answer(flow, by=THEM)
    with pytest.raises(ShopAllWentBack) as asked:
        flow.move()
    assert len(asked.value.changesets) == 2
    assert "x" not in accounts(flow)
    answer(flow)
    flow.move()
    assert "x" in accounts(flow)


def test_the_answer_counts_for_forks_below_it_and_not_for_later_restores(flow, copies):
    go_back(flow, copies)
    answer(flow)
    flow.stage(("x", 1))
    flow.move()
    copies.make(flow.shop_all, "later")
    flow.stage(("y", 1))
    flow.move()
    copies.restore(flow.shop_all, "later")
    flow.stage(("z", 1))
    with pytest.raises(ShopAllWentBack) as asked:
        flow.move()
    assert len(asked.value.changesets) == 1


def test_the_answer_is_a_line_in_each_log_or_in_none(flow, monkeypatch):
    from transfer.engine.shop_all.log_writer import LogWriter

    kinds = []
    add = LogWriter.confirm

    def die(self, kind, installation):
        kinds.append(kind.name)
        if len(kinds) == 3:
            raise KeyboardInterrupt
        return add(self, kind, installation)

    monkeypatch.setattr(LogWriter, "confirm", die)
    with pytest.raises(KeyboardInterrupt):
        answer(flow)
    assert query(flow.shop_all, "select count(*) from datatransfer.log") == [(0,)]
    monkeypatch.setattr(LogWriter, "confirm", add)
    places = answer(flow)
    assert [place.number for place in places.values()] == [1] * len(KINDS)


def lose_an_undo(flow, copies):
    """Shop All loses the undo of a load that the server has received."""
    name = load(flow, ("a", 1), ("b", 2))
    flow.move()
    copies.make(flow.shop_all, "shop")
    taken_back = undo(flow, name)
    believed = {name, taken_back.changeset}
    copies.restore(flow.shop_all, "shop")
    return name, taken_back.changeset, believed


def amount(flow):
    return query(flow.bonus, "select sum(amount) from asset")[0][0]


def test_lost_undos_are_staged_again_with_the_answer(flow, copies):
    name, taken_back, believed = lose_an_undo(flow, copies)
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        assert {*believed} - source.loads.named(believed).keys() == {taken_back}
        assert lost_undos(source, [name]) == [name]
    flow.move()
    assert amount(flow) == 3
    answer(flow, name)
    flow.move()
    assert amount(flow) == 0
    answer(flow, name)
    flow.move()
    assert amount(flow) == 0
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        assert source.loads.named(believed).keys() == {*believed}


def test_an_answer_that_dies_before_the_undos_is_repaired_by_the_next_run(flow, copies):
    name, _, _ = lose_an_undo(flow, copies)

    def die(kind, loads):
        raise KeyboardInterrupt

    with ShopAll(flow.shop_all, "tests", secret=False) as source:
        kinds, taken_back = [*KINDS.values()], {"balances": [name]}
        with pytest.raises(KeyboardInterrupt):
            confirm(source, kinds, INSTALLATION, taken_back, die)
        with source.snapshot():
            assert source.log.confirmed(flow.spec, INSTALLATION) == 2

        def again(kind, loads):
            undo_again(source, kind, loads, "undone", "tests")

        assert stage_undos_again(source, kinds, taken_back, again) == {"balances": [name]}
        assert stage_undos_again(source, kinds, taken_back, again) == {}
    flow.move()
    assert amount(flow) == 0


def test_a_load_that_is_lost_with_its_undo_is_not_taken_back_again(flow, copies):
    copies.make(flow.shop_all, "shop")
    name = load(flow, ("a", 1))
    flow.move()
    undo(flow, name)
    flow.move()
    copies.restore(flow.shop_all, "shop")
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        assert source.loads.named([name]) == {}
        assert lost_undos(source, [name]) == []
