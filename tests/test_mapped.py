"""The whole product on tables of another: loaded, moved, traced, sent again, compared, purged."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from tests.restores import age
from tests.trace.moving import ACCOUNT, CARD, move, states
from tests.uploads import bad, rejects_file
from transfer.engine.kinds import KINDS
from transfer.models import RejectedRow
from transfer.pages.shown.held import holding
from transfer.rejects.resend import resend
from transfer.trace.search import search
from transfer.trace.subject import trace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]


@pytest.fixture
def server(shop_all, vendor, dock):
    """Docked, with tables of another; so has shop All."""
    return dock(vendor("balances").bonus)


@pytest.fixture
def theirs(vendor):
    return vendor("balances").shop_all


def test_a_file_is_loaded_in_their_names_units_and_values(server, theirs, load):
    upload = load("balances", f"account;amount;comment\n{ACCOUNT};10,50;gift\n4200;-3\n".encode())
    assert (upload.good, upload.amount) == (2, Decimal("7.50"))
    load("cards", f"card;account;status\n{CARD};{ACCOUNT};EARN_PAY\n".encode())
    load("pincodes", f"account;PIN\n{ACCOUNT};0042\n".encode())
    assert query(
        theirs, 'select "accountNumber", sum, source, comment from "balanceChanges" order by id'
    ) == [(ACCOUNT, 1050, 7, "gift"), ("4200", -300, 7, None)]
    assert query(theirs, 'select number, "accountNumber", status from "cardChanges"') == [
        (CARD, ACCOUNT, 1)
    ]
    assert query(theirs, 'select "accountNumber", "PIN" from "pinChanges"') == [(ACCOUNT, "0042")]


def test_an_amount_that_can_not_be_written_whole_is_a_bad_line(server, check):
    assert bad(check("balances", b"account;amount\n4100;1,005\n")) == [
        (2, "amount", "1.005", "amount_decimals")
    ]


def test_the_trace_says_in_our_words_what_a_server_holds(server, theirs):
    day = datetime(2026, 1, 1, tzinfo=UTC)
    stage(theirs, "balances", [(ACCOUNT, Decimal("10.50"), day), (ACCOUNT, 0), ("4200", 1)])
    stage(theirs, "pincodes", [(ACCOUNT, "7351")])
    stage(theirs, "cards", [(CARD, ACCOUNT, 2)])
    for kind in KINDS:
        move(server, kind)
    stage(theirs, "balances", [(ACCOUNT, 5)])
    result = trace(ACCOUNT, "account")
    by_kind = {
        (row.kind.name, row.payload.get("amount")): row.deliveries[0].state for row in result.rows
    }
    assert by_kind == {
        ("balances", "10.50"): "moved",
        ("balances", "0.00"): "rejected",
        ("balances", "5.00"): "waiting",
        ("pincodes", None): "moved",
        ("cards", None): "moved",
    }
    held = result.answers[0].holding
    assert (held.assets, held.balance, held.has_pin, held.pin_set_at) == (1, 10.5, True, None)
    assert held.last_assets[0][:4] == (Decimal("10.50"), day, None, None)
    assert "2 – no operations (blocked)" in holding(result.answers[0], "account").cards[0]
    assert states(trace(CARD, "card")) == [["moved"]]
    assert search(ACCOUNT).exact == ["account"]
    assert search(CARD[:5]).cards == [CARD]


def test_a_word_that_a_server_has_beside_ours_is_shown_as_it_is(server, theirs):
    stage(theirs, "cards", [(CARD, ACCOUNT, 2)])
    move(server, "cards")
    query(server.dsn, "update \"cardAccounting\" set status = 'LOST'")
    result = trace(CARD, "card")
    assert "'LOST'" in holding(result.answers[0], "card").cards[0]


def test_a_reject_is_sent_again_by_hand_and_by_a_file(server, theirs, olga, load):
    stage(theirs, "balances", [(ACCOUNT, 0), ("4200", 0)])
    move(server)
    one, two = RejectedRow.objects.order_by("pk")
    assert resend(RejectedRow.objects.filter(pk=one.pk), {"amount": "1.5"}, olga).sent == 1
    load("balances", rejects_file(f"{two.key};4200;2,25"))
    move(server)
    assert query(server.dsn, "select amount from asset order by id") == [(150,), (225,)]
    assert not RejectedRow.objects.open().exists()


def test_a_pin_code_is_kept_when_its_row_is_sent_again(server, theirs, olga):
    stage(theirs, "pincodes", [("41 00", "7351")])
    move(server, "pincodes")
    assert resend(RejectedRow.objects.all(), {"account": "4100"}, olga).sent == 1
    move(server, "pincodes")
    assert query(server.dsn, 'select "accountNumber", pin from "accountPin"') == [("4100", "7351")]


def test_rows_and_sums_are_reconciled_also_after_a_purge(server, theirs):
    stage(theirs, "balances", [(ACCOUNT, Decimal("10.50")), (ACCOUNT, 0), ("4200", -3)])
    move(server)
    age(theirs)
    stage(theirs, "balances", [("4300", Decimal("0.01"))])
    move(server)
    call_command("reconcile")
    call_command("purge_staging", "--older-than", "30")
    call_command("reconcile")
    left = 'select sum from "balanceChanges" order by id'
    assert query(theirs, left) == [(1,)]
