"""One staged row, as a program asks for it: where it is, at each server, and why."""

from dataclasses import replace

import pytest
from psycopg2.extensions import parse_dsn

from tests.databases import query, stage
from tests.http_api.conftest import Program
from transfer import installed
from transfer.engine.kind import TIMESTAMP, plain, text
from transfer.engine.kinds import KINDS, PINCODES
from transfer.engine.mapping_file import Tables
from transfer.engine.table_mapping import TableMapping
from transfer.http_api import traces
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.runs.purge import purge
from transfer.servers.ask import bonus_db
from transfer.trace.holding import holding_of
from transfer.trace.servers import Answer
from transfer.trace.subject import trace

pytestmark = pytest.mark.django_db(transaction=True)


def row(program: Program, kind: str, number: int = 1):
    answer = program.ask(f"rows/{kind}/{number}")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_row_waits_then_is_moved_by_a_run_which_is_named(program, receiver, shop_all):
    stage(shop_all, "balances", [("4100", 5), ("4100", 7)])
    waits = row(program, "balances", 2)
    assert (waits["id"], waits["values"]["amount"]) == (2, "7")
    assert [(one["state"], one["reason"]["code"]) for one in waits["servers"]] == [
        ("waiting", "waiting")
    ]
    run = run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
    (moved,) = row(program, "balances", 2)["servers"]
    assert (moved["state"], moved["run"], moved["reason"]) == ("moved", run.pk, None)


def test_a_rejected_row_says_why_and_how_to_name_it_in_a_correction(program, rejected):
    (reject,) = rejected("balances", ("4100", 0))
    (there,) = row(program, "balances", reject.row)["servers"]
    assert (there["state"], there["reason"]["code"]) == ("rejected", "amount_zero")
    assert there["correct_as"] == f"R{reject.pk}-{reject.row}"


def test_a_row_without_an_account_is_found_by_its_number(program, rejected):
    (reject,) = rejected("balances", (None, 5))
    shown = row(program, "balances", reject.row)
    assert shown["values"]["account"] is None
    assert [one["reason"]["code"] for one in shown["servers"]] == ["account_missing"]


def test_a_pin_code_does_not_come_out(program, receiver, shop_all):
    stage(shop_all, "pincodes", [("4100", "91735")])
    run_here(receiver.tasks.get(kind="pincodes"), Trigger.MANUAL)
    answer = program.ask("rows/pincodes/1")
    assert answer.json()["values"] == {"account": "4100", "pincode": "••••"}
    assert "91735" not in answer.content.decode()


