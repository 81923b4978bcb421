"""What a caller gets that does not keep to the contract, and what the log keeps of it."""

import json
import socket
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.bonusserver.conftest import (
    TOKEN,
    account,
    admin_client,
    calling,
    embedded,
    migrated_database,
    refused,
    serving,
    until,
)

AUTHORIZED = f"Authorization: Bearer {TOKEN}\r\n".encode()


@contextmanager
def connected(url):
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        yield connection


def everything_from(connection) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def raw(url, request: bytes) -> tuple[int, str]:
    """Status and error code of the answer to `request`, byte for byte as given."""
    with connected(url) as connection:
        connection.sendall(request)
        head, _, body = everything_from(connection).partition(b"\r\n\r\n")
    assert b"application/json" in head
    answer = json.loads(body)
    assert answer.keys() == {"error", "message"}
    return int(head.split()[1]), answer["error"]


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"null", b"[]", b"7", b'"a"', b"\xff\xfe", b'{"register": NaN}'),
        *(b"[" * 60000, b'{"register": ' + b"9" * 5000 + b"}"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(admin, content):
    assert refused(admin.post("/accounts", content=content), 400, "bad_json")


def test_unknown_fields_are_left_alone(admin):
    body = {"register": "1", "shop": "1", "name": "1", "more": [1]}
    assert admin.post("/accounts", json=body).status_code == 201


@pytest.mark.parametrize("path", ["/", "/accounts/", "/status/", "/accounts/1/2/3", "//", "/%00"])
def test_an_unknown_path_is_told(admin, path):
    assert refused(admin.get(path), 404, "unknown_path")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/status", "GET"),
        ("PUT", "/accounts", "GET, POST"),
        ("GET", "/accounts/1", "DELETE"),
        ("GET", "/accounts/1/block", "POST"),
        ("OPTIONS", "/accounts/1/unblock", "POST"),
        ("BREW", "/status", "GET"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(admin, method, path, allowed):
    answer = admin.request(method, path)
    assert refused(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_a_body_of_64_kib_is_read_and_a_larger_one_refused(admin):
    body = {"register": "1", "shop": "1", "name": "1"}
    filled = json.dumps(body).encode().ljust(64 * 1024)
    assert admin.post("/accounts", content=filled).status_code == 201
    assert refused(admin.post("/accounts", content=filled + b" "), 413, "body_too_large")


def test_who_sends_a_huge_body_to_its_end_gets_an_answer_and_no_reset(served):
    head = b"POST /accounts HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n"
    assert raw(served.admin_url, head + b" " * 8_000_000) == (413, "body_too_large")


def test_a_body_without_a_length_is_refused(admin):
    assert refused(admin.post("/accounts", content=iter([b"{}"])), 411, "length_required")


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"rubbish\r\n\r\n", (400, "bad_request")),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", (400, "bad_request")),
        (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n", (414, "uri_too_long")),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", (431, "headers_too_large")),
        (b"POST /accounts HTTP/1.1\r\nContent-Length: -1\r\n\r\n", (400, "bad_request")),
        (b"POST /accounts HTTP/1.1\r\nContent-Length: x\r\n\r\n", (400, "bad_request")),
        (b"GET /status HTTP/9.9\r\n\r\n", (400, "bad_request")),
    ],
)
def test_what_is_not_http_gets_an_error_in_json(served, request_, answer):
    assert raw(served.admin_url, request_) == answer


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_changes_nothing(served, admin):
    with connected(served.admin_url) as connection:
        head = b"POST /accounts HTTP/1.1\r\n" + AUTHORIZED + b"Content-Length: 99\r\n\r\n"
        connection.sendall(head + b'{"register": "1", "shop": "1", "name": "1"}')
        connection.shutdown(socket.SHUT_WR)
        assert b"bad_request" in everything_from(connection)
    assert admin.get("/accounts").json()["accounts"] == []


def test_a_silent_caller_is_sent_away_and_holds_nobody_up(database_url, folder, db):
    with (
        serving(database_url, folder, "--patience", "1") as served,
        admin_client(served.admin_url) as admin,
        connected(served.admin_url) as silent,
        connected(served.admin_url) as slow,
    ):
        slow.sendall(b"POST /accounts HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
        assert admin.get("/status").status_code == 200
        for waiting in (silent, slow):
            assert b"request_timeout" in everything_from(waiting)


def test_a_mistake_of_the_server_shows_no_trace_to_the_caller(served, admin, db):
    db.run("alter table register_account rename to hidden")
    try:
        answer = admin.get("/accounts")
    finally:
        db.run("alter table hidden rename to register_account")
    assert refused(answer, 500, "internal_error")
    assert "register_account" not in answer.text
    assert "Traceback" in served.log


def test_without_its_database_the_server_says_so_and_recovers(postgres, folder):
    import psycopg2

    with (
        migrated_database(postgres, "comes_and_goes", folder) as url,
        serving(url, folder) as served,
        admin_client(served.admin_url) as admin,
    ):
        connection = psycopg2.connect(embedded.database_url(postgres, "postgres"))
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute("alter database comes_and_goes allow_connections false")
                answer = admin.get("/status")
                cursor.execute("alter database comes_and_goes allow_connections true")
        finally:
            connection.close()
        assert refused(answer, 503, "unavailable")
        assert answer.headers["Retry-After"] == "5"
        assert admin.get("/status").status_code == 200


def test_a_lock_that_is_held_too_long_is_told_as_unavailable(register, db):
    db.card("1001", "a1", 1)
    with hold_account(db, "a1"):
        body = {"operation": "1", "card": "1001", "kind": "accrue", "amount": "5"}
        answer = register.post("/operations", json=body, timeout=12)
        assert refused(answer, 503, "unavailable")
    assert register.post("/operations", json=body).status_code == 201


@contextmanager
def hold_account(db, name):
    """As an operation on the account does that has not ended yet."""
    db.run("select pg_advisory_lock(hashtextextended(%s, 7771))", name)
    yield
    db.run("select pg_advisory_unlock(hashtextextended(%s, 7771))", name)


def test_the_log_names_routes_and_registers_and_keeps_every_secret(database_url, folder, db):
    db.card("card-7", "a1", 1)
    db.pin("a1", "pin-4711")
    with serving(database_url, folder) as served, admin_client(served.admin_url) as admin:
        made = account(admin)
        admin.get("/accounts?token=in-the-query")
        admin.get("/in-the-path")
        with calling(served.work_url, made) as register:
            register.post("/cards/card-7/pin", json={"pin": "pin-4711"})
            register.post("/cards/card-7/pin", json={"pin": "pin-wrong"})
            register.get("/cards/card-7/pin/pin-in-the-path")
            register.post("/operations", content=b"pin-in-rubbish")
        with calling(served.work_url, {**made, "secret": "secret-wrong"}) as register:
            register.get("/cards/card-7")
        raw(served.work_url, b"rubbish-in-the-request\r\n\r\n")
        log = until(lambda: "refused 400" in served.log and served.log)
    assert "admin POST accounts 201" in log
    assert "work POST cards/<card>/pin 200" in log
    assert "register=10.152" in log
    for secret in (TOKEN, made["secret"], "pin-", "in-the-", "secret-wrong", "card-7", "rubbish"):
        assert secret not in log


def test_replies_are_not_to_be_kept(admin):
    account(admin)
    for answer in (
        admin.get("/status"),
        admin.get("/nowhere"),
        admin.delete("/accounts/10.152"),
        admin.post("/accounts", content=iter([b"{}"])),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
