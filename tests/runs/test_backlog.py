import re
import socket
from datetime import timedelta

import pytest
from django.utils import timezone, translation

from tests.conftest import NOON
from tests.databases import connected, insert, query, stage
from tests.proxy import STARTUP, Proxy
from tests.restores import say_that_it_is_right
from transfer.engine.kinds import KINDS
from transfer.models import TransferTask
from transfer.models.run_base import Trigger, attach_runs
from transfer.runs import execute
from transfer.runs.backlog import backlogs, why
from transfer.runs.start import open_run


def tasks():
    return list(TransferTask.objects.select_related("server"))


def test_what_waits_is_counted_per_task_with_the_oldest_row(task, shop_all):
    stage(shop_all, "balances", [("4100", 1)])
    execute.run_here(task, Trigger.MANUAL)
    stage(shop_all, "balances", [("4100", 2), ("4100", 3)])
    (staged_at,) = query(
        shop_all, 'select min(started) from "changeAccountBalanceTemp" where amount > 1'
    )[0]
    answers = backlogs(tasks())
    assert len(answers) == len(KINDS)
    assert (answers[task.pk].rows, answers[task.pk].oldest) == (2, staged_at)
    assert sorted(one.rows for one in answers.values() if one.rows) == [2]


def test_what_waits_for_a_server_that_has_not_run_since_shop_all_was_restored_is_counted_exactly(
    task, shop_all, copies
):
    stage(shop_all, "balances", [("4100", 1)])
    execute.run_here(task, Trigger.MANUAL)
    copies.make(shop_all, "early")
    stage(shop_all, "balances", [("4100", 2), ("4100", 3)])
    execute.run_here(task, Trigger.MANUAL)
    copies.restore(shop_all, "early")
    stage(shop_all, "balances", [("4100", 4)])
    say_that_it_is_right()
    assert backlogs(tasks())[task.pk].rows == 1
    assert execute.run_here(task, Trigger.MANUAL).applied == 1


def test_shop_all_is_asked_as_often_for_thirty_servers_as_for_three(
    dock, bonus, second_bonus, shop_all, settings
):
    """By one connection. Some servers have received a part, some do not answer."""
    stage(shop_all, "balances", [("4100", 1)])
    ahead, behind = dock(bonus), dock(second_bonus, "Бонусный сервер 9")
    run_of = {
        one: execute.run_here(one.tasks.get(kind="balances"), Trigger.MANUAL)
        for one in (ahead, behind)
    }
    assert all(run.applied == 1 for run in run_of.values())
    stage(shop_all, "balances", [("4100", 2)])
    execute.run_here(ahead.tasks.get(kind="balances"), Trigger.MANUAL)
    stage(shop_all, "balances", [("4100", 3)])
    dock(bonus, "silent 0", decided=False)
    asked = {3: messages_to(shop_all, settings)}
    for number in range(1, 28):
        dsn = bonus if number % 3 else second_bonus
        dock(dsn, f"Бонусный сервер {10 + number}", decided=False)
    asked[30] = messages_to(shop_all, settings)
    assert asked[30] == asked[3]
    assert asked[30].count("connection") == 1
    waiting = {one.server.name: answer.rows for one, answer in answers_of("balances")}
    assert (waiting[ahead.name], waiting[behind.name]) == (1, 2)
    assert sorted(waiting.values()) == [1] * 20 + [2] * 10


def messages_to(shop_all, settings):
    """What is sent to shop All for the backlogs of all tasks: connections and statements."""
    sent = []

    def listen(message):
        if not message.from_server:
            is_query = message.type == b"Q"
            sent.extend(["connection"] * (message.type == STARTUP) + ["statement"] * is_query)
        return True

    with Proxy(shop_all, listen) as proxy:
        settings.SHOP_ALL_DATABASE_URL = proxy.dsn
        assert not any(one.error for one in backlogs(tasks()).values())
        settings.SHOP_ALL_DATABASE_URL = shop_all
    return sent


def answers_of(kind):
    answers = backlogs(tasks())
    return [(one, answers[one.pk]) for one in tasks() if one.kind == kind]


