"""Where a staged row comes from: noted by the transaction that wrote it."""

import pytest

from tests.databases import connected, initialise_shop_all, insert, query, run, stage
from tests.flow import purge
from tests.trace.moving import ACCOUNT, move
from transfer.loading import undo, upload_job
from transfer.models import RejectedRow, Upload
from transfer.pages.trace.words import source_words
from transfer.rejects import resend
from transfer.runs.execute import open_databases
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


def test_a_program_is_named_with_its_user_of_the_database(server, shop_all):
    with connected(shop_all) as writer:
        run(writer, "set application_name = '1C'")
        insert(writer, "balances", [(ACCOUNT, 5)])
        ((name,),) = run(writer, "select session_user")
        run(writer, "set application_name = ''")
        insert(writer, "balances", [(ACCOUNT, 6)])
    assert words() == [
        f"written by the database user {name}",
        f"written by the program 1C as the database user {name}",
    ]


def test_a_corrected_row_names_the_one_in_whose_place_it_is(server, shop_all, olga):
    stage(shop_all, "balances", [(ACCOUNT, 0)])
    move(server)
    reject = RejectedRow.objects.get()
    resend.resend(RejectedRow.objects.all(), {"amount": "5"}, olga)
    new, _ = words()
    assert new == f"in place of the rejected row № {reject.staging_id}, sent again by olga"


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


def test_a_transaction_is_noted_once_however_many_statements_and_tables_it_writes(shop_all):
    with connected(shop_all) as writer:
        writer.autocommit = False
        for number in range(1, 4):
            insert(writer, "balances", [(ACCOUNT, number)])
            run(writer, "savepoint a")
            insert(writer, "pincodes", [(ACCOUNT, "7351")])
            run(writer, "rollback to a")
        writer.commit()
    assert query(shop_all, "select count(*) from datatransfer.writer") == [(1,)]


def test_notes_go_with_the_rows_and_not_before(server, shop_all):
    with connected(shop_all) as writer:
        insert(writer, "balances", [(ACCOUNT, 1)])
        insert(writer, "pincodes", [(ACCOUNT, "7351")])
    move(server)
    old = "set {} = now() - interval '9 days'"
    query(shop_all, f'update "changeAccountBalanceTemp" {old.format("created_at")}')
    query(shop_all, f"update datatransfer.writer {old.format('at')}")
    task = server.tasks.select_related("server").get(kind="balances")
    purge(shop_all, "balances", [task_position(task)], 7)
    assert query(shop_all, "select count(*) from datatransfer.writer") == [(1,)]
    assert words()[0].startswith("written by")


def task_position(task):
    with open_databases(task, "tests") as (source, target):
        with source.snapshot():
            origin = source.identity.origin()
        return target.positions.existing(origin, task.kind_spec)


def test_where_a_former_version_made_our_tables_the_trace_says_nothing_of_sources(server, shop_all):
    query(
        shop_all,
        "drop table datatransfer.writer cascade; "
        "drop function datatransfer.note_writer() cascade; "
        "alter table datatransfer.loaded drop column xid, drop column origin",
    )
    with connected(shop_all) as writer:
        insert(writer, "balances", [(ACCOUNT, 5)])
    assert words() == [""]
    initialise_shop_all(shop_all)
    with connected(shop_all) as writer:
        insert(writer, "balances", [(ACCOUNT, 6)])
    assert words()[0].startswith("written by")
    assert words()[1] == ""


def test_a_row_and_the_one_that_takes_it_back_name_each_other(server, load, olga):
    upload = load("balances", f"account;amount\n{ACCOUNT};5\n".encode(), name="Бонусы.csv")
    move(server)
    ordered = undo.order(upload, olga)
    upload_job.go_on(ordered)
    opposite, original = words()
    link = f'<a href="{ordered.get_absolute_url()}">Undo of Бонусы.csv</a>'
    assert opposite == f"{link}, by olga; takes back row № 1"
    assert original.endswith("Бонусы.csv</a>, loaded by olga; taken back by row № 2")
