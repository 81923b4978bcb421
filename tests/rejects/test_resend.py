"""A corrected row is staged once, at any failure in between."""

from datetime import UTC, datetime

import pytest
from django.db import connection
from django.utils import translation

from tests.databases import query, stage
from transfer.models import Actor, AuditEntry, RejectedRow
from transfer.models.run_base import Trigger
from transfer.pages.parts.audit_words import changes
from transfer.rejects import closing, resend
from transfer.runs.execute import run_here

OLGA = Actor("olga", address="10.0.0.8")
State = RejectedRow.State


def rows(shop_all, table="changeAccountBalanceTemp", columns="account, amount::text"):
    return query(shop_all, f'select {columns} from "{table}" order by id')


def of(*rejects):
    return RejectedRow.objects.filter(pk__in=[one.pk for one in rejects])


@pytest.fixture
def move(dock, bonus, shop_all):
    """Stages rows of a kind, moves them, and returns the rejects."""
    servers = []

    def move(kind, *staged):
        servers.append(servers[0] if servers else dock(bonus))
        stage(shop_all, kind, staged)
        run_here(servers[0].tasks.get(kind=kind), Trigger.MANUAL)
        return list(RejectedRow.objects.order_by("pk"))

    return move


@pytest.mark.django_db
class TestOne:
    def test_is_staged_with_the_new_values_and_closed_with_a_link(self, move, shop_all):
        (reject,) = move("balances", ("4100", 0))
        outcome = resend.resend(of(reject), {"amount": "12.50"}, OLGA)
        assert (outcome.sent, outcome.faults) == (1, {})
        assert rows(shop_all) == [("4100", "0"), ("4100", "12.50")]
        reject.refresh_from_db()
        new = query(
            shop_all,
            "select changeset::text, line from datatransfer.log as log join"
            ' "changeAccountBalanceTemp" as staged using (xid, started)'
            " where staged.amount = 12.50",
        )
        assert (reject.state, reject.closed_by) == ("resent", "olga")
        assert [(str(reject.resent_changeset), reject.resent_row)] == new

    def test_keeps_every_value_that_is_not_changed(self, move, shop_all):
        moment = datetime(2026, 12, 31, 20, 59, 59, tzinfo=UTC)
        (reject,) = move("balances", ("4100", 0, None, moment, "=подарок"))
        resend.resend(of(reject), {"amount": "1"}, OLGA)
        assert rows(shop_all, columns="validfrom, validto, comment")[1] == (
            None,
            moment,
            "=подарок",
        )

    def test_is_not_staged_when_a_check_still_fails(self, move, shop_all):
        (reject,) = move("balances", ("4100", 0))
        outcome = resend.resend(of(reject), {"amount": "1.005"}, OLGA)
        assert outcome.faults == {"amount_decimals": 1}
        assert len(rows(shop_all)) == 1
        assert RejectedRow.objects.open().exists()
        assert query(shop_all, "select count(*) from datatransfer.dependent") == [(0,)]

    @pytest.mark.parametrize("kind", ["pincodes", "balances", "cards"])
    def test_every_check_of_a_kind_judges_the_correction_as_a_transfer_would(
        self, move, shop_all, kind
    ):
        bad = {
            "pincodes": ("", "1"),
            "balances": ("", 1),
            "cards": ("", "4100", 1),
        }[kind]
        (reject,) = move(kind, bad)
        outcome = resend.resend(of(reject), {}, OLGA)
        assert outcome.faults == {reject.code: 1}

    def test_is_moved_by_the_next_run_exactly_once(self, move, bonus, shop_all):
        (reject,) = move("balances", ("4100", 0))
        resend.resend(of(reject), {"amount": "7"}, OLGA)
        move("balances")
        move("balances")
        assert query(bonus, "select account, amount::int from asset") == [("4100", 7)]

    def test_is_audited_with_old_and_new_values(self, move):
        (reject,) = move("balances", ("4100", 0))
        resend.resend(of(reject), {"amount": "7"}, OLGA)
        entry = AuditEntry.objects.get(action="resend")
        reject.refresh_from_db()
        assert (entry.who, entry.address, entry.subject_id) == ("olga", "10.0.0.8", reject.pk)
        assert (entry.old, entry.new) == (
            {"amount": "0"},
            {"amount": "7", "resent_row": reject.resent_row},
        )
        with translation.override("ru"):
            assert changes(entry)[0].label == "Сумма"


