"""Calls of the API with many rows: they take neither the web server's memory nor its time."""

import json
import tracemalloc

import pytest

from tests.http_api.conftest import BASE, Program, a_key
from transfer.engine.kinds import KINDS
from transfer.loading import json_rows, upload_job
from transfer.loading.receive import receive
from transfer.models import BadLine, Upload, UploadPiece
from transfer.queue.worker import drain

pytestmark = pytest.mark.django_db(transaction=True)

State = Upload.State
ROW = {"account": "4100000011", "amount": "1.00", "comment": "x" * 1_000}
MANY = [ROW] * 4_200  # above 4 MB
WAITS = {"Prefer": "respond-async"}


@pytest.fixture
def program(shop_all, settings):
    settings.LANGUAGE_CODE = "en"
    return Program(a_key().secret)


def load(program, rows, key="a-large-load", **headers):
    content = rows if isinstance(rows, str) else json.dumps(rows)
    is_csv = isinstance(rows, str) and not rows.startswith("[")
    return program.post(
        f"{BASE}rows/balances",
        content,
        "text/csv" if is_csv else "application/json",
        headers={"Idempotency-Key": key, **headers},
    )


def work_off():
    drain(lambda: False)


class TestMemory:
    @pytest.mark.long
    @pytest.mark.parametrize(
        "row",
        [
            b'{"account": "4100000011", "amount": 1},\n',
            b'{"account": "4100000011", "amount": 1, "comment": "%s"},\n' % (b"x" * 9_000),
        ],
    )
    def test_rows_of_16_mb_are_never_in_memory_as_a_whole(self, shop_all, olga, row):
        number = json_rows.LARGEST // len(row) - 1
        content = b"[" + (row * number).rstrip(b",\n") + b"]"
        pieces = [content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20)]
        del content
        tracemalloc.start()
        try:
            chosen = {"format": json_rows.FORMAT}
            upload = receive(KINDS["balances"], pieces, olga, input_method="api", chosen=chosen)
            upload_job.go_on(upload)
            assert tracemalloc.get_traced_memory()[1] < 12 << 20
        finally:
            tracemalloc.stop()
        assert (upload.state, upload.good, upload.error_code) == (State.READY, number, "")

    @pytest.mark.parametrize(
        ("body", "code", "row"),
        [
            ([ROW, {"account": "1", "amount": "1" * 131_073}], "row_cell_too_long", 2),
            ([ROW, {"account": "1", "amount": ["1"] * 300_000}], "row_too_long", 2),
            ([ROW, {"account": "1", "comment": "x" * 1_100_000}], "row_too_long", 2),
        ],
    )
    def test_a_value_or_a_row_that_no_csv_may_have_is_refused(self, program, body, code, row):
        answer = load(program, body)
        assert (answer.status_code, answer.json()["code"]) == (422, code)
        assert [one["row"] for one in answer.json()["errors"]] == [row]

    @pytest.mark.parametrize("space", [" ", "\n" * 100_000])
    def test_a_row_may_be_anywhere_in_the_pieces_that_are_read(self, program, staged, space):
        rows = [{"account": str(number), "comment": "й" * (number % 50)} for number in range(3_000)]
        rows = [{**row, "amount": number / 4} for number, row in enumerate(rows, 1)]
        body = json.dumps(rows, ensure_ascii=False).replace("}, {", f"}}{space},{{", 20)
        assert load(program, body).status_code == 201
        assert [(row[0], float(row[1])) for row in staged("balances")] == [
            (row["account"], row["amount"]) for row in rows
        ]

    @pytest.mark.parametrize("end", ["", ",", "}", "]]", '] {"account": "1"}', "\ufffd"])
    def test_a_body_that_ends_wrongly_loads_nothing(self, program, staged, end):
        rows = json.dumps([{"account": "1", "amount": 1}] * 5_000).removesuffix("]")
        answer = load(program, rows + end)
        assert (answer.status_code, answer.json()["code"]) == (422, "not_json_rows")
        assert staged("balances") == []