def test_a_transaction_that_holds_unseen_rows_is_told(task, shop_all):
    with connected(shop_all) as writer:
        writer.autocommit = False
        insert(writer, "balances", [("4100", 1)])
        answers = backlogs(tasks())
        assert answers[task.pk].rows == 0
        assert timezone.now() - answers[task.pk].writing_since < timedelta(minutes=1)
    assert backlogs(tasks())[task.pk].writing_since is None


def test_a_server_that_does_not_answer_does_not_hide_the_others(dock, bonus, shop_all):
    well = dock(bonus)
    ill = dock(bonus, "Бонусный сервер 9")
    ill.db_name = "there_is_none"
    ill.save()
    answers = backlogs(tasks())
    errors = {task.server_id: answers[task.pk].error for task in tasks()}
    assert errors[well.pk] is None
    assert errors[ill.pk].code == "database_missing"


def test_of_a_server_that_does_not_answer_history_knows_what_waits_at_least(task, shop_all):
    """What its last run left, and what was staged since then. Of a kind without a run, nothing."""
    stage(shop_all, "balances", [("4100", 1)])
    execute.run_here(task, Trigger.MANUAL)
    task.server.db_name = "there_is_none"
    task.server.save()
    assert backlogs(tasks())[task.pk].at_least == 0
    stage(shop_all, "balances", [("4100", n) for n in range(1, 481)])
    answers = backlogs(tasks())
    assert (answers[task.pk].rows, answers[task.pk].at_least) == (None, 480)
    assert {one.at_least for pk, one in answers.items() if pk != task.pk} == {None}


def test_of_another_shop_all_history_does_not_know_what_waits(task, shop_all):
    stage(shop_all, "balances", [("4100", 1)])
    run = execute.run_here(task, Trigger.MANUAL)
    run.position_to["origin"] = "00000000-0000-0000-0000-000000000000"
    run.save()
    task.server.db_name = "there_is_none"
    task.server.save()
    assert backlogs(tasks())[task.pk].at_least is None


def test_a_count_that_takes_too_long_is_given_up(task, shop_all):
    with connected(shop_all) as holder:
        holder.autocommit = False
        query_in(holder, 'lock table "changeAccountBalanceTemp" in access exclusive mode')
        began = timezone.now()
        answers = backlogs(tasks(), seconds=1)
        assert timezone.now() - began < timedelta(seconds=5)
        assert answers[task.pk].error.code == "too_slow"


def test_a_server_that_accepts_and_never_answers_is_given_up(task):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        task.server.db_host, task.server.db_port = "127.0.0.1", silent.getsockname()[1]
        task.server.save()
        began = timezone.now()
        answers = backlogs(tasks(), seconds=0.5)
        assert timezone.now() - began < timedelta(seconds=3)
    assert answers[task.pk].error.code == "too_slow"


def query_in(connection, statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("off", "The task is switched off."),
        ("switched off", "The task is off since ..:.. MSK, by ivan. Stocktaking."),
        ("on", "Next run: .* MSK."),
        ("paused", "The task is paused until .* MSK, by ivan. Stocktaking."),
        ("failing", "The last run failed. Next attempt: .* MSK."),
        ("overdue", "Overdue since 1 Jul, 15:05."),
        ("queued", "A run waits in the queue."),
    ],
)
def test_why_rows_wait(task, ivan, state, sentence):
    now = NOON if state == "overdue" else timezone.now()
    if state != "off":
        task.switch(True, ivan, now=now)
    if state == "switched off":
        task.switch(False, ivan, reason="Stocktaking.")
    if state == "paused":
        task.pause(timezone.now() + timedelta(hours=1), ivan, reason="Stocktaking.")
    if state == "failing":
        task.note_failure(now)
    if state == "queued":
        open_run(task, Trigger.SCHEDULE)
    (mine,) = attach_runs(TransferTask.objects.filter(pk=task.pk).with_runs())
    with translation.override("en"):
        assert re.fullmatch(sentence, why(mine).replace("\u00a0", " "))
