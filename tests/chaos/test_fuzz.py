"""No request and no answer of a bonus server makes the product fail or hang.

Addresses come from the table of addresses, and forms from the pages, so that a new page is tried by
itself. The suite sends the inputs of one seed, the same each time, `make chaos` CHAOS_INPUTS, seed
after seed; a failure prints its own, and CHAOS_SEED=… repeats it.
"""

import gzip
import io
import logging
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import got_request_exception, request_finished, request_started
from django.db import close_old_connections, transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, Phase, given, seed, settings as how, strategies as st

from tests.chaos import inputs
from tests.chaos.inputs import MARK, Request
from tests.chaos.pages import Address, Form, Page, addresses
from tests.databases import ROOT
from tests.misbehaving import free_port, request_of, server as misbehaving
from tests.pages.look import own_patterns
from tests.pages.things import arguments, things
from tests.records import user
from tests.waiting import wait_until
from transfer.engine.kinds import KINDS
from transfer.loading.receive import receive
from transfer.loading.upload_job import go_on
from transfer.models import AccountJob, Actor, BonusServer, CashRegister, RegisterAccount, Upload
from transfer.pages.links import key_of
from transfer.servers.account_job import Work
from transfer.servers.checks import check_connections

IN_CHAOS = "CHAOS_SECONDS" in os.environ
INPUTS = int(os.environ.get("CHAOS_INPUTS", "100000" if IN_CHAOS else "100"))
SEED = os.environ.get("CHAOS_SEED")
FIRST_SEED = int(SEED or 4477)
# With one seed, of one to three inputs; each seed asks every page once for its forms.
EXAMPLES = 400 if IN_CHAOS else 75
HANGS = 30  # seconds without an answer
KEY = "k" * 32  # against forgery


class Failed(AssertionError):
    """What was sent, and what is wrong with the answer."""


