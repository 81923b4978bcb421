"""What a server has received counts once, however its position came about or got its name."""

from decimal import Decimal
from uuid import uuid4

import pytest

from tests.databases import query, stage
from transfer.engine.received import Place, Position, Totals
from transfer.engine.shop_all.source import ShopAll
from transfer.models import Actor, BonusServer, Bulletin, ServerDay, Settings, TransferTask
from transfer.models.run_base import Trigger
from transfer.runs.beginning import Answer, Decision, decide
from transfer.runs.execute import run_here
from transfer.runs.purge import purge
from transfer.runs.undocking import undock
from transfer.statements.copies import exchange_days

pytestmark = pytest.mark.django_db(transaction=True)
SOMEBODY = Actor("tests")
FIRST, SECOND = "Бонусный сервер 8", "Бонусный сервер 9"


def task_of(name):
    return TransferTask.objects.select_related("server").get(kind="balances", server__name=name)


def move(name=FIRST):
    return run_here(task_of(name), Trigger.MANUAL).error_code


def say(answer, name=FIRST, **more):
    decide(task_of(name), Decision(answer, **more), SOMEBODY, dry_run=False)


def copy_days(shop_all):
    with ShopAll(shop_all, "tests", secret=False) as source:
        exchange_days(source)


def received():
    """Return server → rows and amount that all days together count as received, without lost."""
    counted = {}
    for day in ServerDay.objects.filter(kind="balances"):
        rows, amount = counted.get(day.server_name, (0, 0))
        rows += day.applied + day.unchanged + day.rejected - day.lost
        amount += day.amount_applied + day.amount_rejected - day.amount_lost
        counted[day.server_name] = (rows, int(amount))
    return counted


def both_go_back(own, place, shop_all, copies):
    own.restore(place)
    copies.restore(shop_all, "early")


def test_first_rows_count_though_our_database_and_shop_all_go_back_to_before_the_first_run(
    dock, bonus, shop_all, own, copies
):
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    place = own.copy()
    copies.make(shop_all, "early")
    move()
    both_go_back(own, place, shop_all, copies)
    stage(shop_all, "balances", [("4100", 11)])
    move()
    assert received() == {FIRST: (3, 23)}


def test_they_count_though_the_server_was_not_docked_yet(dock, bonus, shop_all, own, copies):
    place = own.copy()
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    copies.make(shop_all, "early")
    move()
    both_go_back(own, place, shop_all, copies)
    dock(bonus, decided=False)
    stage(shop_all, "balances", [("4100", 11)])
    move()
    assert received() == {FIRST: (3, 23)}


def test_a_server_that_is_docked_again_counts_what_was_not_counted_before(
    dock, bonus, shop_all, own
):
    server = dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    place = own.copy()
    stage(shop_all, "balances", [("4100", 7)])
    move()
    own.restore(place)  # that does not know the second row
    undock(server, SOMEBODY)
    dock(bonus, SECOND, decided=False)
    stage(shop_all, "balances", [("4100", 11)])
    move(SECOND)
    assert received() == {FIRST: (1, 5), SECOND: (2, 18)}


def test_a_database_that_goes_back_to_before_it_was_docked_again_counts_nothing_twice(
    dock, bonus, shop_all, own
):
    server = dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    place = own.copy()
    undock(server, SOMEBODY)
    dock(bonus, SECOND, decided=False)
    stage(shop_all, "balances", [("4100", 7)])
    move(SECOND)
    copy_days(shop_all)
    own.restore(place)
    for amount in (11, 13):
        stage(shop_all, "balances", [("4100", amount)])
        move()
    assert received() == {FIRST: (3, 29), SECOND: (1, 7)}


def test_what_somebody_has_said_of_the_past_is_not_received(dock, bonus, shop_all, own, copies):
    place = own.copy()
    stage(shop_all, "balances", [("4100", 5)])
    dock(bonus, decided=False)
    say(Answer.EVERYTHING)
    stage(shop_all, "balances", [("4100", 7)])
    copies.make(shop_all, "early")
    move()
    assert received() == {FIRST: (1, 7)}
    both_go_back(own, place, shop_all, copies)
    dock(bonus, decided=False)
    move()
    assert received() == {FIRST: (1, 7)}


def test_a_server_that_begins_as_another_one_does_not_count_what_that_one_has(
    dock, bonus, second_bonus, shop_all
):
    server = dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    dock(second_bonus, SECOND, decided=False)
    TransferTask.objects.filter(server=server).update(enabled=False)
    say(Answer.AS_SERVER, SECOND, server=server)
    stage(shop_all, "balances", [("4100", 7)])
    move(SECOND)
    assert received() == {FIRST: (1, 5), SECOND: (1, 7)}


def test_a_copy_of_a_server_counts_what_it_has_received_by_its_own_name(
    dock, bonus, second_bonus, shop_all, own, copies
):
    dock(bonus)
    place = own.copy()
    stage(shop_all, "balances", [("4100", 5)])
    move()
    copies.make(bonus, "copy")
    copies.restore(second_bonus, "copy")
    dock(second_bonus, SECOND, decided=False)
    assert move(SECOND) == "copy_of"
    say(Answer.OWN, SECOND)
    stage(shop_all, "balances", [("4100", 7)])
    assert move(SECOND) == move() == ""
    assert received() == {FIRST: (2, 12), SECOND: (1, 7)}
    own.restore(place)
    query(shop_all, "delete from datatransfer.kept")
    dock(second_bonus, SECOND, decided=False)
    assert move(SECOND) == move() == ""
    assert received() == {FIRST: (2, 12), SECOND: (1, 7)}


