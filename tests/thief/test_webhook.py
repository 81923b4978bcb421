"""A webhook or a messenger that wants our time, our memory, or what only this machine may ask."""

import gzip
import json
import subprocess
import sys
import time

import psutil
import pytest

from tests import misbehaving
from tests.causes import raises
from tests.records import a_notice, a_recipient
from transfer.alerts import outside, outside_process, send
from transfer.alerts.outside_process import is_forbidden
from transfer.alerts.send import deliver
from transfer.causes.messages import MESSAGE_REFUSED
from transfer.pages.notifications.forms import RecipientForm

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
    pytest.mark.filterwarnings("ignore:'imghdr'"),
]
FORBIDDEN = [
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
]
ALSO_FORBIDDEN_HOSTS = ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"]
URLS = [f"[{one}]" if ":" in one else one for one in FORBIDDEN] + ALSO_FORBIDDEN_HOSTS


@pytest.fixture
def impatient(monkeypatch):
    """Webhooks and messengers have three seconds; a process starts in one."""
    monkeypatch.setattr(send, "WEBHOOK_SECONDS", 3)
    monkeypatch.setattr(send, "MESSENGER_SECONDS", 3)


def webhook(address):
    return a_notice(a_recipient("webhook", address))


def messenger(address):
    return a_notice(a_recipient("apprise", address))


def endless(head, part, pause=0.0):
    """Sends the part again and again, for as long as somebody reads it."""

    def handler(connection, number):
        misbehaving.request_of(connection)
        connection.sendall(head)
        while True:
            connection.sendall(part)
            time.sleep(pause)

    return handler


OK = b"HTTP/1.1 200 OK\r\n"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
DRIPPING = [
    pytest.param(endless(b"", b"H", 0.1), id="the status"),
    pytest.param(endless(OK, b"a: b\r\n", 0.1), id="headers"),
    pytest.param(endless(b"", GO_ON, 0.1), id="answers before the answer"),
    pytest.param(misbehaving.is_silent, id="nothing"),
]


@pytest.mark.long
@pytest.mark.parametrize("handler", DRIPPING)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_webhook_that_drips_has_one_deadline_for_all_of_it(impatient, handler, scheme):
    with misbehaving.server(handler) as port:
        began = time.monotonic()
        with raises(MESSAGE_REFUSED):
            deliver(webhook(f"{scheme}://127.0.0.1:{port}/"))
        assert time.monotonic() - began < 10
    assert not running_scripts()


def command_line(process):
    """The command line; empty for a zombie that another test has left."""
    try:
        return process.cmdline()
    except (psutil.ZombieProcess, psutil.NoSuchProcess):
        return []


def running_scripts():
    script = outside_process.__file__
    return [one for one in psutil.Process().children() if script in command_line(one)]


