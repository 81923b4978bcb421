"""Shop All is restored to before a load: whoever lacks its rows gets them, and nobody twice."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.causes import raises
from tests.databases import query
from tests.http_api.conftest import BASE, Program, a_key
from tests.records import user
from tests.restores import say_that_it_is_right
from transfer.causes.ledger import SHOP_ALL_WENT_BACK
from transfer.causes.loads import LOAD_LOST
from transfer.engine.kinds import KINDS
from transfer.loading import undo_load, upload_job
from transfer.models import LogPlace, RejectedRow, Upload
from transfer.models.run_base import Trigger
from transfer.runs.execute import run_here

pytestmark = [pytest.mark.long, pytest.mark.django_db(transaction=True)]

State = Upload.State
GOOD = b"account;amount\n4100;10\n4200;20\n"
ROWS = [{"account": "4100", "amount": "10"}, {"account": "4200", "amount": "20"}]
ONCE = [("4100", 10), ("4200", 20)]


@pytest.fixture(autouse=True)
def in_english(settings):
    settings.LANGUAGE_CODE = "en"


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "bonus.csv"
    path.write_bytes(GOOD)
    return str(path)


@pytest.fixture
def servers(dock, bonus, second_bonus, shop_all):
    return [dock(bonus), dock(second_bonus, "Bonus server 9")]


@pytest.fixture
def program(db):
    return Program(a_key().secret)


@pytest.fixture
def page(db):
    client = Client()
    client.force_login(user("operator"))
    client.cookies["django_language"] = "en"
    return lambda name, *arguments: client.get(reverse(name, args=arguments)).content.decode()


def run(server, kind="balances"):
    return run_here(server.tasks.get(kind=kind), Trigger.MANUAL).error_code


def move(*servers, kind="balances"):
    assert [run(server, kind) for server in servers] == [""] * len(servers)


def take_back(load, actor):
    ordered = undo_load.order(load, actor)
    upload_job.go_on(ordered)
    ordered.refresh_from_db()
    assert ordered.error_code == ""
    return ordered


def send(program, rows=ROWS, key="2026-11-30/1"):
    headers = {"Idempotency-Key": key}
    return program.post(
        f"{BASE}rows/balances", json.dumps(rows), "application/json", headers=headers
    )


def replayed(answer):
    return answer.status_code, answer.headers.get("Idempotent-Replayed", "false")


def landed(dsn):
    return query(dsn, "select account, amount::int from asset order by account, amount desc")


def sums(dsn):
    return query(
        dsn,
        "select account, sum(amount)::int from asset group by 1 having sum(amount) <> 0 order by 1",
    )


class TestALoadThatNobodyHasRead:
    """F1: in a restore of shop All a load is lost; one server is silent meanwhile."""

    def test_is_shown_as_lost_and_the_file_is_loaded_without_a_question(
        self, servers, shop_all, bonus, second_bonus, file, copies, capsys, page, program
    ):
        before = copies.take(shop_all)
        call_command("load_staging", "balances", file)
        copies.restore(shop_all, before)
        servers[1].db_port, port = 1, servers[1].db_port
        servers[1].save()
        (upload,) = Upload.objects.all()
        call_command("load", "list")
        assert "bonus.csv: Lost by a restore, 2 rows" in capsys.readouterr().out
        assert "Lost by a restore" in page("loads")
        assert "Shop All has lost this load" in page("upload", upload.pk)
        assert program.ask(f"loads/{upload.token}").json()["state"] == "lost"
        call_command("load_staging", "balances", file)
        move(servers[0])
        servers[1].db_port = port
        servers[1].save()
        move(servers[1])
        assert landed(bonus) == landed(second_bonus) == ONCE
        assert [*Upload.objects.values_list("state", flat=True)] == [State.LOADED, State.LOST]

    def test_the_call_is_repeated_and_says_that_it_loads(
        self, servers, shop_all, bonus, second_bonus, copies, program
    ):
        before = copies.take(shop_all)
        first = send(program)
        copies.restore(shop_all, before)
        second = send(program)
        assert (replayed(first), replayed(second)) == ((201, "false"), (201, "false"))
        assert replayed(send(program)) == (201, "true")
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE

    def test_the_pages_show_it_as_loaded_once_a_later_copy_has_it(
        self, servers, shop_all, load, copies, page
    ):
        before = copies.take(shop_all)
        upload = load("balances", GOOD)
        after = copies.take(shop_all)
        for backup, state in ((before, State.LOST), (after, State.LOADED)):
            copies.restore(shop_all, backup)
            page("upload", upload.pk)
            upload.refresh_from_db()
            assert upload.state == state


class TestALoadThatOneServerAloneHas:
    """F3."""

    def test_the_file_is_loaded_again_and_reaches_the_other_one(
        self, servers, shop_all, bonus, second_bonus, file, copies, page
    ):
        before = copies.take(shop_all)
        call_command("load_staging", "balances", file)
        move(servers[0])
        copies.restore(shop_all, before)
        assert run(servers[0]) == SHOP_ALL_WENT_BACK.code
        (upload,) = Upload.objects.all()
        shown = page("upload", upload.pk)
        assert "bonus servers that have received its rows do not get them again" in shown
        assert "2 of 2 moved" in shown
        assert "0 of 2 moved" in shown
        assert "Not there" in shown
        assert "On its way" not in shown
        call_command("load_staging", "balances", file)
        say_that_it_is_right()
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE

    def test_the_call_is_repeated_and_reaches_the_other_one(
        self, servers, shop_all, bonus, second_bonus, copies, program
    ):
        before = copies.take(shop_all)
        send(program)
        move(servers[0])
        copies.restore(shop_all, before)
        assert replayed(send(program)) == (201, "false")
        say_that_it_is_right()
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE

    def test_a_file_of_another_form_with_the_same_rows_is_the_same_load(
        self, servers, shop_all, bonus, second_bonus, load, copies
    ):
        before = copies.take(shop_all)
        load("balances", GOOD)
        move(servers[0])
        copies.restore(shop_all, before)
        load("balances", "Счет\tСумма\n\n4100\t10,00\n4200\t20\n".encode("utf-16"))
        say_that_it_is_right()
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE

    def test_its_key_is_refused_for_other_rows(self, servers, shop_all, copies, program):
        before = copies.take(shop_all)
        send(program)
        copies.restore(shop_all, before)
        answer = send(program, ROWS[:1])
        assert (answer.status_code, answer.json()["code"]) == (409, "other_content")
        assert query(shop_all, 'select count(*) from "changeAccountBalanceTemp"') == [(0,)]


class TestShopAllAndOurOwnDatabaseGoBackTogether:
    """F5."""

    @pytest.fixture
    def both(self, shop_all, own_database, copies):
        databases = {dsn: copies.take(dsn) for dsn in (shop_all, own_database)}

        def restore():
            for dsn, backup in databases.items():
                copies.restore(dsn, backup)
            connection.close()

        return restore

    def test_the_call_is_repeated_and_doubles_nothing(
        self, servers, bonus, second_bonus, program, both
    ):
        send(program)
        move(servers[0])
        both()
        assert not Upload.objects.exists()
        assert replayed(send(program)) == (201, "false")
        move(*servers)  # without a question: shop All lacks nothing any more
        assert landed(bonus) == landed(second_bonus) == ONCE

    def test_the_file_is_loaded_again_and_doubles_nothing(
        self, servers, bonus, second_bonus, file, both
    ):
        call_command("load_staging", "balances", file)
        move(servers[0])
        both()
        assert run(servers[0]) == SHOP_ALL_WENT_BACK.code  # by what the server itself has received
        call_command("load_staging", "balances", file)
        say_that_it_is_right()
        move(*servers)
        assert landed(bonus) == landed(second_bonus) == ONCE


class TestALoadThatWasTakenBack:
    def test_is_refused_to_a_call_where_shop_all_has_lost_both(
        self, servers, shop_all, bonus, second_bonus, copies, program, olga, page
    ):
        before = copies.take(shop_all)
        send(program)
        move(*servers)
        take_back(Upload.objects.get(), olga)
        move(servers[0])
        copies.restore(shop_all, before)
        load = Upload.objects.get(undoes=None)
        for _ in range(2):  # also once a page has noted that it is lost
            answer = send(program)
            assert (answer.status_code, answer.json()["code"]) == (409, "call_taken_back")
            assert "the same call is refused" in page("upload", load.pk)
        assert replayed(send(program, key="another-key")) == (201, "false")
        say_that_it_is_right()
        move(*servers)
        # The second server has never heard of the undo, which both databases have lost.
        assert (sums(bonus), sums(second_bonus)) == (ONCE, [("4100", 20), ("4200", 40)])

    def test_is_loaded_under_the_next_name_as_a_file_and_the_page_says_so(
        self, servers, shop_all, bonus, check, load, copies, olga, page
    ):
        before = copies.take(shop_all)
        first = load("balances", GOOD)
        move(servers[0])
        take_back(first, olga)
        move(servers[0])
        copies.restore(shop_all, before)
        again = check("balances", GOOD)
        shown = page("upload", again.pk)
        assert "was taken back, and shop All has lost both by a restore" in shown
        assert "loaded before" not in shown
        again.confirm(olga)
        upload_job.go_on(again)
        assert again.state == State.LOADED
        assert again.changeset != first.changeset
        say_that_it_is_right()
        move(servers[0])
        assert sums(bonus) == ONCE

    def test_is_lost_alone_its_undo_is_staged_again_with_the_confirmation(
        self, servers, shop_all, bonus, second_bonus, load, copies, olga, page
    ):
        first = load("balances", GOOD)
        move(*servers)
        before = copies.take(shop_all)
        done = take_back(first, olga)
        move(servers[0])
        copies.restore(shop_all, before)
        assert run(servers[1]) == SHOP_ALL_WENT_BACK.code
        assert "Take it back again" in page("upload", done.pk)
        assert "has lost that by a restore" in page("upload", first.pk)
        say_that_it_is_right()
        done.refresh_from_db()
        assert (done.state, Upload.objects.count()) == (State.LOADED, 2)
        move(*servers)
        assert sums(bonus) == sums(second_bonus) == []
        assert len(landed(bonus)) == len(landed(second_bonus)) == 4

    def test_may_be_taken_back_again_by_hand(self, servers, shop_all, bonus, load, copies, olga):
        first = load("balances", GOOD)
        before = copies.take(shop_all)
        done = take_back(first, olga)
        copies.restore(shop_all, before)
        assert take_back(first, olga) == done
        say_that_it_is_right()
        move(servers[0])
        assert landed(bonus) == []

    def test_an_undo_that_can_not_be_staged_again_is_named(
        self, servers, shop_all, load, copies, olga
    ):
        first = load("balances", GOOD)
        move(*servers)
        before = copies.take(shop_all)
        take_back(first, olga)
        copies.restore(shop_all, before)
        query(shop_all, 'delete from "changeAccountBalanceTemp" where amount = 20')
        outcome = undo_load.again(KINDS["balances"])
        assert (outcome.done, [(one, why.code) for one, why in outcome.refused]) == (
            *(0, [(first, "load_rows_missing")]),
        )


class TestTheUndoOfALostLoad:
    @pytest.fixture
    def gone(self, servers, shop_all, load, copies):
        before = copies.take(shop_all)
        gone = load("balances", GOOD, name="bonus.csv")
        move(servers[0])
        copies.restore(shop_all, before)
        return gone

    def test_is_refused_with_what_to_do(self, gone, olga, page, client):
        with raises(LOAD_LOST):
            undo_load.order(gone, olga)
        with pytest.raises(CommandError, match="Load the file, or repeat the call, first"):
            call_command("load", "undo", str(gone.pk))
        client.force_login(user("operator", "another"))
        client.cookies["django_language"] = "en"
        for send in (client.get, client.post):
            answer = send(reverse("upload_undo", args=[gone.pk]), follow=True)
            assert "Load the file, or repeat the call, first" in answer.content.decode()
        assert "Take it back" not in page("upload", gone.pk)

    def test_is_done_once_the_file_is_loaded_again(
        self, gone, servers, bonus, second_bonus, load, olga
    ):
        again = load("balances", GOOD)
        take_back(again, olga)
        say_that_it_is_right()
        move(*servers)
        assert (sums(bonus), landed(second_bonus)) == ([], [])
        gone.refresh_from_db()
        assert (gone.state, gone.changeset) == (State.LOST, again.changeset)


def test_an_undo_or_a_correction_after_a_restore_does_not_hide_the_question(
    servers, shop_all, load, copies, olga, bonus
):
    """They note how far the log goes, but not while it lacks what our history has seen."""
    first = load("balances", GOOD)
    move(servers[0])
    before = copies.take(shop_all)
    load("balances", b"account;amount\n1;1\n")
    move(servers[0])
    copies.restore(shop_all, before)
    take_back(first, olga)
    assert run(servers[0]) == SHOP_ALL_WENT_BACK.code


def test_how_far_the_log_goes_is_known_after_an_undo_and_after_corrections(
    rejected, load, shop_all, olga
):
    def ends():
        (log,) = query(shop_all, "select max(number) from datatransfer.log where kind = 'balances'")
        return log[0], LogPlace.objects.get(kind="balances").number

    (reject,) = rejected("balances", ("4100", 0))
    assert ends() == (1, 1)
    load("balances", f"Rejected row no.;account;amount\n{reject.key};4100;5\n".encode())
    assert not RejectedRow.objects.open().exists()
    assert ends() == (2, 2)
    take_back(load("balances", GOOD), olga)
    assert ends() == (4, 4)
