"""A thief with an operator's log-in, or a key, wants 50,000 on a friend's account.

The limit of a row is 10,000, that of a load 20,000, that of a day 30,000. Nothing lets him pass
it alone.
"""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.approvals.conftest import ADMIN, limits
from tests.http_api.conftest import Program, a_key
from tests.http_api.test_rows import load as call
from tests.records import user
from transfer.access import Role
from transfer.engine.kinds import BALANCES, CARDS
from transfer.loading import undo_load, upload_job
from transfer.loading.receive import receive
from transfer.models import (
    Actor,
    ApiKey,
    Approval,
    Approver,
    Entry,
    OwnNumber,
    RejectedRow,
    Settings,
    Upload,
    User,
)
from transfer.models.approvers import mark
from transfer.rejects import resend

pytestmark = pytest.mark.django_db(transaction=True)
State = Upload.State


@pytest.fixture(autouse=True)
def limit(shop_all, settings):
    settings.LANGUAGE_CODE = "en"
    limits(row_limit=10_000, load_limit=20_000, day_limit=30_000)


@pytest.fixture
def thief():
    """An operator, who may approve what others enter."""
    made = user("operator", "thief")
    Approver.objects.create(user=made)
    return Actor.user_at(made)


@pytest.fixture
def vera():
    made = user("viewer", "vera")
    Approver.objects.create(user=made)
    return Actor.user_at(made)


def browser(actor, **options):
    client = Client(**options)
    client.force_login(actor.user)
    client.cookies["django_language"] = "en"
    return client


def enter(actor, text="4100;50000", kind=BALANCES, head="account;amount"):
    content = f"{head}\n{text}\n".encode()
    upload = receive(kind, [content], actor, name="bonus.csv")
    upload_job.go_on(upload)
    upload.confirm(actor)
    upload_job.go_on(upload)
    upload.refresh_from_db()
    return upload


def decide(actor, approval, name="approve", **fields):
    url = reverse(f"approval_{name}", args=[approval.pk])
    return browser(actor).post(url, fields)


def credited(staged):
    return sum((amount for _account, amount, *_ in staged("balances")), Decimal(0))


class TestHeEnters:
    def test_with_a_form_that_he_replays(self, thief, staged):
        upload = enter(thief)
        client = browser(thief)
        for name in ("upload_confirm", "upload_again", "upload_reading"):
            client.post(reverse(name, args=[upload.pk]), {"again": "1"})
            upload_job.go_on(Upload.objects.get(pk=upload.pk))
        upload.refresh_from_db()
        assert (upload.state, credited(staged)) == (State.WAITING, 0)

    def test_split_into_loads_of_one_day_which_by_hand_shows(self, thief, staged):
        states = [enter(thief, f"4100;{9999 - number}").state for number in range(5)]
        assert states == [State.LOADED] * 3 + [State.WAITING] * 2
        assert credited(staged) <= 30_000
        page = browser(Actor.user_at(user("administrator", "anna")))
        found = page.get(reverse("by_hand"), {"near": "on"}).context
        assert len(found["table"].paginated_rows) == 3
        assert len(found["repeated"].rows) == 0  # three times are not more than three

    def test_at_the_same_moment_in_two_windows(self, thief, staged):
        """Each is below the limit of a day, both are above it."""
        uploads = []
        for amount in (9000, 9500, 9900, 9999):
            upload = receive(BALANCES, [f"account;amount\n4100;{amount}\n".encode()], thief)
            upload_job.go_on(upload)
            upload.confirm(thief)
            uploads.append(upload.pk)

        def work(pk):
            upload_job.go_on(Upload.objects.get(pk=pk))
            connection.close()

        threads = [threading.Thread(target=work, args=[pk]) for pk in uploads]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert credited(staged) <= 30_000
        assert Approval.objects.waiting().count() == 1

    def test_by_a_file_of_rejected_rows(self, thief, rejected, staged):
        (reject,) = rejected("balances", ("4100", 0))
        before = len(staged("balances"))
        head = "Rejected row no.;account;amount"
        upload = enter(thief, f"{reject.key};4100;50000", head=head)
        assert (upload.state, len(staged("balances"))) == (State.WAITING, before)

    def test_for_his_own_account_in_small_amounts(self, thief, vera, staged):
        mark(User.objects.get(username="thief"), ADMIN, approves=True, numbers=["4100", "7001"])
        assert enter(thief, "4100;1").state == State.WAITING
        assert enter(vera_operator(), "4100;1").state == State.WAITING
        link = enter(thief, "7001;4999", CARDS, "card;account")
        assert (link.state, staged("cards"), credited(staged)) == (State.WAITING, [], 0)

    def test_by_withdrawing_what_concerns_his_own_card(self, thief, vera, staged):
        """The load blocks the thief's card; without it the card pays again."""
        block = enter(vera_operator(), "7001;2", CARDS, "card;status")
        assert block.state == State.LOADED
        mark(User.objects.get(username="thief"), ADMIN, approves=True, numbers=["7001"])
        undo = undo_load.order(block, thief)
        upload_job.go_on(undo)
        undo.refresh_from_db()
        assert undo.state == State.WAITING


def vera_operator():
    return Actor.user_at(user("operator", "helper"))


