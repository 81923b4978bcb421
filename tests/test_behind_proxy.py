"""Behind an HTTPS proxy: whom it trusts, what it sends to browsers, and Debian's nginx itself.

What a browser names over the Unix socket of the proxy is in test_proxy_socket.py.
"""

import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path

import httpx2
import pytest

from dtadmin.demo.processes import free_port
from tests.certificates import certificate
from tests.databases import ROOT
from tests.deployment import COMPLETE, answers, deployed, running
from tests.http_api.conftest import a_key
from tests.waiting import wait_until
from transfer.models import AuditEntry, Upload, User

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
WRONG = {"username": "olga", "password": "wrong"}


@pytest.fixture
def behind_proxy(settings):
    """As the settings are for BEHIND_PROXY=127.0.0.1."""
    settings.BEHIND_PROXY = [ip_network("127.0.0.1")]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_REDIRECT_EXEMPT = ["^health/", "^metrics$"]


def noted_address(client, **headers):
    """The audit's entry of a log-in with a wrong password."""
    client.post("/login/", WRONG, **headers)
    entry = AuditEntry.objects.filter(action="refuse").order_by("pk").last()
    return entry and entry.address


@pytest.mark.django_db
class TestWhoIsBelieved:
    def test_nobody_without_the_setting(self, client):
        named = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}
        assert noted_address(client, headers=named) == "127.0.0.1"
        assert not client.get("/login/", headers=named).wsgi_request.is_secure()

    @pytest.mark.parametrize(
        ("header", "address"),
        [
            ("10.1.2.3", "10.1.2.3"),
            ("6.6.6.6, 10.1.2.3", "10.1.2.3"),  # the first is the browser's own word
            ("fe80::1%eth0", "fe80::1"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("6.6.6.6, 10.1.2.3:5678", "10.1.2.3"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[::ffff:10.1.2.3]:443", "10.1.2.3"),
            ("10.1.2.3:", "127.0.0.1"),
            ("[2001:db8::1", "127.0.0.1"),
            ("10.1.2.3, nonsense", "127.0.0.1"),
            ("", "127.0.0.1"),
        ],
    )
    def test_the_proxy_and_of_it_the_last_word(self, client, behind_proxy, header, address):
        named = {"X-Forwarded-For": header, "X-Forwarded-Proto": "https"}
        assert noted_address(client, headers=named) == address

    def test_the_proxy_over_a_socket_that_takes_both_kinds_of_addresses(self, client, behind_proxy):
        named = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}
        near = "::ffff:127.0.0.1"
        assert noted_address(client, headers=named, REMOTE_ADDR=near) == "10.1.2.3"

    def test_nobody_but_the_proxy(self, client, behind_proxy):
        named = {"X-Forwarded-For": "10.1.2.3", "X-Forwarded-Proto": "https"}
        answer = client.get("/login/", headers=named, REMOTE_ADDR="10.0.0.66")
        assert (answer.status_code, answer.url) == (301, "https://testserver/login/")
        assert answer.wsgi_request.META["REMOTE_ADDR"] == "10.0.0.66"

    def test_no_proxy_can_ask_for_metrics_without_the_token(self, client, behind_proxy):
        """One that clears the header looks like this very machine."""
        assert client.get("/metrics").status_code == 403
        assert client.get("/health/live").status_code == 200


def check(**environment):
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level=WARNING"],
        env={**COMPLETE, "SECRET_KEY": "0123456789" * 6, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_check_before_a_deployment_has_nothing_to_say(environment):
    own = environment["DATABASE_URL"]  # of Django 6.1 it asks the database, too
    checked = check(BEHIND_PROXY="127.0.0.1", ALLOWED_HOSTS="dtadmin.shop.local", DATABASE_URL=own)
    assert checked.returncode == 0, checked.stderr


def test_an_address_that_is_none_is_named():
    assert "BEHIND_PROXY должно быть unix или адресом" in check(BEHIND_PROXY="1").stderr


def proxied(folder, secure, plain):
    """Our example for nginx on these ports, within what Debian's package writes around it.

    The pages listen in the folder.
    """
    example = (ROOT / "docs" / "nginx.conf").read_text()
    for old, new in {
        "listen 443": f"listen 127.0.0.1:{secure}",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "/etc/ssl/dtadmin.pem": f"{folder}/c.pem",
        "/etc/ssl/dtadmin.key": f"{folder}/c.key",
        "unix:/run/dtadmin/web.sock": f"unix:{folder}/web.sock",
    }.items():
        assert old in example
        example = example.replace(old, new)
    buffers = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {folder}/{name};" for name in buffers)
    around = "daemon off; master_process off; pid {0}/pid; error_log stderr; events {{}}\n"
    file = folder / "nginx.conf"
    file.write_text(around.format(folder) + f"http {{ access_log off; {paths}\n{example} }}")
    return [NGINX, "-e", "stderr", "-p", str(folder), "-c", str(file)]


@pytest.mark.skipif(not NGINX, reason="nginx is not installed: apt-get install nginx-light")
@pytest.mark.long
class TestNginx:
    @pytest.fixture
    def folder(self):
        """The path of a Unix socket may not be as long as those of pytest's folders are."""
        with tempfile.TemporaryDirectory(prefix="dt") as folder:
            yield Path(folder)

    @pytest.fixture
    def browser(self, folder, environment):
        """Over HTTPS, and from 127.0.0.2: nginx and gunicorn as they are documented."""
        authority, _context = certificate(folder)
        trusted = ssl.create_default_context(cadata=authority)
        secure, plain = free_port(0), free_port(0)
        allowed = {"BEHIND_PROXY": "unix", "ALLOWED_HOSTS": "127.0.0.1,localhost"}
        with (
            running(deployed(f"unix:{folder}/web.sock"), env=environment | allowed) as web,
            running(proxied(folder, secure, plain)) as nginx,
        ):
            wait_until((folder / "web.sock").exists, web)
            wait_until(lambda: answers(f"http://127.0.0.1:{plain}/") == 301, nginx)
            over_socket = httpx2.HTTPTransport(uds=str(folder / "web.sock"))
            wait_until(lambda: answers("http://localhost/health/live", over_socket) == 200, web)
            transport = httpx2.HTTPTransport(verify=trusted, local_address="127.0.0.2")
            with httpx2.Client(
                transport=transport, base_url=f"https://127.0.0.1:{secure}", timeout=60
            ) as client:
                yield client

    def test_a_log_in_is_secure_and_noted_with_the_users_own_address(self, browser):
        User.objects.create_superuser("olga", password="correct horse battery")
        page = browser.get("/login/", headers={"X-Forwarded-For": "6.6.6.6"})
        assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        headers = {"Referer": str(page.url), "X-Forwarded-For": "6.6.6.6"}
        for password in ("wrong", "correct horse battery"):
            data = token | {"username": "olga", "password": password}
            answer = browser.post("/login/", data=data, headers=headers)
        assert answer.status_code == 302
        cookies = answer.headers.get_list("Set-Cookie")
        assert any(cookie.startswith("sessionid=") for cookie in cookies)
        assert all("; Secure" in cookie for cookie in cookies)
        noted = AuditEntry.objects.filter(action__in=["refuse", "login"]).order_by("pk")
        assert [(entry.action, entry.address) for entry in noted] == [
            ("refuse", "127.0.0.2"),
            ("login", "127.0.0.2"),
        ]
        assert browser.get("/").status_code == 200
        assert browser.get("/metrics").status_code == 403

    def test_clients_that_never_end_their_request_hold_nobody_up(self, browser):
        """There are more of them than threads, and of each the first half of a form has come."""
        page = browser.get("/login/")
        half = (
            f"POST /login/ HTTP/1.1\r\nHost: {page.url.netloc.decode()}\r\nReferer: {page.url}\r\n"
            f"Cookie: csrftoken={page.cookies['csrftoken']}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\nusername="
        ).encode()
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        with ExitStack() as held:
            for _ in range(40):
                plain = socket.create_connection(("127.0.0.1", browser.base_url.port))
                held.enter_context(anybody.wrap_socket(plain)).sendall(half)
            assert browser.get("/login/", timeout=20).status_code == 200

    def test_a_large_file_is_loaded_and_reaches_the_proxys_disk_at_no_time(
        self, browser, folder, shop_all
    ):
        log_in(browser)
        file = {"file": ("a.csv", b"account;amount\n" + b"4100000011;1\n" * 800_000)}
        page = browser.get("/load/")
        token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "kind": "balances"}
        (stored,) = folder.glob("client_body*")
        before = stored.stat().st_mtime_ns
        answer = browser.post("/load/file/", data=token, files=file, headers=referer(page))
        assert answer.status_code == 302
        assert Upload.objects.get().size > 10_000_000
        assert stored.stat().st_mtime_ns == before  # a file there would have changed its folder

    def test_many_rows_of_a_program_are_loaded_and_reach_the_proxys_disk_at_no_time(
        self, browser, folder, shop_all
    ):
        line = f"4100000011;1;{'x' * 200}\n"
        headers = {
            "Authorization": f"Bearer {a_key().secret}",
            "Content-Type": "text/csv",
            "Idempotency-Key": "2026-11-28/17",
        }
        (stored,) = folder.glob("client_body*")
        before = stored.stat().st_mtime_ns
        rows = f"account;amount;comment\n{line * 15_000}"  # 3 MB
        answer = browser.post("/api/v1/rows/balances", content=rows, headers=headers)
        assert (answer.status_code, answer.json()["rows"]) == (201, 15_000)
        in_chunks = iter([rows.encode()])
        answer = browser.post("/api/v1/rows/balances", content=in_chunks, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (411, "no_length")
        assert stored.stat().st_mtime_ns == before

    def test_a_program_without_a_key_that_sends_many_rows_gets_its_answer(self, browser):
        for _ in range(5):  # the answer comes while the proxy still sends the rows
            answer = browser.post("/api/v1/rows/balances", content=bytes(10_000_000))
            assert (answer.status_code, answer.json()["code"]) == (401, "no_key")

    def test_nothing_of_a_file_is_taken_of_somebody_who_is_not_logged_in(self, browser):
        page = browser.get("/login/")
        file = {"file": ("a.csv", bytes(10_000_000))}
        for path, status in {"/load/file/": 403, "/login/": 413}.items():
            for _ in range(5):  # the answer comes while the proxy still sends the file
                answer = browser.post(path, files=file, headers=referer(page))
                assert answer.status_code == status
        assert not Upload.objects.exists()


def log_in(browser):
    User.objects.create_superuser("olga", password="correct horse battery")
    page = browser.get("/login/")
    token = {"csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    data = token | {"username": "olga", "password": "correct horse battery"}
    assert browser.post("/login/", data=data, headers=referer(page)).status_code == 302


def referer(page):
    return {"Referer": str(page.url)}
