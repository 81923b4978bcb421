"""What an admin reads when a bonus server is down, slow, silent, wrong or somebody else."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests import misbehaving
from tests.causes import raises
from tests.certificates import certificate
from tests.misbehaving import free_port
from tests.reference_server import TOKEN
from transfer.bonus_admin_client.client import BonusApi
from transfer.bonus_admin_client.contract import Endpoint
from transfer.causes.bonus_servers import API_NONSENSE, API_REGISTER_EXISTS
from transfer.causes.connections import CONNECTION_LOST
from transfer.errors import TransferError
from transfer.text.explain import explain

pytestmark = pytest.mark.usefixtures("in_english")

NOW = datetime.now(UTC)


def endpoint(port: int, **fields) -> Endpoint:
    known = {"name": "Server 8", "host": "127.0.0.1", "port": port, "token": TOKEN}
    return Endpoint(**known | fields)


def failure(port: int, seconds: float = 1.0, **fields) -> TransferError:
    with (
        BonusApi(endpoint(port, **fields), seconds) as api,
        pytest.raises(TransferError) as caught,
    ):
        api.status()
    return caught.value


def sentence(error: TransferError) -> str:
    return explain(error).sentence


def test_down():
    port = free_port()
    assert (
        sentence(failure(port))
        == f"Server “Server 8” does not answer: nothing listens at 127.0.0.1, port {port}."
    )


def test_an_unknown_name():
    error = failure(1, host="no-such-host.invalid")
    assert sentence(error) == (
        "Server “Server 8” does not answer: the name no-such-host.invalid is not known in this "
        "network."
    )


def test_switched_off_or_behind_a_firewall():
    with misbehaving.full_queue() as port:
        error = failure(port)
    assert sentence(error) == (
        f"Server “Server 8” does not answer: no connection to 127.0.0.1, port {port}, within 1 s."
    )


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("handler", [misbehaving.is_silent, misbehaving.drips])
def test_slow_half_open_or_dripping_ends_in_time(handler, tls):
    with misbehaving.server(handler) as port:
        began = time.monotonic()
        error = failure(port, tls=tls)
        assert time.monotonic() - began < 2
    assert sentence(error) == "Server “Server 8” did not answer in time."


def test_garbage():
    with misbehaving.server(misbehaving.speaks_garbage) as port:
        error = failure(port)
    assert sentence(error) == (
        f"Server 8: what answers on port {port} does not speak the bonus server's protocol."
    )


@pytest.mark.parametrize(
    "body",
    [
        b"<html>It works!</html>",
        b"[]",
        b'{"name": 5}',
        b"\xff\xfe",
        b'{"name": "x", "version": "1", "time": "2026-11-24"}',
        b'{"name": "x", "version": "1", "time": "9999-12-31T23:59:59+00:00"}',
        b'{"name": "\\ud800", "version": "1", "time": "2026-11-24T14:00:00+00:00"}',
        b'{"a":' * 10_000,
    ],
)
def test_an_answer_of_another_program_is_no_answer(body):
    with misbehaving.server(misbehaving.answers(200, body)) as port:
        assert failure(port).cause is API_NONSENSE


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"error": "unauthorized", "message": "No."}', "Server 8 refuses the API token."),
        (404, b"not found", "does not speak the bonus server's protocol"),
        (
            500,
            b'{"error": "internal_error", "message": "Oops."}',
            "Server 8 reports an error of its own (HTTP 500).",
        ),
        (503, b"{}", "Server 8 is overloaded or its database does not answer."),
        (418, b"{}", "Server 8 refused the request (HTTP 418)."),
    ],
)
def test_a_refusal_is_one_plain_sentence(status, body, expected):
    with misbehaving.server(misbehaving.answers(status, body)) as port:
        assert expected in sentence(failure(port))


def test_409_names_the_register_that_is_there():
    body = b'{"error": "register_exists", "message": "It exists."}'
    with (
        misbehaving.server(misbehaving.answers(409, body)) as port,
        BonusApi(endpoint(port)) as api,
        raises(API_REGISTER_EXISTS) as caught,
    ):
        api.create("17", "111", "Касса 17")
    assert sentence(caught.value) == "Server 8 has an account of this register already."


def test_what_a_refusal_says_is_quoted_without_our_token_and_as_it_can_be_stored():
    body = f'{{"error": "x", "message": "a\\ud800\\u0000b, not {TOKEN}"}}'.encode()
    with misbehaving.server(misbehaving.answers(418, body)) as port:
        assert failure(port).technical == "HTTP 418 x a?b, not ••••"


def test_deep_nonsense_in_a_refusal():
    with misbehaving.server(misbehaving.answers(418, b"[" * 10_000)) as port:
        assert failure(port).technical == "HTTP 418"


def test_a_register_that_is_listed_twice_is_one():
    listed = (
        b'{"register": "17", "login": "%s", "created": "2026-11-24T14:00:00+00:00",'
        b' "last_seen": null, "blocked": false}'
    )
    body = b'{"accounts": [%s, %s], "next": null}' % (listed % b"a", listed % b"b")
    with (
        misbehaving.server(misbehaving.answers(200, body)) as port,
        BonusApi(endpoint(port)) as api,
    ):
        assert [one.login for one in api.accounts()] == ["b"]


def test_an_answer_cut_off():
    with misbehaving.server(misbehaving.hangs_up) as port:
        error = failure(port)
    assert sentence(error) == "Server “Server 8”: the connection was lost."


def test_a_read_is_repeated_and_a_write_is_not():
    asked = []

    def flaky(connection, number):
        asked.append(misbehaving.request_of(connection).split(b" ", 1)[0])
        if number == 3:
            body = b'{"name": "x", "version": "1", "time": "2026-11-24T14:00:00+00:00"}'
            connection.sendall(misbehaving.reply(200, body))

    with misbehaving.server(flaky) as port, BonusApi(endpoint(port), 5) as api:
        assert api.status().version == "1"
        assert asked == [b"GET"] * 3
        with raises(CONNECTION_LOST):
            api.create("17", "111", "Касса 17")
        assert asked == [b"GET"] * 3 + [b"POST"]


def test_an_endless_list_of_accounts_ends():
    body = b'{"accounts": [], "next": "17"}'
    with (
        misbehaving.server(misbehaving.answers(200, body)) as port,
        BonusApi(endpoint(port), 5) as api,
        raises(API_NONSENSE),
    ):
        api.accounts()


def test_without_a_token_nothing_is_asked():
    assert sentence(failure(1, token="")) == "No API token of Server 8 is stored."


def test_the_token_stands_in_no_text(caplog):
    caplog.set_level("DEBUG")
    with misbehaving.server(misbehaving.answers(401)) as port:
        error = failure(port)
    texts = [repr(endpoint(port)), str(error), repr(error), error.technical, str(error.params)]
    assert TOKEN not in "\n".join([*texts, caplog.text])


# --- TLS ------------------------------------------------------------------------------------------


OK = b'{"name": "x", "version": "1", "time": "2026-11-24T14:00:00+00:00"}'


def test_a_certificate_of_the_own_authority_is_trusted_and_a_strange_one_is_not(tmp_path):
    pem, context = certificate(tmp_path)
    with misbehaving.server(misbehaving.answers(200, OK), context) as port:
        with BonusApi(endpoint(port, tls=True, ca=pem)) as api:
            assert api.status().name == "x"
        with BonusApi(endpoint(port, tls=True, verify=False)) as api:
            assert api.status().name == "x"
        error = failure(port, 3, tls=True)
    assert (
        sentence(error)
        == "The certificate of Server 8 is not signed by an authority that is trusted here."
    )


def test_a_certificate_of_another_host(tmp_path):
    pem, context = certificate(tmp_path, host="10.0.0.8")
    with misbehaving.server(misbehaving.answers(200, OK), context) as port:
        error = failure(port, 3, tls=True, ca=pem)
    assert sentence(error) == "The certificate of Server 8 is not for the host 127.0.0.1."


def test_a_certificate_that_has_expired(tmp_path):
    pem, context = certificate(tmp_path, until=NOW - timedelta(days=2))
    with misbehaving.server(misbehaving.answers(200, OK), context) as port:
        error = failure(port, 3, tls=True, ca=pem)
    assert sentence(error) == "The certificate of Server 8 has expired."


def test_https_where_there_is_none_and_none_where_there_is(tmp_path):
    def plain(connection, number):
        connection.recv(1)
        connection.sendall(misbehaving.reply(400))

    with misbehaving.server(plain) as port:
        error = failure(port, 3, tls=True)
        assert sentence(error) == f"Server 8 does not speak HTTPS on port {port}."
    _pem, context = certificate(tmp_path)
    with misbehaving.server(misbehaving.answers(200, OK), context) as port:
        error = failure(port, 3)
    assert error.cause in (CONNECTION_LOST, API_NONSENSE)


def test_a_time_in_whatever_zone_is_one_that_our_database_takes():
    times = b'"created": "2026-11-25T12:00:00+23:59:59", "last_seen": null'
    body = b'{"accounts": [{"register": "r", "login": "l", "blocked": false, ' + times + b"}], "
    body += b'"next": null}'
    with (
        misbehaving.server(misbehaving.answers(200, body)) as port,
        BonusApi(endpoint(port)) as api,
    ):
        (account,) = api.accounts()
    assert account.created.isoformat() == "2026-11-24T12:00:01+00:00"
