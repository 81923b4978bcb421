"""All good lines or none, once, at any crash."""

import hashlib
import threading
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from tests.databases import connected, run
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS
from transfer.engine.shop_all.staging_import import StagingImport
from transfer.loading import upload_job
from transfer.loading.loaded_before import earlier
from transfer.loading.receive import receive
from transfer.models import Actor, AuditEntry, Upload, UploadPiece
from transfer.queue.locks import Space, lock
from transfer.queue.worker import drain
from transfer.tick import tick

State = Upload.State
GOOD = b"account;amount\n4100;10\n4200;20\n"


@pytest.fixture
def confirmed(check, olga):
    upload = check("balances", GOOD)
    upload.confirm(olga)
    return upload


class Died(BaseException):
    """As if the process had been killed at this point."""


def test_a_worker_that_dies_before_the_commit_has_loaded_nothing_and_another_loads_all(
    confirmed, staged, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(StagingImport, "stage", die_after(StagingImport.stage))
        with pytest.raises(Died):
            upload_job.go_on(confirmed)
    assert staged("balances") == []
    upload_job.go_on(confirmed)
    assert len(staged("balances")) == 2


def test_a_worker_that_dies_after_the_commit_is_not_repeated(confirmed, staged, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Upload, "note_loaded", die_after(lambda *_: None))
        with pytest.raises(Died):
            upload_job.go_on(confirmed)
    confirmed.refresh_from_db()
    assert (confirmed.state, len(staged("balances"))) == (State.CONFIRMED, 2)
    upload_job.go_on(confirmed)
    assert (confirmed.state, len(staged("balances"))) == (State.LOADED, 2)
    assert AuditEntry.objects.filter(action="load").count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_process_that_is_killed_between_the_commits_of_both_databases_has_loaded_once(
    manage, own_database, shop_all, staged, tmp_path
):
    path = tmp_path / "bonus.csv"
    path.write_bytes(GOOD)
    with connected(own_database) as somebody:  # holds up what our own database notes of a load
        run(somebody, "begin")
        run(somebody, "lock table transfer_auditentry in share mode")
        process = manage("load_staging", "balances", str(path))
        wait_until(lambda: staged("balances"), process)
        process.kill()
        process.communicate()
        run(somebody, "rollback")
    upload = Upload.objects.get()
    assert (upload.state, len(staged("balances"))) == (State.CONFIRMED, 2)
    wait_until(lambda: Upload.objects.idle().exists())  # the database has noticed it
    tick("test")
    drain(lambda: False)
    upload.refresh_from_db()
    assert (upload.state, upload.good, len(staged("balances"))) == (State.LOADED, 2, 2)
    assert AuditEntry.objects.filter(action="load").count() == 1


def die_after(method):
    def dying(*arguments, **options):
        method(*arguments, **options)
        raise Died

    return dying


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_load_once(confirmed, staged):
    threads = [threading.Thread(target=go_on_and_close, args=[confirmed.pk]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(staged("balances")) == 2


def go_on_and_close(pk):
    from django.db import connection

    upload_job.go_on(Upload.objects.get(pk=pk))
    connection.close()


def test_a_failing_insert_loads_nothing_says_why_and_can_be_confirmed_again(
    confirmed, shop_all, staged, olga
):
    with connected(shop_all) as head_office:
        table = f'"{KINDS["balances"].staging}"'
        run(head_office, f"alter table {table} add constraint c check (account <> '4200')")
        upload_job.go_on(confirmed)
        assert (confirmed.state, confirmed.error_code) == (State.READY, "query_failed")
        assert staged("balances") == []
        run(head_office, f"alter table {table} drop constraint c")
    assert confirmed.confirm(olga)
    upload_job.go_on(confirmed)
    assert len(staged("balances")) == 2


def test_a_file_that_is_judged_differently_than_was_shown_is_not_loaded(confirmed, staged):
    confirmed.good = 3
    confirmed.save()
    upload_job.go_on(confirmed)
    assert (confirmed.state, confirmed.error_code) == (State.READY, "upload_differs")
    assert staged("balances") == []


def test_without_shop_all_the_check_fails_in_words_and_is_tried_again(check, shop_all):
    with override_settings(SHOP_ALL_DATABASE_URL="postgresql://localhost:9/nowhere"):
        upload = check("balances", GOOD)
    assert (upload.state, upload.error_code) == (State.FAILED, "port_closed")
    upload.go_on(State.RECEIVED)
    upload_job.go_on(upload)
    assert upload.state == State.READY


def test_a_staging_database_of_an_earlier_version_is_named(check, shop_all):
    query_without_result(shop_all, "drop table datatransfer.load")
    upload = check("balances", GOOD)
    assert (upload.state, upload.error_code) == (State.FAILED, "not_initialised")


def query_without_result(dsn, statement):
    with connected(dsn) as connection:
        run(connection, statement)


@contextmanager
def somebody_holding(dsn, space, number):
    with connected(dsn) as somebody:
        run(somebody, "select pg_advisory_lock(%s, %s)", [space, number])
        yield


@pytest.mark.django_db(transaction=True)
class TestTheQueue:
    @pytest.mark.long
    def test_a_large_file_is_checked_and_loaded_by_a_worker(self, shop_all, olga, staged):
        lines = b"account;amount\n" + b"4100000001;1\n" * 60_000
        upload = receive(KINDS["balances"], [lines], olga, name="a.csv")
        upload_job.start(upload)
        assert upload.state == State.RECEIVED
        drain(lambda: False)
        upload.refresh_from_db()
        assert (upload.state, upload.good) == (State.READY, 60_000)
        upload.confirm(olga)
        upload_job.start(upload)
        drain(lambda: False)
        assert len(staged("balances")) == 60_000

    def test_a_file_whose_worker_is_gone_is_taken_up_by_the_next_tick(self, confirmed, staged):
        assert tick("test").queued_again == 1
        assert tick("test").queued_again == 0
        drain(lambda: False)
        assert len(staged("balances")) == 2

    def test_a_file_that_somebody_works_on_is_left_alone(self, confirmed, own_database):
        with somebody_holding(own_database, Space.UPLOAD, confirmed.pk):
            assert tick("test").queued_again == 0

    def test_a_change_of_accounts_does_not_hold_up_the_file_with_the_same_number(
        self, confirmed, own_database, staged
    ):
        with somebody_holding(own_database, Space.ACCOUNT_JOB, confirmed.pk):
            upload_job.go_on(confirmed)
        assert len(staged("balances")) == 2

    def test_the_lock_ends_with_the_work(self, confirmed):
        with lock(Space.UPLOAD, confirmed.pk):
            assert not Upload.objects.idle().exists()
        assert Upload.objects.idle().exists()


class TestTheContent:
    def test_is_encrypted_and_goes_when_it_is_loaded(self, load, check):
        upload = check("pincodes", b"account;pin\n4100;73519\n")
        (piece,) = upload.pieces.all()
        assert b"73519" not in bytes(piece.content)
        load("pincodes", b"account;pin\n4100;73519\n")
        assert UploadPiece.objects.count() == 1

    def test_goes_a_day_after_nobody_has_confirmed_it(self, check):
        upload = check("balances", GOOD)
        Upload.objects.expire(timezone.now() + timedelta(hours=23))
        assert upload.pieces.exists()
        Upload.objects.expire(timezone.now() + timedelta(hours=25))
        upload.refresh_from_db()
        assert (upload.state, upload.pieces.count()) == (State.EXPIRED, 0)

    def test_stands_whole_in_pieces_of_any_size(self, db, olga):
        content = bytes(range(256)) * 12_000
        chunks = [content[:7], content[7:2_000_000], content[2_000_000:]]
        upload = receive(KINDS["balances"], chunks, olga)
        assert upload.pieces.count() == 3
        assert upload.open().read() == content

    def test_too_large_is_refused_and_nothing_is_kept(self, db, olga):
        with pytest.raises(Exception, match="larger than"):
            receive(KINDS["balances"], [b"12345678901"], olga, most=10)
        assert not Upload.objects.exists()


class TestTheSameRows:
    def test_are_known_again_in_any_file_of_their_table(self, load, check, settings):
        first = load("balances", GOOD)
        settings.SECRET_KEY = "another key"
        for content in (GOOD, GOOD + b"\n", b"amount,account\n10.00,4100\n20,4200\n"):
            assert earlier(check("balances", content)).upload == first
        assert earlier(check("balances", GOOD + b"1;1\n")) is None
        assert earlier(check("pincodes", b"account;pin\n4100;10\n4200;20\n")) is None

    def test_are_known_again_though_our_own_database_has_forgotten_them(self, load, check):
        load("balances", GOOD).delete()
        known = earlier(check("balances", GOOD))
        assert (known.upload, known.by) == (None, "olga")

    def test_that_were_loaded_since_the_preview_need_a_new_one(self, check, staged, olga):
        """Two users have the same file before them."""
        uploads = [check("balances", GOOD), check("balances", GOOD)]
        for upload in uploads:
            upload.confirm(olga)
            upload_job.go_on(upload)
        first, second = uploads
        assert (first.state, second.state, second.error_code) == (
            *(State.LOADED, State.READY, "upload_differs"),
        )
        assert earlier(second).upload == first
        assert len(staged("balances")) == 2
        second.confirm(olga)
        upload_job.go_on(second)
        assert (second.state, len(staged("balances"))) == (State.LOADED, 4)

    def test_of_bad_lines_count_for_nothing(self, load, check):
        first = load("balances", GOOD)
        assert earlier(check("balances", GOOD + b";5\n")).upload == first


def test_a_pin_code_can_not_be_found_by_trying_all(check, settings):
    """Of those who have our database, without our key."""
    upload = check("pincodes", b"4100;7351\n")
    settings.SECRET_KEY = "a guess"
    tried = Upload()
    for pin in range(7_300, 7_400):  # its own among them
        sha256 = hashlib.sha256(b"4100;%04d\n" % pin).hexdigest()
        tried.recognise_by(sha256)
        assert upload.digest not in (sha256, tried.digest)


def test_who_confirmed_stands_in_the_audit_and_no_secret(load):
    load("pincodes", b"account;pin\n4100;73519\n")
    entry = AuditEntry.objects.get(action="load")
    assert (entry.who, entry.address, entry.new["good"]) == ("olga", "10.0.0.8", 1)
    assert "73519" not in repr(vars(entry))


def test_confirming_is_for_one_alone(check):
    upload = check("balances", GOOD)
    other = Upload.objects.get(pk=upload.pk)
    assert upload.confirm(Actor("olga"))
    assert not other.confirm(Actor("ivan"))
