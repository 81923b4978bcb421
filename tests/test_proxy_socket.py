"""BEHIND_PROXY=unix: what is believed over the socket of the proxy, and nothing beside it."""

import tempfile
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import httpx2
import pytest

from dtadmin.demo.processes import free_port
from tests.databases import ROOT
from tests.deployment import answers, deployed, running
from tests.waiting import wait_until
from transfer.models import AuditEntry

pytestmark = pytest.mark.long

WRONG = {"username": "olga", "password": "wrong"}
BUSY = {"timeout": 60}  # other workers share the processors
PROXY = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}


class Web(NamedTuple):
    over_socket: httpx2.Client
    over_port: httpx2.Client
    path: Path


@contextmanager
def listening(environment, **variables):
    """The web server, at a Unix socket and at a port."""
    port = free_port(0)
    variables = {"ALLOWED_HOSTS": "localhost", "METRICS_TOKEN": "a-token", **variables}
    with tempfile.TemporaryDirectory(prefix="dt") as folder:
        path = Path(folder) / "web.sock"
        with running(deployed(f"unix:{path}", port), env=environment | variables) as web:
            wait_until(lambda: answers(f"http://localhost:{port}/health/live") == 200, web)
            transport = httpx2.HTTPTransport(uds=str(path))
            with (
                httpx2.Client(
                    transport=transport, base_url="http://localhost", **BUSY
                ) as over_socket,
                httpx2.Client(base_url=f"http://localhost:{port}", **BUSY) as over_port,
            ):
                yield Web(over_socket, over_port, path)


@pytest.fixture(scope="module")
def started():
    """A web server for all tests here, on the databases of the first: each has the same ones."""
    with ExitStack() as stack:
        yield cache(
            lambda environment: stack.enter_context(
                listening(dict(environment), BEHIND_PROXY="unix")
            )
        )


@pytest.fixture
def web(started, environment):
    return started(tuple(environment.items()))


def guess(client, headers):
    """Tries a wrong password, and returns the status of the answer."""
    page = client.get("/login/", headers=headers)
    if page.status_code != 200:
        return page.status_code
    data = WRONG | {"csrfmiddlewaretoken": page.cookies["csrftoken"]}
    name = page.url.netloc.decode()
    secure = {
        "Referer": f"https://{name}/login/",
        "Cookie": f"csrftoken={page.cookies['csrftoken']}",
    }
    return client.post("/login/", data=data, headers=headers | secure).status_code


def noted():
    return [
        *AuditEntry.objects.filter(action="refuse").order_by("pk").values_list("address", flat=True)
    ]


def test_the_address_comes_from_the_header_over_the_socket_and_from_no_port(web):
    named = [PROXY["X-Forwarded-For"], "6.6.6.6, 10.1.2.4", "[2001:db8::1]:443"]
    for one in named:
        assert guess(web.over_socket, PROXY | {"X-Forwarded-For": one}) == 200
    assert noted() == ["10.1.2.3", "10.1.2.4", "2001:db8::1"]
    assert guess(web.over_port, PROXY) == 301  # to HTTPS: that it came so is not believed
    assert len(noted()) == 3


def test_a_proxy_that_names_no_address_is_counted_as_this_machine(web):
    for one in ("", "nonsense", "10.1.2.3, /run/x"):
        assert guess(web.over_socket, PROXY | {"X-Forwarded-For": one}) == 200
    assert noted() == ["127.0.0.1"] * 3


def test_no_other_header_makes_a_request_one_of_https(web):
    for header in ({"X-Forwarded-Ssl": "on"}, {"X-Forwarded-Protocol": "ssl"}):
        assert web.over_socket.get("/login/", headers=header).status_code == 301


def test_metrics_want_the_token_over_both(web):
    token = {"Authorization": "Bearer a-token"}
    for client in (web.over_socket, web.over_port):
        assert client.get("/metrics").status_code == 403
        assert client.get("/metrics", headers=token).status_code == 200
        assert client.get("/health/live").status_code == 200


def test_a_socket_that_the_web_server_makes_is_closed_to_other_accounts(web):
    assert web.path.stat().st_mode & 0o007 == 0


def test_a_socket_is_not_the_proxy_that_an_address_names(environment):
    with listening(environment, BEHIND_PROXY="127.0.0.1") as web:
        assert guess(web.over_socket, PROXY) == 301
        assert guess(web.over_port, PROXY) == 200


def test_the_unit_the_settings_and_the_example_for_nginx_name_one_socket(settings):
    unit = (ROOT / "deb/systemd/dtadmin-proxy.socket").read_text()
    path = settings.PROXY_SOCKET
    assert f"ListenStream={path}\n" in unit
    assert f"server unix:{path};" in (ROOT / "docs/nginx.conf").read_text()
    assert "SocketMode=0660\n" in unit  # of its owner and its group
    assert "SocketGroup=www-data\n" in unit