class Tracebacks(logging.Handler):
    """The errors that are logged, including caught ones.

    For a job, the log has only the text, without the exception.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.name.startswith("transfer"):
            self.records.append(record)


@contextmanager
def no_traceback() -> Iterator[None]:
    """Raises the first error that is logged in the block."""
    handler = Tracebacks()
    for name in ("transfer", "django"):
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name in ("transfer", "django"):
            logging.getLogger(name).removeHandler(handler)
    for record in handler.records:
        raise Failed(record.getMessage()) from (record.exc_info or [None, None])[1]


def seeds(done: Callable[[], int], inputs: int) -> Iterator[int]:
    """Seed after seed, until there were so many inputs."""
    number = FIRST_SEED
    while done() < inputs and (number == FIRST_SEED or not SEED):
        yield number
        number += 1


def play(number: int, example: Callable[..., None], most: int = EXAMPLES, **drawn: Any) -> None:
    """Examples that follow from a seed."""
    one = how(
        max_examples=most,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(seed(number)(given(**drawn)(example)))
    try:
        one()
    except BaseException:
        print(f"\nCHAOS_SEED={number}", end="")  # noqa: T201
        raise


class Site:
    """The product as a web server sees it, with one of each thing, and users of each role."""

    def __init__(self) -> None:
        self.answer = WSGIHandler()
        self.about = things() | {"upload": a_file("file"), "entry": a_file("hand")}
        self.sessions = {name: self._session(name) for name in ("operator", "viewer")}
        self.sessions["administrator"] = self._session("administrator", is_superuser=True)
        self.known = self._known()
        self.own = {one.name for one in own_patterns()}
        self.statuses = Counter[int]()
        self.slowest = 0.0
        self.errors: list[BaseException] = []
        self.forms = [form for one in addresses() for form in self._forms_of(one)]
        self.statuses.clear()

    def _session(self, role: str, **fields: Any) -> str:
        made = user(role, role)
        User.objects.filter(pk=made.pk).update(**fields)
        client = Client()
        client.force_login(made)
        return client.session.session_key or ""

    def _known(self) -> dict[str, list[str]]:
        """Values for the variable part of an address."""
        numbers = sorted({str(one.pk) for one in self.about.values()})
        return {
            **dict.fromkeys(("pk", "job", "object_id"), numbers),
            "key": [key_of(self.about["task"]), "maintenance-1", "maintenance-2"],
            "kind": ["cards", "balances", "pincodes"],
            "form": ["csv", "xlsx"],
            "action": ["block", "unblock", "delete", "renew"],
            "app_label": ["auth", "transfer"],
            "url": ["auth/", "x"],
        }

    def _forms_of(self, address: Address) -> Iterator[Form]:
        """The page itself, and the forms on it."""
        gaps = {name: self.known.get(name, ["1"])[0] for name in address.gaps}
        if address.name in self.own:
            gaps |= arguments(address.name, self.about)
        text = address.text % gaps
        yield Form(text)
        yield Form(text, "post")
        yield from self.ask(Request("GET", text.encode()))[1].forms

    def ask(self, request: Request) -> tuple[int, Page]:
        """The status of the answer, and what can be asked from there. Raises Failed."""
        self.errors.clear()
        began = time.monotonic()
        got_request_exception.connect(self._note_error)
        try:
            with transaction.atomic(), no_traceback():
                status, headers, content = self._call(request)
        finally:
            got_request_exception.disconnect(self._note_error)
            took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        self.statuses[status] += 1
        self._judge(request, status, headers, content, took)
        is_page = headers.get("Content-Type", "").startswith("text/html")
        path = request.path.decode("utf-8", "replace")
        page = Page.read(path, content) if is_page else Page(path)
        if target := headers.get("Location"):
            page.forms.append(Form(target))
        return status, page

    def _note_error(self, **_: Any) -> None:
        self.errors.append(sys.exc_info()[1] or AssertionError())

    def _judge(
        self, request: Request, status: int, headers: dict[str, str], content: bytes, took: float
    ) -> None:
        if self.errors:
            raise Failed(str(request)) from self.errors[0]
        wrong = []
        if status >= 500 and request.path != b"/health/ready":
            wrong.append(f"status {status}")
        if took > HANGS:
            wrong.append(f"took {took:.0f} s")
        if b"Traceback (most recent call last)" in content:
            wrong.append("a traceback")
        target = headers.get("Location", "/").replace("\\", "/")  # as browsers read it
        if urlsplit(urljoin("http://testserver/", target)).netloc != "testserver":
            wrong.append(f"sent to {target}")
        is_page = headers.get("Content-Type", "").startswith("text/html")
        if is_page and MARK.encode() in content:
            wrong.append("markup of somebody's")
        if any("\n" in f"{name}{value}" for name, value in headers.items()):
            wrong.append("a header with a line break")
        if wrong:
            raise Failed(f"{', '.join(wrong)}: {request}")

    def _call(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        told: list[Any] = []
        answer = self.answer(
            self._environ(request), lambda status, headers, _=None: told.extend([status, headers])
        )
        content = b"".join(answer)
        if hasattr(answer, "close"):
            answer.close()
        headers = dict(told[1])
        is_packed = headers.get("Content-Encoding") == "gzip"
        return int(told[0][:3]), headers, gzip.decompress(content) if is_packed else content

    def _environ(self, request: Request) -> dict[str, Any]:
        cookies = {"csrftoken": KEY, "sessionid": self.sessions.get(request.role, "")}
        given = "; ".join(f"{name}={value}" for name, value in (cookies | request.cookies).items())
        headers = {"Host": "testserver", "X-CSRFToken": KEY, "Cookie": given} | request.headers
        return {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": request.path.decode("latin-1"),
            "QUERY_STRING": request.query.decode("latin-1"),
            "CONTENT_TYPE": as_header(request.content_type),
            "CONTENT_LENGTH": str(len(request.body)),
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
            "wsgi.errors": io.StringIO(),
            **{
                "HTTP_" + name.upper().replace("-", "_"): as_header(value)
                for name, value in headers.items()
            },
        }


def a_file(way: str) -> Upload:
    """One that was looked at, and waits for somebody to confirm it."""
    content = b"card;account;status\n7780000000011;4100000011;1\n"
    upload = receive(KINDS["cards"], [content], Actor("olga"), name="cards.csv", input_method=way)
    go_on(upload)
    assert upload.state == Upload.State.READY
    return upload


def as_header(value: str) -> str:
    """As a web server hands it on: bytes as Latin-1, without line breaks."""
    line = inputs.as_bytes(value).replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")
    return line[:60_000].decode("latin-1")


@pytest.fixture
def connection_stays() -> Iterator[None]:
    """What a request leaves open is not closed: it would end the transaction of the test."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.timeout(0 if IN_CHAOS else 300)
