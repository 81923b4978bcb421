"""An account on many servers: which of them agree, and where a change has arrived, in one line."""

from dataclasses import replace
from decimal import Decimal

import pytest
from django.utils import timezone

from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import BonusServer
from transfer.pages.shown.held import holdings, same_holdings
from transfer.pages.shown.traced import ShownDelivery, arrival
from transfer.parties import database_of
from transfer.trace.coming import Coming
from transfer.trace.compared import Compared, compared
from transfer.trace.holding import Holding
from transfer.trace.servers import Answer

pytestmark = pytest.mark.usefixtures("in_english")


def server(number: int) -> BonusServer:
    return BonusServer(pk=number, name=f"БС {number}")


def deliveries(**states: str) -> list[ShownDelivery]:
    """On thirty servers; moved, unless another state is given: БС_3="waiting"."""
    return [
        ShownDelivery(server(number), None, None, "", states.get(f"БС_{number}", "moved"))
        for number in range(1, 31)
    ]


def test_what_has_arrived_everywhere_is_one_number():
    assert list(arrival(deliveries())) == [("moved", "arrived on 30 of 30")]


def test_the_servers_without_it_are_named_with_what_is_known_of_them():
    shown = arrival(deliveries(БС_23="unknown", БС_4="waiting", БС_7="rejected"))
    assert list(shown) == [
        ("moved", "arrived on 27 of 30"),
        ("rejected", "rejected: БС 7"),
        ("waiting", "not arrived yet: БС 4"),
        ("unknown", "not known: БС 23, no answer"),
    ]


def test_of_many_servers_without_it_some_are_named_and_the_rest_counted():
    missing = {f"БС_{number}": "waiting" for number in range(1, 8)}
    assert ("waiting", "not arrived yet: БС 1, БС 2, БС 3 and 4 more") in list(
        arrival(deliveries(**missing))
    )


def holding(balance: int, **more: object) -> Holding:
    return Holding(has_pin=True, pin_set_at=timezone.now(), total=Decimal(balance),
                   balance=Decimal(balance), **more)  # fmt: skip


def test_servers_that_hold_the_same_are_one_line_and_those_that_differ_come_first():
    answers = [Answer(server(number), holding=holding(1100)) for number in range(1, 28)]
    answers.append(Answer(server(28), holding=holding(900)))
    answers.append(Answer(server(29), error=silent("БС 29")))
    shown = same_holdings(side_by_side(answers), "account")
    assert [(one.servers, one.holding.differs) for one in shown] == [
        ("БС 28", "balance"),
        ("БС 29", ""),
        ("27 of 29 servers", ""),
    ]
    usual = shown[2].holding.facts
    assert ("Balance now", "1\u202f100.00") in usual
    assert ("PIN code", "set") in usual, "the times differ everywhere"
    assert dict(shown[0].holding.facts)["PIN code"].startswith("set today")
    assert "БС 29" in shown[1].holding.error


def test_a_server_that_differs_comes_before_the_others_and_says_in_what():
    answers = [Answer(server(number), holding=holding(1100)) for number in range(1, 4)]
    answers.append(Answer(server(4), holding=replace(holding(900), has_pin=False)))
    shown = holdings(side_by_side(answers), "account")
    assert [(one.server.pk, one.differs) for one in shown] == [
        (4, "balance, the PIN code"),
        (1, ""),
        (2, ""),
        (3, ""),
    ]


def test_of_two_servers_that_differ_neither_is_the_usual_one():
    answers = [Answer(server(1), holding=holding(1)), Answer(server(2), holding=holding(2))]
    shown = holdings(side_by_side(answers), "account")
    assert [one.differs for one in shown] == ["balance", "balance"]


def test_what_may_not_be_read_is_no_difference():
    unread = {"balances": silent("БС 2")}
    answers = [
        Answer(server(1), holding=holding(1)),
        Answer(server(2), holding=holding(0, unread=unread)),
    ]
    shown = holdings(side_by_side(answers), "account")
    assert [(one.server.pk, one.differs) for one in shown] == [(2, ""), (1, "")]
    assert same_holdings(side_by_side(answers), "account")[0].holding.unread


def side_by_side(answers: list[Answer]) -> list[Compared]:
    """The servers, to none of which anything is on its way."""
    return compared(answers, [None if one.error else Coming({}, Decimal(0)) for one in answers])


def silent(name: str) -> Unreachable:
    return Unreachable(UNREACHABLE, party=database_of(name), reason="x")
