"""Where a staged row comes from: shop All says it, as the transaction that wrote it has noted."""

import pytest

from tests.databases import connected, insert, query, run, stage
from tests.trace.moving import ACCOUNT, move, task_of
from transfer.engine.shop_all.changes import Changes
from transfer.engine.shop_all.source import ShopAll
from transfer.loading import undo_load, upload_job
from transfer.models import RejectedRow, Upload
from transfer.pages.shown.traced import source_words
from transfer.rejects import resend
from transfer.trace.subject import trace

pytestmark = pytest.mark.usefixtures("in_english")


def words(subject=ACCOUNT, column="account"):
    return [str(source_words(row.source)) for row in trace(subject, column).rows]


def test_a_row_of_a_file_names_it_and_links_to_it(server, load):
    upload = load("balances", f"account;amount\n{ACCOUNT};5\n".encode(), name="Бонусы.csv")
    link = f'<a href="{upload.get_absolute_url()}">Бонусы.csv</a>'
    assert words() == [f"from the file {link}, loaded by olga"]


def test_a_file_that_is_gone_from_the_list_is_still_said_to_be_one(server, load):
    load("balances", f"account;amount\n{ACCOUNT};5\n".encode())
    Upload.objects.all().delete()
    assert words() == ["from a file that is no longer in the list of loads"]


def test_a_corrected_row_names_the_one_in_whose_place_it_is(server, shop_all, olga):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    move(server)
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, olga)
    new, _ = words()
    assert new == "in place of the rejected row № 1, sent again by olga"


def test_a_writer_without_rights_to_our_tables_is_noted(server, shop_all):
    with connected(shop_all) as admin:
        run(admin, "drop role if exists head_office")
        run(admin, "create role head_office login")
        run(admin, 'grant insert on "changeAccountBalanceTemp" to head_office')
        try:
            with connected(shop_all) as writer:
                run(writer, "set session authorization head_office")
                insert(writer, "balances", [(ACCOUNT, 5)])
            assert "head_office" in words()[0]
        finally:
            run(admin, "drop owned by head_office; drop role head_office")


def test_a_row_that_brings_a_changed_amount_names_the_changed_one(server, shop_all, olga):
    stage(shop_all, "balances", [(ACCOUNT, 5)])
    move(server)
    query(shop_all, 'update "changeAccountBalanceTemp" set amount = 8')
    kind = task_of(server).kind_spec
    with ShopAll(shop_all, "tests", secret=False) as source:
        with source.snapshot(kind):
            changed = Changes(source).rows(kind, 10)
        with source.log_writer.held(kind):
            Changes(source).send(kind, changed)
    assert words()[0] == "brings the changed amount of row № 1"


def test_a_row_and_the_one_that_takes_it_back_name_each_other(server, load, olga):
    upload = load("balances", f"account;amount\n{ACCOUNT};5\n".encode(), name="Бонусы.csv")
    move(server)
    ordered = undo_load.order(upload, olga)
    upload_job.go_on(ordered)
    opposite, original = words()
    (number, _) = [row.id for row in trace(ACCOUNT, "account").rows]
    link = f'<a href="{ordered.get_absolute_url()}">Undo of Бонусы.csv</a>'
    assert opposite == f"{link}, by olga; takes back row № 1"
    assert original.endswith(f"Бонусы.csv</a>, loaded by olga; taken back by row № {number}")


def test_of_a_row_that_was_purged_the_one_in_its_place_says_so(server, shop_all, olga):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    move(server)
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, olga)
    query(shop_all, 'delete from "changeAccountBalanceTemp" where id = 1')
    assert words() == ["in place of the rejected row № (purged), sent again by olga"]