@pytest.mark.filterwarnings("ignore:Use '__' to separate path components")  # of django-tables2
@pytest.mark.usefixtures("transactional_db", "connection_stays", "shop_all")
@pytest.mark.long
def test_no_request_brings_the_product_down():
    statuses, slowest, number_of_forms = Counter[int](), 0.0, 0
    for number in seeds(statuses.total, INPUTS * 7 // 10):
        with transaction.atomic():
            site = Site()
            play(number, walk_through(site), data=st.data())
            transaction.set_rollback(True)
        statuses += site.statuses
        slowest = max(slowest, site.slowest)
        number_of_forms = max(number_of_forms, len(site.forms))
        say(
            f"requests: {statuses.total()}, to {len(addresses())} addresses and {number_of_forms} "
            f"forms, by status {dict(statuses.most_common())}, the slowest {slowest:.1f} s"
        )


def walk_through(site: Site) -> Callable[..., None]:
    """One form, or an address, and on from page to page, as far as three."""
    everywhere = sorted(addresses(), key=str)

    def walk(data: Any) -> None:
        if data.draw(st.integers(0, 2)):
            form = data.draw(st.sampled_from(site.forms))
        else:
            form = data.draw(inputs.forms_of(data.draw(st.sampled_from(everywhere)), site.known))
        with transaction.atomic():
            for _ in range(3):
                _, page = site.ask(data.draw(inputs.requests_to(form)))
                if not page.forms:
                    break
                form = data.draw(st.sampled_from(page.forms[::-1]))
            transaction.set_rollback(True)

    return walk


def say(text: str) -> None:
    """Shown with -s."""
    print(f"\n{text}", end="", flush=True)  # noqa: T201


@pytest.mark.timeout(0 if IN_CHAOS else 300)
@pytest.mark.long
def test_no_answer_of_a_bonus_server_brings_the_product_down(db, six, dock, bonus):
    """An answer of a hostile server, or of another program at its port."""
    says: dict[str, bytes] = {}
    done, answers = Counter[str](), Counter[str]()

    def answer(connection: socket.socket, number: int) -> None:
        asked = request_of(connection)
        about = "status" if b"/status" in asked[:20] else "accounts"
        about = about if asked.startswith(b"GET") else "account"
        answers[about] += 1
        connection.sendall(says[about])

    with misbehaving(answer) as port:
        User.objects.create_superuser("administrator")
        server = dock(bonus)
        for register in six[:3]:
            RegisterAccount.objects.create(server=server, register=register, state="created")
        server.host, server.admin_port, server.api_token = "127.0.0.1", port, "token"
        server.save()
        client = Client()
        client.force_login(User.objects.get(username="administrator"))
        pages = [reverse("servers"), server.get_absolute_url(), reverse("registers")]

        def asked(replies: dict[str, bytes], action: str, page: str) -> None:
            says.update(replies)
            began = time.monotonic()
            with transaction.atomic(), no_traceback():
                ask_for_all(server, action, done)
                assert client.get(page).status_code == 200
                transaction.set_rollback(True)
            assert time.monotonic() - began < HANGS

        for number in seeds(answers.total, INPUTS // 5):
            play(
                number,
                asked,
                EXAMPLES // 3,  # of at least three answers, and a page that shows them
                replies=st.fixed_dictionaries({one: inputs.replies(one) for one in inputs.MEANT}),
                action=st.sampled_from(["look", *AccountJob.Action.values]),
                page=st.sampled_from(pages),
            )
            say(f"answers of a bonus server: {answers.total()}, {dict(answers)}, to {dict(done)}")


def ask_for_all(server: BonusServer, action: str, done: Counter[str]) -> None:
    """Looks how its registers are, or changes all of their accounts."""
    done[action] += 1
    if action == "look":
        check_connections([server])
    else:
        every = CashRegister.objects.values_list("pk", flat=True)
        job = AccountJob.order(server, AccountJob.Action(action), every, Actor("olga"), "reason")
        Work(job).do()
        job.refresh_from_db()
        assert job.finished_at


@pytest.mark.timeout(0 if IN_CHAOS else 300)
@pytest.mark.long
def test_nothing_that_is_sent_to_the_port_brings_the_web_server_down(web_server):
    """Bytes instead of requests; after each the server still answers."""
    port, statuses = web_server, Counter[str]()

    def talk(data: bytes) -> None:
        said = said_by(port, data)
        assert said.startswith(b"HTTP/1.") or not said, said
        status = said[9:12].decode() or "closed"
        # 501: a coding that it lacks; 503: the schedule is not alive here.
        is_told = status == "503" and b"/health/ready" in data
        assert status < "500" or status in {"501", "closed"} or is_told, data
        assert b"Traceback" not in said, data
        statuses[status] += 1

    for number in seeds(statuses.total, INPUTS // 10):
        play(number, talk, EXAMPLES // 2, data=inputs.lines())
        assert said_by(port, ALIVE).startswith(b"HTTP/1.0 200")
        say(f"bytes to the port: {statuses.total()}, by status {dict(statuses)}")


ALIVE = b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def web_server(environment) -> Iterator[int]:
    """The product behind its web server, as a process; yields the port."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", f"--bind=127.0.0.1:{port}", "--threads=2"],
        env=environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: listens(port), server)
        yield port
    finally:
        server.terminate()
        _, said = server.communicate(timeout=60)
    assert "Traceback" not in said, said


def listens(port: int) -> bool:
    with suppress(OSError):
        return bool(said_by(port, ALIVE))
    return False


def said_by(port: int, data: bytes) -> bytes:
    """All that comes back until the server closes the connection. Raises TimeoutError."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), timeout=HANGS) as connection:
        with suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while part := connection.recv(65536):
                said += part
    return said
