"""What the engine writes into the log: each event is a line with its fields, and no row's value."""

import logging

import pytest

from tests.databases import ROOT, query
from tests.engine.operations import load
from tests.flow import US, Flow, known_of
from transfer.engine import events
from transfer.engine.shop_all.purge import purge
from transfer.engine.shop_all.source import ShopAll
from transfer.engine.shop_all.undo import undo
from transfer.errors import ConnectionLost, ShopAllWentBack


@pytest.fixture
def told(caplog):
    """The events so far, each with its fields; asking empties the list."""
    caplog.set_level(logging.INFO, events.__name__)

    def so_far():
        lines = [
            (one.event, {name: vars(one)[name] for name in events.EVENTS[one.event]})
            for one in caplog.records
            if one.name == events.__name__
        ]
        caplog.clear()
        return lines

    return so_far


def names(lines):
    return [event for event, _fields in lines]


def test_a_transfer_tells_its_append_and_each_chunk_and_no_value(shop_all, bonus, told, caplog):
    flow = Flow("pincodes", shop_all, bonus)
    flow.move()
    told()
    flow.stage(("4100", "7391"), ("", "7392"))
    flow.move()
    assert "7391" not in caplog.text
    assert "7392" not in caplog.text
    lines = told()
    assert names(lines) == [
        events.APPEND_BEGINS,
        events.APPEND_ENDS,
        events.CHUNK_BEGINS,
        events.CHUNK_ENDS,
    ]
    fields = dict(lines)
    assert fields[events.APPEND_ENDS]["lines"] == 1
    ends = fields[events.CHUNK_ENDS]
    assert ends["database"] == "database:bonus server"
    assert (ends["to_line"], ends["applied"], ends["rejected"]) == (1, 1, 1)


def test_a_look_that_finds_nothing_tells_nothing(shop_all, bonus, told):
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("4100", 1))
    flow.move()
    told()
    flow.move()
    assert told() == []


def test_a_chunk_that_does_not_end_leaves_its_begin_and_the_lost_connection(shop_all, bonus, told):
    """The last line of a transfer that is stuck says where."""
    flow = Flow("balances", shop_all, bonus)
    flow.stage(("4100", 1))
    flow.prepare_alone()
    told()
    query(bonus, "create function cut() returns trigger language plpgsql as $$ begin "
                 "perform pg_terminate_backend(pg_backend_pid()); return new; end $$; "
                 "create trigger cut before insert on asset execute function cut()")  # fmt: skip
    with pytest.raises(ConnectionLost):
        flow.move_alone()
    lines = told()
    assert names(lines) == [events.CHUNK_BEGINS, events.CONNECTION_LOST, events.REFUSED]
    lost, refused = lines[1][1], lines[2][1]
    assert lost == {
        "database": "database:bonus server", "purpose": "tests", "code": "connection_lost",
    }  # fmt: skip
    assert refused["code"] == "connection_lost"


@pytest.mark.long
def test_a_restore_tells_why_it_waits_and_then_the_fork(site, told):
    site.stage("a")
    site.move()
    copy = site.copy(site.shop)
    site.stage("lost")
    site.move()
    site.restore(site.shop, copy)
    site.stage("later")
    told()
    with pytest.raises(ShopAllWentBack):
        site.flow.move_alone()
    refused = [fields for event, fields in told() if event == events.REFUSED]
    assert [one["code"] for one in refused] == ["shop_all_went_back"]
    site.confirm()
    told()
    site.flow.move_alone()
    (fork,) = [fields for event, fields in told() if event == events.FORK]
    assert (fork["from_line"], fork["to_line"]) == (2, 1)


def test_an_undo_and_a_purge_tell_their_begin_and_what_they_did(shop_all, bonus, told):
    flow = Flow("balances", shop_all, bonus)
    name = load(flow, ("4100", 5), ("4200", 6))
    flow.move()
    told()
    with ShopAll(shop_all, "tests", secret=False) as source:
        undo(source, flow.spec, name, "taken back", "tests")
    lines = told()
    assert names(lines)[0] == events.UNDO_BEGINS
    event, fields = lines[-1]
    assert (event, fields["load"], fields["rows"]) == (events.UNDO_ENDS, name, 2)
    flow.move()
    server = known_of(flow)
    told()
    with ShopAll(shop_all, "tests", secret=False) as source:
        with source.database.transaction(commit=False):
            registered = source.installations.own(flow.spec, US)
        purge(flow.spec, source, [server], US, registered, 0, (), dry_run=False)
    begins, ends = told()
    assert begins == (events.PURGE_BEGINS, {"kind": "balances"})
    assert (ends[0], ends[1]["rows"], ends[1]["changesets"]) == (events.PURGE_ENDS, 4, 2)


def test_the_papers_list_each_event_with_its_fields():
    watching = (ROOT / "docs" / "WATCHING.md").read_text("utf-8")
    for event, fields in events.EVENTS.items():
        row = f"| `{event}` | " + ", ".join(f"`{name}`" for name in fields) + " |"
        assert row in watching
