"""Servers without a position: somebody says what they have, and nothing is lost or doubled."""

from decimal import Decimal
from uuid import uuid4

import pytest
from psycopg2.extensions import parse_dsn

from tests.causes import raises
from tests.databases import close_kept, query
from tests.engine.keeping_small import accounts, age, move_from, purge
from tests.engine.operations import confirm, load, undo
from tests.flow import INSTALLATION, US, Flow, known_of
from transfer.causes.ledger import COPY_OF, SERVER_HAS_MOVED
from transfer.engine.begin import Answer, begin, begin_as, take_own_name
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.knowledge import Knowledge
from transfer.engine.received import Totals
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import AlreadyRunning, PositionKnown

NAME = "44444444-4444-4444-8444-444444444444"


@pytest.fixture
def flow(shop_all, bonus):
    return Flow("balances", shop_all, bonus)


def copy_vendors_table(flow, other):
    """The vendor copies his table, and nothing of ours."""
    for values in query(flow.bonus, "select account, amount from asset order by id"):
        query(other.bonus, "insert into asset (account, amount) values (%s, %s)", values)


def copy_database(postgres, flow, other):
    """The other bonus server's database becomes a copy of this one's."""
    close_kept(flow.bonus, other.bonus)
    copy, original = (parse_dsn(one.bonus)["dbname"] for one in (other, flow))
    postgres.create(copy, template=original)


def begin_like(flow, other, version):
    with (
        ShopAll(flow.shop_all, "tests", secret=False) as source,
        BonusDatabase(flow.bonus, "the first", "tests", secret=False) as original,
        BonusDatabase(other.bonus, "the second", "tests", secret=False) as target,
    ):
        begun = begin_as(flow.spec, source, original, target, "tests", NAME, version)
        target.database.commit()
        return begun


def registered(flow):
    with ShopAll(flow.shop_all, "tests", secret=False) as source, source.snapshot():
        return [
            (one.installation.name, one.needs_from) for one in source.installations.of(flow.spec)
        ]


def test_a_server_that_has_nothing_gets_all_and_keeps_purges_back(flow):
    flow.stage(("a", 1))
    flow.prepare_alone()
    assert registered(flow) == [("us", 1)]
    flow.move()
    assert accounts(flow) == ["a"]


def test_a_server_that_has_everything_gets_what_comes_then(flow):
    flow.stage(("a", 1))
    flow.answer = Answer.EVERYTHING
    flow.prepare_alone()
    assert registered(flow) == [("us", 2)]
    flow.stage(("b", 1))
    flow.move()
    assert accounts(flow) == ["b"]
    assert flow.position().totals.read == 2
    assert flow.position().received == Totals(applied=1, amount_applied=Decimal(1))


def test_a_position_is_never_begun_twice(flow):
    flow.stage(("a", 1))
    flow.move()
    with flow.open() as (source, target):
        with pytest.raises(PositionKnown):
            begin(flow.spec, source, target, Answer.NOTHING, "tests", NAME, US, None)
        target.database.roll_back()
    with pytest.raises(PositionKnown):
        begin_like(flow, flow, flow.position().version)
    assert flow.move() == []


def test_a_server_begins_as_another_one_whose_tables_it_has_and_undos_hold_there_too(flow, other):
    name = load(flow, ("a", 1), ("", 2), ("b", 4))
    flow.move(chunk_rows=2)
    copy_vendors_table(flow, other)
    begun = begin_like(flow, other, flow.position().version)
    assert (begun.server, begun.beginning.how) == (NAME, "as")
    flow.stage(("c", 8))
    for server in (flow, other):
        server.move()
        assert accounts(server) == ["a", "b", "c"]
    assert other.rejects() == flow.rejects()
    assert other.position().totals == flow.position().totals
    assert other.position().received == Totals(applied=1, amount_applied=Decimal(8))
    undo(flow, name)
    for server in (flow, other):
        server.move()
        assert query(server.bonus, "select sum(amount) from asset") == [(8,)]


def test_what_it_has_read_in_part_is_read_to_its_end_by_both(flow, other):
    flow.stage(*((f"a{number}", 1) for number in range(5)))
    next(move_from(flow, chunk_rows=2))
    copy_vendors_table(flow, other)
    begin_like(flow, other, flow.position().version)
    for server in (flow, other):
        server.move(chunk_rows=2)
        assert accounts(server) == [f"a{number}" for number in range(5)]