def test_a_row_that_is_not_there_or_purged_is_not_found(program, receiver, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    task = receiver.tasks.select_related("server").get(kind="balances")
    run_here(task, Trigger.MANUAL)
    assert purge(task.kind_spec, [task], 0, dry_run=False).rows == 1
    for number in (1, 2, 2**70):
        answer = program.ask(f"rows/balances/{number}")
        assert (answer.status_code, answer.json()["code"]) == (404, "row_not_found")
    assert program.ask("rows/bonuses/1").status_code == 422


def test_a_server_that_does_not_answer_is_said_and_the_others_are_known(
    program, receiver, dock, second_bonus, shop_all
):
    dead = dock(second_bonus, "Бонусный сервер 9")
    dead.db_host, dead.db_port = "localhost", 1
    dead.save()
    stage(shop_all, "balances", [("4100", 5)])
    known = {one["server"]["id"]: one for one in row(program, "balances")["servers"]}
    assert known[receiver.pk]["state"] == "waiting"
    assert known[dead.pk]["state"] == "unknown"
    assert known[dead.pk]["reason"]["message"]


class TestWhatAServerHolds:
    def test_an_account_says_since_when_and_what_is_on_its_way(self, program, receiver, shop_all):
        stage(shop_all, "pincodes", [("4100", "91735")])
        stage(shop_all, "cards", [("7001", "4100", 2)])
        for kind in ("pincodes", "cards"):
            run_here(receiver.tasks.get(kind=kind), Trigger.MANUAL)
        stage(shop_all, "balances", [("4100", 5), ("4100", "-2.50")])
        answer = program.ask("accounts/4100")
        assert "91735" not in answer.content.decode()
        (held,) = answer.json()["servers"]
        assert (held["balance"], held["has_pin"], held["unread"]) == ("0", True, [])
        assert held["pin_since"].endswith("Z")
        (card,) = held["cards"]
        assert (card["status"], card["status_words"]) == (2, "2 – no operations (blocked)")
        assert card["since"].endswith("Z")
        assert held["on_its_way"] == {"changes": {"balances": 2}, "amount": "2.50"}
        assert held["differs"] == []

    def test_a_table_that_may_not_be_read_comes_with_the_grant(
        self, program, receiver, shop_all, bonus, limited
    ):
        role = parse_dsn(limited)["user"]
        query(
            bonus,
            f"grant usage on schema datatransfer to {role}; "
            f"grant select on all tables in schema datatransfer to {role}; "
            f"revoke select on asset from {role}",
        )
        receiver.db_user, receiver.db_password = role, parse_dsn(limited)["password"]
        receiver.save()
        (held,) = program.ask("accounts/4100").json()["servers"]
        assert (held["error"], held["balance"], held["total"]) == (None, None, None)
        assert held["has_pin"] is False
        (unread,) = held["unread"]
        assert (unread["kind"], unread["reason"]["code"]) == ("balances", "rights_missing")
        assert "grant select on" in unread["reason"]["hint"]

    def test_nothing_is_known_of_a_server_that_does_not_answer(self, program, receiver, shop_all):
        receiver.db_port = 1
        receiver.save()
        (held,) = program.ask("accounts/4100").json()["servers"]
        assert held["error"]["code"]
        assert [held[name] for name in ("balance", "has_pin", "pin_since", "on_its_way")] == [
            None
        ] * 4

    def test_servers_that_differ_say_in_what(self, program, receiver, dock, second_bonus, shop_all):
        ninth = dock(second_bonus, "Бонусный сервер 9")
        stage(shop_all, "balances", [("4100", 5)])
        run_here(ninth.tasks.get(kind="balances"), Trigger.MANUAL)
        held = program.ask("accounts/4100").json()["servers"]
        assert [one["differs"] for one in held] == [["balance", "on_its_way"]] * 2


def test_what_a_server_holds_of_another_kind_is_said_with_its_values(
    program, receiver, shop_all, bonus, monkeypatch
):
    """A kind that the answer has no fields for."""
    vouchers = replace(
        PINCODES,
        name="vouchers",
        columns=(
            text("account"),
            text("voucher"),
            plain("amount", "numeric"),
            text("code", secret=True),
            plain("ends", TIMESTAMP),
        ),
        bonus_server=TableMapping("voucher"),
    )
    query(
        bonus,
        "create table voucher (account text, voucher text, amount numeric, code text, "
        "ends timestamptz, changed_at timestamptz); insert into voucher values "
        "('4100', 'SPRING', 2.50, '91735', '2027-03-01 00:00Z', '2026-05-04 10:00Z'), "
        "('4100', null, null, null, null, null)",
    )
    stage(shop_all, "balances", [("4100", 5)])
    found = trace("4100", "account")
    with monkeypatch.context() as patched:
        kinds = {**KINDS, "vouchers": vouchers}
        patched.setattr(installed, "_read", lambda _path: Tables(kinds, kinds))
        patched.setattr(installed, "_kinds", lambda _path: kinds)
        with bonus_db(receiver, 5, secret=True) as target, target.database.snapshot():
            held = holding_of(receiver, target, "4100", "account")
        found.answers = [Answer(receiver, holding=held)]
        patched.setattr(traces, "trace", lambda *_asked: found)
        answer = program.ask("accounts/4100")
        assert "91735" not in answer.content.decode()
        (server,) = answer.json()["servers"]
    none = dict.fromkeys(("voucher", "amount", "ends"))
    spring = {"voucher": "SPRING", "amount": "2.50", "ends": "2027-03-01T00:00:00+00:00"}
    assert server["others"] == {
        "vouchers": [
            {"values": spring, "since": "2026-05-04T10:00:00Z"},
            {"values": none, "since": None},
        ]
    }


def test_without_another_kind_there_is_nothing_else(program, receiver, shop_all):
    stage(shop_all, "balances", [("4100", 5)])
    (server,) = program.ask("accounts/4100").json()["servers"]
    assert server["others"] == {}
