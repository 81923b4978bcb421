"""A server loses its rejects: corrected rows reach it all the same, once."""

import pytest
from django.core.management import call_command

from tests.databases import query, stage
from transfer.models import RejectedRow
from transfer.models.run_base import Trigger
from transfer.rejects.resend import resend
from transfer.runs.execute import run_here

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server(dock, bonus, shop_all, olga):
    """It has rejected a row, which is corrected then; and has yet to receive the correction."""
    query(bonus, "alter table asset add constraint small check (amount < 100)")
    server = dock(bonus)
    stage(shop_all, "balances", [("4100", 100), ("4200", 7)])
    move(server)
    assert resend(RejectedRow.objects.all(), {"amount": "99"}, olga).sent == 1
    return server


def move(server):
    assert run_here(server.tasks.get(kind="balances"), Trigger.MANUAL).error_code == ""


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by amount")


def test_its_rejects_alone_are_lost(server, bonus):
    query(bonus, "delete from datatransfer.reject")
    move(server)
    assert landed(bonus) == [("4200", 7), ("4100", 99)]
    assert query(bonus, "select code from datatransfer.reject") == [("refused_by_server",)]
    assert not RejectedRow.objects.open().exists()
    call_command("reconcile")


def test_its_schema_is_lost_and_its_position_is_put_between_the_row_and_its_correction(
    server, bonus
):
    query(bonus, "drop schema datatransfer cascade")
    call_command("set_position", str(server.pk), "balances", "--batch", "1")
    move(server)
    assert landed(bonus) == [("4200", 7), ("4100", 99)]
    assert not RejectedRow.objects.open().exists()


IS_RESTORED = """
    insert into datatransfer.restored (origin, reader, number, kind, server)
    select origin, gen_random_uuid(), 1, 'balances', 'another' from datatransfer.origin
"""


def rebase(shop_all):
    query(shop_all, IS_RESTORED)
    call_command("rebase_shop_all", "--no-writes-since-restore")


def test_its_schema_is_lost_after_a_rebase(server, bonus, shop_all):
    """The row has another number since, and our copy of its reject the one of before."""
    rebase(shop_all)
    query(bonus, "drop schema datatransfer cascade")
    call_command("set_position", str(server.pk), "balances", "--batch", "2")
    move(server)
    assert landed(bonus) == [("4200", 7), ("4100", 99)]
    assert not RejectedRow.objects.open().exists()


def test_its_tables_are_copied_to_another_server_after_a_rebase(
    server, dock, bonus, second_bonus, shop_all
):
    """The copy lacks the row as well, so it gets the correction."""
    rebase(shop_all)
    query(second_bonus, "drop schema if exists datatransfer cascade")
    query(second_bonus, "insert into asset (account, amount) values ('4200', 7)")
    position = "select reader::text, number from datatransfer.position order by number desc limit 1"
    ((reader, number),) = query(bonus, position)
    copy = dock(second_bonus, "Бонусный сервер 9")
    place = ("--batch", str(number), "--reader", reader)
    call_command("set_position", str(copy.pk), "balances", *place)
    move(copy)
    assert landed(second_bonus) == [("4200", 7), ("4100", 99)]


def test_a_row_that_it_reads_again_is_judged_again(server, bonus):
    """It accepts the row now, so the correction is not for it."""
    query(bonus, "drop schema datatransfer cascade; delete from asset")
    query(bonus, "alter table asset drop constraint small")
    call_command("set_position", str(server.pk), "balances", "--start")
    move(server)
    assert landed(bonus) == [("4200", 7), ("4100", 100)]


COPY = """
    create schema copy;
    create table copy.position as select * from datatransfer.position;
    create table copy.reject as select * from datatransfer.reject;
"""
RESTORE = """
    truncate datatransfer.position, datatransfer.reject;
    insert into datatransfer.position select * from copy.position;
    insert into datatransfer.reject select * from copy.reject;
"""


