"""What a new bonus server has received of the staged rows: the question on its pages."""

import json
import re

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from tests.causes import raises
from tests.databases import query, stage
from tests.pages.look import told
from tests.restores import age
from tests.trace.moving import accounts, move
from transfer.causes.ledger import TABLE_NOT_EMPTY
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, Bulletin
from transfer.models.run_base import Trigger
from transfer.runs.beginning import Answer, Decision, decide as carry_out
from transfer.runs.execute import run_here
from transfer.runs.purge import purge_staging
from transfer.runs.undocking import undock

pytestmark = pytest.mark.usefixtures("in_english")


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


def decision():
    """The audit's only entry of what an administrator has said."""
    return AuditEntry.objects.filter(action="position").exclude(new__answer="unasked").get()


def is_chosen(page, name, answer):
    """Whether a page shows this answer as chosen."""
    box = re.search(rf'<input type="radio" name="{name}" value="{answer}"[^>]*>', page.text)
    return "checked" in box.group()


def fill(server):
    """What a vendor does who loads his own rows."""
    query(server.dsn, "insert into asset (account, amount) values ('vendor', 1)")


def test_an_empty_table_proposes_that_nothing_was_received_and_one_answer_begins(admin, nine):
    page = admin.get(url(nine))
    assert "Balance changes: 2 rows in shop All; its table &quot;asset&quot; is empty." in page.text
    assert "Nothing yet: send all 2 rows" in page.text
    assert "Everything until now" in page.text
    assert "The same as another server" in page.text
    assert "PIN codes" not in page.text.partition("<main")[2]  # none is staged: they have begun
    assert is_chosen(page, "balances", "nothing")
    assert "rows are lost or sent twice" not in page.text
    after = admin.post(url(nine), {"balances": "nothing", "empty": "balances"}, follow=True)
    assert "Begun: Balance changes. The next run sends 2 rows." in after.text
    assert decision().new["table_empty"] is True
    move(nine)
    assert accounts(nine) == ["1", "2"]


def test_a_proposal_is_no_answer(admin, nine):
    admin.get(url(nine))
    assert move(nine).error_code == "beginning_undecided"
    assert admin.post(url(nine), {"empty": "balances"}).status_code == 422
    assert move(nine).error_code == "beginning_undecided"


def test_a_table_with_rows_proposes_nothing_and_the_consequences_come_first(admin, nine):
    fill(nine)
    page = admin.get(url(nine))
    assert not is_chosen(page, "balances", "nothing")
    assert "its table &quot;asset&quot; holds about 1 row." in page.text
    assert "rows are lost or sent twice" in page.text
    question = admin.post(url(nine), {"balances": "nothing"})
    assert "The next run sends 2 rows." in question.text
    assert "Rows in it that came from shop All arrive a second time." in question.text
    assert move(nine).error_code == "beginning_undecided"
    admin.post(url(nine), {"balances": "nothing", "confirmed": "1"})
    move(nine)
    assert accounts(nine) == ["1", "2", "vendor"]


def test_a_table_that_fills_between_page_and_answer_is_asked_about_again(admin, nine):
    shown = admin.get(url(nine))
    assert hidden(shown, "empty") == "balances"
    fill(nine)
    again = admin.post(url(nine), {"balances": "nothing", "empty": "balances"})
    assert again.status_code == 409
    assert "is not empty any more. Answer again." in again.text
    assert not is_chosen(again, "balances", "nothing")
    assert move(nine).error_code == "beginning_undecided"


def test_a_table_that_fills_before_the_answer_is_committed_refuses_it(nine, olga):
    fill(nine)
    task = nine.tasks.get(kind="balances")
    with raises(TABLE_NOT_EMPTY):
        carry_out(task, Decision(Answer.NOTHING, is_empty=True), olga, dry_run=False)
    assert move(nine).error_code == "beginning_undecided"
    with pytest.raises(AuditEntry.DoesNotExist):
        decision()


@pytest.fixture
def three(eight, shop_all, nine):
    """Server 9, with staged rows of all three kinds."""
    stage(shop_all, "pincodes", [("1", "1111")])
    stage(shop_all, "cards", [("c1", "1", 1), ("c2", "2", 1)])
    return nine


