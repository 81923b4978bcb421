"""What was approved is staged once, though the process dies at the worst moment."""

from datetime import timedelta

import pytest
from django.db import connection

from tests.approvals.conftest import limits
from tests.databases import query, stage
from transfer.causes.connections import CONNECTION_LOST
from transfer.causes.loads import CHANGES_MOVED
from transfer.engine.kinds import BALANCES
from transfer.engine.postgres.connection import Connection
from transfer.engine.shop_all.changes import Changes
from transfer.errors import ConnectionLost, TransferError
from transfer.loading import undo_load, upload_job
from transfer.loading.receive import receive
from transfer.models import Approval, AuditEntry, Entry, RejectedRow, Upload
from transfer.models.run_base import Trigger
from transfer.parties import SHOP_ALL
from transfer.queue.worker import drain
from transfer.rejects import changed, resend
from transfer.runs.execute import run_here
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)
State = Upload.State


class Died(BaseException):
    """As if the process had been killed at this point."""


def dies(*_arguments):
    raise Died


@pytest.fixture(autouse=True)
def tables(shop_all):
    """The staging tables are there, and empty."""


def a_file(actor):
    upload = receive(BALANCES, [b"account;amount\n4100;50000\n"], actor, name="bonus.csv")
    upload_job.go_on(upload)
    upload.confirm(actor)
    upload_job.go_on(upload)
    return upload


@pytest.fixture
def waits(receiver, shop_all, oleg):
    """Have 50,000 wait on a way; the number of rows that are staged before."""

    def move():
        run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)

    def waits(way):
        if way == "undo":
            load = a_file(oleg)
        elif way == "correction":
            stage(shop_all, "balances", [("4100", 0)])
            move()
        elif way == "change":
            stage(shop_all, "balances", [("4100", 1)])
            move()
            query(shop_all, 'update "changeAccountBalanceTemp" set amount = 50000')
        limits(row_limit=10_000)
        if way == "file":
            a_file(oleg)
        elif way == "undo":
            upload_job.go_on(undo_load.order(load, oleg))
        elif way == "correction":
            assert resend.resend(RejectedRow.objects.all(), {"amount": "50000"}, oleg).waiting == 1
        else:
            assert changed.decide(BALANCES, changed.Decision.SEND, oleg).waiting == 1
        return 0 if way == "file" else 1

    return waits


WAYS = ["file", "undo", "correction", "change"]
ENTERED = {"file": 50000, "undo": 50000, "correction": 50000, "change": 49999}


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_dies_between_the_two_commits_has_staged_once(
    way, waits, vera, staged, monkeypatch, bonus, receiver
):
    before = waits(way)
    approval = Approval.objects.get()
    assert approval.approve(vera)
    with monkeypatch.context() as patched:
        patched.setattr(Upload, "note_loaded", dies)
        with pytest.raises(Died):
            upload_job.go_on(Upload.objects.get(pk=approval.upload_id))
    upload = Upload.objects.get(pk=approval.upload_id)
    assert (upload.state, len(staged("balances"))) == (State.CONFIRMED, before + 1)
    tick("tests")
    drain(lambda: 0)
    upload.refresh_from_db()
    assert (upload.state, len(staged("balances"))) == (State.LOADED, before + 1)
    entry = Entry.objects.get(upload=upload)
    assert (entry.who, entry.approved_by, abs(entry.amount)) == ("oleg", "vera", ENTERED[way])
    run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    applied = {"file": 50000, "undo": 0, "correction": 50000, "change": 50000}[way]
    assert query(bonus, "select coalesce(sum(amount), 0)::int from asset") == [(applied,)]
    assert not RejectedRow.objects.open().exists()


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_dies_after_the_approval_leaves_the_rest_to_the_next_tick(
    way, waits, vera, staged
):
    before = waits(way)
    approval = Approval.objects.get()
    assert approval.approve(vera)
    tick("tests")
    drain(lambda: 0)
    upload = Upload.objects.get(pk=approval.upload_id)
    assert (upload.state, len(staged("balances"))) == (State.LOADED, before + 1)
    assert Entry.objects.filter(upload=upload, approved_by="vera").count() == 1


def test_an_approved_load_goes_on_once_shop_all_answers_again(
    waits, vera, staged, settings, shop_all
):
    """Nobody can refuse meanwhile what may be staged by now."""
    waits("file")
    approval = Approval.objects.get()
    settings.SHOP_ALL_DATABASE_URL = "postgresql://127.0.0.1:9/nowhere"
    assert approval.approve(vera)
    upload = Upload.objects.get(pk=approval.upload_id)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    approval.refresh_from_db()
    assert (upload.state, approval.state) == (State.CONFIRMED, "approved")
    assert upload.error_code
    assert not approval.refuse(vera, "too late")
    settings.SHOP_ALL_DATABASE_URL = shop_all
    tick("tests")
    drain(lambda: 0)
    upload.refresh_from_db()
    assert (upload.state, upload.error_code, len(staged("balances"))) == (State.LOADED, "", 1)


