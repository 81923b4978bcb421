"""What a new bonus server has received of the staged rows: the question on its pages."""

import re

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.records import user
from transfer.models import Actor, AuditEntry, BonusServer
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here
from transfer.runs.left_behind import leave_behind
from transfer.runs.purge import purge_staging

pytestmark = pytest.mark.usefixtures("in_english")


@pytest.fixture
def admin(client, transactional_db):
    client.force_login(user("administrator", "olga"))
    client.cookies["django_language"] = "en"
    return client


@pytest.fixture
def eight(server, shop_all):
    """A server that has received rows 1 and 2, each in a batch of its own."""
    for account in ("1", "2"):
        stage(shop_all, "balances", [(account, 1)])
        run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)
    return server


@pytest.fixture
def nine(eight, dock, second_bonus):
    """A new server, of which nothing is known."""
    return dock(second_bonus, "Server 9", decided=False)


@pytest.fixture
def copy_of_eight(eight, shop_all, bonus, dock, postgres):
    """A new server whose database was copied with our schema; server 8 has received row 3 since."""
    template = query(bonus, "select current_database()")[0][0]
    dsn = postgres.create("test_copy_of_eight", template=template)
    stage(shop_all, "balances", [("3", 1)])
    run_here(eight.tasks.get(kind="balances"), Trigger.MANUAL)
    yield dock(dsn, "Server 9", decided=False)
    postgres.drop("test_copy_of_eight")


def url(server):
    return reverse("server_beginning", args=[server.pk])


def decide(admin, server, **answers):
    """Answers, confirms what it means, and returns that page and the one after it."""
    question = admin.post(url(server), answers)
    confirmed = admin.post(url(server), answers | {"confirmed": "1"}, follow=True)
    return question, confirmed


def accounts(server):
    return [row[0] for row in query(server.dsn, "select account from asset order by account")]


def move(server):
    return run_here(server.tasks.get(kind="balances"), Trigger.MANUAL)


def test_the_page_counts_the_rows_and_lists_the_batches_of_other_servers(admin, nine):
    text = admin.get(url(nine)).text
    assert "2 rows are staged in shop All for Server 9" in text
    assert "Nothing yet: send all 2 rows" in text
    assert "Everything until now" in text
    assert "As far as another server had read" in text
    assert '<optgroup label="Бонусный сервер 8">' in text
    assert text.count("1 row</option>") == 2
    assert "PIN codes" not in text.partition("<main")[2]  # nothing is staged: they have begun


def test_a_server_that_has_received_nothing_is_sent_all_rows(admin, nine):
    question, after = decide(admin, nine, balances="nothing")
    assert "it has received nothing. The next run sends 2 rows." in question.text
    assert accounts(nine) == []
    assert "has begun. The next run sends 2 rows." in after.text
    move(nine)
    assert accounts(nine) == ["1", "2"]


def test_nothing_is_decided_before_it_is_confirmed(admin, nine):
    admin.post(url(nine), {"balances": "everything"})
    assert move(nine).error_code == "beginning_undecided"


def test_a_server_that_has_received_everything_is_sent_what_is_staged_later(admin, nine, shop_all):
    question, _after = decide(admin, nine, balances="everything")
    assert "Rows that are staged now are not sent." in question.text
    stage(shop_all, "balances", [("3", 1)])
    move(nine)
    assert accounts(nine) == ["3"]


def test_a_server_whose_tables_were_copied_after_a_batch_of_another_is_sent_the_rest(
    admin, nine, shop_all
):
    ((reader,),) = query(shop_all, "select distinct reader::text from datatransfer.batch")
    query(nine.dsn, "insert into asset (account, amount) values ('1', 1)")
    question, _after = decide(admin, nine, balances="batch", balances_batch=f"{reader}/1")
    assert "it has received batch 1. The next run sends 1 row." in question.text
    move(nine)
    assert accounts(nine) == ["1", "2"]


def test_a_batch_that_has_not_ended_is_not_offered(admin, eight, nine, shop_all):
    """Part of its rows may be in the copy."""
    stage(shop_all, "balances", [("3", 1), ("4", 1)])
    task = eight.tasks.get(kind="balances")
    run_here(task, Trigger.MANUAL, chunk_rows=1, stopped=lambda: 1)
    text = admin.get(url(nine)).text
    assert "Batch 2, begun" in text
    assert "Batch 3, begun" not in text


def test_a_batch_has_to_be_chosen_with_that_answer(admin, nine):
    page = admin.post(url(nine), {"balances": "batch", "confirmed": "1"})
    assert page.status_code == 422
    assert "Choose the batch." in page.text
    assert move(nine).error_code == "beginning_undecided"


