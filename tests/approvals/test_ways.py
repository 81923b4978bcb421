"""50,000 waits on every way, nothing is staged before somebody else approves, and then once."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.approvals.conftest import limits
from tests.databases import query, stage
from tests.http_api.conftest import Program, a_key
from tests.http_api.test_rows import load as call
from tests.pages.look import send_again
from transfer.engine.kinds import BALANCES, CARDS
from transfer.errors import TransferError
from transfer.loading import undo_load, upload_job
from transfer.loading.receive import receive
from transfer.management.command import UsageError
from transfer.models import Actor, Approval, AuditEntry, Entry, RejectedRow, Settings, Upload, User
from transfer.models.approvers import OwnNumber
from transfer.models.run_base import Trigger
from transfer.rejects import changed, resend
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)

FILE = b"account;amount\n4100;50000\n"
State = Upload.State


@pytest.fixture(autouse=True)
def tables(shop_all, settings):
    settings.LANGUAGE_CODE = "en"


def of(client, name):
    client.force_login(User.objects.get(username=name))
    client.cookies["django_language"] = "en"
    return client


def by_file(actor, content=FILE, way="file"):
    upload = receive(BALANCES, [content], actor, name="bonus.csv", input_method=way)
    upload_job.go_on(upload)
    assert upload.confirm(actor)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    return upload


def waiting():
    return Approval.objects.waiting().get()


def approve(actor):
    """As the page does."""
    approval = waiting()
    assert approval.approve(actor)
    upload = Upload.objects.get(pk=approval.upload_id)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    return upload


def is_approved_once(staged, vera, rows, who="oleg"):
    """Nothing is staged before; the approval stages these rows once; both names are kept."""
    before = staged("balances")
    assert not Entry.objects.filter(approved_by="vera").exists()
    upload = approve(vera)
    assert upload.state == State.LOADED, upload.explained
    now = staged("balances")
    assert [(account, int(amount)) for account, amount, *_ in now[len(before) :]] == rows
    upload_job.go_on(upload)
    assert staged("balances") == now
    entry = Entry.objects.get(upload=upload)
    assert (entry.who, entry.approved_by) == (who, "vera")
    audit = AuditEntry.objects.filter(action="load").first()
    assert (audit.who, audit.new["approved_by"]) == (who, "vera")


class TestAWay:
    @pytest.fixture(autouse=True)
    def limit(self, limited):
        """Of a row: 10,000."""

    def test_a_file(self, staged, oleg, vera):
        upload = by_file(oleg)
        assert (upload.state, staged("balances")) == (State.WAITING, [])
        is_approved_once(staged, vera, [("4100", 50000)])

    def test_a_change_by_hand(self, staged, oleg, vera, client):
        of(client, "oleg")
        client.post(reverse("entry", args=["balances"]), {"account": "4100", "amount": "50000"})
        upload = Upload.objects.get()
        client.post(reverse("entry_confirm", args=[upload.pk]))
        assert staged("balances") == []
        is_approved_once(staged, vera, [("4100", 50000)])

    def test_a_call_of_the_api(self, staged, vera):
        limits(key_row_limit=10_000)
        program = Program(a_key().secret)
        rows = [{"account": "4100", "amount": "50000"}]
        answer = call(program, rows)
        assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
        assert staged("balances") == []
        assert call(program, rows).json() == answer.json()
        found = program.ask(f"loads/{answer.json()['id']}").json()
        assert (found["state"], found["approval"]["state"]) == ("waiting", "waiting")
        is_approved_once(staged, vera, [("4100", 50000)], "1C (API)")
        assert call(program, rows).status_code == 201
        assert len(staged("balances")) == 1

    def test_a_command(self, staged, oleg, vera, tmp_path):
        file = tmp_path / "bonus.csv"
        file.write_bytes(FILE)
        with pytest.raises(CommandError, match="--by"):
            call_command("load_staging", "balances", str(file), stdout=StringIO())
        assert not Upload.objects.exists()
        with pytest.raises(UsageError, match="nobody"):
            call_command("load_staging", "balances", str(file), by="nobody", stdout=StringIO())
        call_command("load_staging", "balances", str(file), by="oleg", stdout=StringIO())
        assert staged("balances") == []
        is_approved_once(staged, vera, [("4100", 50000)])

    def test_an_undo(self, staged, oleg, vera):
        limits(row_limit=None)
        load = by_file(oleg)
        limits(row_limit=10_000)
        undo = undo_load.order(load, oleg)
        upload_job.go_on(undo)
        undo.refresh_from_db()
        assert (undo.state, len(staged("balances"))) == (State.WAITING, 1)
        is_approved_once(staged, vera, [("4100", -50000)])

    def test_a_correction_that_changes_the_amount(self, staged, oleg, vera, rejected):
        (reject,) = rejected("balances", ("4100", 0))
        mine = RejectedRow.objects.filter(pk=reject.pk)
        outcome = resend.resend(mine, {"amount": "50000"}, oleg)
        assert (outcome.sent, outcome.waiting, len(staged("balances"))) == (0, 1, 1)
        assert mine.open().exists()
        is_approved_once(staged, vera, [("4100", 50000)])
        assert not mine.open().exists()

    def test_a_correction_that_gives_the_amount_to_another_account(self, oleg, rejected):
        (reject,) = rejected("balances", ("", 50000))
        outcome = resend.resend(RejectedRow.objects.filter(pk=reject.pk), {"account": "4100"}, oleg)
        assert (outcome.sent, outcome.waiting) == (0, 1)

    def test_the_pages_of_rejected_rows_and_the_grid(self, oleg, rejected, client, staged):
        (reject,) = rejected("balances", ("4100", 0))
        of(client, "oleg")
        page = reverse("reject_resend", args=[reject.pk])
        values = {"account": "4100", "amount": "50000", "initial-account": "4100"}
        first = send_again(client, page, values | {"initial-amount": "0"}, follow=True)
        grid = client.get(reverse("rejects_grid"), {"id": reject.pk}).context["sections"]
        (form,) = grid[0].forms
        named = {form.add_prefix("amount"): "50000", form.add_initial_prefix("amount"): "0"}
        second = client.post(reverse("rejects_grid"), {"row": reject.pk, **named}, follow=True)
        bulk = f"{reverse('rejects_resend')}?id={reject.pk}"
        third = client.post(bulk, {"amount": "50000"}, follow=True)
        for answer in (first, second, third):
            assert "needs a second person" in answer.content.decode()
        assert (Approval.objects.waiting().count(), len(staged("balances"))) == (3, 1)

    def test_commands_of_undos_and_changed_rows(self, oleg, staged, receiver, shop_all):
        limits(row_limit=None)
        load = by_file(oleg)
        run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
        query(shop_all, 'update "changeAccountBalanceTemp" set amount = 90000')
        limits(row_limit=10_000)
        for command in (("load", "undo", str(load.pk)), ("changed_rows", "--decide", "send")):
            with pytest.raises(CommandError, match="--by"):
                call_command(*command, stdout=StringIO())
            said = StringIO()
            call_command(*command, "--by", "oleg", stdout=said)
            assert "second person" in said.getvalue()
        assert (Approval.objects.waiting().count(), len(staged("balances"))) == (2, 1)

    def test_the_difference_of_a_row_that_was_changed_in_place(
        self, staged, oleg, vera, receiver, shop_all
    ):
        stage(shop_all, "balances", [("4100", 1)])
        run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
        query(shop_all, 'update "changeAccountBalanceTemp" set amount = 50000')
        assert changed.decide(BALANCES, changed.Decision.SEND, oleg) == (0, 1)
        assert len(staged("balances")) == 1
        upload = approve(vera)
        assert (upload.state, len(staged("balances"))) == (State.LOADED, 2)
        assert Entry.objects.get().total == 49999

    def test_a_row_of_the_limit_goes(self, staged, oleg):
        assert by_file(oleg, b"account;amount\n4100;10000\n").state == State.LOADED
        assert len(staged("balances")) == 1


class TestALimit:
    def test_without_limits_nothing_waits(self, staged, oleg):
        assert by_file(oleg).state == State.LOADED
        assert Settings.load().row_limit is None

    def test_of_a_load_counts_amounts_without_their_signs(self, oleg):
        limits(load_limit=50_000)
        upload = by_file(oleg, b"account;amount\n4100;30000\n4200;-30000\n")
        assert upload.state == State.WAITING
        assert [one["code"] for one in waiting().reasons] == ["load"]

    def test_of_a_day_counts_all_ways_of_a_person(self, oleg, ivan):
        limits(day_limit=50_000)
        assert by_file(oleg, b"account;amount\n4100;30000\n").state == State.LOADED
        assert by_file(oleg, b"account;amount\n4100;20000\n", "hand").state == State.LOADED
        assert by_file(oleg, b"account;amount\n4100;1\n").state == State.WAITING
        query_free = by_file(
            Actor.user_at(User.objects.create_user("anna")), b"account;amount\n1;9\n"
        )
        assert query_free.state == State.LOADED

    def test_of_a_key_is_its_own_or_that_of_the_settings(self, staged):
        limits(key_row_limit=10)
        small = a_key(name="small")
        large = a_key(name="large", row_limit=100_000)
        rows = [{"account": "4100", "amount": "50000"}]
        assert call(Program(small.secret), rows, key="first-one").status_code == 202
        assert call(Program(large.secret), rows, key="second-one").status_code == 201

    def test_numbers_of_a_user_always_need_a_second_person(self, oleg, vera):
        OwnNumber.objects.create(user=vera.user, number="4100")
        upload = by_file(oleg, b"account;amount\n4100;1\n")
        assert (upload.state, waiting().own) == (State.WAITING, ["4100"])
        assert not waiting().may_decide(vera.user)
        card = receive(CARDS, [b"card;account\n7001;4100\n"], oleg)
        upload_job.go_on(card)
        card.confirm(oleg)
        upload_job.go_on(card)
        assert card.state == State.WAITING


def test_an_error_names_the_way_out(oleg):
    limits(row_limit=10)
    upload = receive(BALANCES, [FILE], Actor("root (manage.py)"), input_method="command")
    upload_job.go_on(upload)
    upload.confirm(Actor("root (manage.py)"))
    upload_job.go_on(upload)
    assert upload.error_code == "second_person_needs_name"
    assert isinstance(upload.error, TransferError)
