from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from tests.reference_bonus_server.conftest import account, calling, refused

EARN_ONLY, EARN_PAY, NO_OPERATION, PAY_ONLY = range(4)


def operate(register, number, kind="accrue", amount="5.00", card="1001"):
    body = {"operation": number, "card": card, "kind": kind, "amount": amount}
    return register.post("/operations", json=body)


def balance(register, card="1001"):
    return register.get(f"/cards/{card}").json()["balance"]


def test_an_accrual_and_a_redemption_change_the_balance(register, db):
    db.card("1001", "a1", EARN_PAY, balance=100)
    answer = operate(register, "17", "accrue", "25.5")
    done = answer.json()
    assert answer.status_code == 201
    assert done.pop("time")
    assert done == {
        "operation": "17",
        "card": "1001",
        "account": "a1",
        "kind": "accrue",
        "amount": "25.50",
        "balance": "125.50",
        "repeated": False,
    }
    assert operate(register, "18", "redeem", "125.50").json()["balance"] == "0.00"
    assert balance(register) == "0.00"
    comments = db.run("select comment from asset where comment is not null order by id")
    assert comments == [("10.152, operation 17",), ("10.152, operation 18",)]


@pytest.mark.parametrize(
    ("status", "name", "kinds"),
    [
        (EARN_ONLY, "EARN_ONLY", {"accrue"}),
        (EARN_PAY, "EARN_PAY", {"accrue", "redeem"}),
        (NO_OPERATION, "NO_OPERATION", set()),
        (PAY_ONLY, "PAY_ONLY", {"redeem"}),
        (9, "UNKNOWN", set()),
    ],
)
def test_the_cards_status_has_a_name_and_decides_what_it_may_do(register, db, status, name, kinds):
    db.card("1001", "a1", status, balance=50)
    card = register.get("/cards/1001").json()
    assert (card["status"], card["status_name"]) == (status, name)
    for kind in ("accrue", "redeem"):
        answer = operate(register, kind, kind)
        assert (
            answer.status_code == 201 if kind in kinds else refused(answer, 409, "status_forbids")
        )
    sums = {"accrue": 5, "redeem": -5}
    assert Decimal(balance(register)) == 50 + sum(sums[kind] for kind in kinds)


def test_more_than_the_balance_can_not_be_redeemed_and_the_number_stays_free(register, db):
    db.card("1001", "a1", PAY_ONLY, balance="4.99")
    assert refused(operate(register, "1", "redeem", "5.00"), 409, "balance_too_low")
    assert balance(register) == "4.99"
    db.asset("a1", "0.01")
    assert operate(register, "1", "redeem", "5.00").status_code == 201


def test_a_repeated_operation_is_done_once_and_answered_alike(register, db):
    db.card("1001", "a1", EARN_PAY)
    first = operate(register, "1")
    operate(register, "2")
    db.run('update "cardAccounting" set status = 2')
    again = operate(register, "1", amount="5")
    assert again.status_code == 200
    assert again.json() == {**first.json(), "repeated": True}
    assert balance(register) == "10.00"


def test_a_number_that_was_used_for_something_else_is_refused(register, db):
    db.card("1001", "a1", EARN_PAY)
    db.card("1002", "a1", EARN_PAY)
    operate(register, "1")
    for other in ({"amount": "5.01"}, {"kind": "redeem"}, {"card": "1002"}, {"card": "unknown"}):
        assert refused(operate(register, "1", **other), 409, "operation_differs")
    assert balance(register) == "5.00"


def test_the_same_number_of_another_register_is_another_operation(register, admin, served, db):
    db.card("1001", "a1", EARN_PAY)
    operate(register, "1")
    with calling(served.work_url, account(admin, "10.72")) as other:
        assert operate(other, "1").status_code == 201
    assert balance(register) == "10.00"


def test_an_operation_is_not_done_twice_when_the_account_was_made_anew(register, admin, served, db):
    db.card("1001", "a1", EARN_PAY)
    operate(register, "1")
    admin.delete("/accounts/10.152")
    with calling(served.work_url, account(admin)) as again:
        assert operate(again, "1").json()["repeated"] is True


