"""From a number or its beginning to the account, the card or the row that is meant."""

import pytest
from psycopg2.extensions import parse_dsn

from tests.databases import connected, query, run, stage
from tests.pages.look import words
from tests.records import user
from tests.trace.moving import ACCOUNT, CARD, move
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.source import ShopAll
from transfer.trace import complete as completing
from transfer.trace.complete import COLUMNS, MOST
from transfer.trace.search import search
from transfer.trace.subject import staged_rows

pytestmark = pytest.mark.usefixtures("in_english")


class TestStaged:
    @pytest.fixture(autouse=True)
    def rows(self, db, shop_all):
        stage(shop_all, "balances", [(ACCOUNT, 1)])
        stage(shop_all, "cards", [(CARD, ACCOUNT, 1), ("77_1", "4100000012", 1)])

    def test_a_whole_number_is_what_is_meant(self):
        assert search(ACCOUNT).exact == ["account"]
        assert search(CARD).exact == ["card"]

    def test_a_number_in_the_staging_table_leads_to_whom_it_is_about(self):
        (row,) = [row for row in search("№ 2").rows if row[0].name == "cards"]
        assert row[1:] == (2, "card", "77_1")

    def test_too_short_and_not_there(self):
        assert search("ab").too_short
        assert not search("999999").accounts


class TestBeginnings:
    """They are looked up on the bonus servers."""

    def test_a_beginning_finds_each_number_once_of_any_kind(self, server, shop_all):
        stage(shop_all, "balances", [("41010", 1), ("41001", 1), ("42010", 1)])
        stage(shop_all, "pincodes", [("41010", "7351"), ("41019", "7351")])
        stage(shop_all, "cards", [("77055", "43055", 1)])
        assert search("410").accounts == []
        for kind in KINDS:
            move(server, kind)
        assert search("410").accounts == ["41001", "41010", "41019"]
        assert search("770").cards == ["77055"]

    def test_of_many_the_first_are_told(self, server, shop_all):
        stage(shop_all, "balances", [(f"41-555-{n}", 1) for n in range(10, 50)])
        move(server)
        assert search("41-").accounts == [f"41-555-{n}" for n in range(10, 10 + MOST)]

    def test_signs_of_patterns_are_meant_as_they_are(self, server, shop_all):
        stage(shop_all, "balances", [("400_1", 1), ("400%1", 1), ("400x1", 1), ("400\\1", 1)])
        move(server)
        for sign in "_%\\":
            assert search(f"400{sign}").accounts == [f"400{sign}1"]

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


class TestUnreadable:
    """A table of one kind that cannot be read costs the numbers of this kind only."""

    @pytest.fixture(autouse=True)
    def moved(self, server, shop_all):
        stage(shop_all, "pincodes", [("41001", "7351")])
        stage(shop_all, "balances", [("41002", 1)])
        stage(shop_all, "cards", [("41003", "43055", 1)])
        for kind in KINDS:
            move(server, kind)

    @pytest.mark.parametrize(
        ("harm", "accounts"),
        [
            ("drop table pincode", ["41002"]),
            ("alter table asset rename account to number", ["41001"]),
            ('drop table "cardAccounting"', ["41001", "41002"]),
        ],
    )
    def test_a_table_that_is_missing_or_another(self, server, bonus, harm, accounts):
        query(bonus, harm)
        matches = search("410")
        assert matches.accounts == accounts
        assert matches.cards == ([] if "card" in harm else ["41003"])
        assert (matches.silent, matches.unread) == ([], [server.name])

    def test_a_table_that_we_may_not_read(self, server, bonus, limited):
        role = parse_dsn(limited)["user"]
        query(bonus, f"revoke select on asset from {role}")
        server.db_user, server.db_password = role, "limited"
        server.save()
        matches = search("410")
        assert (matches.accounts, matches.cards) == (["41001"], ["41003"])
        assert matches.unread == [server.name]

    def test_no_other_column_than_the_key_need_be_readable(self, server, bonus, limited):
        role = parse_dsn(limited)["user"]
        query(
            bonus,
            f"revoke select on pincode from {role}; grant select (account) on pincode to {role}",
        )
        server.db_user, server.db_password = role, "limited"
        server.save()
        matches = search("410")
        assert (matches.accounts, matches.unread) == (["41001", "41002"], [])

    def test_of_a_locked_table_the_server_is_silent_and_what_was_read_before_counts(
        self, server, bonus, monkeypatch
    ):
        monkeypatch.setattr(completing, "SECONDS", 0.5)
        with connected(bonus) as busy:
            busy.autocommit = False
            run(busy, "lock asset")
            matches = search("410")
        assert (matches.accounts, matches.silent) == (["41001"], [server.name])

    def test_the_page_says_that_numbers_may_be_missing(self, client, settings, server, bonus):
        settings.LANGUAGE_CODE = "en"
        query(bonus, "drop table pincode")
        client.force_login(user("viewer"))
        page = words(client.get("/trace/", {"q": "410"}))
        assert f"not all tables could be read on {server.name}." in page
        assert "No answer in time" not in page


@pytest.fixture
def many(shop_all):
    """Enough rows for a scan of the whole table to be dearer than an index."""
    query(
        shop_all,
        """insert into "changeAccountBalanceTemp" (account, amount)
           select lpad(n::text, 5, '0'), 1 from generate_series(0, 19999) n""",
    )
    query(shop_all, 'vacuum analyze "changeAccountBalanceTemp"')
    return shop_all


def test_a_whole_number_is_looked_up_by_the_summaries(many):
    with ShopAll(many, "tests", secret=False) as source, source.snapshot():
        source.rows.by_value()
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
    with ShopAll(many, "tests", secret=False) as source, source.snapshot():
        source.rows.by_value()
        rows = source.database.rows

        def explain(statement, parameters=None):
            plans.append(rows("explain " + statement.as_string(source.database.connection)))
            return []

        monkeypatch.setattr(source.database, "rows", explain)
        for column in COLUMNS:
            staged_rows(source, "00011", column, 1)
    assert "datatransfer_balances_account_brin" in str(plans[0])
    assert "Seq Scan" not in str(plans)
    assert "Index Scan using" not in str(plans)