def test_one_question_is_asked_for_all_three_transfers(admin, three):
    page = admin.get(url(three))
    assert is_chosen(page, "received", "nothing")
    assert "Nothing yet: send all 5 rows" in page.text
    sent = {"received": "nothing", "empty": [*KINDS]}
    after = admin.post(url(three), sent, follow=True)
    assert "The next run sends 5 rows." in after.text
    for task in three.tasks.all():
        assert run_here(task, Trigger.MANUAL).error_code == ""
    assert accounts(three) == ["1", "2"]
    assert query(three.dsn, "select count(*) from pincode") == [(1,)]


def test_different_for_one_of_them_opens_three_questions(admin, three):
    fill(three)
    page = admin.get(url(three))
    assert not is_chosen(page, "received", "nothing")
    assert is_chosen(page, "pincodes", "nothing")
    assert not is_chosen(page, "balances", "nothing")
    answers = {
        "received": "different", "balances": "everything", "pincodes": "nothing", "cards": "later",
        "empty": ["pincodes", "cards"],
    }  # fmt: skip
    question, _after = decide(admin, three, **answers)
    assert "PIN codes: it has received nothing. The next run sends 1 row." in question.text
    assert "Balance changes: it has received everything." in question.text
    codes = {task.kind: run_here(task, Trigger.MANUAL).error_code for task in three.tasks.all()}
    assert codes == {**dict.fromkeys(KINDS, ""), "cards": "beginning_undecided"}
    assert accounts(three) == ["vendor"]


def test_an_answer_does_not_count_for_a_transfer_that_has_begun_to_ask_since(admin, nine, shop_all):
    """Rows of a third kind are staged while the page is open."""
    stage(shop_all, "pincodes", [("1", "1111")])
    page = admin.get(url(nine))
    asked = re.findall(r'name="asked" value="(\w+)"', page.text)
    assert asked == ["balances", "pincodes"]
    query(nine.dsn, "drop schema datatransfer cascade")  # in which cards had begun
    stage(shop_all, "cards", [("c1", "1", 1)])
    answers = {"received": "everything", "asked": asked, "confirmed": "1"}
    admin.post(url(nine), answers)
    codes = {task.kind: run_here(task, Trigger.MANUAL).error_code for task in nine.tasks.all()}
    assert codes == {**dict.fromkeys(KINDS, ""), "cards": "beginning_undecided"}


def test_where_they_differ_each_transfer_needs_an_answer(admin, three):
    page = admin.post(url(three), {"received": "different", "balances": "nothing"})
    assert page.status_code == 422
    assert page.text.count("Choose an answer.") == 2


def test_a_server_that_has_received_everything_is_sent_what_is_staged_later(admin, nine, shop_all):
    question, _after = decide(admin, nine, balances="everything")
    assert "Rows that are staged now are not sent." in question.text
    assert "its table &quot;asset&quot; is empty. These rows never arrive there." in question.text
    entry = decision()
    assert (entry.who, entry.new["waiting"]) == ("olga", 0)
    stage(shop_all, "balances", [("3", 1)])
    move(nine)
    assert accounts(nine) == ["3"]


def hidden(page, name):
    """The value of a hidden field of a page that asks."""
    return re.search(rf'name="{name}" value="([^"]*)"', page.text).group(1)


def copy_tables(eight, nine):
    """What the vendor does: the rows of server 8's table are those of server 9's."""
    for account, amount in query(eight.dsn, "select account, amount from asset"):
        query(nine.dsn, "insert into asset (account, amount) values (%s, %s)", [account, amount])


def test_a_server_whose_tables_are_a_copy_is_sent_what_the_other_lacks(
    admin, eight, nine, shop_all
):
    copy_tables(eight, nine)
    stage(shop_all, "balances", [("3", 1)])
    answers = {"balances": "as", "balances_server": eight.pk}
    question = admin.post(url(nine), answers)
    assert "it has received what Бонусный сервер 8 has. The next run sends 1 row." in question.text
    assert "That is right only if the tables were copied after" in question.text
    version = hidden(question, "balances_version")
    admin.post(url(nine), answers | {"confirmed": "1", "balances_version": version})
    move(nine)
    move(eight)
    assert accounts(nine) == accounts(eight) == ["1", "2", "3"]


def test_it_is_refused_once_the_other_server_has_moved_on(admin, eight, nine, shop_all):
    copy_tables(eight, nine)
    answers = {"balances": "as", "balances_server": eight.pk}
    version = hidden(admin.post(url(nine), answers), "balances_version")
    stage(shop_all, "balances", [("3", 1)])
    move(eight)
    answers |= {"confirmed": "1", "balances_version": version}
    assert "has moved rows since" in admin.post(url(nine), answers, follow=True).text
    assert move(nine).error_code == "beginning_undecided"


