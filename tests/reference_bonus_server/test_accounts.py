import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import httpx2
import pytest

from tests.reference_bonus_server.conftest import account, calling, refused

OF_THE_SOURCE_DOCUMENT = [
    ("10.152", "1"),
    ("10.72", "1"),
    ("Касса 10.50", "1"),
    ("Касса 10.52", "1"),
    ("Касса 17", "111"),
    ("Касса 2", "111"),
]


def test_status_shows_name_version_time_and_counts(admin, db):
    account(admin)
    db.card("1001", "a1", 1, balance=5)
    db.pin("a1", "1234")
    status = admin.get("/status").json()
    assert status["name"] == "Бонусный сервер 8"
    assert status["version"] == "1.0"
    assert datetime.fromisoformat(status["time"]).tzinfo
    assert status["counts"] == {"accounts": 1, "blocked": 0, "cards": 1, "pins": 1, "assets": 1}


def test_a_large_table_is_counted_by_estimate(admin, db):
    db.run("update pg_class set reltuples = 150000 where oid = 'asset'::regclass")
    assert admin.get("/status").json()["counts"]["assets"] == 150000
    db.run("analyze asset")
    assert admin.get("/status").json()["counts"]["assets"] == 0


@pytest.mark.parametrize(
    ("path", "header"),
    [("/accounts", header) for header in (None, "", "Bearer", "Bearer wrong", "Bearer \xff\xfe")]
    + [("/status", "Basic dG9rZW4="), ("/accounts/1/block", None), ("/nowhere", None)],
)
def test_nothing_is_reached_without_the_token(served, path, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    answer = httpx2.get(served.admin_url + path, headers=headers, trust_env=False)
    assert refused(answer, 401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_new_account_shows_its_secret_once_and_stores_it_only_hashed(admin, db):
    made = account(admin, "Касса 17", "111")
    assert (made["register"], made["shop"], made["name"]) == ("Касса 17", "111", "Касса 17")
    assert made["last_seen"] is None
    assert made["blocked"] is False
    assert len(made["secret"]) == 20
    assert not set("ilIoO01") & set(made["secret"] + made["login"])  # typed at a till
    (listed,) = admin.get("/accounts").json()["accounts"]
    assert listed == {name: made[name] for name in made if name != "secret"}
    (stored,) = db.run("select row_to_json(register_account)::text from register_account")
    assert made["secret"] not in stored[0]


def test_of_simultaneous_requests_for_a_register_one_gets_the_account(admin):
    body = {"register": "10.152", "shop": "1", "name": "10.152"}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: admin.post("/accounts", json=body), range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert refused(admin.post("/accounts", json={**body, "shop": "2"}), 409, "register_exists")
    assert [listed["shop"] for listed in admin.get("/accounts").json()["accounts"]] == ["1"]


def test_registers_of_the_source_document_can_be_blocked_and_deleted_by_name(admin):
    for name, shop in OF_THE_SOURCE_DOCUMENT:
        account(admin, name, shop)
    for name, _ in OF_THE_SOURCE_DOCUMENT:
        blocked = admin.post(f"/accounts/{name}/block")
        assert (blocked.status_code, blocked.json()["register"]) == (200, name)
        assert admin.delete(f"/accounts/{name}").status_code == 204
    assert admin.get("/accounts").json() == {"accounts": [], "next": None}


def test_a_deleted_account_is_no_longer_let_in_and_a_new_one_has_other_credentials(admin, served):
    old = account(admin)
    answer = admin.delete("/accounts/10.152")
    assert (answer.status_code, answer.content) == (204, b"")
    new = account(admin)
    assert new["login"] != old["login"]
    with calling(served.work_url, old) as client:
        assert refused(client.get("/cards/1"), 401, "unauthorized")
    with calling(served.work_url, new) as client:
        assert refused(client.get("/cards/1"), 404, "card_unknown")


def test_a_blocked_register_is_refused_until_it_is_unblocked(admin, register, db):
    db.card("1001", "a1", 1)
    for _ in range(2):
        assert admin.post("/accounts/10.152/block").json()["blocked"] is True
    assert refused(register.get("/cards/1001"), 403, "register_blocked")
    assert admin.get("/status").json()["counts"]["blocked"] == 1
    assert admin.post("/accounts/10.152/unblock").json()["blocked"] is False
    assert register.get("/cards/1001").status_code == 200


@pytest.mark.parametrize("name", ["unknown", "a%00b", "%FF"])
def test_a_register_without_an_account_can_be_neither_blocked_nor_deleted(admin, name):
    assert refused(admin.delete(f"/accounts/{name}"), 404, "register_unknown")
    assert refused(admin.post(f"/accounts/{name}/block"), 404, "register_unknown")


@pytest.mark.parametrize(
    ("field", "value"),
    [("register", value) for value in (None, "", " a", 7, [], "x" * 101, "a\0b", "\ud800")]
    + [("register", name) for name in ("a/b", ".", "..")]
    + [("shop", {}), ("name", "a\nb")],
)
def test_a_field_of_an_account_that_is_no_plain_text_for_a_url_is_refused(admin, field, value):
    body = {"register": "r", "shop": "s", "name": "n", field: value}
    answer = admin.post("/accounts", content=json.dumps(body).encode())
    assert refused(answer, 400, "bad_field")
    assert f'"{field}"' in answer.json()["message"]


def test_five_thousand_accounts_are_listed_page_by_page_or_at_once(admin, db):
    db.run(
        "insert into register_account (register, shop, name, login, secret_digest, blocked) "
        "select 'Касса ' || n, n % 100, n, 'r' || n, '', false from generate_series(1, 5000) n"
    )
    names, after = [], ""
    while after is not None:
        page = admin.get("/accounts", params={"limit": "1999", "after": after}).json()
        names += [listed["register"] for listed in page["accounts"]]
        after = page["next"]
    assert len(names) == len(set(names)) == 5000
    page = admin.get("/accounts", params={"limit": "5000"}).json()
    assert (len(page["accounts"]), page["next"]) == (5000, None)
    assert len(admin.get("/accounts").json()["accounts"]) == 1000


def test_a_page_that_can_not_be_is_refused(admin):
    for query in ("limit=0", "limit=5001", "limit=x", "limit=", "limit=-1", "limit=٣", "after=%00"):
        assert refused(admin.get(f"/accounts?{query}"), 400, "bad_field")