def test_a_server_that_a_copy_of_another_one_replaces_has_received_nothing_any_more(
    dock, bonus, second_bonus, shop_all, copies
):
    dock(bonus)
    dock(second_bonus, SECOND)
    stage(shop_all, "balances", [("4100", 5)])
    assert move() == move(SECOND) == ""
    stage(shop_all, "balances", [("4100", 7)])
    move()
    copies.make(bonus, "copy")
    copies.restore(second_bonus, "copy")
    assert move(SECOND) == "copy_of"
    say(Answer.OWN, SECOND)
    stage(shop_all, "balances", [("4100", 11)])
    assert move() == move(SECOND) == ""
    assert received() == {FIRST: (3, 23), SECOND: (1, 11)}
    assert not Bulletin.objects.exists(), "it has all rows that it had"


@pytest.mark.parametrize(
    ("answer", "counted"),
    [(Answer.EVERYTHING, (2, 12)), (Answer.NOTHING, (3, 23))],
    ids=["with all rows", "with none"],
)
def test_a_position_that_is_lost_begins_again_where_somebody_says(
    dock, bonus, shop_all, answer, counted
):
    """With all: they were received before, by hand or not. With none: they are sent again."""
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    move()
    stage(shop_all, "balances", [("4100", 11)])
    query(bonus, "drop schema datatransfer cascade")
    say(answer)
    move()
    assert received() == {FIRST: counted}


@pytest.mark.parametrize("answer", [Answer.EVERYTHING, Answer.NOTHING])
def test_a_position_that_makes_way_says_what_the_server_has_received(
    dock, bonus, shop_all, own, copies, answer
):
    place = own.copy()
    dock(bonus)
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    copies.make(shop_all, "early")
    move()
    stage(shop_all, "balances", [("4100", 11)])
    # As after the lifetime of lines, on a server that was restored to far before.
    forget = "update datatransfer.{} set mark = gen_random_uuid() where kind = 'balances'"
    for table in ("position", "receipt"):
        query(bonus, forget.format(table))
    assert move() == "history_too_old"
    say(answer)
    move()
    assert received() == {FIRST: (2, 12) if answer == Answer.EVERYTHING else (3, 23)}
    copy_days(shop_all)
    own.restore(place)
    query(shop_all, "delete from datatransfer.kept")
    dock(bonus, decided=False)
    move()
    assert received() == {FIRST: (2, 12) if answer == Answer.EVERYTHING else (3, 23)}


def test_rows_that_were_not_counted_yet_count_when_somebody_says_that_it_does_without_others(
    dock, bonus, second_bonus, shop_all, copies
):
    dock(bonus)
    dock(second_bonus, SECOND)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    copies.make(bonus, "early")
    stage(shop_all, "balances", [("4100", 7)])
    tasks = [task_of(name) for name in (FIRST, SECOND)]
    assert move() == move(SECOND) == ""
    purge(tasks[0].kind_spec, tasks, 0, dry_run=False)
    copies.restore(bonus, "early")
    assert move() == "rows_purged"
    ServerDay.objects.all().delete()
    query(shop_all, "delete from datatransfer.kept")
    say(Answer.WITHOUT)
    stage(shop_all, "balances", [("4100", 11)])
    assert move() == ""
    assert received() == {FIRST: (2, 16)}
    (day,) = ServerDay.objects.filter(kind="balances")
    assert (day.skipped, day.amount_skipped) == (1, 7)


def test_another_installation_goes_on_from_the_days_that_the_first_one_has_counted(
    dock, bonus, shop_all, own
):
    empty = own.copy()
    server = dock(bonus)
    stage(shop_all, "balances", [("4100", 5)])
    move()
    undock(server, SOMEBODY)
    dock(bonus, SECOND, decided=False)
    stage(shop_all, "balances", [("4100", 7)])
    move(SECOND)
    copy_days(shop_all)
    stage(shop_all, "balances", [("4100", 11)])
    move(SECOND)
    own.restore(empty)
    Settings.objects.update(installation=uuid4())
    BonusServer.objects.all().delete()
    dock(bonus, "Касса", decided=False)
    move("Касса")
    (day,) = ServerDay.objects.filter(kind="balances")
    assert (day.server_pk, day.applied, day.amount_applied) == (task_of("Касса").server_id, 3, 23)


def test_a_server_that_has_two_shop_alls_in_turn_counts_each_row_once(server):
    first, second = str(uuid4()), str(uuid4())
    for origin, rows in ((first, 5), (second, 2), (first, 6), (second, 4), (first, 6)):
        totals = Totals(applied=rows, amount_applied=Decimal(rows))
        at = Position(origin, "balances", str(server.uid), Place(), str(uuid4()), totals)
        ServerDay.objects.note(server.pk, server.name, at)
    assert received() == {server.name: (10, 10)}