BODIES = {
    "endless": endless(OK + b"\r\n", b" " * 65536),
    "dripping": endless(OK + b"\r\n", b" ", 0.1),
    "endless in chunks": endless(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n"),
    "a gzip bomb": endless(OK + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(16 << 20))),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_body_of_a_webhooks_answer_is_not_read(body):
    notice = webhook("http://127.0.0.1:{port}/")
    with misbehaving.server(body) as port:
        notice.recipient.address = f"http://127.0.0.1:{port}/"
        deliver(notice)
    notice.refresh_from_db()
    assert notice.sent_at is not None


@pytest.mark.long
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_body_of_a_messengers_answer_costs_our_process_nothing(impatient, body):
    """Apprise reads all of it. Its process is ended by its bound of memory or of time."""
    before = psutil.Process().memory_info().rss
    with misbehaving.server(body) as port, raises(MESSAGE_REFUSED):
        deliver(messenger(f"json://127.0.0.1:{port}/"))
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert not running_scripts()


def test_a_header_without_end_is_refused(impatient):
    with (
        misbehaving.server(endless(OK, b"a" * 65536)) as port,
        raises(MESSAGE_REFUSED) as caught,
    ):
        deliver(webhook(f"http://127.0.0.1:{port}/"))
    assert caught.value.params["what"] == "what it answers is not HTTP"


def redirecting_to(port):
    def handler(connection, number):
        misbehaving.request_of(connection)
        head = f"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:{port}/\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    return handler


def test_a_webhook_that_redirects_is_not_followed(listener):
    with (
        misbehaving.server(redirecting_to(listener.server_port)) as port,
        raises(MESSAGE_REFUSED) as caught,
    ):
        deliver(webhook(f"http://127.0.0.1:{port}/"))
    assert "redirects are not followed" in str(caught.value.params)
    assert listener.posts == []


def test_a_messenger_that_redirects_is_not_followed(listener):
    with (
        misbehaving.server(redirecting_to(listener.server_port)) as port,
        raises(MESSAGE_REFUSED),
    ):
        deliver(messenger(f"json://127.0.0.1:{port}/"))
    assert listener.posts == []


def test_no_form_of_a_metadata_address_is_overlooked_and_others_are_allowed():
    assert [one for one in FORBIDDEN if not is_forbidden(one)] == []
    allowed = ["127.0.0.1", "10.0.0.5", "169.253.0.1", "::1", "fd00::1", "64:ff9b::10.0.0.5"]
    assert [one for one in allowed if is_forbidden(one)] == []


def test_the_form_refuses_a_metadata_address():
    for host in URLS:
        given = {"name": "x", "channel": "webhook", "webhook_address": f"http://{host}/"}
        form = RecipientForm({**given, "topics": ["late"], "language": "en", "reminders": "none"})
        assert "clouds keep their secrets" in str(form.errors["webhook_address"]), host


@pytest.mark.parametrize("host", URLS[-4:] + URLS[:1])
def test_nothing_is_sent_to_a_metadata_address_that_is_stored_already(impatient, host):
    with raises(MESSAGE_REFUSED) as caught:
        deliver(webhook(f"http://{host}/"))
    assert caught.value.params == {"what": "its address is one where clouds keep their secrets"} | {
        "party": "webhook:"
    }


def test_no_messenger_is_sent_to_a_metadata_address():
    with raises(MESSAGE_REFUSED, match="clouds keep their secrets"):
        deliver(messenger("json://169.254.169.254/latest/"))


# The resolver of this process says that the name has a metadata address.
A_NAME_OF_METADATA = """
import socket, sys
known = socket.getaddrinfo
def getaddrinfo(host, port, *arguments, **options):
    if host == "metadata.example":
        host = "169.254.169.254"
    return known(host, port, *arguments, **options)
socket.getaddrinfo = getaddrinfo
sys.path.insert(0, sys.argv[1])
import outside_process
sys.exit(outside_process.main())
"""


@pytest.mark.parametrize(
    "message",
    [
        {
            "channel": "webhook",
            "address": "http://metadata.example/",
            "content": "",
            "headers": {},
            "seconds": 3,
        },
        {"channel": "messenger", "address": "json://metadata.example/", "title": "a", "body": "b"},
    ],
)
def test_a_name_that_leads_to_a_metadata_address_is_found_out_when_it_is_connected_to(message):
    folder = outside_process.__file__.rpartition("/")[0]
    ended = subprocess.run(
        [sys.executable, "-I", "-c", A_NAME_OF_METADATA, folder],
        input=json.dumps(message),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(ended.stdout) == {"failed": "address"}


# As a plugin of Apprise could do.
SEND = "import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'', ({host!r}, 9))"
FORBIDDEN_ACTS = {
    "a program": "import subprocess; subprocess.run(['true'])",
    "a shell": "import os; os.system('true')",
    "a local socket": "import socket; socket.socket(socket.AF_UNIX).connect('/run/x.sock')",
    "a datagram by name": SEND.format(host="localhost"),
    "a datagram": SEND.format(host="169.254.169.254"),
}


@pytest.mark.parametrize("act", FORBIDDEN_ACTS.values(), ids=FORBIDDEN_ACTS)
def test_the_process_that_sends_may_do_nothing_else(act):
    folder = outside_process.__file__.rpartition("/")[0]
    program = (
        f"import sys; sys.path.insert(0, {folder!r}); import outside_process\n"
        f"sys.addaudithook(outside_process.Guard())\n{act}"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False
    )
    assert "ForbiddenError" in ended.stderr


def test_the_process_that_sends_has_its_address_on_no_command_line(monkeypatch, impatient):
    """Addresses hold keys."""
    seen = []

    def handler(connection, number):
        misbehaving.request_of(connection)
        seen.extend(" ".join(one.cmdline()) for one in running_scripts())
        connection.sendall(misbehaving.reply(200))

    with misbehaving.server(handler) as port:
        deliver(webhook(f"http://127.0.0.1:{port}/hooks/KEY-7391"))
    assert len(seen) == 1
    assert "KEY-7391" not in seen[0]
    assert outside.is_forbidden_host("169.254.169.254")
