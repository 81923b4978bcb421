"""Bonus servers that are restored, also after purges: exact, or refused until somebody says."""

from collections import Counter

import pytest

from tests.databases import query
from tests.engine.keeping_small import end
from tests.engine.site import assert_refuses_for_good
from tests.flow import known_of
from transfer.causes.ledger import BEGINNING_UNDECIDED, HISTORY_TOO_OLD, ROWS_PURGED
from transfer.engine.skip import skip

pytestmark = pytest.mark.long


def do_without(site, names):
    with site.flow.open() as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        skip(site.flow.spec, source, target, origin, names)


def test_a_bonus_server_that_was_restored_gets_what_it_lost(site):
    site.stage("a", "b", "c")
    site.flow.move_one(chunk_rows=2)
    copy = site.copy(site.server)
    site.move()
    site.stage("d")
    site.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()


def test_a_bonus_server_restored_after_shop_all_was_gets_what_both_say(site):
    site.stage("a")
    site.move()
    of_server = site.copy(site.server)
    site.stage("b")
    site.move()
    of_shop = site.copy(site.shop)
    site.flow.stage(("lost", 1))
    site.move()
    site.restore(site.shop, of_shop)
    site.restore(site.server, of_server)
    site.stage("c")
    site.assert_each_row_once()


def test_a_position_that_vanished_with_our_schema_is_refused_until_somebody_says(site):
    site.stage("a")
    site.move()
    site.stage("b")
    site.move()
    site.flow.answer = None
    query(site.flow.bonus, "drop schema datatransfer cascade")
    refused = assert_refuses_for_good(site, BEGINNING_UNDECIDED)
    assert (refused.params["rows"], refused.params["held"]) == ("2", "2")


def test_a_server_restored_to_before_lines_whose_lifetime_has_ended_is_asked_about(site):
    for account in ("a", "b", "c"):
        site.stage(account)
        site.move()
        if account == "a":
            copy = site.copy(site.server)
    assert site.purge() == 3
    assert end(site.flow, known_of(site.flow)) > 0
    site.restore(site.server, copy)
    assert_refuses_for_good(site, HISTORY_TOO_OLD)


def test_a_bonus_server_from_before_a_purge_is_refused_until_somebody_gives_the_rows_up(site):
    site.stage("a")
    site.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.move()
    assert site.purge() == 3
    site.stage("d")
    site.restore(site.server, copy)
    refused = assert_refuses_for_good(site, ROWS_PURGED)
    assert refused.params["rows"] == "2"
    do_without(site, refused.changesets)
    site.move()
    assert site.held() == Counter(["a", "d"])
    site.stage("e")
    site.move()
    assert site.held() == Counter(["a", "d", "e"])


def test_rows_given_up_stay_so_after_a_restore_of_shop_all(site):
    site.stage("a")
    site.move()
    copy = site.copy(site.server)
    site.stage("b", "c")
    site.move()
    full = site.copy(site.shop)
    site.purge()
    site.restore(site.server, copy)
    do_without(site, assert_refuses_for_good(site, ROWS_PURGED).changesets)
    site.move()
    site.restore(site.shop, full)
    site.stage("d")
    site.move()
    assert site.held() == Counter(["a", "d"])


def test_a_bonus_server_that_had_what_was_purged_goes_on(site):
    site.stage("a")
    site.move()
    copy = site.copy(site.server)
    assert site.purge() == 1
    site.stage("b")
    site.move()
    site.restore(site.server, copy)
    site.assert_each_row_once()