def test_the_transfers_to_a_server_that_is_copied_have_to_be_off(admin, eight, nine, ivan):
    eight.tasks.get(kind="balances").switch(True, ivan)
    page = admin.post(url(nine), {"balances": "as", "balances_server": eight.pk})
    assert "is switched on, or runs" in page.text


def test_a_server_has_to_be_chosen_with_that_answer(admin, nine):
    page = admin.post(url(nine), {"balances": "as", "confirmed": "1"})
    assert page.status_code == 422
    assert "Choose the server." in page.text
    assert move(nine).error_code == "beginning_undecided"


def test_a_copy_with_our_schema_is_recognised_and_goes_on_from_where_it_was_made(
    admin, copy_of_eight
):
    text = admin.get(url(copy_of_eight)).text
    made = "a copy of the database of Бонусный сервер 8, made after [0-9:]{5}.MSK: go on"
    assert re.search(made, text)
    assert move(copy_of_eight).error_code == "copy_of"
    shown = admin.get(copy_of_eight.get_absolute_url()).text
    assert re.search("is a copy of that of Бонусный сервер 8, made after [0-9:]{5}.MSK,", shown)
    assert "The same as another server" not in text
    assert is_chosen(admin.get(url(copy_of_eight)), "copy", "own")
    admin.post(url(copy_of_eight), {"copy": "own"})
    assert accounts(copy_of_eight) == ["1", "2"]
    move(copy_of_eight)
    assert accounts(copy_of_eight) == ["1", "2", "3"]


def test_a_copy_is_not_proposed_while_the_other_database_is_silent(admin, copy_of_eight, eight):
    """One database that is docked twice looks the same from here."""
    type(eight).objects.filter(pk=eight.pk).update(db_host="127.0.0.1", db_port=1)
    assert not is_chosen(admin.get(url(copy_of_eight)), "copy", "own")


def test_one_press_on_its_page_gives_a_copy_its_own_name(admin, copy_of_eight, eight, shop_all):
    assert move(copy_of_eight).error_code == "copy_of"
    press = reverse("server_own_name", args=[copy_of_eight.pk])
    page = admin.get(copy_of_eight.get_absolute_url()).text
    assert "Its database is a copy of that of Бонусный сервер 8" in page
    assert press in page
    admin.post(press)
    stage(shop_all, "balances", [("4", 1)])
    for one in (eight, copy_of_eight):
        assert move(one).error_code == ""
        assert accounts(one) == ["1", "2", "3", "4"]
    assert press not in admin.get(copy_of_eight.get_absolute_url()).text


def test_a_copy_that_does_not_answer_gets_no_name_of_its_own(admin, eight):
    type(eight).objects.filter(pk=eight.pk).update(db_host="127.0.0.1", db_port=1)
    answer = admin.post(reverse("server_own_name", args=[eight.pk]))
    assert [tag for tag, _text in told(answer)] == ["bad"]


def test_a_database_that_is_docked_twice_moves_to_the_first_alone(
    admin, eight, dock, bonus, shop_all
):
    """As a copy, every row would arrive twice."""
    twice = dock(bonus, "Server 9", decided=False)
    page = admin.get(url(twice)).text
    assert "This is the database of Бонусный сервер 8, docked twice" in page
    assert 'value="own"' not in page
    assert "Your answer decides" not in page
    stage(shop_all, "balances", [("3", 1)])
    move(eight)
    assert move(twice).error_code == "copy_of"
    assert accounts(eight) == ["1", "2", "3"]


def test_a_server_that_was_docked_before_keeps_its_name(eight, dock, bonus, copies, ivan):
    """So a copy of it is recognised though another one was drawn when it was docked again."""
    dsn = copies.make(bonus, "eight")
    undock(eight, ivan)
    again = dock(bonus, "Server 8 again", decided=False)
    move(again)
    copied = dock(dsn, "Server 9", decided=False)
    run = move(copied)
    assert (run.error_code, run.error_params["other"]) == ("copy_of", "Server 8 again")


@pytest.fixture
def lacking(eight, nine, copies, shop_all):
    """Server 8 was restored to before row 2, which all servers had and which is purged."""
    dsn = eight.dsn
    call_command("begin", nine.name, "balances", "--nothing")
    move(nine)
    stage(shop_all, "balances", [("3", 1)])
    copies.make(dsn, "before")
    for one in (eight, nine):
        move(one)
    age(shop_all)
    list(purge_staging())
    copies.restore(dsn, "before")
    assert move(eight).error_code == "rows_purged"
    return eight


