"""What a caller gets that breaks the contract, and what the log says of it."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from tests.databases import query
from tests.reference_bonus_server.conftest import (
    TOKEN,
    account,
    admin_client,
    calling,
    locked,
    refused,
    serving,
    waiting,
)
from tests.waiting import wait_until

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


def test_a_body_that_is_no_json_object_is_refused(admin):
    number = b'{"register": ' + b"9" * 5000 + b"}"
    for content in (
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b"\xff\xfe",
        b'{"a": NaN}',
        b"[" * 60000,
        number,
    ):
        assert refused(admin.post("/accounts", content=content), 400, "bad_json")


def test_unknown_fields_are_left_alone(admin):
    body = {"register": "1", "shop": "1", "name": "1", "more": [1]}
    assert admin.post("/accounts", json=body).status_code == 201


def test_an_unknown_path_is_refused(admin):
    for path in ("/", "/accounts/", "/status/", "/accounts/1/2/3", "//", "/%00"):
        assert refused(admin.get(path), 404, "unknown_path")


def test_a_wrong_method_is_refused_with_the_right_ones(admin):
    for method, path, allowed in (
        ("POST", "/status", "GET"),
        ("PUT", "/accounts", "GET, POST"),
        ("GET", "/accounts/1", "DELETE"),
        ("GET", "/accounts/1/block", "POST"),
        ("OPTIONS", "/accounts/1/unblock", "POST"),
        ("BREW", "/status", "GET"),
    ):
        answer = admin.request(method, path)
        assert refused(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == allowed


def test_a_body_of_64_kib_is_read_and_a_larger_one_refused(admin):
    body = {"register": "1", "shop": "1", "name": "1"}
    filled = json.dumps(body).encode().ljust(64 * 1024)
    assert admin.post("/accounts", content=filled).status_code == 201
    assert refused(admin.post("/accounts", content=filled + b" "), 413, "body_too_large")


def test_who_sends_a_huge_body_to_its_end_gets_an_answer_and_no_reset(served):
    head = b"POST /accounts HTTP/1.0\r\nContent-Length: 8000000\r\n\r\n"
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
        (b"GET / HTTP/1.1\r\nA: " + b"a" * 70000 + b"\r\n\r\n", (431, "headers_too_large")),
        (b"POST /accounts HTTP/1.0\r\nContent-Length: -1\r\n\r\n", (400, "bad_request")),
        (b"POST /accounts HTTP/1.0\r\nContent-Length: x\r\n\r\n", (400, "bad_request")),
        (b"GET /status HTTP/9.9\r\nHost: a\r\n\r\n", (400, "bad_request")),
    ],
)
def test_what_is_not_http_gets_an_error_in_json(served, request_, answer):
    assert raw(served.admin_url, request_) == answer


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_changes_nothing(served, admin):
    with connected(served.admin_url) as connection:
        head = b"POST /accounts HTTP/1.0\r\n" + AUTHORIZED + b"Content-Length: 99\r\n\r\n"
        connection.sendall(head + b'{"register": "1", "shop": "1", "name": "1"}')
        connection.shutdown(socket.SHUT_WR)
        assert b"bad_request" in everything_from(connection)
    assert admin.get("/accounts").json()["accounts"] == []


@pytest.fixture(scope="module")
def impatient(database_url, folder):
    """A server that waits a second for a caller, and longer than a test for its database."""
    unlimited = f"{database_url}&options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0"
    with serving(unlimited, folder, "--patience", "1") as served:
        yield served


def test_a_silent_caller_is_sent_away_and_holds_nobody_up(impatient, db):
    with (
        admin_client(impatient.admin_url) as admin,
        connected(impatient.admin_url) as silent,
        connected(impatient.admin_url) as slow,
    ):
        slow.sendall(b"POST /accounts HTTP/1.0\r\nContent-Length: 99\r\n\r\n{")
        assert admin.get("/status").status_code == 200
        for connection in (silent, slow):
            assert b"request_timeout" in everything_from(connection)


def test_where_all_places_at_work_stay_taken_the_next_one_is_refused(impatient, db):
    db.card("1001", "a1", 1)
    with admin_client(impatient.admin_url) as admin:
        made = account(admin)

    def accrue(number):
        body = {"operation": str(number), "card": "1001", "kind": "accrue", "amount": "5"}
        with calling(impatient.work_url, made) as register:
            return register.post("/operations", json=body)

    with ThreadPoolExecutor(16) as pool:
        with locked(db, "a1"):
            answers = pool.map(accrue, range(16))
            wait_until(lambda: waiting(db) == 16)
            assert refused(accrue(16), 503, "busy")
        assert [answer.status_code for answer in answers] == [201] * 16


def test_a_mistake_of_the_server_shows_no_trace_to_the_caller(served, admin, db):
    db.run("alter table register_account rename to hidden")
    try:
        answer = admin.get("/accounts")
    finally:
        db.run("alter table hidden rename to register_account")
    assert refused(answer, 500, "internal_error")
    assert "register_account" not in answer.text
    assert "Traceback" in served.log


def test_without_its_database_the_server_says_so_and_recovers(postgres, admin, db):
    (name,) = db.run("select current_database()")[0]
    allow = f'alter database "{name}" allow_connections'
    query(postgres.url("postgres"), f"{allow} false")
    try:
        answer = admin.get("/status")
    finally:
        query(postgres.url("postgres"), f"{allow} true")
    assert refused(answer, 503, "unavailable")
    assert answer.headers["Retry-After"] == "5"
    assert admin.get("/status").status_code == 200


def test_a_lock_that_is_held_too_long_makes_the_operation_unavailable(
    database_url, folder, admin, db
):
    db.card("1001", "a1", 1)
    hasty = f"{database_url}&options=-c%20lock_timeout%3D100ms"
    body = {"operation": "1", "card": "1001", "kind": "accrue", "amount": "5"}
    with (
        serving(hasty, folder) as served,
        calling(served.work_url, account(admin)) as register,
    ):
        with locked(db, "a1"):
            assert refused(register.post("/operations", json=body), 503, "unavailable")
        assert register.post("/operations", json=body).status_code == 201


def test_the_log_names_routes_and_registers_and_keeps_every_secret(served, admin, db):
    db.card("card-7", "a1", 1)
    db.pin("a1", "pin-4711")
    start = len(served.log)
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
    log = wait_until(lambda: "refused 400" in (log := served.log[start:]) and log)
    assert "admin POST accounts 201" in log
    assert "work POST cards/<card>/pin 200" in log
    assert "register=10.152" in log
    for secret in (TOKEN, made["secret"], "pin-", "in-the-", "secret-wrong", "card-7", "rubbish"):
        assert secret not in log


def test_no_reply_is_to_be_stored(admin):
    account(admin)
    for answer in (
        admin.get("/status"),
        admin.get("/nowhere"),
        admin.delete("/accounts/10.152"),
        admin.post("/accounts", content=iter([b"{}"])),
    ):
        assert answer.headers["Cache-Control"] == "no-store"
