"""A bonus server forges its rejects and its positions: pages, files and alerts still work."""

import json
from contextlib import suppress
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from tests.causes import raises
from tests.databases import query, stage
from tests.pages.look import send_again, words
from transfer.causes.ledger import REJECTS_UNREADABLE
from transfer.engine.kind import MASK
from transfer.errors import TransferError
from transfer.models import BonusServer, RejectedRow, TransferTask
from transfer.models.run_base import Trigger
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.rejects import mirror
from transfer.runs.execute import run_here
from transfer.runs.mirroring import mirror_overdue

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
]

ACCOUNT = "4100"
BIGGEST = 2**63 - 1

# What a bonus server's administrator can write over a reject.
FORGERIES = {
    "a code that no check has": "code = 'stolen'",
    "a code of 60 characters": "code = repeat('x', 60)",
    "markup for a code": "code = '<script>alert(1)</script>'",
    "a list for a row": "payload = '[]'",
    "null for a row": "payload = 'null'",
    "a text for a row": "payload = '\"4100\"'",
    "no column": "payload = '{}'",
    "a column that there is not": """payload = '{"account": "4100", "stolen": "1"}'""",
    "numbers for texts": """payload = '{"account": 4100, "amount": 1e400}'""",
    "a number of 6000 digits": """payload = ('{"amount": ' || repeat('9', 6000) || '}')::json""",
    "not a number": """payload = '{"account": "4100", "amount": "NaN", "validto": "infinity"}'""",
    "a list for a text": """payload = '{"account": ["4100"]}'""",
    "a zero character": r"""payload = '{"account": "4100\u0000"}'""",
    "half a character": r"""payload = '{"account": "4100\ud800"}'""",
    "half a character for a name": r"""payload = '{"\ud800": "4100"}'""",
    "a row of 20 MB": "payload = json_build_object('account', repeat('x', 20000000))",
    "lists in lists": "payload = (repeat('[', 4000) || repeat(']', 4000))::json",
    "an error code too long": "sqlstate = repeat('x', 1000)",
    "a constraint's name too long": "constraint_name = repeat('x', 100000)",
    "control characters": "sqlstate = '23514', constraint_name = E'a\\x1b[31mb\\nc\\u202ed'",
    "the largest number of a row": f'"row" = {BIGGEST}',
    "a number below zero": '"row" = -5',
    "an effect that there is not": "effect = 'steals', root_row = -9",
    "a time at infinity": "rejected_at = 'infinity'",
    "a time before all others": "rejected_at = '-infinity'",
    "a time before Christ": "rejected_at = '0044-03-15 BC'",
    "a time to come": "rejected_at = '9998-01-01'",
}


@pytest.fixture
def task(dock, bonus, shop_all):
    return dock(bonus).tasks.get(kind="balances")


@pytest.fixture
def forged(task, bonus, shop_all):
    """The task, after its server has forged the rejects of as many rows, and we pulled them."""
    stage(shop_all, "balances", [(ACCOUNT, 0)] * len(FORGERIES))
    run_here(task, Trigger.MANUAL)
    assert RejectedRow.objects.count() == len(FORGERIES)
    for number, forgery in enumerate(FORGERIES.values(), 1):
        changeset = f"00000000-0000-4000-8000-{number:012}"
        query(
            bonus,
            f"update datatransfer.reject set changeset = '{changeset}', {forgery}"
            f" where \"row\" = {number} and changeset::text not like '%-4000-8000-%'",
        )
    pull_again()
    return task


def pull_again():
    """Our own database has lost the rejects, and the job of the server pulls them."""
    RejectedRow.objects.all().delete()
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    for server in BonusServer.objects.all():
        mirror_overdue(server, timezone.now())


def of(forgery: str) -> RejectedRow:
    number = [*FORGERIES].index(forgery) + 1
    return RejectedRow.objects.get(changeset=f"00000000-0000-4000-8000-{number:012}")


