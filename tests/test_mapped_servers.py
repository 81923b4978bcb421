"""Two bonus servers of different versions of the vendor: each has its own tables and section."""

import pytest
from django.core.management import call_command
from django.urls import reverse

from tests.databases import query, stage
from tests.records import user
from tests.restores import age, say_that_it_is_right
from tests.trace.moving import ACCOUNT, CARD, move
from tests.vendor import mapped
from transfer.engine.kinds import KINDS
from transfer.models import BonusServer, RecurringJob, RejectedRow
from transfer.pages.shown.held import holding
from transfer.rejects.resend import resend
from transfer.runs.recurring import check_tables
from transfer.servers.balances import ask_balances
from transfer.servers.stages import run_stage
from transfer.trace.search import search
from transfer.trace.subject import trace

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("in_english")]

NEWER = "Server 9"
COMMON = """
[balances.bonus_server.columns]
created_at = "created_at"
"""
SECTION = f"""
[servers."{NEWER}".pincodes]
table = "loyalty.pin"
columns = {{ account = "accountNumber", pincode = "code", changed_at = false }}

[servers."{NEWER}".balances]
table = "loyalty.assetRow"
amount = "minor"
sequences = {{ id = "loyalty.assetNumbers" }}

[servers."{NEWER}".balances.columns]
account = "accountNumber"
validfrom = "begin"
validto = false
comment = false
created_at = "date"

[servers."{NEWER}".balances.fixed]
state = "OPEN"

[servers."{NEWER}".cards]
table = "loyalty.card"
columns = {{ card = "number", account = "accountNumber", changed_at = false }}

[servers."{NEWER}".cards.status]
EARN_ONLY = "ACCUMULATE"
EARN_PAY = "ACTIVE"
NO_OPERATION = "BLOCKED"
"""
TABLES = """
create schema loyalty;
create type loyalty."cardStatus" as enum ('ACCUMULATE', 'ACTIVE', 'BLOCKED');
create type loyalty.state as enum ('OPEN', 'CLOSED');
create sequence loyalty."assetNumbers" start 1000;
create table loyalty.pin ("accountNumber" varchar(100) primary key, code varchar(100) not null);
create table loyalty."assetRow" (
    id bigint primary key, "accountNumber" varchar(100) not null, amount bigint not null,
    begin timestamptz, date timestamptz not null, state loyalty.state not null
);
create table loyalty.card (
    number varchar(100) primary key, "accountNumber" varchar(100) not null,
    status loyalty."cardStatus" not null
);
"""
DAY = "2026-01-31 00:00:00+00"


@pytest.fixture
def newer(empty_database):
    """The DSN of the database of a newer version."""
    query(empty_database, TABLES)
    return empty_database


@pytest.fixture
def servers(dock, shop_all, bonus, newer, tmp_path):
    """One has our standard tables, the other those of a newer version, and a section."""
    with mapped(tmp_path / "tables.toml", changed=lambda _: COMMON + SECTION):
        yield dock(bonus), dock(newer, NEWER)


def moved(servers, *kinds):
    for server in servers:
        for kind in kinds:
            assert move(server, kind).error_code == ""


def staged_everywhere(shop_all):
    stage(shop_all, "pincodes", [(ACCOUNT, "7351"), (ACCOUNT, "7352")])
    stage(shop_all, "balances", [(ACCOUNT, "10.50", DAY), (ACCOUNT, 2, None, DAY), ("", 1)])
    stage(shop_all, "cards", [(CARD, ACCOUNT, 2), ("7781", ACCOUNT, 3)])


def balances(server):
    """The amounts on the server, as its table has them."""
    table = 'loyalty."assetRow"' if server.name == NEWER else "asset"
    return [amount for (amount,) in query(server.dsn, f"select amount from {table} order by id")]


def codes(server):
    return sorted(server.rejects.values_list("kind", "code"))


