"""Clients that send their bodies slowly, or never send them whole: they keep few threads busy."""

import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from dtadmin import slow_clients
from dtadmin.slow_clients import BodySocket
from tests.databases import query
from tests.deployment import answers, half_a_file, web_server
from tests.http_api.conftest import BASE, Program, a_key
from tests.records import user
from tests.waiting import wait_until
from transfer.loading import body
from transfer.loading.body import NoPlace, Places, places
from transfer.models import Upload

PROCESSES, THREADS = 2, 16


@pytest.fixture
def port(environment):
    """Of the web server as it is deployed."""
    with web_server(environment) as web:
        yield web.port


@contextmanager
def rows_of(port, secret, number):
    """A connection over which the beginning of a program's rows was sent."""
    with socket.create_connection(("localhost", port), timeout=30) as connection:
        lines = [
            f"POST {BASE}rows/balances HTTP/1.1",
            *("Host: localhost", f"Content-Length: {1 << 20}", "Content-Type: text/csv"),
            f"Authorization: Bearer {secret}",
            f"Idempotency-Key: slow-load-{number}",
        ]
        connection.sendall("\r\n".join([*lines, "", "account;amount\n"]).encode())
        yield connection


def file_of(port, session):
    return half_a_file(port, "/load/file/", cookies=f"sessionid={session}")


def answer_of(connection):
    """The answer that has come; None if the server still waits for the body."""
    connection.setblocking(False)
    try:
        return connection.recv(65536).decode()
    except BlockingIOError:
        return None
    finally:
        connection.setblocking(True)


def refused(connections, most_waiting):
    """The answers, as soon as all but so many have one."""
    answers: dict[int, str] = {}

    def all_but_few():
        for number, connection in enumerate(connections):
            if number not in answers and (text := answer_of(connection)):
                answers[number] = text
        return len(connections) - len(answers) <= most_waiting

    wait_until(all_but_few, seconds=60)
    return [*answers.values()]


def assert_busy(answers):
    assert {text.split()[1] for text in answers} == {"503"}
    assert all("\r\nRetry-After: " in text for text in answers)


