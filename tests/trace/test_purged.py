"""Rows of whose reject our own database knows nothing: the server's own says what it was."""

import pytest

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


def test_a_row_that_the_server_has_rejected_is_told_whatever_is_kept_of_it_here(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    run = move(server)
    purge_rejects()
    delivery = the_delivery()
    assert (delivery.state, delivery.run) == ("rejected", run)
    assert delivery.detail == ("The amount is zero. Nobody has decided on it yet.")


def test_so_it_was_when_its_run_is_no_longer_in_the_history(server, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0), (ACCOUNT, 5)])
    move(server)
    purge_rejects()
    TransferRun.objects.all().delete()
    assert states(trace(ACCOUNT, "account")) == [["moved"], ["rejected"]]


def test_a_row_that_the_server_has_applied_was_moved_whatever_shop_all_says_of_it_now(
    server, shop_all
):
    stage(shop_all, "balances", [(ACCOUNT, 5), ("other", 0)])
    move(server)
    purge_rejects()
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 0')
    assert the_delivery().state == "moved"


def test_a_status_of_a_card_that_was_rejected_then_is_told_from_one_that_was_applied(
    server, shop_all
):
    stage(shop_all, "cards", [STATUS_ONLY, ("7000", ACCOUNT, 1)])
    move(server, "cards")
    stage(shop_all, "cards", [(CARD, ACCOUNT, 1), STATUS_ONLY])
    move(server, "cards")
    purge_rejects()
    applied, linked, rejected = words(trace(CARD, "card"))
    assert (applied.state, linked.state, rejected.state) == ("moved", "moved", "rejected")
    assert rejected.detail.startswith("The bonus server does not know this card")


class TestWhatWasDecided:
    def test_sent_again_is_told_by_the_reject(self, server, shop_all):
        stage(shop_all, "balances", [(ACCOUNT, 0)])
        move(server)
        resend(RejectedRow.objects.all(), {"amount": "7"}, OLGA)
        number = trace(ACCOUNT, "account").rows[0].id
        again, first = words(trace(ACCOUNT, "account"))
        assert (again.state, first.state) == ("waiting", "rejected")
        detail = first.detail.replace("\u00a0", " ")
        assert "Sent again today " in detail
        assert detail.endswith(f" by olga, as row № {number}.")

    def test_closed_without_sending_says_by_whom_and_why(self, server, shop_all):
        stage(shop_all, "balances", [(ACCOUNT, 0)])
        move(server)
        discard(RejectedRow.objects.all(), "A typing error.", OLGA)
        assert the_delivery().detail.endswith(" by olga. A typing error.")
