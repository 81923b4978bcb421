"""The letter of the morning: when, to whom, and what it says."""

from datetime import time, timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from tests.records import a_problem, a_reject, server
from transfer.alerts import words
from transfer.alerts.watch import watch
from transfer.causes.connections import UNREACHABLE
from transfer.errors import Unreachable
from transfer.models import (
    Actor,
    BonusServer,
    CashRegister,
    RegisterAccount,
    Settings,
    Shop,
    TransferTask,
)
from transfer.models.alerts import Incident, Notice, Recipient, Topic
from transfer.parties import database_of
from transfer.problems import taking
from transfer.runs import backlog
from transfer.runs.backlog import Backlog

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english", "nothing_asked")]
IVAN = Actor("ivan")
DAY = timedelta(days=1)
WELL = (
    "All is well: in the last 24 hours nothing was broken, all rows have arrived, and no rejected "
    "row waits for a decision."
)


@pytest.fixture
def morning(db):
    """Eight o'clock of today, by the settings' zone."""
    return timezone.now().astimezone(Settings.load().zone).replace(hour=8, minute=0, second=0)


@pytest.fixture
def olga(db):
    """Nothing but a letter: of the topics only what nothing here is about but the problems."""
    return Recipient.objects.create(
        name="Olga",
        channel="mail",
        address="olga@shop",
        language="en",
        topics=[Topic.REGISTERS],
        letter="always",
        letter_on=timezone.now().date() - DAY,
    )


@pytest.fixture
def eight(db):
    """A server whose tasks are on; nothing waits."""
    cache.clear()
    one = server()
    for task in one.tasks.all():
        task.switch(True, IVAN)
        backlog.store({task.pk: Backlog(0)})
    return one


def letters():
    return [words.body(one) for one in Notice.objects.filter(event="letter").order_by("pk")]


def test_it_is_written_once_a_day_at_the_time_of_the_settings(morning, olga):
    watch(morning - timedelta(minutes=1))
    assert letters() == []
    watch(morning)
    watch(morning + timedelta(minutes=1))
    assert letters() == [WELL]
    watch(morning + DAY)
    assert len(letters()) == 2


def test_another_hour_and_quiet_hours_put_it_off(morning, olga):
    Settings.load().change(IVAN, letter_at=time(9, 30))
    Recipient.objects.update(quiet_from=time(22), quiet_until=time(10))
    watch(morning + timedelta(hours=1, minutes=45))
    assert letters() == []
    watch(morning + timedelta(hours=2))
    assert letters() == [WELL]


def test_whoever_wants_it_only_when_something_was_wrong_gets_nothing_that_day(morning, olga):
    Recipient.objects.update(letter="wrong")
    watch(morning)
    a_reject(server())
    watch(morning + timedelta(hours=3))
    assert letters() == []
    watch(morning + DAY)
    assert "1 rejected row waits for a decision." in letters()[0]


def test_without_the_choice_there_is_none_and_a_new_recipient_waits_for_the_next_morning(
    morning, olga
):
    Recipient.objects.update(letter="none")
    watch(morning)
    assert letters() == []
    Recipient.objects.update(letter="always", letter_on=None)
    watch(morning + timedelta(hours=5))
    assert letters() == []
    watch(morning + DAY)
    assert letters() == [WELL]


def test_it_says_in_three_sentences_what_was_broken_what_arrived_and_what_is_to_be_decided(
    morning, olga, eight
):
    a_problem(None, key="shop:7", ended_at=morning - timedelta(hours=2))
    a_problem(None, key="shop:8", ended_at=morning - timedelta(hours=30))  # of the day before
    a_reject(eight)
    a_reject(eight)
    watch(morning)
    broken, arrived, rejects = letters()[0].split("\n")
    assert broken == (
        "In the last 24 hours this was broken, and is well again: На углу: 2 registers have not "
        "been seen for a day."
    )
    assert arrived == "All rows have arrived."
    assert rejects == "2 rejected rows wait for a decision."


def test_rows_that_wait_too_long_and_servers_that_do_not_answer_are_named(morning, olga, eight):
    balances, cards = (TransferTask.objects.get(kind=kind) for kind in ("balances", "cards"))
    old = morning - timedelta(hours=5)
    error = Unreachable(UNREACHABLE, party=database_of(eight.name), reason="x")
    backlog.store({balances.pk: Backlog(12, old), cards.pk: Backlog(error=error)})
    watch(morning)
    _broken, arrived, _rejects = letters()[0].split("\n")
    assert arrived.startswith("12 rows have not arrived yet; the oldest waits since ")
    assert arrived.endswith(f"; of {eight.name} it is not known.")
    backlog.store({balances.pk: Backlog(0)})
    watch(morning + DAY)
    assert f"Whether all rows have arrived is not known of {eight.name}." in letters()[1]


def test_rows_that_were_staged_a_moment_ago_are_on_their_way(morning, olga, eight):
    task = TransferTask.objects.get(kind="cards")
    backlog.store({task.pk: Backlog(3, morning - timedelta(minutes=1))})
    watch(morning)
    assert letters() == [WELL]


def test_of_many_problems_three_are_named_and_the_others_counted(morning, olga):
    for number in range(5):
        ended = morning - timedelta(hours=1)
        params = {"shop": f"Shop {number}", "n": 1, "names": "x"}
        a_problem(None, key=f"shop:{number}", ended_at=ended, params=params)
    watch(morning)
    assert letters()[0].split("\n")[0].count("Shop ") == 3
    assert "; 2 more." in letters()[0].split("\n")[0]


def test_a_letter_is_about_the_recipients_servers_alone(morning, olga, eight):
    nine = server("Бонусный сервер 9")
    a_reject(nine)
    olga.servers.set([eight])
    watch(morning)
    assert letters() == [WELL]


def test_what_lasts_is_in_the_letter_also_if_it_is_muted(morning, olga, eight):
    shop = Shop.objects.create(code="1", name="На углу")
    register = CashRegister.objects.create(shop=shop, code="1", name="Касса 1")
    two_days_ago = timezone.now() - 2 * DAY
    RegisterAccount.objects.create(
        server=eight, register=register, state="created", last_seen=two_days_ago
    )
    BonusServer.objects.update(accounts_at=timezone.now())
    watch(morning)
    taking.mute(Incident.objects.get(topic=Topic.REGISTERS), IVAN, until=None, reason="known")
    watch(morning + DAY)
    words = "This is broken: На углу: 1 register has not been seen for a day."
    assert [one.split("\n")[0] for one in letters()] == [words, words]
