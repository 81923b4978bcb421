"""A reject that is not certain, sent again, reaches its own server and no other uncertain one."""

import csv
import io
from decimal import Decimal

import pytest
from django.urls import reverse

from tests.databases import initialise_shop_all, query, stage
from tests.records import user
from tests.rejects.test_resend_after_rebase import move, rebase
from tests.uploads import bad, rejects_file
from transfer.engine.errors import NotInitialised
from transfer.engine.kinds import BALANCES
from transfer.models import RejectedRow
from transfer.rejects import changed
from transfer.rejects.resend import discard, resend

pytestmark = pytest.mark.django_db(transaction=True)

UNCERTAIN = "not_for_this_server"
State = RejectedRow.State


@pytest.fixture
def differing(dock, bonus, second_bonus, shop_all, olga):
    """The first lacks 2 of an amount that was changed to 7, the second has all of it. Then shop All
    was restored, and a row that makes up for the difference waits.
    """
    servers = [dock(bonus), dock(second_bonus, "Бонусный сервер 9")]
    move(*servers)
    stage(shop_all, "balances", [("4100", 5)])
    move(servers[0])
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 7')
    move(servers[1])
    decide(olga, 2)
    rebase(shop_all, bonus, second_bonus)
    return servers


@pytest.fixture
def servers(differing):
    """Both say of that row that it is not certain."""
    move(*differing)
    assert codes() == [UNCERTAIN] * 2
    return differing


def decide(actor, amount):
    ((row,),) = [group.rows for group in changed.undecided()]
    key, send = changed.key_of(row), changed.Decision.SEND
    assert changed.decide(BALANCES, send, actor, key=key, amount=Decimal(amount)) == 1


def codes(*states):
    rows = RejectedRow.objects.filter(state__in=states or [State.OPEN])
    return [*rows.order_by("pk").values_list("code", flat=True)]


def of(*servers):
    return RejectedRow.objects.open().filter(server__in=servers)


def amounts(*bonuses):
    found = [query(dsn, "select amount::int from asset order by id") for dsn in bonuses]
    return [[amount for (amount,) in rows] for rows in found]


def test_sent_again_for_the_server_that_lacks_it_it_does_not_land_where_it_is(
    servers, bonus, second_bonus, olga
):
    assert resend(of(servers[0]), {}, olga).sent == 1
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]
    (other,) = RejectedRow.objects.open()
    assert (other.server, other.code) == (servers[1], UNCERTAIN)


def test_both_sent_at_one_press_land_at_both_once(servers, bonus, second_bonus, olga):
    assert resend(of(*servers), {"amount": "3"}, olga).sent == 1
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 3], [7, 3]]
    assert codes() == []


def test_both_sent_one_after_the_other_land_once_with_the_amount_of_each(
    servers, bonus, second_bonus, olga
):
    resend(of(servers[0]), {}, olga)
    move(*servers)
    resend(of(servers[1]), {"amount": "9"}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7, 9]]
    assert codes() == ["accepted_before"]


def test_the_second_press_comes_too_early_and_changes_nothing(servers, bonus, second_bonus, olga):
    """The second server has yet to look at the new row: its question moves on with that."""
    second = RejectedRow.objects.filter(server=servers[1])
    resend(of(servers[0]), {}, olga)
    assert resend(second, {}, olga).rows == 0
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]
    resend(of(servers[1]), {}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7, 2]]


def test_discarded_at_one_server_the_other_one_s_still_waits(servers, bonus, second_bonus, olga):
    assert discard(of(servers[1]), "it has the row", olga) == (1, 0)
    assert codes() == [UNCERTAIN]
    resend(of(servers[0]), {}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]


def test_a_server_that_reads_both_later_is_asked_as_well(differing, bonus, second_bonus, olga):
    """The second server has the whole amount, and lags behind the correction."""
    move(differing[0])
    resend(of(differing[0]), {}, olga)
    move(*differing)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]
    assert (of(differing[0]).count(), of(differing[1]).count()) == (0, 1)


