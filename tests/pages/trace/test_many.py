"""An account on many servers: which of them agree, and where a change has arrived, in one line."""

from decimal import Decimal

import pytest
from django.utils import timezone

from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import BonusServer
from transfer.pages.shown.traced import ShownDelivery, arrival, same_holdings
from transfer.parties import database_of
from transfer.trace.servers import Answer, Holding

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


def test_servers_that_hold_the_same_are_one_line_and_the_usual_comes_first():
    answers = [Answer(server(number), holding=holding(1100)) for number in range(1, 28)]
    answers.insert(0, Answer(server(28), holding=holding(900)))
    answers.append(
        Answer(server(29), error=Unreachable(UNREACHABLE, party=database_of("БС 29"), reason="x"))
    )
    shown = same_holdings(answers, "account")
    assert [(one.servers, one.is_usual) for one in shown] == [
        ("27 of 29 servers", True),
        ("БС 28", False),
        ("БС 29", False),
    ]
    assert ("Balance now", "1\u202f100.00") in shown[0].holding.facts
    assert ("PIN code", "set") in shown[0].holding.facts, "the times differ everywhere"
    assert "БС 29" in shown[2].holding.error