def test_a_server_that_lacks_purged_rows_goes_on_without_them_for_good(admin, lacking, shop_all):
    page = admin.get(url(lacking)).text
    assert "Line 3 of the log" in page
    question, _after = decide(admin, lacking, balances="without")
    assert "1 row were purged from shop All. It never gets them." in question.text
    stage(shop_all, "balances", [("4", 1)])
    assert move(lacking).error_code == ""
    assert accounts(lacking) == ["1", "2", "4"]
    assert AuditEntry.objects.filter(action="position").latest("pk").new["given_up"] == 1


def test_the_command_lists_purged_rows_first(lacking, capsys):
    capsys.readouterr()
    call_command("skip_rows", lacking.name, "balances", "--dry-run", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert (listed["line"], listed["rows"]) == (3, 1)
    assert move(lacking).error_code == "rows_purged"
    with pytest.raises(CommandError, match="--yes"):
        call_command("skip_rows", lacking.name, "balances", "--json")
    call_command("skip_rows", lacking.name, "balances", "--yes")
    assert move(lacking).error_code == ""
    assert accounts(lacking) == ["1", "2"]
    capsys.readouterr()
    call_command("skip_rows", lacking.name, "balances")
    assert "it lacks no purged rows" in capsys.readouterr().out


def test_a_server_that_went_back_in_time_is_told_and_not_asked(admin, eight, copies, shop_all):
    copies.make(eight.dsn, "before")
    stage(shop_all, "balances", [("3", 1)])
    move(eight)
    copies.restore(eight.dsn, "before")
    assert move(eight).error_code == ""
    assert accounts(eight) == ["1", "2", "3"]
    words = "Бонусный сервер 8 was restored to an earlier time: it is sent 1 row again"
    assert words in admin.get("/").text
    assert words in admin.get(eight.get_absolute_url()).text
    told = Bulletin.objects.get()
    for page in (told.get_absolute_url(), reverse("overview"), eight.get_absolute_url()):
        lost = "What registers wrote there between .* and .* is lost on it: let the vendor compare"
        assert re.search(lost, admin.get(page).text), page


def test_the_command_begins_a_server_and_counts_first(nine, capsys):
    call_command("begin", nine.name, "balances", "--nothing", "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["sent"] == 2
    assert move(nine).error_code == "beginning_undecided"
    call_command("begin", nine.name, "balances", "--everything")
    assert "The next run sends 0 rows." in capsys.readouterr().out
    assert move(nine).error_code == ""
    assert accounts(nine) == []


def test_the_command_begins_all_that_have_not_begun_if_their_tables_are_empty(three, capsys):
    fill(three)
    with pytest.raises(CommandError, match="is not empty any more"):
        call_command("begin", three.name, "balances", "--nothing", "--if-empty")
    capsys.readouterr()
    call_command("begin", three.name, "balances", "--nothing", "--dry-run")
    assert "Rows in it that came from shop All arrive a second time." in capsys.readouterr().out
    call_command("begin", three.name, "pincodes", "--nothing", "--if-empty")
    call_command("begin", three.name, "--everything", "--json")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    begun = {json.loads(line)["kind"] for line in lines}
    assert begun == KINDS.keys() - {"pincodes"}
    with pytest.raises(CommandError, match="has a position of this transfer already"):
        call_command("begin", three.name, "--everything")


def test_the_command_takes_the_place_of_the_server_that_was_copied(eight, nine):
    copy_tables(eight, nine)
    call_command("begin", nine.name, "balances", "--as", eight.name)
    move(nine)
    assert accounts(nine) == ["1", "2"]


def test_the_command_gives_a_copy_its_own_name(copy_of_eight):
    call_command("begin", copy_of_eight.name, "balances", "--own")
    move(copy_of_eight)
    assert accounts(copy_of_eight) == ["1", "2", "3"]


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
    assert "Not begun yet: Balance changes." in text
    assert link in text
    decide(admin, nine, balances="everything")
    assert link not in admin.get(nine.get_absolute_url()).text


def test_only_an_administrator_decides(operator, nine):
    assert operator.post(url(nine), {"balances": "nothing", "confirmed": "1"}).status_code == 403
    text = operator.get(nine.get_absolute_url()).text
    assert url(nine) not in text
    assert "An administrator decides it on this page." in text
    assert move(nine).error_code == "beginning_undecided"