@pytest.mark.parametrize("when", ["sent", "moved"])
def test_a_rebase_changes_nothing_of_it(servers, bonus, second_bonus, shop_all, olga, when):
    resend(of(servers[0]), {}, olga)
    if when == "moved":
        move(*servers)
    rebase(shop_all, bonus, second_bonus)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]
    resend(of(servers[1]), {}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7, 2]]


def test_the_rejects_of_before_and_after_a_rebase_are_both_sent(
    differing, bonus, second_bonus, shop_all, olga
):
    move(differing[0])
    rebase(shop_all, bonus, second_bonus)
    move(differing[1])
    assert len({*RejectedRow.objects.values_list("origin", flat=True)}) == 2
    assert resend(of(*differing), {}, olga).sent == 1
    move(*differing)
    assert amounts(bonus, second_bonus) == [[5, 2], [7, 2]]


def test_a_server_that_was_restored_to_before_its_reject_is_asked_again(
    differing, bonus, second_bonus, olga
):
    """It may lack more, or less, than when somebody looked."""
    kept = {name: f"datatransfer.{name}" for name in ("position", "reject")}
    for name, table in kept.items():
        query(bonus, f"create table {name}_kept as table {table}")
    move(*differing)
    resend(of(differing[0]), {}, olga)
    for name, table in kept.items():
        query(bonus, f"delete from {table}; insert into {table} table {name}_kept")
    move(*differing)
    assert amounts(bonus, second_bonus) == [[5], [7]]
    assert codes() == [UNCERTAIN] * 2
    resend(of(differing[0]), {}, olga)
    move(*differing)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]


def test_a_file_sends_the_reject_that_its_line_names(servers, bonus, second_bonus, load):
    (mine,) = of(servers[0])
    load("balances", rejects_file(f"{mine.key};4100;2"))
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]


def test_a_file_of_rejected_rows_names_the_server_that_surely_lacks_the_row(servers, client):
    """Then loading it decides nothing for the other one."""
    RejectedRow.objects.filter(server=servers[1]).update(code="refused_by_server")
    client.force_login(user("operator"))
    response = client.get(reverse("rejects_csv"))
    content = b"".join(response.streaming_content).decode("utf-8-sig")
    (line,) = list(csv.DictReader(io.StringIO(content), delimiter=";"))
    (sure,) = of(servers[1])
    assert sure.key in line.values()
    assert sure.server_name in line.values()


def test_a_file_does_not_send_a_discarded_one_because_another_is_open(servers, check, olga):
    (mine,) = of(servers[0])
    discard(of(servers[0]), "it has the row", olga)
    upload = check("balances", rejects_file(f"{mine.key};4100;2"))
    assert bad(upload) == [(2, "reject", mine.key, "reject_closed")]


def test_a_check_that_rejects_the_row_makes_no_server_certain(
    differing, bonus, second_bonus, shop_all, olga
):
    """Head office has changed it meanwhile."""
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 0 where amount = 2')
    move(*differing)
    assert codes() == [UNCERTAIN] * 2
    assert resend(of(differing[0]), {}, olga).faults == {"amount_zero": 1}
    resend(of(differing[0]), {"amount": "2"}, olga)
    move(*differing)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]


def test_lists_show_each_of_them(servers, client):
    client.force_login(user("operator"))
    rows = client.get(reverse("rejects")).context["table"].data
    assert len(rows) == 2


def test_a_correction_of_the_version_before_asks_once_more(
    servers, bonus, second_bonus, shop_all, olga
):
    """It did not note which reject was sent again."""
    resend(of(servers[0]), {}, olga)
    query(shop_all, "delete from datatransfer.resent_reject")
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5], [7]]
    resend(of(servers[0]), {}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]


def test_before_init_shop_all_nothing_is_sent_and_what_was_sent_asks_once_more(
    servers, bonus, second_bonus, shop_all, olga
):
    resend(of(servers[0]), {}, olga)
    query(shop_all, "drop table datatransfer.resent_reject")
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5], [7]]
    with pytest.raises(NotInitialised):
        resend(of(servers[0]), {}, olga)
    initialise_shop_all(shop_all)
    resend(of(servers[0]), {}, olga)
    move(*servers)
    assert amounts(bonus, second_bonus) == [[5, 2], [7]]
