"""The web server as the paper on installation starts it: its processes, and what all know."""

import socket
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from dtadmin.demo.processes import free_port
from dtadmin.slow_clients import Lingerer, Lingering
from tests.databases import query
from tests.deployment import answers, deployed, running, web_server
from tests.waiting import wait_until
from transfer.models import BonusServer

pytestmark = pytest.mark.long


@pytest.fixture
def web(environment):
    with web_server(environment) as web:
        wait_until(lambda: len(web.processes) == 2, web.master)
        yield web


@pytest.fixture
def shared(web):
    """The folder that its processes have in common."""
    (folder,) = Path("/dev/shm").glob(f"dtadmin-web-{web.master.pid}-*")
    return folder


@contextmanager
def only(process):
    """The others stand still meanwhile."""
    others = [one for one in process.parent().children() if one != process]
    for one in others:
        one.suspend()
    try:
        yield
    finally:
        for one in others:
            one.resume()


def metrics(address):
    """Name and its labels, in any order → value."""
    text = httpx2.get(f"{address}/metrics", timeout=60).text
    return {
        frozenset({sample.name.removeprefix("dtadmin_"), *sample.labels.values()}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


COUNTED = frozenset({"http_requests_total", "help", "GET", "302"})
TIMED = frozenset({"http_seconds_count", "help"})


def test_two_processes_answer_and_each_counts_the_answers_of_both(web):
    first, second = web.processes
    with only(first):
        assert [answers(f"{web.address}/help/") for _ in range(3)] == [302] * 3
    with only(second):
        assert [answers(f"{web.address}/help/") for _ in range(2)] == [302] * 2
        read = metrics(web.address)
        assert (read[COUNTED], read[TIMED]) == (5, 5)
    with only(first):
        assert metrics(web.address)[COUNTED] == 5
    first.kill()
    first.wait()
    wait_until(lambda: metrics(web.address)[COUNTED] == 5, web.master)


def test_what_one_process_has_heard_of_a_server_the_other_one_knows(receiver, web, shared):
    """Otherwise a page that asks both in turn would change with each answer."""
    database, first = receiver.db_name, web.processes[0]
    BonusServer.objects.update(db_name="nowhere")
    is_up = frozenset({"flow_up", receiver.name, "balances"})
    with only(first):
        assert metrics(web.address)[is_up] == 0
    BonusServer.objects.update(db_name=database)
    with only(web.processes[1]):
        assert metrics(web.address)[is_up] == 0
        next(shared.glob("cache/*")).unlink()
        assert metrics(web.address)[is_up] == 1


NEWER = (
    "insert into django_migrations (app, name, applied) values ('transfer', '9999_later', now())"
)


@pytest.fixture
def newer_schema(web, own_database):
    """A newer version changes our own database while this one runs."""
    query(own_database, NEWER)
    yield
    query(own_database, "delete from django_migrations where name = '9999_later'")


@pytest.fixture
def database_of_0_1_0(own_database):
    query(own_database, NEWER.replace("9999_later", "0002_users"))
    yield
    query(own_database, "delete from django_migrations where name = '0002_users'")


@pytest.mark.usefixtures("database_of_0_1_0")
def test_it_does_not_start_on_a_database_of_0_1_0(environment):
    with running(deployed(free_port(0)), env=environment) as web:
        _out, errors = web.communicate(timeout=60)
    assert web.returncode == 4
    assert "0.1.0" in errors
    assert "make forget" in errors


@pytest.mark.usefixtures("newer_schema")
def test_it_does_not_start_on_a_newer_schema_and_goes_on_where_it_runs(environment, web):
    with running(deployed(free_port(0)), env=environment) as late:
        _out, errors = late.communicate(timeout=60)
    assert late.returncode == 4
    assert "(transfer.9999_later)" in errors
    killed = web.processes[0]
    killed.kill()
    killed.wait()
    wait_until(lambda: len(web.processes) == 2 and killed not in web.processes, web.master)
    assert answers(f"{web.address}/health/live") == 200


def test_nothing_is_left_of_it_when_it_ends(web, shared):
    web.master.terminate()
    web.master.communicate(timeout=60)
    assert not shared.exists()


HEAD = (
    b"POST /load/file/ HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: multipart/form-data; boundary=a\r\nContent-Length: %d\r\n\r\n"
)


def sent_whole(port, body_bytes):
    """Sends a form like nginx, which reads no answer while it can send. Returns the status."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(HEAD % body_bytes)
        assert answered(connection)
        connection.sendall(bytes(body_bytes))
        return int(connection.recv(65536).split(b" ", 2)[1])


def answered(connection):
    """Waits for the answer and leaves it unread."""
    return connection.recv(1, socket.MSG_PEEK)


def test_an_answer_that_comes_before_the_end_of_the_body_is_not_lost(web):
    assert {sent_whole(web.port, 50 << 20) for _ in range(5)} == {403}


def test_a_client_that_does_not_stop_sending_after_the_answer_is_cut_off(web):
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        connection.sendall(HEAD % (1 << 40))
        assert answered(connection)
        with pytest.raises(ConnectionError):
            connection.sendall(bytes(300 << 20))


def test_clients_that_neither_send_nor_close_after_the_answer_are_let_go(web):
    with ExitStack() as held:
        for _ in range(10):
            plain = socket.create_connection(("127.0.0.1", web.port), timeout=30)
            held.enter_context(plain).sendall(HEAD % 100)
            assert answered(plain)
        wait_until(lambda: not web.clients, web.master, seconds=20)


def test_a_client_that_can_t_be_waited_for_leaves_all_later_ones(caplog):
    lingering = Lingering()

    def is_let_go():
        ours, theirs = socket.socketpair()
        with theirs:
            lingering.take(ours)
            theirs.sendall(b"more")
            theirs.shutdown(socket.SHUT_WR)
            wait_until(lambda: ours.fileno() < 0)

    is_let_go()  # the thread runs
    lost, theirs = socket.socketpair()
    lost.close()
    theirs.close()
    lingering.arrived.append(Lingerer(lost, inf))
    is_let_go()
    is_let_go()
    assert "were given up" in caplog.text