class TestForgedRejects:
    def test_are_all_mirrored_and_what_does_not_fit_is_unknown(self, forged, administrator):
        assert RejectedRow.objects.count() == len(FORGERIES)
        known = {one.code for one in RejectedRow.objects.all()}
        assert known == {"amount_zero", "unknown"}
        assert of("a code that no check has").payload["account"] == ACCOUNT
        assert of("a list for a row").payload == {}
        assert of("a row of 20 MB").payload == {}
        assert of("an error code too long").sqlstate == ""
        assert of("a constraint's name too long").constraint == ""
        assert of("an effect that there is not").effect == ""
        for one in RejectedRow.objects.all():
            assert all(text is None or isinstance(text, str) for text in one.payload.values())
            assert abs(timezone.now() - one.created_at) < timedelta(hours=1)
        unknown = RejectedRow.objects.filter(code="unknown").count()
        page = words(administrator.get(f"{reverse('rejects')}?code=unknown"))
        assert f'reason-count">{unknown}<' in page
        one = administrator.get(of("a list for a row").get_absolute_url())
        assert '<dt>As received</dt> <dd> <code class="as-it-came">unknown</code>' in words(one)

    def test_break_no_page_file_or_alert(self, forged, administrator):
        addresses = [
            reverse("rejects"),
            f"{reverse('rejects')}?state=all&per_page=100",
            f"{reverse('rejects')}?code=unknown&kind=balances",
            reverse("rejects_resend") + "?state=open",
            reverse("rejects_discard") + "?state=open",
            reverse("overview"),
            reverse("scheduler"),
            reverse("metrics"),
            f"{reverse('trace')}?q={ACCOUNT}",
            forged.runs.get().get_absolute_url(),
            forged.server.get_absolute_url(),
            *(one.get_absolute_url() for one in RejectedRow.objects.all()),
        ]
        answers = {address: administrator.get(address, follow=True) for address in addresses}
        assert [at for at, one in answers.items() if one.status_code != 200] == []
        assert "stolen" not in words(answers[reverse("rejects")])
        assert Code.REJECTS in {one.code for one in problems()}
        for name in ("rejects_csv", "rejects_xlsx"):
            file = administrator.get(reverse(name))
            assert file.status_code == 200
            assert ACCOUNT.encode() in b"".join(file) or name == "rejects_xlsx"

    def test_leave_the_next_run_of_the_server_and_of_others_alone(
        self, forged, dock, second_bonus, shop_all, bonus
    ):
        stage(shop_all, "balances", [("4200", 5)])
        assert run_here(forged, Trigger.MANUAL).error_code == ""
        assert query(bonus, "select account from asset") == [("4200",)]
        other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
        assert run_here(other, Trigger.MANUAL).error_code == ""
        assert query(second_bonus, "select account from asset") == [("4200",)]

    def test_are_not_sent_again_as_empty_rows_and_can_be_discarded(
        self, forged, administrator, shop_all
    ):
        one = of("a list for a row")
        administrator.post(reverse("rejects_resend") + f"?id={one.pk}")
        assert RejectedRow.objects.open().filter(pk=one.pk).exists()
        staged = query(shop_all, 'select count(*) from "changeAccountBalanceTemp"')
        assert staged == [(len(FORGERIES),)]
        administrator.post(reverse("rejects_discard") + "?state=open", {"reason": "forged"})
        assert not RejectedRow.objects.open().exists()


def test_a_row_that_was_rejected_for_an_unknown_reason_goes_to_each_server_that_rejected_it(
    task, administrator, dock, second_bonus, bonus, shop_all
):
    """The other server, which is docked later, rejects the row too: its amount is zero."""
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "update datatransfer.reject set code = 'stolen'")
    pull_again()
    other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
    one = RejectedRow.objects.get(code="unknown")
    typed = {"account": ACCOUNT, "amount": "7"}
    send_again(administrator, reverse("reject_resend", args=[one.pk]), typed)
    run_here(task, Trigger.MANUAL)
    run_here(other, Trigger.MANUAL)
    assert query(bonus, "select account, amount::int from asset") == [(ACCOUNT, 7)]
    assert query(second_bonus, "select account, amount::int from asset") == [(ACCOUNT, 7)]


def test_a_pin_code_that_a_server_writes_into_its_rejects_is_masked(
    dock, bonus, shop_all, administrator
):
    task = dock(bonus).tasks.get(kind="pincodes")
    stage(shop_all, "pincodes", [("41 00", "73917391")])
    run_here(task, Trigger.MANUAL)
    stolen = json.dumps({"account": "41 00", "pincode": "73917391"})
    query(bonus, "update datatransfer.reject set payload = %s", [stolen])
    pull_again()
    (one,) = RejectedRow.objects.all()
    assert one.payload == {"account": "41 00", "pincode": MASK}
    assert "73917391" not in words(administrator.get(one.get_absolute_url()))


FORGED_TABLES = {
    "a view in place of the table": """
        create view datatransfer.reject as
        select origin, kind, mark as changeset, 1::bigint as "row", 'amount_zero' as code,
               null::text as sqlstate, null::text as constraint_name, '{}'::json as payload,
               null::text as effect, null::uuid as root_changeset, null::bigint as root_row,
               null::uuid as resolved_by, now() as rejected_at, version as changed_in
          from datatransfer.position
    """,
    "no numbers": """
        create view datatransfer.reject as
        select origin, kind, mark as changeset, null::bigint as "row", 'amount_zero' as code,
               null::text as sqlstate, null::text as constraint_name, '{}'::json as payload,
               null::text as effect, null::uuid as root_changeset, null::bigint as root_row,
               null::uuid as resolved_by, now() as rejected_at, version as changed_in
          from datatransfer.position
    """,
    "texts for numbers": """
        create table datatransfer.reject as
        select origin::text, kind, 'a changeset' as changeset, 1::numeric * 10 ^ 30 as "row",
               1 as code, 2 as sqlstate, 3 as constraint_name, 4 as payload, 5 as effect,
               'a root' as root_changeset, 'a row' as root_row, null::text as resolved_by,
               'yesterday' as rejected_at, version::text as changed_in
          from datatransfer.position
    """,
}


