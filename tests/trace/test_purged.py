"""Rows whose reject was closed and purged long ago: the page says what is still certain."""

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from tests.trace.moving import ACCOUNT, CARD, move, states, words
from transfer.models import Actor, RejectedRow, TransferRun
from transfer.rejects.resend import discard, resend
from transfer.trace.subject import trace

pytestmark = pytest.mark.usefixtures("in_english")

OLGA = Actor("olga")
STATUS_ONLY = (CARD, None, 2)


def purge_rejects():
    RejectedRow.objects.all().delete()


def the_delivery(subject=ACCOUNT, column="account"):
    (delivery,) = words(trace(subject, column))
    return delivery


def test_a_row_that_fails_a_check_was_rejected_whatever_is_kept_of_it(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    run = move(server)
    purge_rejects()
    delivery = the_delivery()
    assert (delivery.state, delivery.run) == ("rejected", run)
    assert delivery.detail == (
        "The amount is zero. It was closed, and its record was purged: closed rejects are kept for "
        "365 days."
    )


def test_so_it_was_when_its_run_is_no_longer_in_the_history(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0), (ACCOUNT, 5)])
    move(server)
    purge_rejects()
    TransferRun.objects.all().delete()
    assert states(trace(ACCOUNT, "account")) == [["moved"], ["rejected"]]


def test_a_row_that_passes_every_check_was_moved_even_by_a_run_that_rejected_others(
    server, shop_all
):
    stage(shop_all, "balances", [(ACCOUNT, 5), ("other", 0)])
    move(server)
    purge_rejects()
    assert the_delivery().state == "moved"


def test_while_all_rejects_of_the_run_are_kept_they_alone_decide(server, shop_all):
    """As when a later version of the product checks more than the one that moved the row did."""
    stage(shop_all, "balances", [(ACCOUNT, 5)])
    move(server)
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 0')
    assert the_delivery().state == "moved"


class TestAStatusAlone:
    """Whether the server knew the card then, its row does not say."""

    def test_a_card_that_the_server_has_never_known(self, server, shop_all):
        stage(shop_all, "cards", [STATUS_ONLY])
        move(server, "cards")
        purge_rejects()
        delivery = the_delivery(CARD, "card")
        assert delivery.state == "rejected"
        assert delivery.detail.startswith("The bonus server does not know this card")

    def test_a_run_that_rejected_all_it_read_leaves_no_doubt(self, server, shop_all):
        stage(shop_all, "cards", [STATUS_ONLY])
        move(server, "cards")
        stage(shop_all, "cards", [(CARD, ACCOUNT, 1)])
        move(server, "cards")
        purge_rejects()
        assert states(trace(CARD, "card")) == [["moved"], ["rejected"]]

    def test_a_card_that_it_knows_now_leaves_both(self, server, shop_all):
        stage(shop_all, "cards", [STATUS_ONLY, ("7000", ACCOUNT, 1)])
        move(server, "cards")
        stage(shop_all, "cards", [(CARD, ACCOUNT, 1)])
        move(server, "cards")
        purge_rejects()
        linked, status = words(trace(CARD, "card"))
        assert (linked.state, status.state) == ("moved", "read")
        assert status.detail.startswith("Rejected if the server did not know the card then")

    def test_a_run_without_any_reject_leaves_no_doubt(self, server, shop_all):
        stage(shop_all, "cards", [(CARD, ACCOUNT, 1), STATUS_ONLY])
        move(server, "cards")
        assert states(trace(CARD, "card")) == [["moved"], ["moved"]]


class TestWhatWasDecided:
    def test_sent_again_is_told_by_the_reject_and_once_it_is_gone_by_the_staging_database(
        self, server, shop_all
    ):
        stage(shop_all, "balances", [(ACCOUNT, 0)])
        move(server)
        resend(RejectedRow.objects.all(), {"amount": "7"}, OLGA)
        for end in (" by olga, as row № 2.", ", as row № 2."):
            again, first = words(trace(ACCOUNT, "account"))
            assert (again.state, first.state) == ("waiting", "rejected")
            assert "Sent again today " in first.detail.replace("\u00a0", " ")
            assert first.detail.replace("\u00a0", " ").endswith(end)
            purge_rejects()

    def test_closed_without_sending_says_by_whom_and_why(self, server, shop_all):
        stage(shop_all, "balances", [(ACCOUNT, 0)])
        move(server)
        discard(RejectedRow.objects.all(), "A typing error.", OLGA)
        assert the_delivery().detail.endswith(" by olga. A typing error.")


def test_a_pin_code_that_was_blanked_was_moved_as_long_as_its_run_is_known(server, shop_all):
    stage(shop_all, "pincodes", [(ACCOUNT, "7351")])
    move(server, "pincodes")
    call_command("purge_staging", "--older-than", "30", "--blank-pins")
    assert the_delivery().state == "moved"


def test_when_its_run_is_gone_it_is_not_taken_for_rejected(server, shop_all):
    stage(shop_all, "pincodes", [(ACCOUNT, "7351")])
    move(server, "pincodes")
    call_command("purge_staging", "--older-than", "30", "--blank-pins")
    TransferRun.objects.all().delete()
    delivery = the_delivery()
    assert delivery.state == "read"
    assert "was blanked after it was moved" in delivery.detail
