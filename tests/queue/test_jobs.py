"""What all work in the background has in common."""

import pytest
from django.apps import apps
from django.db import DatabaseError

from transfer.engine.kinds import KINDS
from transfer.loading.receive import receive
from transfer.models import AccountJob, TransferRun, Upload
from transfer.models.run_base import State, Trigger
from transfer.queue.jobs import WORK, Job


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