@pytest.mark.django_db
class TestPinCodes:
    def columns(self, shop_all):
        return rows(shop_all, "accountpincodeTemp", "account, pincode")

    def test_are_kept_without_leaving_the_staging_database(self, move, shop_all):
        (reject,) = move("pincodes", ("", "4711"))
        resend.resend(of(reject), {"account": "4100"}, OLGA)
        assert self.columns(shop_all) == [("", "4711"), ("4100", "4711")]

    def test_are_replaced_where_a_new_one_is_given_and_never_written_down(self, move, shop_all):
        (reject,) = move("pincodes", ("4100", None))
        resend.resend(of(reject), {"pincode": "0042 31 77"}, OLGA)
        assert self.columns(shop_all)[1] == ("4100", "0042 31 77")
        with connection.cursor() as cursor:
            for table in ("auditentry", "rejectedrow", "transferrun"):
                cursor.execute(f"select to_jsonb(t)::text from transfer_{table} as t")
                assert "0042 31 77" not in str(cursor.fetchall())
        assert AuditEntry.objects.get(action="resend").new["pincode"] == "••••"

    def test_that_were_purged_meanwhile_have_to_be_given_anew(self, move, shop_all):
        (reject,) = move("pincodes", ("", "4711"))
        query(shop_all, 'delete from "accountpincodeTemp"')
        outcome = resend.resend(of(reject), {"account": "4100"}, OLGA)
        assert outcome.faults == {"pin_gone": 1}
        resend.resend(of(reject), {"account": "4100", "pincode": "1"}, OLGA)
        assert self.columns(shop_all) == [("4100", "1")]

    def test_of_a_row_that_shop_all_does_not_know_are_not_guessed(self, move, shop_all):
        (reject,) = move("pincodes", ("", "4711"))
        query(shop_all, "update datatransfer.log set changeset = gen_random_uuid()")
        outcome = resend.resend(of(reject), {"account": "4100"}, OLGA)
        assert outcome.faults == {"row_lost": 1}


@pytest.mark.django_db
class TestTwoServers:
    @pytest.fixture
    def both(self, dock, bonus, second_bonus, shop_all):
        """Both have rejected the same row."""
        servers = [dock(bonus), dock(second_bonus, "Бонусный сервер 9")]
        stage(shop_all, "balances", [("4100", 0)])
        for server in servers:
            run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
        return list(RejectedRow.objects.order_by("pk"))

    def test_a_row_that_both_rejected_is_sent_once_and_closes_both(self, both, shop_all):
        outcome = resend.resend(of(both[0]), {"amount": "5"}, OLGA)
        assert outcome.sent == 1
        assert not RejectedRow.objects.open().exists()
        assert resend.resend(of(both[1]), {"amount": "6"}, OLGA).sent == 0
        assert len(rows(shop_all)) == 2

    def test_both_chosen_at_once_are_one_row_too(self, both, shop_all):
        outcome = resend.resend(of(*both), {"amount": "5"}, OLGA)
        assert outcome.sent == 1
        assert len(rows(shop_all)) == 2

    def test_a_server_that_rejects_it_later_gets_the_correction_in_the_same_run(
        self, dock, bonus, second_bonus, shop_all
    ):
        first, second = dock(bonus), dock(second_bonus, "Бонусный сервер 9")
        stage(shop_all, "balances", [("4100", 0)])
        run_here(first.tasks.get(kind="balances"), Trigger.MANUAL)
        resend.resend(RejectedRow.objects.all(), {"amount": "5"}, OLGA)
        run_here(second.tasks.get(kind="balances"), Trigger.MANUAL)
        late = RejectedRow.objects.get(server=second)
        assert (late.state, late.is_written) == ("resent", True)
        assert query(second_bonus, "select amount::int from asset") == [(5,)]


@pytest.mark.django_db
class TestMany:
    def test_each_is_judged_for_itself(self, move, shop_all):
        rejects = move("balances", ("4100", 0), ("4200", 0), ("", 0))
        outcome = resend.resend(of(*rejects), {"amount": "3"}, OLGA)
        assert (outcome.sent, outcome.faults) == (2, {"account_missing": 1})
        assert rows(shop_all)[3:] == [("4100", "3"), ("4200", "3")]

    def test_batches_follow_each_other(self, move, shop_all, monkeypatch):
        monkeypatch.setattr(closing, "AT_ONCE", 2)
        rejects = move("balances", *[("4100", 0)] * 5)
        assert resend.resend(of(*rejects), {"amount": "3"}, OLGA).sent == 5

    def test_kinds_go_apart(self, move):
        move("balances", ("4100", 0))
        rejects = move("cards", ("7001", None, 2))
        outcome = resend.resend(of(*rejects), {}, OLGA)
        assert (outcome.sent, outcome.faults) == (1, {"amount_zero": 1})


@pytest.mark.django_db
class TestDiscarding:
    def test_closes_with_a_reason_and_nothing_is_staged(self, move, shop_all):
        (reject,) = move("balances", ("4100", 0))
        assert resend.discard(of(reject), "a test of the till", OLGA) == 1
        reject.refresh_from_db()
        assert (reject.state, reject.close_reason) == ("discarded", "a test of the till")
        assert len(rows(shop_all)) == 1
        entry = AuditEntry.objects.get(action="discard")
        assert (entry.reason, entry.subject_id) == ("a test of the till", reject.pk)

    def test_what_is_closed_is_neither_sent_nor_discarded_again(self, move, shop_all):
        (reject,) = move("balances", ("4100", 0))
        resend.discard(of(reject), "first", OLGA)
        assert resend.discard(of(reject), "second", OLGA) == 0
        assert resend.resend(of(reject), {"amount": "5"}, OLGA).sent == 0
        assert len(rows(shop_all)) == 1
