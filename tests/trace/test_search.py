"""From a few digits to the account, the card or the row that is meant."""

import pytest

from tests.databases import connected, query, run, stage
from tests.trace.moving import ACCOUNT, CARD
from transfer.trace import search as searching
from transfer.trace.search import MOST, Stop, search, search_inside

pytestmark = pytest.mark.usefixtures("in_english")


class TestSearch:
    @pytest.fixture(autouse=True)
    def rows(self, db, shop_all):
        stage(shop_all, "balances", [(f"41000000{number}", 1) for number in range(10, 40)])
        stage(shop_all, "cards", [(CARD, ACCOUNT, 1), ("77_1", "4100000012", 1)])

    def test_a_whole_number_is_what_is_meant(self):
        assert search(ACCOUNT).exact == ["account"]
        assert search(CARD).exact == ["card"]

    def test_a_beginning_and_an_end_find_each_number_once(self):
        assert search("410000001").accounts == [f"410000001{n}" for n in range(10)]
        assert search("0011").accounts == [ACCOUNT]
        assert search("0011").cards == [CARD]

    def test_signs_of_patterns_are_meant_as_they_are(self):
        assert search("77_").cards == ["77_1"]
        assert search("%11").accounts == []

    def test_a_number_in_the_staging_table_leads_to_whom_it_is_about(self):
        (row,) = [row for row in search("№ 2").rows if row[0].name == "cards"]
        assert row[1:] == (2, "card", "77_1")

    def test_too_short_and_not_there(self):
        assert search("ab").too_short
        assert not search("999999").accounts


class TestInside:
    def test_digits_are_found_anywhere_in_accounts_of_all_tables_and_in_cards(self, shop_all):
        stage(shop_all, "balances", [("41-555-01", 1), ("41-555-01", 2), ("41-556-02", 1)])
        stage(shop_all, "pincodes", [("42-555-03", "7351")])
        stage(shop_all, "cards", [("77-555-04", "43-555-05", 1), ("77-556-06", None, 1)])
        found = search_inside("-555-")
        assert found.accounts == ["41-555-01", "42-555-03", "43-555-05"]
        assert found.cards == ["77-555-04"]
        assert found.stopped is None

    def test_signs_of_patterns_are_meant_as_they_are(self, shop_all):
        stage(shop_all, "balances", [("4_1", 1), ("4%1", 1), ("4x1", 1), ("4\\1", 1)])
        for sign in "_%\\":
            assert search_inside(sign).accounts == [f"4{sign}1"]

    def test_of_many_the_first_are_told(self, shop_all):
        stage(shop_all, "balances", [(f"41-555-{n}", 1) for n in range(10, 50)])
        stage(shop_all, "cards", [("77-555-04", None, 1)])
        found = search_inside("-555-")
        assert found.accounts == [f"41-555-{n}" for n in range(10, 10 + MOST)]
        assert found.cards == ["77-555-04"]

    def test_with_statistics_it_goes_by_ranges_and_misses_nothing(self, many):
        assert len(bounds(many)) > 50
        every = {f"{n:05}" for n in range(20_000)}
        for text in ("0000", "9999", "1919", "00500"):
            expected = sorted(value for value in every if text in value)[:MOST]
            assert search_inside(text).accounts == expected
        for between in bounds(many)[::9]:
            assert search_inside(between).accounts == [between]

    def test_out_of_time_it_says_where_it_stopped(self, many, monkeypatch):
        monkeypatch.setattr(searching, "SECONDS", 0)
        assert search_inside("19999").stopped == Stop("account", "")

    def test_it_goes_on_from_there(self, many):
        middle = sorted(bounds(many))[50]
        assert search_inside("19999", Stop("account", middle)).accounts == ["19999"]
        assert search_inside("00001", Stop("account", middle)).accounts == []
        assert search_inside("19999", Stop("card", "")).accounts == []

    def test_a_range_that_takes_too_long_ends_the_search_and_nothing_else(self, many, monkeypatch):
        """Somebody else has the table, as an `alter table` would."""
        with connected(many) as busy:
            busy.autocommit = False
            run(busy, 'lock "changeAccountBalanceTemp"')
            monkeypatch.setattr(searching, "SECONDS", 0.2)
            found = search_inside("19999")
        assert found.stopped == Stop("account", "")

    def test_what_was_found_before_time_ran_out_is_told(self, many, monkeypatch):
        slow = "select null::text as account, pg_sleep(5)::text as card"
        query(many, 'drop table "changeCardAccountTemp"')
        query(many, f'create view "changeCardAccountTemp" as {slow}')
        monkeypatch.setattr(searching, "SECONDS", 1)
        found = search_inside("1999")
        assert "19990" in found.accounts
        assert found.stopped == Stop("card", "")


@pytest.fixture
def many(shop_all):
    """Enough rows for ranges, and for a scan of the whole table to be dearer than an index."""
    query(
        shop_all,
        """insert into "changeAccountBalanceTemp" (account, amount)
           select lpad(n::text, 5, '0'), 1 from generate_series(0, 19999) n""",
    )
    query(shop_all, 'vacuum analyze "changeAccountBalanceTemp"')
    return shop_all


def bounds(dsn):
    (bounds,) = query(
        dsn,
        "select histogram_bounds::text::text[] from pg_stats "
        "where tablename = 'changeAccountBalanceTemp' and attname = 'account'",
    )[0]
    return bounds


@pytest.mark.parametrize(
    "condition",
    [
        "account = '00011'",
        "account like '000%'",
        "reverse(account) like '1100%'",
        "id = 5",
        "account::text ~>~ '00100' and account::text ~<=~ '00900' and account::text like '%5%'",
    ],
)
def test_every_query_uses_an_index(many, condition):
    plan = str(
        query(many, f'explain select account from "changeAccountBalanceTemp" where {condition}')
    )
    assert "datatransfer_balances_" in plan, plan
