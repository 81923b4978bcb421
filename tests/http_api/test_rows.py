"""Rows that a program loads: checked as a file, all or none, once for each Idempotency-Key."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from django.db import connection

from tests.databases import connected, query, run
from tests.http_api.conftest import BASE, Program, a_key
from transfer.engine.postgres.database import Database
from transfer.loading import undo_load, upload_job
from transfer.models import Actor, ApiKey, AuditEntry, BadLine, Upload, UploadPiece
from transfer.models.run_base import Trigger
from transfer.queue.locks import Space
from transfer.queue.worker import drain
from transfer.runs.execute import run_here
from transfer.tick import tick

pytestmark = pytest.mark.django_db(transaction=True)

ROWS = [{"account": "4100", "amount": "10.50"}, {"account": "0042", "amount": -3}]
KEY = "2026-11-28/17"
AT_LENGTH = "CHAOS_SECONDS" in os.environ


@pytest.fixture(autouse=True)
def tables(shop_all: str) -> None:
    """The staging tables are there, and empty."""


def load(
    program: Program,
    rows: Any = ROWS,
    *,
    kind: str = "balances",
    key: str = KEY,
    type_: str = "",
    **options: Any,
) -> Any:
    """Sends rows as JSON; a text as CSV, or as what its type says."""
    is_text = isinstance(rows, str | bytes)
    content = rows if is_text else json.dumps(rows)
    type_ = type_ or ("text/csv" if is_text else "application/json")
    headers = {"Idempotency-Key": key} if key else {}
    return program.post(
        f"{BASE}rows/{kind}", content, content_type=type_, headers=headers, **options
    )


def balances(staged: Callable[[str], list[Any]]) -> list[tuple[str, str]]:
    return [(account, str(amount)) for account, amount, *_ in staged("balances")]


class TestLoading:
    def test_rows_are_staged_with_their_digits_and_the_answer_names_the_load(self, program, staged):
        answer = load(program)
        assert answer.status_code == 201, answer.content
        upload = Upload.objects.get()
        assert answer.json() == {"id": str(upload.token), "kind": "balances", "rows": 2}
        assert balances(staged) == [("4100", "10.50"), ("0042", "-3")]
        assert (upload.state, upload.input_method, upload.name) == ("loaded", "api", KEY)

    def test_a_csv_is_read_as_a_file(self, program, staged):
        content = "Счёт;Сумма\n0042;1 234,50\n4100;-3\n".encode("cp1251")
        answer = load(program, content)
        assert (answer.status_code, answer.json()["rows"]) == (201, 2)
        assert balances(staged) == [("0042", "1234.50"), ("4100", "-3")]

    def test_a_csv_is_read_in_the_charset_that_the_header_names(self, program, staged):
        """The letters of this word are letters in CP1251 too, so they tell nothing."""
        rows = "account;amount;comment\n0042;1;ярус\n"  # the client encodes it so
        load(program, rows, type_="text/csv; charset=IBM866")
        assert [row[-1] for row in staged("balances")] == ["ярус"]

    def test_pin_codes_and_cards_are_loaded_and_no_pin_code_comes_out(self, program, staged):
        answers = [
            load(program, [{"account": "4100", "pincode": "91735"}], kind="pincodes"),
            load(program, [{"card": "7001", "status": 2}], kind="cards", key="another-one"),
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert staged("pincodes") == [("4100", "91735")]
        assert staged("cards") == [("7001", None, 2)]
        token = answers[0].json()["id"]
        read = [program.ask(path) for path in (f"loads/{token}", "loads", "accounts/4100")]
        assert all(answer.status_code == 200 for answer in read)
        assert "91735" not in "".join(answer.content.decode() for answer in [*answers, *read])

    def test_the_load_is_in_the_audit_under_the_name_of_the_key(self, program):
        load(program, REMOTE_ADDR="10.1.2.3")
        entry = AuditEntry.objects.get(action="load")
        assert (entry.who, entry.address, entry.new["good"]) == ("1C (API)", "10.1.2.3", 2)

    def test_a_key_loads_only_the_kinds_of_its_scopes(self, staged):
        program = Program(a_key("load_cards", "read").secret)
        answer = load(program)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert staged("balances") == []
        assert load(program, [{"card": "7001", "status": 1}], kind="cards").status_code == 201

    def test_the_load_says_where_its_rows_are(self, program, receiver):
        token = load(program).json()["id"]
        (before,) = program.ask(f"loads/{token}").json()["servers"]
        assert (before["state"], before["moved"], before["rows"]) == ("coming", 0, 2)
        run_here(receiver.tasks.get(kind="balances"), Trigger.MANUAL)
        shown = program.ask(f"loads/{token}").json()
        (after,) = shown["servers"]
        assert (after["state"], after["moved"], shown["state"]) == ("arrived", 2, "loaded")
        trace = program.ask("accounts/4100").json()
        assert trace["changes"][0]["source"]["load"] == token
        assert trace["changes"][0]["servers"][0]["state"] == "moved"
        assert trace["servers"][0]["balance"] == "10.50"

    def test_rows_with_equal_values_are_all_loaded(self, program, staged):
        load(program, [ROWS[0]] * 3)
        assert balances(staged) == [("4100", "10.50")] * 3

    def test_a_row_that_begins_like_a_total_is_no_total(self, program, staged):
        assert load(program, [{"account": "Total", "amount": "1"}]).status_code == 201
        assert balances(staged) == [("Total", "1")]


class TestRefusals:
    def test_one_bad_row_refuses_all_and_every_bad_row_is_named_with_its_field(
        self, program, staged
    ):
        rows = [*ROWS, {"account": "4200", "amount": "many"}, {"account": None, "amount": 1}]
        answer = load(program, rows)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_rows")
        named = [(one["row"], one["field"], one["code"]) for one in answer.json()["errors"]]
        assert named == [(3, "amount", "not_a_number"), (4, "account", "account_missing")]
        assert answer.json()["errors"][0]["value"] == "many"
        assert staged("balances") == []
        assert not Upload.objects.exists()
        assert not UploadPiece.objects.exists()
        assert not BadLine.objects.exists()

    def test_a_bad_pin_code_is_not_quoted(self, program):
        answer = load(program, [{"account": "", "pincode": "91735"}], kind="pincodes")
        assert answer.status_code == 422
        assert "91735" not in answer.content.decode()

    @pytest.mark.parametrize(
        ("body", "code", "place"),
        [
            ([{"account": "1", "amuont": 1}], "row_field_unknown", (1, "amuont")),
            ([ROWS[0], {"account": True, "amount": 1}], "row_wrong_value", (2, "account")),
            ([{"account": ["1"], "amount": 1}], "row_wrong_value", (1, "account")),
            ([ROWS[0], {}], "row_without_values", (2, "")),
            ([{"account": " ", "amount": None}], "row_without_values", (1, "")),
            ({"rows": ROWS}, "not_json_rows", None),
            (["4100"], "not_json_rows", None),
            ([], "no_rows", None),
            ([ROWS[0], {"account": "1", "amount": 1e22}], "row_power_of_ten", (2, "amount")),
            ([{"account": "1", "p91735": 1}], "row_field_unknown", (1, "••••••")),
            ("", "not_json_rows", None),
        ],
    )
    def test_rows_of_another_form_are_refused_with_row_and_field(
        self, program, staged, body, code, place
    ):
        answer = load(program, json.dumps(body), type_="application/json")
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        errors = answer.json().get("errors", [])
        assert [(one["row"], one["field"]) for one in errors] == ([place] if place else [])
        assert staged("balances") == []
        assert not Upload.objects.exists()

    @pytest.mark.parametrize(
        "body", [" ", "[{", '[{"account": NaN}]', "[" * 100_000, "\ufeff[", b"\xff\xfe\x00"]
    )
    def test_a_body_that_is_no_json_is_refused(self, program, body):
        answer = load(program, body, type_="application/json")
        assert answer.status_code == 422
        assert answer.json()["code"] in {"not_json_rows", "file_empty"}

    def test_a_field_twice_in_a_row_is_refused(self, program):
        body = '[{"account": "1", "account": "2", "amount": 1}]'
        answer = load(program, body, type_="application/json")
        assert answer.json()["code"] == "row_field_twice"

    def test_a_csv_without_the_needed_columns_is_refused(self, program):
        answer = load(program, "Клиент;Код\n1;2\n")
        assert (answer.status_code, answer.json()["code"]) == (422, "columns_missing")

    @pytest.mark.parametrize("key", ["", "short", "with a space in it", "x" * 201])
    def test_without_an_idempotency_key_nothing_is_loaded(self, program, staged, key):
        answer = load(program, key=key)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key")
        assert staged("balances") == []

    def test_another_type_of_body_is_refused(self, program):
        url, headers = f"{BASE}rows/balances", {"Idempotency-Key": KEY}
        answer = program.post(url, {"file": "x"}, headers=headers)  # a form with files
        assert (answer.status_code, answer.json()["code"]) == (415, "content_type")

    def test_a_charset_that_is_not_known_is_refused(self, program, staged):
        answer = load(program, "account;amount\n1;1\n", type_="text/csv; charset=koi8-r")
        assert (answer.status_code, answer.json()["code"]) == (415, "charset")
        assert staged("balances") == []

    @pytest.mark.parametrize("charset", ["; charset=utf-16", ""])
    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
    def test_utf_16_without_its_mark_is_refused_by_its_name(
        self, program, staged, charset, encoding
    ):
        answer = program.generic(
            "POST",
            f"{BASE}rows/balances",
            "account;amount;comment\n1;1;Тест\n".encode(encoding),
            f"text/csv{charset}",
            headers={"Idempotency-Key": KEY},
        )
        if encoding == "utf-8" and not charset:
            assert answer.status_code == 201
            return
        assert (answer.status_code, answer.json()["code"]) == (422, "utf16_without_mark")
        assert "UTF-16" in answer.json()["message"]
        assert staged("balances") == []

    def test_utf_16_with_its_mark_is_read(self, program, staged):
        assert load(program, "account;amount\n1;1\n".encode("utf-16")).status_code == 201
        assert balances(staged) == [("1", "1")]

    def test_a_body_in_chunks_is_refused_since_its_length_is_not_known(self, program):
        headers = {"Idempotency-Key": KEY, "Transfer-Encoding": "chunked"}
        answer = program.generic(
            "POST", f"{BASE}rows/balances", content_type="application/json", headers=headers
        )
        assert (answer.status_code, answer.json()["code"]) == (411, "no_length")

    def test_an_unknown_kind_is_named(self, program):
        answer = load(program, kind="bonuses")
        assert answer.status_code == 422
        assert [one["field"] for one in answer.json()["errors"]] == ["kind"]

    def test_a_body_above_the_bound_is_refused_before_it_is_read(self, program):
        answer = load(program, CONTENT_LENGTH=str((16 << 20) + 1))
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")

    def test_without_shop_all_nothing_is_loaded_and_the_answer_says_why(self, program, settings):
        right = settings.SHOP_ALL_DATABASE_URL
        settings.SHOP_ALL_DATABASE_URL = "postgresql://localhost:9/nowhere"
        answer = load(program)
        assert (answer.status_code, answer.json()["code"]) == (503, "port_closed")
        assert answer.headers["Retry-After"]
        settings.SHOP_ALL_DATABASE_URL = right
        assert load(program).status_code == 201


class TestOnce:
    def test_the_same_call_again_gets_the_same_answer_and_stages_nothing(self, program, staged):
        first, second = load(program), load(program)
        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert second.headers["Idempotent-Replayed"] == "true"
        assert "Idempotent-Replayed" not in first.headers
        assert len(staged("balances")) == 2
        assert AuditEntry.objects.filter(action="load").count() == 1

    def test_the_same_key_with_other_rows_is_a_conflict(self, program, staged):
        load(program)
        for rows, kind in ((ROWS[:1], "balances"), ("account;amount\n1;1\n", "balances")):
            answer = load(program, rows, kind=kind)
            assert (answer.status_code, answer.json()["code"]) == (409, "other_content")
        assert len(staged("balances")) == 2

    def test_the_same_rows_for_another_kind_are_a_conflict(self, program):
        content = "account;pincode;amount\n4100;1234;5\n"
        assert load(program, content, kind="pincodes").status_code == 201
        assert load(program, content, kind="balances").status_code == 409

    def test_another_idempotency_key_loads_the_same_rows_again(self, program, staged):
        load(program)
        assert load(program, key="another-one").status_code == 201
        assert len(staged("balances")) == 4

    def test_a_refused_call_can_be_corrected_under_the_same_key(self, program, staged):
        assert load(program, [{"account": "4100", "amount": "x"}]).status_code == 422
        assert load(program).status_code == 201
        assert len(staged("balances")) == 2

    def test_another_api_key_does_not_load_the_same_call_again(self, program, staged):
        first = load(program)
        other = Program(a_key(name="1C, new").secret)
        assert load(other).json() == first.json()
        assert len(staged("balances")) == 2

    def test_when_our_own_database_is_lost_the_answer_is_the_same(self, program, staged):
        first = load(program)
        lose_own_database()
        again = load(Program(a_key(name="made again").secret))
        assert (again.status_code, again.json()) == (201, first.json())
        assert len(staged("balances")) == 2
        shown = Program(a_key(name="reader").secret).ask(f"loads/{first.json()['id']}").json()
        assert (shown["state"], shown["good"]) == ("loaded", 2)

    def test_when_our_own_database_is_lost_other_rows_are_a_conflict_all_the_same(
        self, program, staged
    ):
        load(program)
        lose_own_database()
        answer = load(Program(a_key(name="made again").secret), ROWS[:1])
        assert (answer.status_code, answer.json()["code"]) == (409, "other_content")
        assert (len(staged("balances")), Upload.objects.count()) == (2, 0)

    def test_a_load_that_was_taken_back_is_not_loaded_again(self, program, staged, receiver):
        first = load(program)
        upload_job.go_on(undo_load.order(Upload.objects.get(), Actor("anna")))
        assert len(staged("balances")) == 4
        assert load(program).json() == first.json()
        lose_own_database()
        other = Program(a_key().secret)
        assert load(other).json() == first.json()
        assert len(staged("balances")) == 4
        shown = other.ask(f"loads/{first.json()['id']}").json()
        assert shown["undone_by"]
        assert [one["state"] for one in shown["servers"]] == ["withdrawn"]

    def test_a_changed_secret_key_loads_nothing_twice(self, settings, staged):
        settings.SECRET_KEY = "the first key"
        first = load(Program(a_key().secret))
        for fallbacks in (["the first key"], []):
            settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "the second key", fallbacks
            lose_own_database()
            assert load(Program(a_key().secret)).json() == first.json()
        assert len(staged("balances")) == 2

    def test_a_call_beside_the_same_call_is_told_to_wait(self, program, own_database):
        first = load(program)
        token = Upload.objects.get().token
        with connected(own_database) as other:
            numbers = [Space.IDEMPOTENCY, token.int % (1 << 31)]
            run(other, "select pg_advisory_lock(%s, %s)", numbers)
            answer = load(program)
            assert (answer.status_code, answer.json()["code"]) == (409, "busy_with_the_same")
            assert answer.headers["Retry-After"]
            # The session ends some time after its connection is closed.
            run(other, "select pg_advisory_unlock(%s, %s)", numbers)
        assert load(program).json() == first.json()

    def test_a_load_of_an_installation_beside_this_one_is_not_repeated(
        self, program, staged, monkeypatch
    ):
        """Another own database with the same shop All: it commits between question and insert."""
        from transfer.loading import load_once

        first = load(program)
        lose_own_database()
        with monkeypatch.context() as patched:
            patched.setattr(load_once, "_is_known", lambda *_: False)
            patched.setattr(upload_job, "staged_before", lambda *_: None)
            answer = load(Program(a_key().secret))
        assert answer.status_code == 503
        assert len(staged("balances")) == 2
        ApiKey.objects.all().delete()
        assert load(Program(a_key().secret)).json() == first.json()

    def test_a_load_that_is_gone_with_a_restore_can_be_made_again(self, program, staged, shop_all):
        load(program)
        query(shop_all, 'delete from "changeAccountBalanceTemp"; delete from datatransfer.load')
        answer = load(program)
        assert (answer.status_code, "Idempotent-Replayed" in answer.headers) == (201, False)
        assert len(staged("balances")) == 2
        assert sorted(Upload.objects.values_list("state", flat=True)) == ["loaded", "lost"]

    def test_a_shop_all_of_an_earlier_version_is_named(self, program, shop_all, staged):
        query(shop_all, "alter table datatransfer.load drop column call")
        answer = load(program)
        assert (answer.status_code, answer.json()["code"]) == (503, "not_initialised")
        assert staged("balances") == []


def lose_own_database() -> None:
    """A new installation has no loads, no audit and no keys."""
    Upload.objects.all().delete()
    ApiKey.objects.all().delete()


class Died(BaseException):
    """As if the process had been killed."""


class Killer:
    """Kills the call before its nth statement, in any database."""

    def __init__(self, at: int) -> None:
        self.at, self.sent = at, 0

    def before(self, send: Callable[[], Any]) -> Any:
        self.sent += 1
        if self.sent == self.at:
            raise Died
        return send()


@contextmanager
def killing(killer: Killer, monkeypatch: Any) -> Iterator[None]:
    """All statements and commits of the call, of our own database and of shop All."""

    def own(execute: Any, statement: str, parameters: Any, many: bool, context: Any) -> Any:
        return killer.before(lambda: execute(statement, parameters, many, context))

    def wrapped(method: Any) -> Any:
        return lambda self, *arguments, **options: killer.before(
            lambda: method(self, *arguments, **options)
        )

    with monkeypatch.context() as patched, connection.execute_wrapper(own):
        for name in ("execute", "rows", "commit"):
            patched.setattr(Database, name, wrapped(getattr(Database, name)))
        commit = connection._commit
        patched.setattr(connection, "_commit", lambda: killer.before(commit))
        yield


def die_at(program: Program, at: int, monkeypatch: Any) -> bool:
    """Whether the call has come so far. What it held is free then, as when a process has ended."""
    killer = Killer(at)
    with suppress(Died), killing(killer, monkeypatch):
        load(program)
    connection.close()
    return killer.sent >= at


@pytest.mark.timeout(300)
@pytest.mark.long
def test_killed_at_any_statement_the_call_is_repeated_and_its_rows_are_there_once(
    program, shop_all, staged, monkeypatch
):
    """Before each of them, so after each other as well. The suite takes every third."""
    at, wrong = 1, []
    while die_at(program, at, monkeypatch):
        answer = load(program)
        rows = len(staged("balances"))
        if (answer.status_code, rows) != (201, 2) or load(program).json() != answer.json():
            wrong.append((at, answer.status_code, answer.content, rows))
        query(shop_all, 'delete from "changeAccountBalanceTemp"; delete from datatransfer.load')
        Upload.objects.all().delete()
        at += 1 if AT_LENGTH else 3
    assert at > 60  # so many statements there are
    assert wrong == []


def test_a_call_that_was_cut_off_and_is_never_repeated_is_finished_by_the_tick(
    program, staged, monkeypatch
):
    with monkeypatch.context() as patched:
        patched.setattr(Upload, "note_loaded", dying)
        with pytest.raises(Died):
            load(program)
    connection.close()
    assert Upload.objects.get().state == "confirmed"
    tick("cron")
    drain(lambda: 0)
    upload = Upload.objects.get()
    assert (upload.state, len(staged("balances"))) == ("loaded", 2)
    assert load(program).json()["id"] == str(upload.token)
    assert len(staged("balances")) == 2


def dying(*_: Any) -> None:
    raise Died