def test_each_server_gets_the_rows_into_its_own_tables(servers, shop_all):
    older, newer = servers
    staged_everywhere(shop_all)
    moved(servers, *KINDS)
    assert query(older.dsn, "select account, pincode from pincode") == [(ACCOUNT, "7352")]
    assert query(newer.dsn, "select * from loyalty.pin") == [(ACCOUNT, "7352")]
    assert balances(older) == [10.5, 2]
    assert query(newer.dsn, 'select id, amount, state from loyalty."assetRow"') == [
        (1000, 1050, "OPEN")
    ]
    assert query(older.dsn, 'select card, status from "cardAccounting" order by 1') == [
        (CARD, 2),
        ("7781", 3),
    ]
    assert query(newer.dsn, "select * from loyalty.card") == [(CARD, ACCOUNT, "BLOCKED")]
    assert codes(older) == [("balances", "account_missing")]
    assert codes(newer) == [
        ("balances", "account_missing"),
        ("balances", "validity_not_held"),
        ("cards", "status_without_word"),
    ]
    call_command("reconcile")


def test_a_row_that_one_version_can_not_hold_is_corrected_for_that_server_alone(
    servers, shop_all, olga, load
):
    older, newer = servers
    load("balances", f"account;amount;validto\n{ACCOUNT};2,00;31.12.2030\n".encode())
    moved(servers, "balances")
    (reject,) = RejectedRow.objects.all()
    assert (reject.server, reject.code) == (newer, "validity_not_held")
    assert resend(RejectedRow.objects.all(), {"validto": None}, olga).sent == 1
    moved(servers, "balances")
    assert (balances(older), balances(newer)) == ([2], [200])
    assert codes(older) == []
    assert [one.code for one in newer.rejects.exclude(state="open")] == ["validity_not_held"]
    call_command("reconcile")
    age(shop_all)
    call_command("purge_staging", "--older-than", "30")
    call_command("reconcile")


def test_the_trace_asks_each_server_for_its_own_tables(servers, shop_all):
    staged_everywhere(shop_all)
    moved(servers, *KINDS)
    RejectedRow.objects.all().delete()  # as after a retention: then the checks say it
    result = trace(ACCOUNT, "account")
    states = {
        (row.kind.name, row.id): [(one.state, one.code) for one in row.deliveries]
        for row in result.rows
    }
    assert states["balances", 1] == [("moved", ""), ("moved", "")]
    assert states["balances", 2] == [("moved", ""), ("rejected", "validity_not_held")]
    assert states["cards", 2] == [("moved", ""), ("rejected", "status_without_word")]
    held = [answer.holding for answer in result.answers]
    assert [(one.has_pin, one.assets, one.total) for one in held] == [
        (True, 2, 12.5),
        (True, 1, 10.5),
    ]
    for answer in result.answers:
        assert "2 – no operations (blocked)" in holding(answer, "account").cards[0]
    assert search(ACCOUNT[:6]).accounts == [ACCOUNT]
    asked = ask_balances([ACCOUNT], 5)
    assert [answer[ACCOUNT] for _, answer in asked] == [10.5, 10.5]


def test_a_restore_of_shop_all_and_a_new_beginning_go_on_at_both(servers, shop_all, copies):
    older, newer = servers
    copies.make(shop_all, "early")
    stage(shop_all, "balances", [("4100", 1)])
    moved(servers, "balances")
    copies.restore(shop_all, "early")
    stage(shop_all, "balances", [("4200", 2)])
    assert move(newer).error_code == "shop_all_went_back"
    say_that_it_is_right()
    moved(servers, "balances")
    assert (balances(older), balances(newer)) == ([1, 2], [100, 200])
    query(newer.dsn, 'delete from loyalty."assetRow"')
    query(newer.dsn, "drop schema datatransfer cascade")
    call_command("begin", NEWER, "balances", "--nothing")
    moved(servers, "balances")
    assert (balances(older), balances(newer)) == ([1, 2], [200])
    call_command("reconcile")


def test_the_connection_test_and_the_doctor_look_at_the_servers_own_tables(servers, capsys):
    older, newer = servers
    named = {server: run_stage("tables", server) for server in servers}
    assert all(result.ok for result in named.values())
    assert "section" not in named[older].sentence
    assert "loyalty.assetRow" in named[newer].sentence
    assert "has a section for this server" in named[newer].sentence
    assert not named[newer].warns
    check_tables(RecurringJob(kind=RecurringJob.Kind.CHECK_TABLES, server=newer))
    query(newer.dsn, 'alter table loyalty."assetRow" drop column state')
    failed = run_stage("tables", newer)
    assert not failed.ok
    assert '"loyalty"."assetRow"' in failed.sentence
    assert "state" in failed.sentence
    query(newer.dsn, 'revoke all on sequence loyalty."assetNumbers" from public')


