"""From a few digits to the account, the card or the row that is meant."""

import pytest

from tests.databases import connected, query, run, stage
from tests.trace.moving import ACCOUNT, CARD, move
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.source import ShopAll
from transfer.trace import complete as completing, search as searching
from transfer.trace.complete import COLUMNS, MOST, complete
from transfer.trace.search import Stop, search, search_inside
from transfer.trace.subject import staged_rows

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


class TestCompletion:
    """Of what was staged long ago the bonus servers know the numbers, or the rejects do."""

    @pytest.fixture(autouse=True)
    def nothing_is_new(self, db, monkeypatch):
        monkeypatch.setattr(completing, "LATEST", 0)

    def test_a_bonus_server_knows_what_it_has_received(self, server, shop_all):
        stage(shop_all, "balances", [("410-55-1", 1)])
        stage(shop_all, "pincodes", [("420-55-2", "7351")])
        stage(shop_all, "cards", [("770-55-3", "430-55-4", 1)])
        assert search("410").accounts == []
        for kind in KINDS:
            move(server, kind)
        assert [search(text).accounts for text in ("410", "420", "430")] == [
            ["410-55-1"],
            ["420-55-2"],
            ["430-55-4"],
        ]
        assert search("55-3").cards == search("770-").cards == ["770-55-3"]

    def test_a_row_that_was_rejected_is_known_by_its_reject(self, server, shop_all):
        stage(shop_all, "balances", [("410-55-1", 0)])
        move(server)
        assert search("410").accounts == search("55-1").accounts == ["410-55-1"]

    def test_what_is_known_and_not_staged_is_not_offered(self, server, shop_all):
        stage(shop_all, "balances", [("410-55-1", 1), ("410-55-2", 1)])
        move(server)
        query(shop_all, "delete from \"changeAccountBalanceTemp\" where account = '410-55-2'")
        assert complete("410").known["account"] == {"410-55-1", "410-55-2"}
        assert search("410").accounts == ["410-55-1"]

    def test_a_server_that_does_not_answer_is_named_and_hides_nothing(
        self, server, dock, bonus, shop_all
    ):
        stage(shop_all, "balances", [("410-55-1", 1)])
        move(server)
        dock(bonus.replace("dbname=", "dbname=no_"), "Server 9")
        matches = search("410")
        assert matches.accounts == ["410-55-1"]
        assert matches.silent == ["Server 9"]

    def test_what_takes_too_long_there_is_named_too(self, server, bonus, shop_all, monkeypatch):
        stage(shop_all, "balances", [("410-55-1", 1)])
        move(server)
        monkeypatch.setattr(completing, "SECONDS", 0.5)
        with connected(bonus) as busy:
            busy.autocommit = False
            run(busy, "lock asset")
            assert search("410").silent == [server.name]


class TestInside:
    def test_digits_are_found_anywhere_in_accounts_of_all_tables_and_in_cards(self, shop_all):
        stage(shop_all, "balances", [("41-555-01", 1), ("41-555-01", 2), ("41-556-02", 1)])
        stage(shop_all, "pincodes", [("42-555-03", "7351")])
        stage(shop_all, "cards", [("77-555-04", "43-555-05", 1), ("77-556-06", None, 1)])
        matches = search_inside("-555-")
        assert matches.accounts == ["41-555-01", "42-555-03", "43-555-05"]
        assert matches.cards == ["77-555-04"]
        assert matches.stopped is None

    def test_signs_of_patterns_are_meant_as_they_are(self, shop_all):
        stage(shop_all, "balances", [("4_1", 1), ("4%1", 1), ("4x1", 1), ("4\\1", 1)])
        for sign in "_%\\":
            assert search_inside(sign).accounts == [f"4{sign}1"]

    def test_of_many_some_are_told(self, shop_all):
        stage(shop_all, "balances", [(f"41-555-{n}", 1) for n in range(10, 50)])
        stage(shop_all, "cards", [("77-555-04", None, 1)])
        matches = search_inside("-555-")
        assert matches.accounts == [f"41-555-{n}" for n in range(10, 10 + MOST)]
        assert matches.cards == ["77-555-04"]

    def test_it_goes_by_pages_from_the_last_and_misses_nothing(self, many):
        every = {f"{n:05}" for n in range(20_000)}
        for text in ("19191", "0050", "4999"):
            assert search_inside(text).accounts == sorted(one for one in every if text in one)
        assert search_inside("1999").accounts[0] == "01999"
        for first_and_last in ("00000", "19999"):
            assert search_inside(first_and_last).accounts == [first_and_last]

    def test_out_of_time_it_says_where_it_stopped(self, many, monkeypatch):
        monkeypatch.setattr(searching, "SECONDS", 0)
        begun = search_inside("19999").stopped
        assert (begun.kind, begun.share) == ("cards", 0)
        assert search_inside("19999", Stop("balances", 5)).stopped == Stop("balances", 5)

    def test_it_goes_on_from_there(self, many):
        assert search_inside("00001", Stop("balances", 20)).accounts == ["00001"]
        assert search_inside("19999", Stop("balances", 20)).accounts == []

    def test_a_table_that_somebody_else_has_ends_the_search_and_nothing_else(
        self, many, monkeypatch
    ):
        """As an `alter table` would."""
        monkeypatch.setattr(searching, "SECONDS", 0.2)
        with connected(many) as busy:
            busy.autocommit = False
            run(busy, 'lock "changeAccountBalanceTemp"')
            matches = search_inside("19999", Stop("balances", 500))
        assert matches.stopped == Stop("balances", 500)
        monkeypatch.setattr(searching, "SECONDS", 5)
        assert search_inside("19999", matches.stopped).accounts == ["19999"]


@pytest.fixture
def many(shop_all, monkeypatch):
    """Enough rows for ranges, and for a scan of the whole table to be dearer than an index."""
    monkeypatch.setattr(searching, "PAGES", 10)
    query(
        shop_all,
        """insert into "changeAccountBalanceTemp" (account, amount)
           select lpad(n::text, 5, '0'), 1 from generate_series(0, 19999) n""",
    )
    query(shop_all, 'vacuum analyze "changeAccountBalanceTemp"')
    return shop_all


def test_a_whole_number_is_looked_up_by_the_summaries(many):
    with ShopAll(many, "tests") as source, source.snapshot():
        source.reader.read_by_value()
        plans = [
            str(
                source.database.rows(
                    f'explain select from public."changeAccountBalanceTemp" where {condition}'
                )
            )
            for condition in ("account = '00011'", "id = 5")
        ]
    assert "datatransfer_balances_account_brin" in plans[0], plans
    assert "Seq Scan" not in plans[1], plans


def test_so_are_the_changes_of_an_account_however_many_are_looked_through(many, monkeypatch):
    """Without the tables' order: walking it from the end, the planner would read all of them."""
    plans = []
    with ShopAll(many, "tests") as source, source.snapshot():
        source.reader.read_by_value()
        rows = source.database.rows

        def explain(statement, parameters=None):
            plans.append(rows("explain " + statement.as_string(source.database.connection)))
            return []

        monkeypatch.setattr(source.database, "rows", explain)
        for column in COLUMNS:
            staged_rows(source, "00011", column, [], 1)
    assert "datatransfer_balances_account_brin" in str(plans[0])
    assert "Seq Scan" not in str(plans)
    assert "Index Scan using" not in str(plans)
