from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest

from tests.bonusserver.conftest import account, calling, refused


def test_a_card_shows_its_account_status_and_balance(register, db):
    db.card("1001", "a1", 1, balance="120.50")
    db.asset("a1", "-20.25")
    db.asset("another", 7)
    assert register.get("/cards/1001").json() == {
        "card": "1001",
        "account": "a1",
        "status": 1,
        "status_name": "EARN_PAY",
        "balance": "100.25",
    }


def test_the_balance_counts_only_what_is_valid_now(register, db):
    db.card("1001", "a1", 0)
    db.asset("a1", 1, "-1 day", "1 day")
    db.asset("a1", 2, None, "1 day")
    db.asset("a1", 4, "-1 day", None)
    db.asset("a1", 8, "1 day", None)
    db.asset("a1", 16, None, "-1 second")
    assert register.get("/cards/1001").json()["balance"] == "7.00"


@pytest.mark.parametrize(
    ("status", "name"),
    [(0, "EARN_ONLY"), (1, "EARN_PAY"), (2, "NO_OPERATION"), (3, "PAY_ONLY"), (9, "UNKNOWN")],
)
def test_a_status_has_its_vendors_name(register, db, status, name):
    db.card("1001", "a1", status)
    answer = register.get("/cards/1001").json()
    assert (answer["status"], answer["status_name"], answer["balance"]) == (status, name, "0.00")


def test_a_card_without_an_account_has_no_balance(register, db):
    db.card("1001", None, 1)
    answer = register.get("/cards/1001").json()
    assert (answer["account"], answer["balance"]) == (None, None)


@pytest.mark.parametrize("card", ["9", "a%00b", "%FF", "x" * 101, "%20"])
def test_an_unknown_card_is_told(register, card):
    assert refused(register.get(f"/cards/{card}"), 404, "card_unknown")


@pytest.mark.parametrize("card", ["№ 7", "a b", "100%", "a?b#c", "ü" * 100])
def test_a_card_number_may_hold_any_printable_character_but_a_slash(register, db, card):
    db.card(card, "a1", 1)
    assert register.get(f"/cards/{quote(card)}").json()["card"] == card


def test_each_call_marks_the_register_as_seen(register, admin, served):
    def last_seen():
        (listed,) = admin.get("/accounts").json()["accounts"]
        return listed["last_seen"]

    assert last_seen() is None
    moments = []
    for call in (
        lambda: register.get("/cards/9"),
        lambda: register.post("/cards/9/pin", json={"pin": "1"}),
        lambda: register.post("/operations", content=b"not JSON"),
        lambda: register.get("/nowhere"),
    ):
        call()
        moments.append(last_seen())
    assert moments == sorted(set(moments))
    assert datetime.now(UTC) - datetime.fromisoformat(moments[-1]) < timedelta(minutes=1)


def test_a_wrong_secret_does_not_mark_the_register_as_seen(admin, served):
    made = account(admin)
    with calling(served.work_url, {**made, "secret": made["secret"] + "x"}) as client:
        assert refused(client.get("/cards/1"), 401, "unauthorized")
    assert admin.get("/accounts").json()["accounts"][0]["last_seen"] is None


def basic(text: bytes) -> str:
    return f"Basic {b64encode(text).decode()}"


@pytest.mark.parametrize(
    "header",
    [
        *(None, "Basic", "Basic !", "Bearer x", basic(b"x"), basic(b":")),
        *(basic(b"\xff:\xfe"), basic(b"a\0b:c"), basic(b"login:secret")),
    ],
)
@pytest.mark.parametrize("path", ["/cards/1", "/operations", "/nowhere"])
def test_nothing_is_reached_without_login_and_secret(served, db, header, path):
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.get(served.work_url + path, headers=headers, trust_env=False)
    assert refused(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_the_ports_do_not_answer_for_each_other(served, admin, register):
    with httpx.Client(headers=admin.headers, trust_env=False) as client:
        assert refused(client.get(f"{served.work_url}/status"), 401, "unauthorized")
    assert refused(register.get("/status"), 404, "unknown_path")
    assert refused(admin.get("/cards/1"), 404, "unknown_path")