@pytest.mark.long
class TestThreadsThatRead:
    def test_64_slow_bodies_of_one_key_keep_two_threads_of_each_process(self, port, own_database):
        secret = a_key().secret
        with ExitStack() as held:
            slow = [held.enter_context(rows_of(port, secret, number)) for number in range(64)]
            assert_busy(refused(slow, body.MOST_OF_ONE * PROCESSES))
            assert answers(f"http://localhost:{port}/login/") == 200
            opened = query(
                own_database,
                "select count(*) from pg_stat_activity where datname = current_database()"
                " and state like 'idle in transaction%'",
            )
            assert opened == [(0,)]
        assert not Upload.objects.exists()

    def test_slow_bodies_of_many_keys_keep_half_of_the_threads(self, port):
        secrets = [a_key(name=f"1C {number}").secret for number in range(40)]
        with ExitStack() as held:
            slow = [held.enter_context(rows_of(port, one, 1)) for one in secrets]
            assert_busy(refused(slow, PROCESSES * THREADS // 2))
            assert answers(f"http://localhost:{port}/login/") == 200

    def test_slow_files_of_one_user_keep_two_threads_of_each_process(self, port, client):
        client.force_login(user("operator"))
        session = client.cookies["sessionid"].value
        with ExitStack() as held:
            slow = [held.enter_context(file_of(port, session)) for _ in range(40)]
            assert_busy(refused(slow, body.MOST_OF_ONE * PROCESSES))
            assert answers(f"http://localhost:{port}/login/") == 200


@pytest.fixture
def program(db, settings):
    settings.LANGUAGE_CODE = "en"
    return Program(a_key().secret)


class TestPlaces:
    def test_a_client_gets_few_of_them_and_gives_them_back(self):
        some = Places(16)
        with some.place("anna"), some.place("anna"):
            with pytest.raises(NoPlace), some.place("anna"):
                pass
            with some.place("ivan"):
                assert some.taken == {"anna": 2, "ivan": 1}
        assert not some.taken

    def test_all_clients_together_get_half_of_the_threads(self):
        some = Places(16)
        with ExitStack() as held:
            for number in range(8):
                held.enter_context(some.place(str(number)))
            with pytest.raises(NoPlace), some.place("another"):
                pass

    def test_the_answer_to_a_program_that_gets_none_says_when_to_come_again(self, program):
        with ExitStack() as held:
            for number in range(places.most):
                held.enter_context(places.place(str(number)))
            answer = program.post(
                f"{BASE}rows/balances",
                "account;amount\n1;1\n",
                "text/csv",
                headers={"Idempotency-Key": "no-place-for-it"},
            )
            order = program.order("tasks/1/run")
        assert (answer.status_code, answer.json()["code"]) == (503, "busy_reading")
        assert int(answer.headers["Retry-After"]) > 0
        assert order.status_code == 404  # it reads no rows

    def test_the_page_says_so_to_a_user(self, client, db):
        client.force_login(user("operator"))
        file = SimpleUploadedFile("a.csv", b"account;amount\n1;1\n")
        with ExitStack() as held:
            for number in range(places.most):
                held.enter_context(places.place(str(number)))
            answer = client.post("/load/file/", {"file": file, "kind": "balances"})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert not answer.wsgi_request.FILES
        assert not Upload.objects.exists()


class TestDeadlines:
    @pytest.fixture
    def ends(self):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            yield ours, theirs

    def test_a_client_that_sends_nothing_is_given_up(self, ends, monkeypatch):
        monkeypatch.setattr(slow_clients, "READ_SECONDS", 0.01)
        with pytest.raises(TimeoutError):
            BodySocket(ends[0], 100).recv(10)
        assert ends[0].gettimeout() == slow_clients.SEND_SECONDS  # for the answer

    def test_a_client_that_sends_a_byte_now_and_then_is_given_up_as_well(self, ends, monkeypatch):
        reader = BodySocket(ends[0], 5_000_000)
        assert reader.end - time.monotonic() == pytest.approx(65, abs=1)
        ends[1].sendall(b"1234")
        assert [reader.recv(1) for _ in range(3)] == [b"1", b"2", b"3"]
        reader.end = time.monotonic()
        with pytest.raises(TimeoutError):
            reader.recv(1)

    @pytest.mark.long
    def test_the_web_server_answers_a_client_that_stops_sending(self, environment, tmp_path):
        """With a shorter limit than that of the product."""
        limited = tmp_path / "limited.py"
        limited.write_text(
            "from dtadmin import slow_clients\nslow_clients.READ_SECONDS = 0.5\n"
            "exec(open('gunicorn.conf.py').read())\n"
        )
        secret = a_key().secret
        with (
            web_server(environment, "--config", str(limited)) as web,
            rows_of(web.port, secret, 1) as slow,
        ):
            assert slow.recv(65536).split()[1] == b"408"
        assert not Upload.objects.exists()


@pytest.mark.long
def test_rows_whose_end_has_not_arrived_are_not_loaded(port, staged):
    """A client that breaks off between two lines would else have loaded half of its rows."""
    with rows_of(port, a_key().secret, 1) as slow:
        slow.sendall(b"4100;10\n")
        slow.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: slow.recv(65536), b""))
    assert answer.split()[1] == b"400"
    assert b'"cut_off"' in answer
    assert staged("balances") == []
    assert not Upload.objects.exists()


@pytest.mark.long
def test_clients_that_keep_sending_after_their_answer_keep_no_thread(port):
    """Anybody can send half a request: one thread of each process waits for the rest of all."""
    with ExitStack() as held:
        half = [held.enter_context(file_of(port, "")) for _ in range(128)]
        assert {text.split()[1] for text in refused(half, 0)} == {"403"}
        assert answers(f"http://localhost:{port}/login/") == 200
        for connection in half:  # none was reset: the client reads its answer to the end
            connection.sendall(b"more")
