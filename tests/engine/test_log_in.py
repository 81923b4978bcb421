"""What a database that poses as another one learns of the password."""

import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from tests import misbehaving
from transfer.causes.cause import Cause
from transfer.causes.connections import WEAK_LOGIN
from transfer.engine.bonus_server.database import BonusDatabase
from transfer.engine.postgres.connection import ANY_LOG_IN, log_in
from transfer.errors import Unreachable

CLEARTEXT, MD5 = struct.pack("!i", 3), struct.pack("!i", 5) + b"salt"


class Impostor:
    """Speaks PostgreSQL's protocol up to the password, and keeps what it received."""

    def __init__(self, asks: bytes) -> None:
        self.asks = asks
        self.heard = b""

    def __call__(self, connection: socket.socket, number: int) -> None:
        message = connection.recv(4096)
        if len(message) == 8:  # asks for TLS
            connection.sendall(b"N")
            message = connection.recv(4096)
        connection.sendall(b"R" + struct.pack("!i", 4 + len(self.asks)) + self.asks)
        self.heard = connection.recv(4096)


@pytest.fixture
def heard(monkeypatch) -> Iterator[Callable[..., bytes]]:
    """What an impostor at the host receives when a DSN is used, and the resulting error."""
    # Any name leads to this machine, which plays another one.
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.1")

    def heard(host: str, asks: bytes, more: str = "") -> tuple[bytes, Cause]:
        impostor = Impostor(asks)
        with misbehaving.server(impostor) as port:
            dsn = f"host={host} port={port} dbname=loyalty user=bonus password=s3cret {more}"
            with (
                BonusDatabase(dsn, "bs8", "test", secret=False) as database,
                pytest.raises(Unreachable) as error,
            ):
                database.database.only_row("select 1")
        assert "s3cret" not in str(error.value) + error.value.technical
        return impostor.heard, error.value.cause

    return heard


@pytest.mark.parametrize("asks", [CLEARTEXT, MD5])
@pytest.mark.parametrize("host", ["db.elsewhere", "10.0.0.8"])
def test_another_machine_gets_no_password_that_can_be_read_or_guessed(heard, host, asks):
    assert heard(host, asks) == (b"", WEAK_LOGIN)


def test_it_gets_it_where_an_administrator_says_so(heard):
    sent, _error = heard("db.elsewhere", CLEARTEXT, f"require_auth={ANY_LOG_IN}")
    assert b"s3cret" in sent


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_is_asked_as_ever(heard, host):
    sent, _error = heard(host, CLEARTEXT)
    assert b"s3cret" in sent


@pytest.mark.parametrize(
    "parts",
    [
        {"host": "/run/postgresql", "password": "s3cret"},
        {"password": "s3cret"},
        {"host": "db.elsewhere"},  # a certificate, or Kerberos
        {"host": "db.elsewhere", "password": "s3cret", "require_auth": "md5"},
    ],
)
def test_where_there_is_nothing_to_insist_on(parts):
    assert log_in(parts) == {}


def test_one_of_several_hosts_is_enough():
    assert log_in({"host": "localhost,db.elsewhere", "password": "s3cret"})