def test_a_server_that_has_moved_since_its_tables_were_copied_is_refused(flow, other):
    """as_server_that_moved: the rows that it has moved since would be lost."""
    flow.stage(("a", 1))
    flow.move()
    version = flow.position().version
    copy_vendors_table(flow, other)
    flow.stage(("b", 1))
    flow.move()
    with raises(SERVER_HAS_MOVED):
        begin_like(flow, other, version)
    assert other.position() is None


def test_a_version_is_not_given_out_twice_by_a_restore(flow, other, copies):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.bonus, "bonus")
    flow.stage(("b", 1))
    flow.move()
    version = flow.position().version
    copy_vendors_table(flow, other)
    copies.restore(flow.bonus, "bonus")
    flow.move()
    assert accounts(flow) == accounts(other)
    with raises(SERVER_HAS_MOVED):
        begin_like(flow, other, version)


def test_a_server_without_a_position_or_on_the_move_is_refused(flow, other):
    flow.stage(("a", 1))
    with raises(SERVER_HAS_MOVED):
        begin_like(flow, other, NAME)
    flow.move()
    version = flow.position().version
    with flow.open() as (source, target):
        origin = source.identity.origin()
        with target.database.transaction(commit=False):
            target.positions.lock(origin, flow.spec)
            with pytest.raises(AlreadyRunning):
                begin_like(flow, other, version)
    begin_like(flow, other, version)


def test_a_server_that_began_as_another_one_goes_back_with_it(flow, other, copies):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("lost", 1))
    flow.move()
    copy_vendors_table(flow, other)
    begin_like(flow, other, flow.position().version)
    copies.restore(flow.shop_all, "shop")
    flow.stage(("new", 1))
    confirm(flow)
    for server in (flow, other):
        server.move()
        assert accounts(server) == ["a", "lost", "new"]


def test_a_copied_database_moves_nothing_until_it_has_a_name_of_its_own(
    flow, other, copies, postgres
):
    """Its position names another server; both would count as one for a purge."""
    flow.stage(("a", 1))
    flow.move()
    server = flow.position().server
    copy_database(postgres, flow, other)
    flow.stage(("b", 1))
    other.knowledge = Knowledge(INSTALLATION, {}, {server: "the first"})
    with raises(COPY_OF) as copy:
        other.move()
    assert copy.value.params["other"] == "the first"
    assert accounts(other) == ["a"]
    with other.open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        name = str(uuid4())
        take_own_name(origin, target, name)
    assert (other.position().server, flow.position().server) == (name, server)
    for one in (other, flow):
        one.move()
        assert accounts(one) == ["a", "b"]


def test_a_copied_database_gets_a_name_for_all_kinds(shop_all, bonus):
    flows = [Flow(kind, shop_all, bonus) for kind in ("balances", "cards")]
    for flow in flows:
        flow.prepare_alone()
    with flows[0].open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        name = str(uuid4())
        take_own_name(origin, target, name)
    assert [flow.position().server for flow in flows] == [name, name]


def test_two_databases_with_one_history_go_their_own_ways_after_a_restore(
    flow, other, copies, postgres
):
    flow.stage(("a", 1))
    flow.move()
    copies.make(flow.shop_all, "shop")
    flow.stage(("b", 1))
    flow.move()
    copy_database(postgres, flow, other)
    flow.stage(("c", 1))
    flow.move()
    copies.restore(flow.shop_all, "shop")
    flow.stage(("d", 1))
    confirm(flow)
    flow.move(), other.move()
    assert (accounts(flow), accounts(other)) == (["a", "b", "c", "d"], ["a", "b", "d"])


def test_a_server_that_begins_as_another_one_does_without_what_that_one_skips(flow, other):
    flow.stage(("a", 1))
    flow.answer = Answer.EVERYTHING
    flow.move()
    age(flow)
    purge(flow, known_of(flow))
    begin_like(flow, other, flow.position().version)
    flow.stage(("b", 1))
    flow.move(), other.move()
    assert accounts(flow) == accounts(other) == ["b"]