class TestInTheCall:
    def test_a_body_above_4_mb_is_refused_before_it_is_read(self, program, staged):
        for body in (MANY, "account;amount\n" + "4100000011;1\n" * 330_000):
            answer = load(program, body)
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large_for_a_call")
            assert "Prefer: respond-async" in answer.json()["hint"]
        assert staged("balances") == []
        assert not Upload.objects.exists()

    @pytest.mark.parametrize(
        "body",
        ["account;amount\n" + "1;1\n" * 100_001, "[" + '{"account":"1","amount":1},' * 100_001],
    )
    def test_rows_above_100_000_are_counted_before_one_is_read(self, program, body):
        answer = load(program, body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large_for_a_call")
        assert not Upload.objects.exists()

    def test_a_small_call_is_answered_at_once_though_it_might_wait(self, program, staged):
        answer = load(program, [ROW], **WAITS)
        assert (answer.status_code, answer.json()["rows"]) == (201, 1)


class TestAfterTheCall:
    @pytest.mark.long
    def test_a_large_call_that_may_wait_is_loaded_by_a_worker(self, program, staged):
        answer = load(program, MANY, **WAITS)
        token = answer.json()["id"]
        assert (answer.status_code, answer.json()["kind"]) == (202, "balances")
        assert answer.headers["Location"] == f"{BASE}loads/{token}"
        assert answer.headers["Preference-Applied"] == "respond-async"
        assert staged("balances") == []
        assert program.ask(f"loads/{token}").json()["state"] == "received"
        work_off()
        shown = program.ask(f"loads/{token}").json()
        assert (shown["state"], shown["good"]) == ("loaded", len(MANY))
        assert len(staged("balances")) == len(MANY)

    def test_the_same_call_again_gets_the_same_load_before_and_after(self, program, staged):
        first = load(program, MANY, **WAITS)
        again = load(program, MANY, **WAITS)
        assert (again.status_code, again.json()) == (202, first.json())
        assert load(program, MANY[1:], **WAITS).status_code == 409
        work_off()
        done = load(program, MANY, **WAITS)
        assert (done.status_code, done.json()["id"]) == (201, first.json()["id"])
        assert done.headers["Idempotent-Replayed"] == "true"
        assert len(staged("balances")) == len(MANY)

    def test_one_bad_row_refuses_all_and_can_be_corrected(self, program, staged):
        token = load(program, [*MANY, {**ROW, "amount": "many"}], **WAITS).json()["id"]
        work_off()
        shown = program.ask(f"loads/{token}").json()
        assert (shown["state"], shown["error"]["code"]) == ("refused", "bad_rows")
        assert [(one["row"], one["code"]) for one in shown["errors"]] == [
            (len(MANY) + 1, "not_a_number")
        ]
        assert staged("balances") == []
        assert not UploadPiece.objects.exists()
        assert load(program, MANY, **WAITS).json()["id"] == token
        work_off()
        assert len(staged("balances")) == len(MANY)
        assert not BadLine.objects.exists()

    def test_a_body_that_is_no_table_is_refused_in_the_list_of_loads(self, program, staged):
        token = load(program, json.dumps(MANY) + "x", **WAITS).json()["id"]
        work_off()
        shown = program.ask(f"loads/{token}").json()
        assert (shown["state"], shown["error"]["code"]) == ("refused", "not_json_rows")

    def test_columns_that_are_missing_refuse_it(self, program):
        token = load(program, "name;sum\n" + "a;1\n" * 1_100_000, **WAITS).json()["id"]
        work_off()
        shown = program.ask(f"loads/{token}").json()
        assert (shown["state"], shown["error"]["code"]) == ("refused", "columns_missing")

    def test_without_shop_all_the_call_is_refused_and_leaves_nothing(self, program, settings):
        settings.SHOP_ALL_DATABASE_URL = "postgresql://localhost:9/nowhere"
        answer = load(program, MANY, **WAITS)
        assert (answer.status_code, answer.json()["code"]) == (503, "port_closed")
        assert not Upload.objects.exists()

    def test_nobody_reads_it_again_in_another_way(self, program, client):
        from tests.records import user

        load(program, [*MANY, {**ROW, "amount": "many"}], **WAITS)
        work_off()
        upload = Upload.objects.get()
        client.force_login(user("operator"))
        page = client.get(upload.get_absolute_url())
        assert "reading_form" not in page.context
        client.post(f"{upload.get_absolute_url()}reading/", {"header": 0})
        upload.refresh_from_db()
        assert upload.state == State.REFUSED


class TestOneAtATime:
    @pytest.mark.long
    def test_a_key_has_one_large_call_at_a_time_and_small_ones_beside_it(self, program, staged):
        assert load(program, MANY, **WAITS).status_code == 202
        for rows in (MANY, MANY[:1_000]):  # the second would be loaded in the call
            answer = load(program, rows, key="another-large", **WAITS)
            assert (answer.status_code, answer.json()["code"]) == (429, "large_call_open")
            assert int(answer.headers["Retry-After"]) > 0
        assert load(program, [ROW], key="a-small-one").status_code == 201
        other = Program(a_key(name="another program").secret)
        assert load(other, MANY[:1_000], key="of-another").status_code == 201
        work_off()
        assert load(program, MANY[:1_000], key="another-large").status_code == 201
        assert len(staged("balances")) == len(MANY) + 2_001