def test_an_approved_load_that_can_not_be_staged_waits_for_a_decision_again(
    waits, vera, staged, shop_all
):
    waits("file")
    approval = Approval.objects.get()
    renamed = 'alter table "changeAccountBalanceTemp" rename column comment to remark'
    query(shop_all, renamed)
    assert approval.approve(vera)
    upload = Upload.objects.get(pk=approval.upload_id)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    approval.refresh_from_db()
    assert (upload.state, approval.state, approval.decided_by) == (State.WAITING, "waiting", "")
    assert upload.error_code
    query(shop_all, renamed.replace("comment to remark", "remark to comment"))
    assert approval.approve(vera)
    upload_job.go_on(Upload.objects.get(pk=approval.upload_id))
    assert len(staged("balances")) == 1


def test_a_tick_ends_what_nobody_has_decided_on_within_a_week(waits):
    waits("file")
    early = Approval.objects.get().asked_at + timedelta(days=6, hours=23)
    tick("tests", early)
    assert Approval.objects.waiting().exists()
    tick("tests", early + timedelta(hours=2))
    upload = Upload.objects.get()
    assert (Approval.objects.get().state, upload.state) == ("expired", State.EXPIRED)
    assert (upload.pieces.count(), upload.report) == (0, {})


class TestWithoutASecondPerson:
    """No upload keeps a decision about changed rows: our own database notes it before shop All."""

    @pytest.fixture(autouse=True)
    def changed_row(self, receiver, shop_all):
        stage(shop_all, "balances", [("4100", 1)])
        run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
        query(shop_all, 'update "changeAccountBalanceTemp" set amount = 500')

    @pytest.fixture
    def at_the_commit(self, shop_all, monkeypatch):
        """Has shop All's commit of a decision done by a function, which gets the real one."""
        commit, own = Connection.commit, connection

        def done_by(instead):
            def committed(self):
                with self.cursor() as cursor:
                    cursor.execute(DECIDED)
                    decides = cursor.fetchone() != (0,)
                if decides:
                    assert not own.in_atomic_block
                    instead(lambda: commit(self))
                else:
                    commit(self)

            monkeypatch.setattr(Connection, "commit", committed)

        return done_by

    def decide(self, oleg, decision="send"):
        return changed.decide(BALANCES, changed.Decision(decision), oleg)

    def noted(self):
        """By hand, and the audit."""
        entries = [(one.who, one.way, one.amount, one.approved_by) for one in Entry.objects.all()]
        audit = AuditEntry.objects.filter(action="changed")
        return entries, [(one.who, one.new) for one in audit]

    SENT = [("oleg", "change", 499, "")], [("oleg", {"decision": "send", "rows": 1})]
    LEFT = [], [("oleg", {"decision": "leave", "rows": 1})]

    @pytest.mark.parametrize("committed", [False, True], ids=["before it", "after it"])
    @pytest.mark.parametrize(("decision", "noted"), [("send", SENT), ("leave", LEFT)])
    def test_a_process_that_dies_at_the_commit_of_shop_all_leaves_both_notes(
        self, oleg, staged, at_the_commit, decision, noted, committed, shop_all
    ):
        def dies_there(commit):
            if committed:
                commit()
            raise Died

        at_the_commit(dies_there)
        with pytest.raises(Died):
            self.decide(oleg, decision)
        assert self.noted() == noted
        assert query(shop_all, DECIDED) == [(int(committed),)]
        assert len(staged("balances")) == (2 if committed and decision == "send" else 1)

    def test_both_notes_are_there_where_we_do_not_know_whether_it_is_staged(
        self, oleg, at_the_commit
    ):
        def lost(_commit):
            raise ConnectionLost(CONNECTION_LOST, party=SHOP_ALL)

        at_the_commit(lost)
        with pytest.raises(ConnectionLost):
            self.decide(oleg)
        assert self.noted() == self.SENT

    @pytest.mark.parametrize("decision", ["send", "leave"])
    def test_none_is_where_the_audit_can_not_be_written(
        self, oleg, staged, monkeypatch, decision, shop_all
    ):
        monkeypatch.setattr(changed, "_note", dies)
        with pytest.raises(Died):
            self.decide(oleg, decision)
        assert self.noted() == ([], [])
        assert (query(shop_all, DECIDED), len(staged("balances"))) == ([(0,)], 1)

    def test_what_shop_all_refuses_is_noted_nowhere(self, oleg, monkeypatch):
        refused = TransferError(CHANGES_MOVED, rows=1)
        monkeypatch.setattr(Changes, "send", raises_error(refused))
        with pytest.raises(TransferError):
            self.decide(oleg)
        assert self.noted() == ([], [])

    def test_what_went_through_is_one_entry(self, oleg):
        assert self.decide(oleg).rows == 1
        assert self.noted() == self.SENT


DECIDED = "select count(*)::int from datatransfer.dependent where effect = 'decided'"


def raises_error(error):
    def fails(*_arguments, **_options):
        raise error

    return fails


def test_every_statement_that_stages_rows_is_behind_the_gate():
    """Who adds another way finds this: ask `entering` there, and name the file here."""
    from pathlib import Path

    import transfer

    root = Path(transfer.__file__).parent
    calls = (".stage(", "Changes(shop_all).send(", "undo(shop_all")
    behind = {
        "rejects/resend.py",
        "rejects/changed.py",
        "loading/upload_job.py",
        "loading/undo_load.py",
    }
    found = {
        str(file.relative_to(root))
        for file in root.rglob("*.py")
        if "engine" not in file.parts and any(call in file.read_text() for call in calls)
    }
    assert found <= behind
    for name in behind:
        assert "entering(" in (root / name).read_text(), name
