import socket
import ssl
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.certificates import certificate
from tests.reference_bonus_server.conftest import (
    Process,
    account,
    admin_client,
    calling,
    refused,
    serving,
)


@pytest.fixture(scope="session")
def authority(folder):
    """The file of an authority, which has signed c.pem for 127.0.0.1."""
    text, _context = certificate(folder)
    (folder / "authority.pem").write_text(text)
    return folder / "authority.pem"


@pytest.fixture(scope="session")
def secured(database_url, folder, authority):
    files = ["--certificate", str(folder / "c.pem"), "--key", str(folder / "c.key")]
    with serving(database_url, folder, *files) as served:
        yield served


@pytest.fixture
def trusted(authority):
    return ssl.create_default_context(cafile=authority)


def test_both_ports_speak_tls_to_who_trusts_the_certificate(secured, trusted, db):
    assert secured.admin_url.startswith("https://127.0.0.1:")
    db.card("1001", "a1", 1)
    with admin_client(secured.admin_url, verify=trusted) as admin:
        made = account(admin)
        assert refused(admin.post("/accounts", content=b" " * 8_000_000), 413, "body_too_large")
    with calling(secured.work_url, made, verify=trusted) as register:
        assert register.get("/cards/1001").json()["status_name"] == "EARN_PAY"


def test_who_does_not_trust_the_certificate_is_not_served(secured):
    with admin_client(secured.admin_url) as admin, pytest.raises(httpx2.ConnectError, match="CERT"):
        admin.get("/status")


def test_a_handshake_that_never_ends_holds_nobody_up(secured, trusted, db):
    address = urlsplit(secured.admin_url)
    with (
        socket.create_connection((address.hostname, address.port)),
        admin_client(secured.admin_url, verify=trusted) as admin,
    ):
        assert admin.get("/status", timeout=5).status_code == 200  # half of the server's patience


def test_plain_http_on_a_tls_port_is_dropped_and_the_server_lives_on(secured, trusted, db):
    plain = secured.admin_url.replace("https", "http")
    with admin_client(plain) as admin, pytest.raises(httpx2.TransportError):
        admin.get("/status")
    with admin_client(secured.admin_url, verify=trusted) as admin:
        assert admin.get("/status").status_code == 200
    assert "Traceback" not in secured.log


def test_a_register_trusts_the_authority_it_is_given(secured, trusted, authority, folder, db):
    db.card("1001", "a1", 1)
    with admin_client(secured.admin_url, verify=trusted) as admin:
        made = account(admin)
    arguments = ["register", "--url", secured.work_url, "--card", "1001"]
    arguments += ["--login", made["login"], "--secret", made["secret"]]
    trusting = Process([*arguments, "--certificate", str(authority)], {}, folder / "r1.log")
    doubting = Process(arguments, {}, folder / "r2.log")
    try:
        assert "card 1001: EARN_PAY" in trusting.line()
        assert "no answer: [SSL: CERTIFICATE_VERIFY_FAILED]" in doubting.line()
    finally:
        assert (trusting.stop(), doubting.stop()) == (0, 0)