def test_the_doctor_proposes_a_section_that_can_be_pasted(
    servers, shop_all, newer, tmp_path, capsys
):
    older, server = servers
    call_command("doctor", "--tables", older.name)
    assert [one for one in capsys.readouterr().out.splitlines() if one and one[0] != "#"] == []
    with mapped(tmp_path / "common.toml", changed=lambda _: COMMON):
        call_command("doctor", "--tables", NEWER)
    section = capsys.readouterr().out
    pasted = section.replace('# [servers."Server 9".pincodes]', '[servers."Server 9".pincodes]')
    pasted = pasted.replace('# table = "pincode"', 'table = "loyalty.pin"')
    with mapped(tmp_path / "pasted.toml", changed=lambda _: COMMON + pasted):
        call_command("doctor", "--tables", NEWER)  # knows now which table it is
        section = capsys.readouterr().out
    assert 'table = "loyalty.pin"' in section
    assert (
        "# pincode = …  # no column seems to be it; left: code (character varying(100))" in section
    )
    assert '# state = …  # loyalty.state, must not be null: "OPEN", "CLOSED"' in section
    assert "# id = …  # the key; name the sequence" in section
    assert "There are: loyalty.assetNumbers" in section
    assert '# The table contains: "ACCUMULATE", "ACTIVE", "BLOCKED"' in section
    for asked, answer in {
        "# pincode = …": 'pincode = "code"',
        "# state = …": 'state = "OPEN"',
        "# id = …": 'id = "loyalty.assetNumbers"',
        "# EARN_ONLY = …": 'EARN_ONLY = "ACCUMULATE"',
        "# EARN_PAY = …": 'EARN_PAY = "ACTIVE"',
        "# NO_OPERATION = …": 'NO_OPERATION = "BLOCKED"',
    }.items():
        section = section.replace(asked, answer)
    with mapped(tmp_path / "filled.toml", changed=lambda _: COMMON + section):
        staged_everywhere(shop_all)
        moved(servers, *KINDS)
        assert balances(server) == [1050]
        call_command("doctor", "--tables", NEWER)
        assert "# balances: the file fits as it is." in capsys.readouterr().out


def test_without_its_section_the_server_is_refused_and_nothing_is_moved(
    servers, shop_all, tmp_path
):
    _, newer = servers
    stage(shop_all, "balances", [("4100", 1)])
    with mapped(tmp_path / "common.toml", changed=lambda _: COMMON):
        assert move(newer).error_code == "target_table_missing"
    assert balances(newer) == []
    assert move(newer).error_code == ""
    assert balances(newer) == [100]


def test_a_server_with_a_section_keeps_its_name_until_the_file_has_the_new_one(
    servers, tmp_path, client
):
    _, newer = servers
    client.force_login(user("administrator"))
    client.cookies["django_language"] = "en"

    def rename(name):
        form = client.get(reverse("server_edit", args=[newer.pk])).context["form"]
        given = {one: "" if value is None else value for one, value in form.initial.items()}
        flags = {one: "on" for one, value in given.items() if value is True}
        texts = {one: value for one, value in given.items() if not isinstance(value, bool)}
        url = reverse("server_edit", args=[newer.pk])
        return client.post(url, {**texts, **flags, "name": name})

    refused = rename("Server 10")
    assert "for the name “Server 10” than for “Server 9”" in refused.content.decode()
    assert BonusServer.objects.get(pk=newer.pk).name == NEWER
    both = COMMON + SECTION + SECTION.replace(NEWER, "Server 10")
    with mapped(tmp_path / "both.toml", changed=lambda _: both):
        assert rename("Server 10").status_code == 302
    assert BonusServer.objects.get(pk=newer.pk).name == "Server 10"
