"""A corrected row is staged once, even if two users load the file or a process dies."""

import threading

import pytest
from django.db import connection

from tests.uploads import closed_as, rejects_file
from transfer.loading import upload_job
from transfer.models import RejectedRow, Upload
from transfer.rejects import resend

pytestmark = pytest.mark.django_db

State = Upload.State


def test_closed_since_the_preview_nothing_is_loaded_and_there_is_a_new_preview(
    rejected, check, staged, olga
):
    one, two = rejected("balances", ("4100", 0), ("4200", 0))
    upload = check("balances", rejects_file(f"{one.key};4100;1", f"{two.key};4200;1"))
    resend.resend(RejectedRow.objects.filter(pk=one.pk), {"amount": "5"}, olga)
    upload.confirm(olga)
    upload_job.go_on(upload)
    assert (upload.state, upload.error_code) == (State.READY, "rejects_closed_meanwhile")
    assert (upload.good, upload.bad, len(staged("balances"))) == (1, 1, 3)
    upload.confirm(olga)
    upload_job.go_on(upload)
    assert (upload.state, upload.error_code) == (State.LOADED, "")
    assert len(staged("balances")) == 4


def test_a_worker_that_dies_between_the_two_commits(rejected, check, staged, olga, monkeypatch):
    (one,) = rejected("balances", ("4100", 0))
    upload = check("balances", rejects_file(f"{one.key};4100;1"))
    upload.confirm(olga)
    with monkeypatch.context() as patched:
        patched.setattr(Upload, "note_loaded", die)
        with pytest.raises(Died):
            upload_job.go_on(upload)
    upload.refresh_from_db()
    assert (upload.state, len(staged("balances")), closed_as(one)[0]) == (
        State.CONFIRMED,
        2,
        "open",
    )
    upload_job.go_on(upload)
    assert (upload.state, len(staged("balances"))) == (State.LOADED, 2)
    assert closed_as(one) == ("resent", "olga")


@pytest.mark.django_db(transaction=True)
def test_the_same_file_twice_and_a_press_at_the_same_moment_are_once(rejected, check, staged, olga):
    rejects = rejected("balances", *[("4100", 0)] * 50)
    lines = [f"{one.key};4100;1" for one in rejects]
    uploads = [
        check("balances", rejects_file(*lines)),
        check("balances", rejects_file(*lines[::-1])),
    ]
    for upload in uploads:
        upload.confirm(olga)
    works = [
        *(lambda upload=upload: upload_job.go_on(upload) for upload in uploads),
        lambda: resend.resend(RejectedRow.objects.all(), {"amount": "1"}, olga),
    ]
    at_once(*works)
    assert len(staged("balances")) == 100
    assert not RejectedRow.objects.open().exists()


class Died(BaseException):
    """As if the process had been killed at this point."""


def die(*_):
    raise Died


def at_once(*works):
    def run(work):
        work()
        connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