def numbers(dsn):
    return query(dsn, "select number, payload->>'account' from datatransfer.reject order by number")


def test_rejects_of_rows_that_it_reads_again_after_a_restore_are_not_put_back(
    server, bonus, shop_all
):
    query(bonus, COPY + "create table copy.asset as select * from asset")
    stage(shop_all, "balances", [("4300", 300)])
    move(server)
    query(bonus, RESTORE + "truncate asset; insert into asset select * from copy.asset")
    query(bonus, "delete from datatransfer.reject")
    stage(shop_all, "balances", [("4400", 400)])
    move(server)
    assert numbers(bonus) == [(1, "4100"), (2, "4300"), (3, "4400")]
    assert landed(bonus) == [("4200", 7), ("4100", 99)]
    call_command("reconcile")


def test_its_schema_is_older_than_its_data_and_its_position_is_put_forward(
    server, bonus, shop_all, olga
):
    query(bonus, COPY)
    stage(shop_all, "balances", [("4300", 300)])
    move(server)
    query(bonus, RESTORE)
    call_command("set_position", str(server.pk), "balances", "--batch", "2")
    stage(shop_all, "balances", [("4400", 400)])
    move(server)
    assert numbers(bonus) == [(1, "4100"), (2, "4300"), (3, "4400")]
    rejected = RejectedRow.objects.open().filter(payload__account="4300")
    assert resend(rejected, {"amount": "30"}, olga).sent == 1
    move(server)
    assert landed(bonus) == [("4200", 7), ("4300", 30), ("4100", 99)]
    call_command("reconcile")


@pytest.fixture
def replaced(dock, bonus, second_bonus, shop_all):
    """A server refuses a row. Then a copy of another server's database, which has accepted that
    row, takes the place of its own.
    """
    query(second_bonus, "alter table asset add constraint small check (amount < 100)")
    eight, nine = dock(bonus), dock(second_bonus, "Бонусный сервер 9")
    stage(shop_all, "balances", [("4100", 100), ("4200", 7)])
    move(eight)
    move(nine)
    query(second_bonus, "alter table asset drop constraint small")
    for table in ("asset", "datatransfer.position", "datatransfer.reject"):
        copied = query(bonus, f"select row_to_json(row)::text from {table} as row")
        query(second_bonus, f"truncate {table}")
        for (row,) in copied:
            values = f"select * from json_populate_record(null::{table}, %s)"
            query(second_bonus, f"insert into {table} overriding system value {values}", [row])
    return nine


@pytest.mark.parametrize("then", ["nothing", "its rejects are lost"])
def test_what_a_server_had_rejected_is_not_put_into_a_copy_of_another_that_replaces_it(
    replaced, second_bonus, shop_all, olga, then
):
    call_command("set_position", str(replaced.pk), "balances", "--as-of-clone")
    if then != "nothing":
        stage(shop_all, "balances", [("4300", 0)])
        move(replaced)
        query(second_bonus, "delete from datatransfer.reject")
    resend(RejectedRow.objects.filter(payload__account="4100"), {"amount": "99"}, olga)
    move(replaced)
    assert landed(second_bonus) == [("4200", 7), ("4100", 100)]


def test_nor_is_it_put_into_tables_that_are_copied_without_our_schema(
    replaced, bonus, second_bonus, olga
):
    query(second_bonus, "drop schema datatransfer cascade")
    position = "select reader::text, number from datatransfer.position where kind = 'balances'"
    ((reader, number),) = query(bonus, position)
    of_the_copy = ("--batch", str(number), "--reader", reader)
    call_command("set_position", str(replaced.pk), "balances", *of_the_copy)
    resend(RejectedRow.objects.filter(payload__account="4100"), {"amount": "99"}, olga)
    move(replaced)
    assert landed(second_bonus) == [("4200", 7), ("4100", 100)]
