"""Changes of many accounts: half of them fail, the server dies, the token is wrong."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tests import misbehaving
from tests.reference_server import TOKEN
from transfer.models import AccountJob, Actor, CashRegister, IssuedSecret, MaintenanceTask, Shop
from transfer.queue.jobs import work_off
from transfer.queue.worker import drain
from transfer.runs.start import run_now
from transfer.servers.account_job import Work
from transfer.tick import tick

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]

NOW = datetime.now(UTC).isoformat()


@pytest.fixture
def server(dock, bonus):
    server = dock(bonus)
    server.host, server.api_token = "127.0.0.1", TOKEN
    return server


@pytest.fixture
def forty(db) -> list[CashRegister]:
    shop = Shop.objects.create(code="1")
    return [
        CashRegister.objects.create(code=f"{n:02}", name=f"Касса {n}", shop=shop) for n in range(40)
    ]


def account(register: str, **fields) -> dict:
    return {
        "register": register,
        "login": f"r{register}",
        "created": NOW,
        "last_seen": None,
        "blocked": False,
        **fields,
    }


class Fake:
    """A server that keeps accounts, and misbehaves at the nth creation as the test says."""

    def __init__(self, act=lambda number, register: None) -> None:
        self.accounts: dict[str, dict] = {}
        self.asked: list[str] = []
        self.act = act

    def __call__(self, connection, number) -> None:
        request = misbehaving.request_of(connection)
        method, path, _ = request.split(b" ", 2)
        if method == b"GET":
            body = json.dumps({"accounts": list(self.accounts.values()), "next": None})
            connection.sendall(misbehaving.reply(200, body.encode()))
            return
        if method == b"DELETE":
            self.accounts.pop(path.rsplit(b"/", 1)[1].decode(), None)
            connection.sendall(misbehaving.reply(204, b""))
            return
        register = json.loads(request.partition(b"\r\n\r\n")[2])["register"]
        self.asked.append(register)
        answer = self.act(len(self.asked), register)
        if answer == "die after":
            self.accounts[register] = account(register)
            return
        if answer == "die":
            return
        if answer:
            connection.sendall(misbehaving.reply(answer))
            return
        self.accounts[register] = account(register)
        answer = self.accounts[register] | {"secret": f"secret-{register}-{len(self.asked)}"}
        connection.sendall(misbehaving.reply(201, json.dumps(answer).encode()))


def ordered(server, registers, port, action="create") -> AccountJob:
    server.admin_port = port
    server.save()
    job = AccountJob.order(
        server, AccountJob.Action(action), [one.pk for one in registers], Actor("olga")
    )
    Work(job).do()
    job.refresh_from_db()
    return job


def test_every_other_one_fails_and_the_rest_stay_created(server, forty):
    fake = Fake(lambda number, register: 500 if int(register) % 2 else None)
    with misbehaving.server(fake) as port:
        job = ordered(server, forty, port)
    assert (job.total, job.done, job.failed) == (40, 40, 20)
    assert job.secrets.count() == 20
    failed = server.accounts.filter(state="error")
    assert {one.error_code for one in failed} == {"api_broken"}
    fake.act = lambda number, register: None
    with misbehaving.server(fake) as port:
        again = ordered(server, forty, port)
    assert (again.total, again.failed) == (20, 0)
    assert server.accounts.created().count() == 40


def test_a_server_that_dies_between_two_accounts(server, forty):
    fake = Fake(lambda number, register: "die after" if number > 10 else None)
    with misbehaving.server(fake) as port:
        job = ordered(server, forty, port)
    assert job.done == 40
    assert job.good + job.failed == 40
    assert job.good >= 10
    assert len(fake.asked) < 40, "the rest is not tried in vain"
    lost = server.accounts.filter(reply_lost=True)
    assert lost
    assert {one.error_code for one in lost} == {"connection_lost"}
    fake.act = lambda number, register: None
    with misbehaving.server(fake) as port:
        again = ordered(server, forty, port)
    assert again.failed == 0
    secrets = {one.account.register.code: one.secret for one in IssuedSecret.objects.all()}
    assert secrets.keys() == {one.code for one in forty}, "no secret got lost for good"
    assert server.accounts.created().count() == 40


def test_a_dead_server_fails_all_at_once_and_in_one_sentence(server, forty):
    job = ordered(server, forty, 1)
    assert (job.done, job.failed) == (40, 40)
    assert {one.error_code for one in server.accounts.all()} == {"port_closed"}
    assert not server.accounts.filter(reply_lost=True)


def test_a_wrong_token_is_tried_once(server, forty):
    with misbehaving.server(misbehaving.answers(401)) as port:
        job = ordered(server, forty, port)
    assert job.failed == 40
    assert {one.error_code for one in server.accounts.all()} == {"api_token_refused"}


def test_somebody_made_it_a_moment_ago(server, forty):
    with misbehaving.server(Fake(lambda number, register: 409)) as port:
        ordered(server, forty[:1], port)
    made = server.accounts.get()
    assert (made.state, made.error_code) == ("created", "api_register_exists")


def test_a_worker_that_is_told_to_end_leaves_the_rest_for_the_next_one(server, forty):
    with misbehaving.server(Fake()) as port:
        server.admin_port = port
        server.save()
        job = AccountJob.order(
            server, AccountJob.Action.CREATE, [one.pk for one in forty], Actor("olga")
        )
        Work(job, stopped=lambda: True).do()
        assert AccountJob.objects.pending().get() == job
        assert tick("test").queued_again == 1
        work_off.func("accountjob", job.pk)
    job.refresh_from_db()
    assert (job.done, job.failed) == (40, 0)
    assert job.finished_at


def test_secrets_are_encrypted_and_thrown_away_after_a_day(server, forty):
    with misbehaving.server(Fake()) as port:
        ordered(server, forty[:1], port)
    with connection.cursor() as cursor:
        cursor.execute("select secret from transfer_issuedsecret")
        assert "secret-" not in str(cursor.fetchall())
    IssuedSecret.drop_expired()
    assert IssuedSecret.objects.count() == 1
    IssuedSecret.drop_expired(timezone.now() + timedelta(hours=25))
    assert not IssuedSecret.objects.exists()


@pytest.mark.long
@pytest.mark.django_db(transaction=True)
def test_maintenance_checks_every_server(server, forty):
    task = MaintenanceTask.objects.get(kind="check_connections")
    assert task.enabled
    with misbehaving.server(misbehaving.is_silent) as port:
        server.admin_port = port
        server.save()
        run_now(task, Actor("olga"))
        drain(lambda: False)
    server.refresh_from_db()
    assert (server.state, server.error_code) == ("failing", "too_slow")
    assert task.runs.get().report["failing"] == 1