def test_a_copy_with_our_schema_is_recognised_and_goes_on_from_where_it_was_made(
    admin, copy_of_eight
):
    text = admin.get(url(copy_of_eight)).text
    answer = "As far as Бонусный сервер 8 had read when this copy of it was made: send 1 row"
    assert answer in text
    assert "another server had read" not in text
    kinds = ("balances", "pincodes", "cards")
    decide(admin, copy_of_eight, **dict.fromkeys(kinds, "as-of-clone"))
    assert accounts(copy_of_eight) == ["1", "2"]
    move(copy_of_eight)
    assert accounts(copy_of_eight) == ["1", "2", "3"]


def test_that_answer_is_proposed_for_a_copy_and_none_for_another_server(
    admin, copy_of_eight, dock, second_bonus
):
    text = admin.get(url(copy_of_eight)).text
    assert "Recognised: a copy of the database of Бонусный сервер 8" in text
    assert re.findall(r'value="([a-z-]+)"[^>]* checked', text) == ["as-of-clone"]
    other = dock(second_bonus, "Server 10", decided=False)
    assert not re.search(r'type="radio"[^>]* checked', admin.get(url(other)).text)


def test_a_copy_that_lacks_purged_rows_says_how_many_before_it_goes_on(
    admin, copy_of_eight, eight, shop_all
):
    query(shop_all, "update \"changeAccountBalanceTemp\" set created_at = now() - interval '40 d'")
    BonusServer.objects.filter(pk=copy_of_eight.pk).update(db_port=1)
    leave_behind(copy_of_eight, Actor("olga"), "not ready")
    list(purge_staging())
    BonusServer.objects.filter(pk=copy_of_eight.pk).update(db_port=eight.db_port)
    answers = dict.fromkeys(("balances", "pincodes", "cards"), "as-of-clone")
    question, _after = decide(admin, copy_of_eight, **answers)
    assert "Balance changes: 1 row were purged from shop All." in question.text
    move(copy_of_eight)
    assert accounts(copy_of_eight) == ["1", "2"]


def test_a_database_that_is_docked_twice_is_no_copy(admin, eight, dock, bonus, shop_all):
    """As a copy, every row would arrive twice."""
    twice = dock(bonus, "Server 9", decided=False)
    text = admin.get(url(twice)).text
    assert "It is no copy: both are one database, docked twice." in text
    assert "as-of-clone" not in text
    with pytest.raises(CommandError, match="docked twice"):
        call_command("set_position", twice.name, "balances", "--as-of-clone")
    stage(shop_all, "balances", [("3", 1)])
    move(eight)
    assert move(twice).error_code == "reader_shared"
    assert accounts(eight) == ["1", "2", "3"]


def test_a_decision_that_comes_after_rows_have_moved_changes_nothing(admin, nine):
    """Two administrators have the question open."""
    decide(admin, nine, balances="nothing")
    move(nine)
    page = admin.post(url(nine), {"balances": "nothing", "confirmed": "1"}, follow=True)
    assert "Nothing has to be decided" in page.text
    move(nine)
    assert accounts(nine) == ["1", "2"]


def test_decided_later_the_transfer_goes_on_refusing(admin, nine):
    page = admin.post(url(nine), {"balances": "later"}, follow=True)
    assert "Nothing was decided" in page.text
    assert move(nine).error_code == "beginning_undecided"


def test_the_servers_page_asks_until_it_is_decided(admin, nine):
    move(nine)
    link = f'href="{url(nine)}"'
    text = admin.get(nine.get_absolute_url()).text
    assert "Not begun yet: Balance changes, Card links and statuses, PIN codes." in text
    assert link in text
    decide(admin, nine, balances="everything")
    assert link not in admin.get(nine.get_absolute_url()).text


def test_the_decision_is_in_the_audit(admin, nine):
    decide(admin, nine, balances="everything")
    entry = AuditEntry.objects.get(action="position")
    assert (entry.who, entry.new["waiting"]) == ("olga", 0)


def test_only_an_administrator_decides(client, nine):
    client.force_login(user("operator", "ivan"))
    client.cookies["django_language"] = "en"
    assert client.post(url(nine), {"balances": "nothing", "confirmed": "1"}).status_code == 403
    text = client.get(nine.get_absolute_url()).text
    assert url(nine) not in text
    assert "An administrator decides it on this page." in text
    assert move(nine).error_code == "beginning_undecided"