class TestHeApproves:
    def test_what_another_has_confirmed_of_his_file(self, thief, staged):
        helper = vera_operator()
        upload = receive(BALANCES, [b"account;amount\n4100;50000\n"], thief)
        upload_job.go_on(upload)
        upload.confirm(helper)
        upload_job.go_on(upload)
        decide(thief, Approval.objects.get())
        assert credited(staged) == 0

    def test_what_a_key_that_he_has_made_has_loaded(self, thief, staged):
        limits(key_row_limit=10_000)
        made = ApiKey.make(thief, name="mine", scopes=["load_balances"], expires_at=None, limit=60)
        call(Program(made.secret), [{"account": "4100", "amount": 50_000}])
        decide(thief, Approval.objects.get())
        assert credited(staged) == 0

    def test_rows_for_his_own_account(self, thief, staged):
        mark(User.objects.get(username="thief"), ADMIN, approves=True, numbers=["4100"])
        enter(vera_operator())
        decide(thief, Approval.objects.get())
        assert credited(staged) == 0

    def test_his_own_right_or_numbers(self, thief, vera):
        administrator = user("administrator", "boss")
        OwnNumber.objects.create(user=administrator, number="4100")
        values = {
            "role": "administrator",
            "initial-role": "administrator",
            "approves": "on",
            "initial-approves": "False",
            "own_numbers": "",
            "initial-own_numbers": "4100",
        }
        boss = browser(Actor.user_at(administrator))
        boss.post(reverse("user", args=[administrator.pk]), values)
        assert not Approver.objects.filter(user=administrator).exists()
        assert OwnNumber.objects.filter(user=administrator).exists()

    def test_by_a_link_or_without_the_form_key(self, vera, thief, staged):
        enter(thief)
        url = reverse("approval_approve", args=[Approval.objects.get().pk])
        assert browser(vera).get(url).status_code == 405
        assert browser(vera, enforce_csrf_checks=True).post(url).status_code == 403
        assert credited(staged) == 0

    def test_with_a_session_of_an_approver_who_was_demoted_or_closed(self, thief, vera, staged):
        enter(thief)
        approval = Approval.objects.get()
        held = browser(vera)
        url = reverse("approval_approve", args=[approval.pk])
        Approver.objects.filter(user=vera.user).delete()
        assert held.post(url).status_code == 403
        Approver.objects.create(user=vera.user)
        User.objects.get(pk=vera.user.pk).follow(ADMIN, role=None)
        assert held.post(url).status_code == 403
        assert not approval.approve(vera)  # the row is locked, and the right asked for again
        assert (Approval.objects.waiting().count(), credited(staged)) == (1, 0)


class TestAnApproval:
    def test_of_two_at_once_stages_once(self, thief, vera, staged):
        second = user("viewer", "boris")
        Approver.objects.create(user=second)
        enter(thief)
        approval = Approval.objects.get()
        answers = []

        def press(actor):
            answers.append(decide(actor, approval).status_code)
            connection.close()

        people = (vera, Actor.user_at(second))
        threads = [threading.Thread(target=press, args=[actor]) for actor in people]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert answers == [302, 302]
        assert (credited(staged), Entry.objects.count()) == (50_000, 1)

    def test_loads_nothing_for_a_loader_who_may_not_load_any_more(self, thief, vera, staged):
        enter(thief)
        User.objects.get(username="thief").edit(ADMIN, role=Role.VIEWER)
        decide(vera, Approval.objects.get())
        upload = Upload.objects.get()
        assert (upload.state, upload.error_code) == (State.DECLINED, "loader_may_not")
        assert (Approval.objects.get().state, credited(staged)) == ("void", 0)

    def test_loads_nothing_if_the_same_rows_were_loaded_meanwhile(self, thief, vera, staged):
        enter(thief)
        approval = Approval.objects.get()
        limits(row_limit=None, load_limit=None, day_limit=None)
        enter(vera_operator())
        decide(vera, approval)
        assert credited(staged) == 50_000
        assert Approval.objects.get().state == "void"

    def test_loads_nothing_of_a_reject_that_was_corrected_meanwhile(self, thief, vera, rejected):
        (reject,) = rejected("balances", ("4100", 0))
        mine = RejectedRow.objects.filter(pk=reject.pk)
        resend.resend(mine, {"amount": "50000"}, thief)
        assert resend.resend(mine, {"amount": "5"}, vera_operator()).sent == 1
        decide(vera, Approval.objects.get())
        assert Approval.objects.get().state == "void"

    def test_is_of_no_use_after_seven_days(self, thief, vera, staged):
        enter(thief)
        approval = Approval.objects.get()
        Approval.objects.expire(timezone.now() + timedelta(days=8))
        decide(vera, approval)
        upload = Upload.objects.get()
        assert (upload.state, upload.pieces.count(), credited(staged)) == (State.EXPIRED, 0, 0)
        page = browser(Actor.user_at(user("administrator", "anna"))).get(reverse("audit"))
        assert "nobody approved a load in time" in page.content.decode()

    def test_of_a_refused_call_is_not_got_by_repeating_it(self, vera, staged):
        limits(key_row_limit=10_000)
        program = Program(a_key().secret)
        rows = [{"account": "4100", "amount": 50_000}]
        assert call(program, rows).status_code == 202
        decide(vera, Approval.objects.get(), "refuse", reason="no")
        answer = call(program, rows)
        assert (answer.status_code, answer.json()["code"]) == (409, "call_not_approved")
        assert credited(staged) == 0

    def test_keeps_rows_encrypted_and_out_of_shop_all(self, thief):
        upload = enter(thief, "41000000112233;50000")
        with connection.cursor() as cursor:
            cursor.execute("select content from transfer_uploadpiece")
            stored = b"".join(bytes(content) for (content,) in cursor.fetchall())
        assert b"41000000112233" not in stored
        assert upload.pieces.count() == 2


def test_raising_the_limits_is_for_administrators_and_audited(thief):
    answer = browser(thief).post(reverse("settings"), {"row_limit": "1000000"})
    assert answer.status_code == 403
    assert Settings.load().row_limit == 10_000
