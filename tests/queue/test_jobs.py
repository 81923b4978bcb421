"""What all work in the background has in common."""

from importlib import import_module

import pytest
from django.apps import apps
from django.db import DatabaseError
from django_tasks_db.models import DBTaskResult

from transfer.engine.kinds import KINDS
from transfer.loading.receive import receive
from transfer.models import AccountJob, MaintenanceTask, TransferRun, Upload
from transfer.models.run_base import State, Trigger
from transfer.queue.jobs import WORK, Job
from transfer.queue.worker import drain
from transfer.runs.start import run_now
from transfer.tick import tick

FORMER_PATHS = {
    "transferrun": "transfer.queue.execute_queued",
    "maintenancerun": "transfer.queue.execute_queued",
    "upload": "transfer.loading.work.go_on_queued",
    "accountjob": "transfer.accounts.run_account_job",
}


def test_it_is_known_what_is_done_for_each_kind_of_job():
    assert set(WORK) == {model for model in apps.get_models() if issubclass(model, Job)}


@pytest.mark.django_db(transaction=True)
def test_what_an_earlier_version_had_queued_is_done_nevertheless(task, ivan, shop_all):
    run = run_now(task, ivan)
    purge = run_now(MaintenanceTask.objects.get(kind="purge_history"), ivan)
    upload = receive(KINDS["balances"], [b"account;amount\n4100;10\n"], ivan, name="a.csv")
    upload.enqueue()
    accounts = AccountJob.order(task.server, AccountJob.Action.CREATE, [], ivan)
    accounts.enqueue()
    for entry in DBTaskResult.objects.all():
        entry.task_path = FORMER_PATHS[entry.args_kwargs["args"][0]]
        entry.save()
    import_module("transfer.migrations.0007_jobs").drop_entries(apps, None)
    assert tick("test").queued_again == 4
    drain(lambda: False)
    for job in (run, purge, upload, accounts):
        job.refresh_from_db()
    assert (run.state, purge.state, upload.state) == ("succeeded", "succeeded", "ready")
    assert not accounts.is_open


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
