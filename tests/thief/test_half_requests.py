"""Clients without a log-in that send nothing, half of a request's head, or never close.

They keep none of the threads that answer: one thread of each process waits for all of them. The
real web server shows it, as the worker class in `dtadmin.slow_clients` replaces methods of gunicorn
that are not documented: a gunicorn that no longer calls them fails here.
"""

import socket
from contextlib import ExitStack

import pytest

from tests.deployment import answers, web_server
from tests.waiting import wait_until

PROCESSES, THREADS = 2, 16
MANY = 4 * PROCESSES * THREADS
WHOLE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"/static/admin/js/vendor/jquery/jquery.js"
HALVES = (
    b"",
    b"G",
    b"GET /login/",
    b"GET /login/ HTTP/1.1\r\nHost: localhost\r\n",
    b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nCookie: a=",
    b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n",
)
WRONG = [
    (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", 414),
    (b"GET /" + b"a" * 40000, 414),
    (b"GET /health/live HTTP/1.1\r\n" + b"A: b\r\n" * 6000, 431),
    (b"GET /health/live HTTP/1.1\r\nA: " + b"a" * 40000, 431),
    (b"GET /health/live HTTP/1.1\r\nA: " + b"a" * 9000 + b"\r\n\r\n", 431),
    (b"GET /health/live HTTP/1.1\nHost: localhost\n\n", 400),
    (b"GET /health/live HTTP/1.1\r\nHost: localhost\n", 400),
    (b"\r\n\r\n", 400),
    (b"\n", 400),
]

pytestmark = pytest.mark.long


@pytest.fixture
def web(environment):
    with web_server(environment) as web:
        yield web


@pytest.fixture
def held():
    with ExitStack() as held:
        yield held


@pytest.fixture
def limited(environment, tmp_path, held):
    """Starts one process of the web server, with other limits than those of the product."""

    def limited(**limits):
        config = tmp_path / "limited.py"
        lines = [f"slow_clients.{name} = {value}" for name, value in limits.items()]
        config.write_text(
            "\n".join(
                [
                    "from dtadmin import slow_clients",
                    *lines,
                    "exec(open('gunicorn.conf.py').read())",
                    "workers = 1",
                ]
            )
        )
        return held.enter_context(web_server(environment, "--config", str(config)))

    return limited


def sent(held, web, content):
    """A connection over which this was sent, and which stays open."""
    connection = held.enter_context(socket.create_connection(("localhost", web.port), timeout=60))
    connection.sendall(content)
    return connection


def unread(held, web):
    """A connection over which a large file was asked for, and of which nothing is read.

    The packets and the window are those of a slow network: the kernel takes little of the answer.
    """
    connection = held.enter_context(socket.socket())
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    connection.connect(("127.0.0.1", web.port))
    connection.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % LARGE)
    return connection


def status(connection):
    """The status of the answer; None if the connection was closed without one."""
    answer = connection.recv(65536)
    return int(answer.split()[1]) if answer else None


def is_closed(connection):
    """Whether the server closed it without an answer."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        connection.setblocking(True)


def threads(web):
    return sum(process.num_threads() for process in web.processes)


class TestThreads:
    def test_silent_connections_and_half_heads_keep_none(self, web, held):
        before = threads(web)
        for number in range(MANY):
            sent(held, web, HALVES[number % len(HALVES)])
        assert answers(f"{web.address}/health/live") == 200
        assert answers(f"{web.address}/login/") == 200
        # In each process one that answers, and one for clients that have their answer.
        assert threads(web) <= before + 2 * PROCESSES

    def test_clients_that_do_not_close_after_their_answer_keep_none(self, web, held):
        for request, answer in ((WHOLE, 200), (b"nonsense\r\n\r\n", 400)):
            open_ones = [sent(held, web, request) for _ in range(MANY)]
            assert {status(connection) for connection in open_ones} == {answer}
            assert answers(f"{web.address}/login/") == 200


class TestHeads:
    def test_one_that_comes_byte_by_byte_is_answered(self, web, held):
        connection = sent(held, web, b"")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in WHOLE:
            connection.sendall(bytes([byte]))
        assert status(connection) == 200

    def test_a_body_that_comes_with_its_head_or_later_is_read(self, web, held):
        form = b"username=olga&password=wrong"
        token = b"a" * 32
        head = (
            b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nCookie: csrftoken=%s\r\n"
            b"X-CSRFToken: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n"
        ) % (token, token, len(form))
        assert status(sent(held, web, head + form)) == 200  # a wrong password: the form again
        in_pieces = sent(held, web, head[:40])
        for piece in (head[40:-2], head[-2:] + form[:5], form[5:]):
            in_pieces.sendall(piece)
        assert status(in_pieces) == 200

    def test_one_that_is_too_long_or_wrong_is_refused_without_its_end(self, web, held):
        for request, answer in WRONG:
            assert status(sent(held, web, request)) == answer, request[:60]

    def test_one_that_does_not_end_in_time_is_given_up(self, limited, held):
        web = limited(HEAD_SECONDS=0.5)
        open_ones = [sent(held, web, half) for half in HALVES]
        assert {status(connection) for connection in open_ones} == {None}

    def test_of_too_many_the_oldest_are_given_up(self, limited, held):
        web = limited(MOST_HEADS=10)
        halves = [sent(held, web, WHOLE[:-4]) for _ in range(30)]
        wait_until(lambda: sum(is_closed(one) for one in halves) == 20, web.master)
        assert [is_closed(one) for one in halves] == [True] * 20 + [False] * 10
        for connection in halves[20:]:
            connection.sendall(WHOLE[-4:])
        assert {status(connection) for connection in halves[20:]} == {200}

    def test_they_do_not_hold_up_a_stop(self, limited, held):
        web = limited(HEAD_SECONDS=3600)
        for half in HALVES:
            sent(held, web, half)
        assert answers(f"{web.address}/health/live") == 200
        web.master.terminate()
        wait_until(lambda: web.master.poll() is not None)
        assert web.master.returncode == 0


def test_a_client_that_does_not_read_its_answer_is_given_up(limited, held):
    web = limited(SEND_SECONDS=0.5)
    unread(held, web)
    wait_until(lambda: web.clients == 1, web.master)
    wait_until(lambda: web.clients == 0, web.master)
