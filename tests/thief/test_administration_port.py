"""A bonus server's administration port that wants our memory: each answer has its bounds."""

import gzip
import json
import tracemalloc
from contextlib import contextmanager

import pytest

from tests import misbehaving
from tests.causes import raises
from transfer.bonus_admin_client.client import MOST_PAGES, PAGE_BYTES, PAGE_ROWS, BonusApi
from transfer.bonus_admin_client.contract import Endpoint
from transfer.causes.bonus_servers import API_NONSENSE

WHEN = "2026-11-24T14:00:00+00:00"


@contextmanager
def asked(handler):
    """The API of a server that answers so."""
    with misbehaving.server(handler) as port:
        endpoint = Endpoint(name="Server 8", host="127.0.0.1", port=port, token="t" * 20)
        with BonusApi(endpoint, 60) as api:
            yield api


@contextmanager
def within(megabytes):
    """The block takes no more memory than that."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes << 20


def page(number, rows, text=""):
    """An answer that says that another page follows."""
    accounts = [
        {"register": f"{row}{text}", "login": f"{row}{text}"}
        | {"created": WHEN, "last_seen": None, "blocked": False}
        for row in range(rows)
    ]
    return json.dumps({"accounts": accounts, "next": str(number)}, ensure_ascii=False).encode()


def test_a_page_with_more_accounts_than_were_asked_for_is_no_answer():
    seen = []

    def handler(connection, number):
        seen.append(number)
        misbehaving.request_of(connection)
        connection.sendall(misbehaving.reply(200, page(number, PAGE_ROWS + 1)))

    with asked(handler) as api, raises(API_NONSENSE):
        api.accounts()
    assert seen == [1]


@pytest.mark.long
def test_a_list_of_long_texts_ends_before_it_fills_the_memory():
    """Characters beyond the first plane take four bytes each."""
    first = page(1, rows=2_000, text="\U0001f6d2" * 190)

    def handler(connection, number):
        misbehaving.request_of(connection)
        body = first.replace(b'"next": "1"', b'"next": "%d"' % number)
        connection.sendall(misbehaving.reply(200, body))

    with asked(handler) as api, within(110), raises(API_NONSENSE):
        api.accounts()


def test_a_list_without_end_ends_at_the_last_page():
    seen = []

    def handler(connection, number):
        seen.append(number)
        misbehaving.request_of(connection)
        connection.sendall(misbehaving.reply(200, page(number, 1)))

    with asked(handler) as api, raises(API_NONSENSE):
        api.accounts()
    assert len(seen) == MOST_PAGES


def test_a_short_answer_that_unpacks_to_much_is_not_unpacked():
    packed = gzip.compress(b" " * (64 << 20))

    def handler(connection, number):
        misbehaving.request_of(connection)
        connection.sendall(
            b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
            + packed
        )

    with asked(handler) as api, within(8):
        with raises(API_NONSENSE):
            api.status()
        with raises(API_NONSENSE):
            api.accounts()


@pytest.mark.parametrize("ask", ["status", "accounts"])
def test_a_body_without_end_is_left_at_its_limit(ask):
    def handler(connection, number):
        misbehaving.request_of(connection)
        connection.sendall(b"HTTP/1.1 200 X\r\n\r\n")
        while True:
            connection.sendall(b" " * 65536)

    with asked(handler) as api, within((PAGE_BYTES >> 20) * 3), raises(API_NONSENSE):
        getattr(api, ask)()
