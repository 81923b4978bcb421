"""What all work in the background has in common."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.apps import apps
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from tests.waiting import go_on
from transfer.engine.kinds import KINDS
from transfer.loading.receive import receive
from transfer.models import AccountJob, RecurringJob, TransferRun, Upload
from transfer.models.run_base import State, Trigger
from transfer.queue.jobs import WORK, Job, work_off
from transfer.queue.worker import drain, forget_worked_off, take
from transfer.runs.start import run_now


def test_it_is_known_what_is_done_for_each_kind_of_job():
    assert set(WORK) == {model for model in apps.get_models() if issubclass(model, Job)}


@pytest.mark.django_db(transaction=True)
class TestAFailure:
    @pytest.fixture
    def run(self, task):
        run = TransferRun.of(task, Trigger.MANUAL)
        run.start()
        return run

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (DatabaseError("47110815"), "connection_lost"),
            (ValueError("47110815"), "unexpected"),
        ],
    )
    def test_that_nobody_expected_closes_a_run_and_quotes_nothing(self, run, caplog, error, code):
        with run.failures():
            raise error
        run.refresh_from_db()
        assert (run.state, run.error_code) == (State.FAILED, code)
        assert run.error_technical == type(error).__name__
        assert "47110815" not in caplog.text

    def test_that_nobody_expected_is_logged_with_its_place(self, run, caplog):
        with run.failures():
            raise ValueError("47110815")
        assert __name__.rpartition(".")[2] in caplog.text

    def test_lets_a_file_be_checked_again(self, ivan):
        upload = receive(KINDS["balances"], [b"account;amount\n"], ivan, name="a.csv")
        with upload.failures():
            raise DatabaseError
        assert Upload.objects.get().state == Upload.State.FAILED

    def test_leaves_a_change_of_accounts_to_the_next_tick(self, server, ivan):
        job = AccountJob.order(server, AccountJob.Action.CREATE, [], ivan)
        with job.failures():
            raise DatabaseError
        assert list(AccountJob.objects.lost()) == [job]


@pytest.mark.django_db(transaction=True)
class TestTheQueue:
    def test_an_idle_worker_asks_one_question_and_writes_nothing(self):
        with CaptureQueriesContext(connection) as asked:
            assert take() is None
        assert len(asked) == 1
        assert asked[0]["sql"].startswith("SELECT 1")

    def test_a_job_of_no_server_waits_in_the_queue_of_its_kind(self, server, ivan):
        for kind in RecurringJob.Kind:
            RecurringJob.objects.create(kind=kind).enqueue()
        with_server = AccountJob.order(server, AccountJob.Action.CREATE, [], ivan)
        with_server.enqueue()
        names = DBTaskResult.objects.order_by("-priority").values_list("queue_name", flat=True)
        assert list(dict.fromkeys(names)) == [f"server {server.pk}", "recurringjob"]

    def test_the_highest_priority_comes_first_whoever_had_the_last_turn(self, task, ivan):
        run_now(task, ivan)
        drain(go_on)
        RecurringJob.objects.create(kind=RecurringJob.Kind.CHECK_MAIL).enqueue()
        run_now(task, ivan)
        assert take().queue_name == f"server {task.server_id}"

    def test_of_two_workers_each_takes_another_entry(self, task, ivan):
        run_now(task, ivan)
        first, second = take(), None
        with ThreadPoolExecutor(1) as other:
            second = other.submit(lambda: (take(), connection.close())[0]).result()
        assert (first.status, second) == ("RUNNING", None)

    def test_an_entry_is_kept_for_an_hour_after_it_was_worked_off(self, task, ivan):
        run_now(task, ivan)
        drain(go_on)
        now = timezone.now()
        forget_worked_off(now + timedelta(minutes=59))
        assert DBTaskResult.objects.count() == 1
        forget_worked_off(now + timedelta(minutes=61))
        assert DBTaskResult.objects.count() == 0

    def test_what_waits_is_never_forgotten_and_what_was_begun_is_after_a_day(self, task, ivan):
        run_now(task, ivan)
        forget_worked_off(timezone.now() + timedelta(days=9))
        assert take() is not None
        forget_worked_off(timezone.now() + timedelta(hours=23))
        assert DBTaskResult.objects.count() == 1
        forget_worked_off(timezone.now() + timedelta(hours=25))
        assert DBTaskResult.objects.count() == 0

    def test_an_entry_whose_work_is_unknown_fails_and_the_next_one_is_done(self, task, ivan):
        work_off.enqueue("nothing", 1)
        run = run_now(task, ivan)
        assert drain(go_on) == 2
        run.refresh_from_db()
        assert run.is_good
        assert DBTaskResult.objects.failed().count() == 1
