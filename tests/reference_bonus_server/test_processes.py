"""The commands as an administrator starts and stops them."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from tests.databases import as_url
from tests.reference_bonus_server.conftest import (
    TOKEN,
    Process,
    account,
    admin_client,
    calling,
    locked,
    serving,
    waiting,
)
from tests.waiting import wait_until


def refusal(folder, database_url, *arguments, token=TOKEN) -> str:
    """What a server says that can't start."""
    environ = {"BONUSSERVER_DATABASE_URL": database_url, "BONUSSERVER_TOKEN": token}
    process = Process(["serve", *arguments], environ, folder / "failing.log")
    assert process.wait() == 1
    assert "Traceback" not in process.log
    return process.log


def test_a_server_that_can_not_start_says_why(database_url, empty_database, folder, served):
    assert "BONUSSERVER_TOKEN" in refusal(folder, database_url, token="")
    migrate = "python -m reference_bonus_server migrate"
    assert migrate in refusal(folder, as_url(empty_database))
    port = urlsplit(served.work_url).port
    taken = ["--admin-port", "0", "--work-port", str(port)]
    assert f"Can't listen on 127.0.0.1:{port}" in refusal(folder, database_url, *taken)
    nowhere = ["--certificate", "nowhere.pem"]
    assert "Can't use the certificate nowhere.pem" in refusal(folder, database_url, *nowhere)


def test_ctrl_c_ends_the_request_at_work_and_waits_for_no_silent_caller(database_url, folder, db):
    db.card("1001", "a1", 1)
    body = {"operation": "1", "card": "1001", "kind": "accrue", "amount": "5"}
    with serving(database_url, folder) as served:
        with admin_client(served.admin_url) as admin:
            made = account(admin)
        address = urlsplit(served.work_url)
        with (
            socket.create_connection((address.hostname, address.port)) as silent,
            calling(served.work_url, made) as register,
            ThreadPoolExecutor(1) as pool,
        ):
            with locked(db, "a1"):
                answer = pool.submit(register.post, "/operations", json=body)
                wait_until(lambda: waiting(db))
                served.process.popen.send_signal(signal.SIGINT)
                wait_until(lambda: not listens(served.work_url))
            assert answer.result().status_code == 201
            assert silent.recv(1) == b""
    assert "Traceback" not in served.log
    assert "request_timeout" not in served.log


def listens(url) -> bool:
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=1).close()
    except ConnectionError:
        return False
    return True


@pytest.fixture
def play(folder):
    """Starts a register that calls in ten times a second."""
    started = []

    def start(url, login, secret, *arguments) -> Process:
        options = ["--url", url, "--login", login, "--every", "0.1", *arguments]
        environ = {"BONUSSERVER_REGISTER_SECRET": secret}
        log = folder / f"register-{login}.log"
        started.append(Process(["register", *options], environ, log))
        return started[-1]

    yield start
    for process in started:
        process.stop()


def test_a_register_asks_for_its_cards_in_turn_and_does_operations(served, admin, db, play):
    db.card("1001", "a1", 0)
    db.card("1002", "a2", 3, balance=20)
    db.card("1003", "a3", 2)
    made = account(admin)
    cards = ["--card", "1001", "--card", "1002", "--card", "1003", "--card", "9"]
    process = play(served.work_url, made["login"], made["secret"], *cards)
    lines = [process.line().split(" ", 2) for _ in range(4)]
    assert {line[1] for line in lines} == {made["login"]}
    assert [line[2] for line in lines] == [
        "card 1001: EARN_ONLY, balance 0.00; accrue 5.00, balance 5.00",
        "card 1002: PAY_ONLY, balance 20.00; redeem 1.00, balance 19.00",
        "card 1003: NO_OPERATION, balance 0.00",
        "card 9: 404 This server does not know the card.",
    ]
    assert process.stop() == 0
    assert process.line_with("stopped")
    assert process.log == ""


def test_a_register_goes_away_and_comes_back(served, admin, db, play):
    db.card("1001", "a1", 0)
    made = account(admin)
    away = ["--card", "1001", "--away-after", "2", "--away-for", "0.3", "--no-operations"]
    process = play(served.work_url, made["login"], made["secret"], *away)
    lines = [process.line().split(" ", 2)[2] for _ in range(4)]
    call = "card 1001: EARN_ONLY, balance 0.00"
    assert lines == [call, call, "away for 0.3 s", call]


def test_a_register_asks_again_for_an_operation_whose_answer_was_lost(served, admin, db, play):
    db.card("1001", "a1", 0)
    made = account(admin)
    with locked(db, "a1"):
        options = ["--card", "1001", "--timeout", "1"]
        process = play(served.work_url, made["login"], made["secret"], *options)
        assert "no answer: timed out" in process.line()
    again = process.line_with("again: ")
    assert "again: accrue 5.00, balance " in again
    process.stop()
    numbers, rows = db.run("select (select count(*) from operation), count(*) from asset")[0]
    assert numbers == rows


def test_a_register_outlives_a_server_that_is_down(served, admin, play):
    made = account(admin)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = play(f"http://127.0.0.1:{port}", made["login"], made["secret"])
    for _ in range(2):
        assert "no answer: " in process.line()


def test_the_migrations_are_in_step_with_the_models(database_url, folder):
    environ = {"BONUSSERVER_DATABASE_URL": database_url}
    process = Process(["makemigrations", "--check", "--dry-run"], environ, folder / "check.log")
    assert process.wait() == 0
