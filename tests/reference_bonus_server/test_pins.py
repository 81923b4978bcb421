from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tests.reference_bonus_server.conftest import refused


@pytest.fixture(autouse=True)
def _card(db):
    db.card("1001", "a1", 1)
    db.pin("a1", "4711")


def check(register, pin, card="1001"):
    return register.post(f"/cards/{card}/pin", json={"pin": pin})


def test_the_right_pin_is_right_and_a_wrong_one_is_wrong(register):
    assert check(register, "4711").json() == {
        "right": True,
        "attempts_left": 5,
        "locked_until": None,
    }
    assert check(register, "4712").json() == {
        "right": False,
        "attempts_left": 4,
        "locked_until": None,
    }


def test_a_right_pin_forgives_the_wrong_ones_before_it(register):
    for _ in range(4):
        assert check(register, "0").json()["right"] is False
    assert check(register, "4711").json()["right"] is True
    assert check(register, "0").json()["attempts_left"] == 4


def test_five_wrong_pins_lock_the_account_even_for_the_right_one(register, db):
    db.card("1002", "a1", 1)
    answers = [check(register, str(n)).json() for n in range(5)]
    assert [answer["attempts_left"] for answer in answers] == [4, 3, 2, 1, 0]
    until = datetime.fromisoformat(answers[-1]["locked_until"])
    assert timedelta(minutes=14) < until - datetime.now(UTC) <= timedelta(minutes=15)
    for card in ("1001", "1002"):
        answer = check(register, "4711", card)
        assert refused(answer, 423, "pin_locked")
        assert 840 < int(answer.headers["Retry-After"]) <= 900


def test_when_the_lock_has_run_out_there_are_five_attempts_again(register, db):
    for _ in range(5):
        check(register, "0")
    db.run("update pin_guard set locked_until = now()")
    assert check(register, "0").json() == {
        "right": False,
        "attempts_left": 4,
        "locked_until": None,
    }
    assert check(register, "4711").json()["right"] is True


def test_guessing_in_parallel_gives_no_sixth_attempt(register):
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda n: check(register, str(n)).status_code, range(24)))
    assert sorted(answers) == [200] * 5 + [423] * 19


def test_a_new_pin_counts_as_soon_as_it_has_arrived(register, db):
    db.run("update pincode set pincode = 'пароль-9'")
    assert check(register, "4711").json()["right"] is False
    assert check(register, "пароль-9").json()["right"] is True


def test_a_card_that_has_no_pin_to_check_is_refused(register, db):
    db.card("1003", "a3", 1)
    db.card("1004", None, 1)
    assert refused(check(register, "1", "1003"), 409, "pin_not_set")
    assert refused(check(register, "1", "1004"), 409, "card_not_linked")
    assert refused(check(register, "1", "9"), 404, "card_unknown")


def test_a_pin_that_is_no_text_is_refused_and_counts_as_no_attempt(register, db):
    for pin in (4711, None, "", "x" * 101, ["4711"]):
        assert refused(check(register, pin), 400, "bad_field")
    assert db.run("select * from pin_guard") == []