def test_simultaneous_repetitions_are_done_once(register, db):
    db.card("1001", "a1", EARN_PAY)
    for number in map(str, range(5)):
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _, n=number: operate(register, n), range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        assert len({answer.json()["balance"] for answer in answers}) == 1
    assert balance(register) == "25.00"
    assert db.run("select count(*) from asset") == [(5,)]


def test_simultaneous_redemptions_never_bring_the_balance_below_zero(register, db):
    db.card("1001", "a1", EARN_PAY, balance=25)
    db.card("1002", "a1", EARN_PAY)

    def redeem(number):
        return operate(register, str(number), "redeem", card=f"100{number % 2 + 1}").status_code

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(redeem, range(24)))
    assert sorted(answers) == [201] * 5 + [409] * 19
    assert balance(register) == "0.00"


def test_a_redemption_takes_what_ends_soonest_and_ends_with_it(register, db):
    db.card("1001", "a1", EARN_PAY, balance=100)
    db.asset("a1", 30, None, "1 hour")
    db.asset("a1", 20, None, "2 hours")
    assert operate(register, "1", "redeem", "45").json()["balance"] == "105.00"
    taken = db.run("select amount from asset where amount < 0 order by validto")
    assert taken == [(Decimal(-30),), (Decimal(-15),)]
    db.run("update asset set validto = now() - interval '1 s' where validto is not null")
    assert balance(register) == "100.00"


def test_a_debt_without_an_end_is_paid_by_what_will_end(register, db):
    db.card("1001", "a1", EARN_PAY, balance=-30)
    db.asset("a1", 100, None, "1 hour")
    assert refused(operate(register, "1", "redeem", "70.01"), 409, "balance_too_low")
    assert operate(register, "1", "redeem", "70").json()["balance"] == "0.00"
    assert balance(register) == "0.00"


def test_an_operation_on_a_card_that_is_unknown_or_not_linked_is_refused(register, db):
    db.card("1001", None, EARN_PAY)
    assert refused(operate(register, "1"), 409, "card_not_linked")
    assert refused(operate(register, "1", card="9"), 404, "card_unknown")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("amount", [5, 5.0, None, [], "", "0", "0.00", "-5", "5.001", "1e3", "NaN", "٣"]),
        ("amount", ["12345678901", " 5", "5.", ".5", "5,00"]),
        ("kind", ["earn", "", None, 1, ["accrue"], {}, "ACCRUE"]),
        ("operation", [17, None, "x" * 65]),
        ("card", [1001, None, "x" * 101]),
    ],
)
def test_an_operation_with_a_bad_field_is_refused(register, db, field, values):
    db.card("1001", "a1", EARN_PAY)
    body = {"operation": "1", "card": "1001", "kind": "accrue", "amount": "5"}
    for value in values:
        answer = register.post("/operations", json={**body, field: value})
        assert refused(answer, 400, "bad_field")
        assert f'"{field}"' in answer.json()["message"]
    assert db.run("select * from operation") == []


def test_bonuses_may_end_at_infinity_and_beyond_the_dates_of_python(register, db):
    db.card("1001", "a1", EARN_PAY)
    db.run("""
        insert into asset (account, amount, validfrom, validto) values
        ('a1', 10, '-infinity', 'infinity'), ('a1', 20, '0044-03-15 BC', '20000-01-01 00:00:01.5'),
        ('a1', 40, 'infinity', null), ('a1', 80, null, '-infinity'),
        ('a1', 160, null, '0044-03-15 BC')
    """)
    assert balance(register) == "30.00"
    assert operate(register, "1", "redeem", "25").json()["balance"] == "5.00"
    parts_of_lots = db.run("""
        select part.amount, lot.amount from asset part join asset lot using (validto)
         where part.amount < 0 and lot.amount > 0 order by 1
    """)
    assert parts_of_lots == [(-20, 20), (-5, 10)]
    assert balance(register) == "5.00"
