"""What a bonus server holds of an account, as far as our role may read it, and what is to come."""

import pytest
from psycopg2.extensions import parse_dsn

from tests.databases import query, stage
from tests.pages.look import words
from tests.records import user
from tests.trace.moving import ACCOUNT, CARD, move, states
from transfer.causes.tables import RIGHTS_MISSING, TARGET_TABLE_MISSING, WRONG_COLUMNS
from transfer.pages.shown.held import holding
from transfer.text.explain import explain
from transfer.trace.subject import trace

pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def role(server, limited):
    """The role of the limited account, which reads our tables there, and the vendor's."""
    role = parse_dsn(limited)["user"]
    query(
        server.dsn,
        f"grant usage on schema datatransfer to {role}; "
        f"grant select on all tables in schema datatransfer to {role}",
    )
    return role


@pytest.fixture
def seen(server, shop_all, role, limited):
    """Moves an account with a balance, a PIN code and a card; from now on the role is limited."""
    stage(shop_all, "balances", [(ACCOUNT, 250)])
    stage(shop_all, "pincodes", [(ACCOUNT, "73519")])
    stage(shop_all, "cards", [(CARD, ACCOUNT, 1)])
    for kind in ("balances", "pincodes", "cards"):
        move(server, kind)
    server.db_user, server.db_password = role, parse_dsn(limited)["password"]
    server.save()
    return server


def answer_of(server):
    (answer,) = trace(ACCOUNT, "account").answers
    assert answer.error is None
    return answer


def test_without_the_right_to_read_balances_the_rest_is_known_and_the_grant_is_shown(
    bonus, seen, role
):
    query(bonus, f"revoke select on asset from {role}")
    answer = answer_of(seen)
    error = answer.holding.unread["balances"]
    assert error.cause is RIGHTS_MISSING
    assert f'grant select on "public"."asset" to "{role}";' in explain(error).hint
    assert answer.holding.has_pin
    assert [card[:3] for card in answer.holding.cards] == [(CARD, ACCOUNT, 1)]
    assert states(trace(ACCOUNT, "account")) == [["moved"]] * 3, (
        "its positions are not the vendor's"
    )
    labels = [label for label, _value in holding(answer, "account").facts]
    assert "Balance now" not in labels


def test_each_table_that_may_not_be_read_is_named(bonus, seen, role):
    query(bonus, f'revoke select on asset, pincode, "cardAccounting" from {role}')
    unread = answer_of(seen).holding.unread
    assert list(unread) == ["cards", "pincodes", "balances"]
    assert all("grant select on" in explain(error).hint for error in unread.values())


def test_the_column_of_pin_codes_need_not_be_readable(bonus, seen, role):
    query(
        bonus,
        f"revoke select on pincode from {role}; "
        f"grant select (account, changed_at) on pincode to {role}",
    )
    held = answer_of(seen).holding
    assert (held.has_pin, held.unread) == (True, {})
    assert held.pin_set_at is not None


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        ("alter table asset rename to assets", TARGET_TABLE_MISSING),
        ("alter table asset rename validto to until", WRONG_COLUMNS),
    ],
)
def test_a_table_or_column_that_is_missing_is_said_and_the_rest_is_known(bonus, seen, harm, cause):
    query(bonus, harm)
    held = answer_of(seen).holding
    assert held.unread["balances"].cause is cause
    assert held.has_pin


def test_what_is_on_its_way_to_a_server_is_summed_up(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 100)])
    move(server)
    stage(shop_all, "balances", [(ACCOUNT, 250), (ACCOUNT, "-50.5")])
    stage(shop_all, "pincodes", [(ACCOUNT, "73519")])
    stage(shop_all, "cards", [(CARD, ACCOUNT, 1)])
    result = trace(ACCOUNT, "account")
    (coming,) = result.coming
    assert (coming.changes, coming.amount) == (
        {"balances": 2, "pincodes": 1, "cards": 1},
        199.5,
    )
    facts = dict(holding(result.answers[0], "account", coming).facts)
    assert (
        facts["On its way"] == "1 PIN code; 2 changes of the balance, +199.50; 1 change of a card"
    )


def test_of_a_server_with_everything_nothing_is_on_its_way(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 100)])
    move(server)
    result = trace(ACCOUNT, "account")
    facts = dict(holding(result.answers[0], "account", result.coming[0]).facts)
    assert facts["On its way"] == "nothing"


def test_of_a_server_that_does_not_answer_nothing_is_said_of_what_is_on_its_way(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 100)])
    server.db_port = 9
    server.save()
    assert trace(ACCOUNT, "account").coming == [None]


@pytest.mark.parametrize("type_", ["date", "timestamp"])
def test_a_vendors_times_may_be_dates_or_have_no_zone(client, bonus, seen, type_):
    for table, column in (
        ("asset", "created_at"),
        ("pincode", "changed_at"),
        ('"cardAccounting"', "changed_at"),
    ):
        query(bonus, f"alter table {table} alter {column} type {type_}")
    held = answer_of(seen).holding
    assert None not in (held.pin_set_at.tzinfo, held.cards[0][3].tzinfo, held.last_assets[0][4])
    client.force_login(user("viewer"))
    page = client.get("/trace/", {"q": ACCOUNT, "in": "account"})
    assert page.status_code == 200


def test_the_page_shows_the_grant_and_the_rest(client, settings, bonus, seen, role):
    settings.LANGUAGE_CODE = "en"
    query(bonus, f"revoke select on asset from {role}")
    client.force_login(user("viewer"))
    page = words(client.get("/trace/", {"q": ACCOUNT, "in": "account"}))
    assert "lacks these rights: SELECT on asset" in page
    assert f"grant select on &quot;public&quot;.&quot;asset&quot; to &quot;{role}&quot;;" in page
    assert "On its way" in page
    assert "Balance now" not in page
    assert "73519" not in page