@pytest.mark.parametrize("forgery", FORGED_TABLES.values(), ids=FORGED_TABLES)
def test_another_table_of_rejects_stops_that_server_alone_and_says_so(
    task, bonus, shop_all, forgery, dock, second_bonus
):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "alter table datatransfer.reject rename to hidden")
    query(bonus, forgery)
    TransferTask.objects.update(mirrored_version=None, mirrored_at=None)
    with suppress(TransferError):
        mirror_overdue(task.server, timezone.now())
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code in ("", "rejects_unreadable", "query_failed", "position_invalid")
    other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
    assert run_here(other, Trigger.MANUAL).error_code == ""


def test_two_rejects_of_one_row_are_one(task, bonus, shop_all):
    stage(shop_all, "balances", [(ACCOUNT, 0)] * 3)
    run_here(task, Trigger.MANUAL)
    query(bonus, "alter table datatransfer.reject drop constraint reject_pkey")
    query(bonus, 'update datatransfer.reject set "row" = 1')
    pull_again()
    assert [one.row for one in RejectedRow.objects.all()] == [1]


@pytest.mark.parametrize("row", ["n", "1"], ids=["of other rows", "of the same row"])
def test_rejects_without_end_are_refused(task, bonus, shop_all, monkeypatch, row):
    monkeypatch.setattr(mirror, "AT_ONCE", 10)
    monkeypatch.setattr(mirror, "MOST", 50)
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    run_here(task, Trigger.MANUAL)
    query(bonus, "alter table datatransfer.reject rename to hidden")
    query(
        bonus,
        f'create table datatransfer.reject as select origin, kind, changeset, {row} as "row", '
        "code, sqlstate, constraint_name, payload, effect, root_changeset, root_row, resolved_by, "
        "rejected_at, changed_in from datatransfer.hidden, generate_series(1, 10000) as n",
    )
    with raises(REJECTS_UNREADABLE):
        pull_again()
    assert RejectedRow.objects.count() == (50 if row == "n" else 1)


FORGED_POSITIONS = (
    "rows_applied = -1",
    f"rows_applied = {BIGGEST}, rows_rejected = {BIGGEST}",
    f"rows_unchanged = {BIGGEST}",
    "amount_applied = 'NaN'",
    "amount_rejected = '-Infinity'",
    "number = -1",
    f"uncounted_applied = {BIGGEST}",
    f"uncounted_unchanged = -{BIGGEST}",
    f"uncounted_rejected = {BIGGEST}",
    "uncounted_amount_applied = 'NaN'",
    "uncounted_amount_rejected = 'Infinity'",
)


@pytest.mark.parametrize("forgery", FORGED_POSITIONS)
def test_a_forged_position_breaks_no_page_and_stops_that_server_alone(
    task, bonus, shop_all, administrator, forgery, dock, second_bonus
):
    stage(shop_all, "balances", [(ACCOUNT, 5)])
    run_here(task, Trigger.MANUAL)
    query(bonus, f"update datatransfer.position set {forgery} where kind = 'balances'")
    other = dock(second_bonus, "Бонусный сервер 9").tasks.get(kind="balances")
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code == "position_invalid"
    for address in (
        reverse("overview"),
        reverse("scheduler"),
        reverse("metrics"),
        f"{reverse('trace')}?q={ACCOUNT}",
        run.get_absolute_url(),
        task.server.get_absolute_url(),
    ):
        assert administrator.get(address, follow=True).status_code == 200, address
    page = words(administrator.get(run.get_absolute_url()))
    assert "holds a position that no transfer can have written" in page
    with pytest.raises(SystemExit):
        call_command("reconcile")
    assert run_here(other, Trigger.MANUAL).error_code == ""
    assert query(second_bonus, "select account from asset") == [(ACCOUNT,)]


def test_an_error_text_of_10_mb_is_shortened(task, bonus, shop_all, administrator):
    run_here(task, Trigger.MANUAL)
    query(
        bonus,
        "create function talk() returns trigger language plpgsql as $$ begin "
        "raise exception '%', repeat('x', 10000000); end $$; "
        "create trigger talk before update on datatransfer.position "
        "for each row execute function talk()",
    )
    stage(shop_all, "balances", [(ACCOUNT, 5)])
    run = run_here(task, Trigger.MANUAL)
    assert run.error_code
    assert len(administrator.get(run.get_absolute_url()).content) < 200_000
