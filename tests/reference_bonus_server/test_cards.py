from base64 import b64encode
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx2
import pytest

from tests.reference_bonus_server.conftest import account, calling, refused


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


def test_a_card_without_an_account_has_no_balance(register, db):
    db.card("1001", None, 1)
    answer = register.get("/cards/1001").json()
    assert (answer["account"], answer["balance"]) == (None, None)


def test_an_unknown_card_is_refused(register):
    for card in ("9", "a%00b", "%FF", "x" * 101, "%20"):
        assert refused(register.get(f"/cards/{card}"), 404, "card_unknown")


def test_a_card_number_may_hold_any_printable_character_but_a_slash(register, db):
    for card in ("№ 7", "100%", "a?b#c", "ü" * 100):
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
    ("path", "header"),
    [
        *(("/cards/1", header) for header in (None, "Basic", "Basic !", "Bearer x", basic(b"x"))),
        *(("/cards/1", basic(login)) for login in (b":", b"\xff:\xfe", b"a\0b:c", b"login:secret")),
        *(("/operations", None), ("/nowhere", None)),
    ],
)
def test_nothing_is_reached_without_login_and_secret(served, db, path, header):
    headers = {} if header is None else {"Authorization": header}
    answer = httpx2.get(served.work_url + path, headers=headers, trust_env=False)
    assert refused(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_the_ports_do_not_answer_for_each_other(served, admin, register):
    with httpx2.Client(headers=admin.headers, trust_env=False) as client:
        assert refused(client.get(f"{served.work_url}/status"), 401, "unauthorized")
    assert refused(register.get("/status"), 404, "unknown_path")
    assert refused(admin.get("/cards/1"), 404, "unknown_path")


def test_a_time_of_change_that_python_can_not_hold_does_no_harm(register, db):
    db.run("""insert into "cardAccounting" values ('1001', 'a1', 1, 'infinity')""")
    db.run("insert into pincode values ('a1', '4711', '0044-03-15 BC')")
    assert register.get("/cards/1001").json()["account"] == "a1"
    assert register.post("/cards/1001/pin", json={"pin": "4711"}).json()["right"] is True
