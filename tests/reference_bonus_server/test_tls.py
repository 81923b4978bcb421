import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.reference_bonus_server.conftest import (
    Process,
    account,
    admin_client,
    calling,
    refused,
    serving,
)


@pytest.fixture(scope="session")
def certificate(folder):
    """A self-made certificate of 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bonus server of the tests")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "server.pem", folder / "server.key"


@pytest.fixture(scope="session")
def secured(database_url, folder, certificate):
    pem, key = certificate
    with serving(database_url, folder, "--certificate", str(pem), "--key", str(key)) as served:
        yield served


@pytest.fixture
def trusted(certificate):
    return ssl.create_default_context(cafile=certificate[0])


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


def test_a_register_trusts_the_authority_it_is_given(secured, trusted, certificate, folder, db):
    db.card("1001", "a1", 1)
    with admin_client(secured.admin_url, verify=trusted) as admin:
        made = account(admin)
    arguments = ["register", "--url", secured.work_url, "--card", "1001"]
    arguments += ["--login", made["login"], "--secret", made["secret"]]
    trusting = Process([*arguments, "--certificate", str(certificate[0])], {}, folder / "r1.log")
    doubting = Process(arguments, {}, folder / "r2.log")
    try:
        assert "card 1001: EARN_PAY" in trusting.line()
        assert "no answer: [SSL: CERTIFICATE_VERIFY_FAILED]" in doubting.line()
    finally:
        assert (trusting.stop(), doubting.stop()) == (0, 0)
