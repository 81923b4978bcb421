"""doctor: a line for everything that can be wrong, and what to do."""

import grp
import os
import socket
import tempfile
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from django_tasks_db.models import DBTaskResult
from psycopg2.extensions import parse_dsn

from tests.administrator import remove_role
from tests.certificates import certificate
from tests.databases import (
    WORKER,
    as_url,
    initialise_shop_all,
    migrate_bonus_server,
    query,
    stage,
)
from tests.flow import Flow
from tests.reference_server import reference_server
from transfer.doctor import databases
from transfer.engine import mapping_file as mapping
from transfer.engine.kinds import KINDS
from transfer.engine.postgres.database import Database
from transfer.models import AuditEntry, Heartbeat, LogPlace, Recipient, RecurringJob
from transfer.parties import SHOP_ALL
from transfer.problems.find import problems
from transfer.problems.kinds import Code
from transfer.queue.jobs import work_off
from transfer.queue.residents import Workers
from transfer.runs import recurring

pytestmark = [
    pytest.mark.long,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("in_english"),
]


def test_a_sound_installation_has_a_good_line_for_each_thing(doctor, installation):
    code, lines = doctor()
    assert [line for line in lines.values() if line["state"] == "failed"] == []
    assert code == 0
    assert "clock in step" in lines["Our own database", "Server"]["sentence"]
    assert lines["shop All", "Rights"]["state"] == "ok"
    assert lines["Бонусный сервер 8", "Database server"]["state"] == "ok"
    assert lines["Schedule", "Look"]["sentence"].startswith("here: run_due_tasks looked")


def test_a_missing_right_is_named(doctor, installation, shop_all, settings):
    query(shop_all, "drop role if exists doctors_patient")
    query(
        shop_all, "create role doctors_patient login; grant usage on schema datatransfer to public"
    )
    query(shop_all, 'grant select on "accountpincodeTemp" to doctors_patient')
    settings.SHOP_ALL_DATABASE_URL = f"{shop_all} user=doctors_patient"
    _code, lines = doctor()
    query(shop_all, "drop owned by doctors_patient; drop role doctors_patient")
    sentence = lines["shop All", "Rights"]["sentence"]
    assert 'SELECT "public"."changeAccountBalanceTemp"' in sentence
    assert "INSERT datatransfer.log" in sentence
    assert "INSERT datatransfer.origin" not in sentence
    assert 'SELECT "public"."accountpincodeTemp"' not in sentence


def test_who_may_create_objects_in_a_schema_that_our_role_searches_is_named(
    doctor, installation, shop_all
):
    assert doctor()[1]["shop All", "Schemas"]["sentence"] == (
        "Only owners may create objects in public."
    )
    query(shop_all, "grant create on schema public to public")
    _code, lines = doctor()
    line = lines["shop All", "Schemas"]
    assert line["state"] == "warns"
    assert "public (PUBLIC)" in line["sentence"]


class TestConnections:
    """How many our role may have at once: a run uses two to each of its databases."""

    @pytest.fixture
    def mover(self, shop_all):
        """The name of a role that is no superuser, on the server of all test databases."""
        mover = f"doctors_limited_{WORKER}"
        remove_role(shop_all, mover)
        query(shop_all, f"create role {mover} login")
        yield mover
        remove_role(shop_all, mover)

    @pytest.fixture
    def limit(self, shop_all):
        """Sets the limit of the database, and takes it back."""
        statement = "alter database {} connection limit {}"
        name = parse_dsn(shop_all)["dbname"]
        yield lambda most: query(shop_all, statement.format(name, most))
        query(shop_all, statement.format(name, -1))

    def tried(self, shop_all, mover, tasks=1):
        asked = Database(f"{shop_all} user={mover}", SHOP_ALL, "tests", secret=False)
        return databases.try_connections(asked, tasks)

    def test_a_role_that_may_have_one_is_named_with_the_statement(self, db, shop_all, mover):
        query(shop_all, f"alter role {mover} connection limit 1")
        passed = self.tried(shop_all, mover)
        assert passed.warns
        said = passed.sentence % passed.params
        assert "up to 2 connections here at once, two each, but the limit is 1." in said
        assert said.endswith(f"removed: alter role {mover} connection limit -1;")

    def test_two_are_enough_for_one_run(self, db, shop_all, mover):
        query(shop_all, f"alter role {mover} connection limit 2")
        assert not self.tried(shop_all, mover).warns
        assert not self.tried(shop_all, mover, tasks=3).warns  # without a worker, one at a time

    def test_each_run_that_may_be_under_way_counts(self, db, docked, shop_all, mover, monkeypatch):
        query(shop_all, f"alter role {mover} connection limit 5")
        monkeypatch.setattr(databases, "count_workers", lambda: Workers(resident=2))
        assert not self.tried(shop_all, mover, tasks=9).warns
        monkeypatch.setattr(databases, "count_workers", lambda: Workers(resident=3))
        assert not self.tried(shop_all, mover, tasks=2).warns
        assert self.tried(shop_all, mover, tasks=9).params["needed"] == 6
        docked.tasks.update(enabled=True, as_rows_arrive=True)
        assert self.tried(shop_all, mover, tasks=9).params["needed"] == 14

    def test_the_limit_of_the_database_counts_as_well(
        self, db, shop_all, mover, limit, monkeypatch
    ):
        monkeypatch.setattr(databases, "count_workers", lambda: Workers(resident=5))
        limit(9)
        passed = self.tried(shop_all, mover, tasks=5)
        name = parse_dsn(shop_all)["dbname"]
        assert passed.params["statements"] == f"alter database {name} connection limit -1;"
        query(shop_all, f"alter role {mover} connection limit 7")
        passed = self.tried(shop_all, mover, tasks=5)
        assert (passed.params["limit"], passed.params["statements"].count(";")) == (7, 2)

    def test_a_superuser_has_no_limit(self, db, shop_all, limit, monkeypatch):
        monkeypatch.setattr(databases, "count_workers", lambda: Workers(resident=5))
        limit(9)
        assert not databases.try_connections(databases.shop_all().database, 5).warns

    def test_doctor_says_it_of_shop_all_and_of_each_server(
        self, doctor, installation, shop_all, mover, settings, monkeypatch
    ):
        query(shop_all, f"alter role {mover} connection limit 5")
        monkeypatch.setattr(databases, "count_workers", lambda: Workers(resident=3))
        settings.SHOP_ALL_DATABASE_URL = f"{shop_all} user={mover}"
        installation.db_user = mover
        installation.save()
        _code, lines = doctor()
        for area in ("shop All", installation.name):
            line = lines[area, "Connections"]
            assert (line["state"], "the limit is 5." in line["sentence"]) == ("warns", True)


def test_a_silent_schedule_fails(doctor, installation):
    Heartbeat.objects.update(at=timezone.now() - timedelta(hours=2))
    code, lines = doctor()
    assert code == 1
    sentence = lines["Schedule", "Look"]["sentence"]
    assert sentence.startswith("The scheduler has been silent since")
    assert "See whether cron is up" in lines["Schedule", "Look"]["hint"]


def test_a_certificate_that_ends_soon_is_a_warning(
    doctor, installation, bonus_of_reference, tmp_path
):
    authority, _context = certificate(tmp_path)  # for a day
    files = ("--certificate", str(tmp_path / "c.pem"), "--key", str(tmp_path / "c.key"))
    with reference_server(bonus_of_reference, *files) as secured:
        installation.admin_port, installation.work_port = secured.admin_port, secured.work_port
        installation.api_tls, installation.api_ca = True, authority
        installation.save()
        code, lines = doctor()
    assert code == 0
    assert lines["Бонусный сервер 8", "Certificate"]["state"] == "warns"


def test_a_mapping_is_proposed_that_fits_the_tables_but_for_what_nobody_can_guess(
    vendor, dock, capsys, tmp_path
):
    flow = vendor("balances")
    dock(flow.bonus)
    query(
        flow.bonus,
        'insert into "cardAccounting" (number, status, "accountNumber", "blockedBy") '
        "values ('1', 'ACTIVE', 'a', '')",
    )
    call_command("doctor", "--tables")
    out = capsys.readouterr().out
    file = tmp_path / "proposed.toml"
    file.write_text(out)
    kinds = mapping.read(str(file)).common
    assert kinds["pincodes"].bonus_server.table == "accountPin"  # no other has what it needs
    assert kinds["pincodes"].bonus_server.columns == {
        "account": "accountNumber",
        "pincode": "pin",
        "changed_at": None,
    }
    balances = kinds["balances"].bonus_server
    assert (balances.table, balances.is_minor) == ("asset", True)
    assert balances.columns == {
        "account": "accountNumber",
        "validfrom": "begin",
        "validto": None,
        "comment": "note",
        "created_at": "date",
    }
    assert kinds["cards"].bonus_server.columns["card"] == "number"
    assert '# The table contains: "ACTIVE"' in out
    assert "# assetGroupId = …  # integer, must not be null" in out


def test_where_our_own_tables_are_nothing_is_proposed(shop_all, bonus, dock, capsys, tmp_path):
    dock(bonus)
    call_command("doctor", "--tables")
    file = tmp_path / "proposed.toml"
    file.write_text(capsys.readouterr().out)
    kinds = mapping.read(str(file)).common
    for name, kind in KINDS.items():
        for side in ("shop_all", "bonus_server"):
            proposed = getattr(kinds[name], side)
            assert (proposed.table, proposed.columns) == (getattr(kind, side).table, {})
            assert (proposed.is_minor, proposed.words, proposed.fixed) == (False, {}, {})


def test_for_people_each_line_is_marked_and_failures_have_a_hint(installation, shop_all, capsys):
    query(shop_all, "drop table datatransfer.dependent")
    with pytest.raises(SystemExit):
        call_command("doctor")
    out = capsys.readouterr().out
    assert "✓ Our own database · Migrations: All migrations are applied." in out
    assert "✗ shop All · Tables: " in out
    assert "\n    Run: manage.py init_shop_all" in out


def test_without_worker_the_queue_is_a_warning_and_what_waits_in_it_a_fault(doctor, installation):
    Heartbeat.objects.all().delete()
    Heartbeat.beat("here: run_due_tasks --no-drain")
    code, lines = doctor()
    line = lines["Schedule", "Queue"]
    assert (code, line["state"]) == (0, "warns")
    assert "There is no background worker" in line["sentence"]
    work_off.enqueue("transferrun", 1)
    DBTaskResult.objects.update(enqueued_at=timezone.now() - timedelta(seconds=40))
    code, lines = doctor()
    line = lines["Schedule", "Queue"]
    assert (code, line["state"]) == (1, "failed")
    assert "Jobs have waited in the queue since" in line["sentence"]


AWAY = "postgresql://127.0.0.1:1/x"


def failed(lines):
    return [key for key, one in lines.items() if one["state"] == "failed"]


def test_a_database_that_does_not_answer_is_one_line(doctor, installation, settings):
    settings.SHOP_ALL_DATABASE_URL = AWAY
    _code, lines = doctor()
    assert failed(lines) == [("shop All", "Server")]


def test_our_own_database_away_is_one_line(manage, environment):
    environment["DATABASE_URL"] = AWAY
    done = manage("doctor")
    said, _errors = done.communicate()
    assert done.returncode == 1
    assert lines_that_failed(said) == [
        "✗ Our own database · Server: Data Transfer's own database does not answer: nothing "
        "listens at 127.0.0.1, port 1."
    ]
    assert "Traceback" not in said


def test_another_database_of_the_product_is_not_taken_for_shop_all(
    doctor, installation, settings, bonus, own_database
):
    for dsn, which in ((bonus, "a bonus server’s"), (own_database, "our own")):
        settings.SHOP_ALL_DATABASE_URL = dsn
        _code, lines = doctor()
        assert failed(lines)[0] == ("shop All", "Server")
        line = lines["shop All", "Server"]
        assert line["sentence"] == f"SHOP_ALL_DATABASE_URL names another database: {which}."
        assert "init_shop_all" not in line["hint"]


def test_another_database_is_not_taken_for_our_own(
    manage, environment, shop_all, bonus, empty_database
):
    query(empty_database, "create table customers (id bigint)")
    for dsn, which in (
        (shop_all, "shop All’s"),
        (bonus, "a bonus server’s"),
        (empty_database, "another program’s"),
    ):
        environment["DATABASE_URL"] = as_url(dsn)
        said, _errors = manage("doctor").communicate()
        assert lines_that_failed(said)[0] == (
            f"✗ Our own database · Server: DATABASE_URL names another database: {which}."
        )
        assert "Run: manage.py migrate" not in said


def test_missing_rights_in_our_own_database_are_one_line(
    manage, environment, own_database, empty_database
):
    query(empty_database, "drop role if exists doctors_guest; create role doctors_guest login")
    environment["DATABASE_URL"] = as_url(f"{own_database} user=doctors_guest")
    said, errors = manage("doctor").communicate()
    query(empty_database, "drop role doctors_guest")
    (line,) = lines_that_failed(said)
    assert line.startswith(
        "✗ Our own database · Server: Data Transfer's own database: the user doctors_guest lacks "
        "these rights: DELETE "
    )
    assert line.endswith(", ….")  # not all two hundred
    assert "Name the user who owns the tables in DATABASE_URL" in said
    assert "unexpected" not in said + errors


def test_a_database_that_takes_no_more_connections_is_one_line(
    manage, environment, own_database, empty_database
):
    query(empty_database, "drop role if exists doctors_guest")
    query(empty_database, "create role doctors_guest login connection limit 0")
    environment["DATABASE_URL"] = as_url(f"{own_database} user=doctors_guest")
    said, _errors = manage("doctor").communicate()
    query(empty_database, "drop role doctors_guest")
    assert lines_that_failed(said) == [
        "✗ Our own database · Server: Data Transfer's own database takes no more connections."
    ]
    assert "raise max_connections" in said
    assert 'too many connections for role "doctors_guest"' in said


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_our_own_database_in_another_encoding_is_one_line(
    manage, environment, in_encoding, encoding
):
    environment["DATABASE_URL"] = as_url(in_encoding(encoding))
    said, _errors = manage("doctor").communicate()
    assert lines_that_failed(said) == [
        "✗ Our own database · Server: Data Transfer's own database has the encoding "
        f"{encoding}, and needs UTF8."
    ]
    assert "createdb --encoding=UTF8 --template=template0" in said


@pytest.mark.parametrize(
    ("encoding", "state", "sentence"),
    [
        ("LATIN1", "failed", "The database of shop All has the encoding LATIN1."),
        ("WIN1251", "warns", "has the encoding WIN1251, which lacks characters."),
        ("SQL_ASCII", "warns", "programs that write there have to write UTF-8."),
    ],
)
def test_shop_all_in_another_encoding_is_named(
    doctor, installation, settings, in_encoding, encoding, state, sentence
):
    settings.SHOP_ALL_DATABASE_URL = in_encoding(encoding)
    initialise_shop_all(settings.SHOP_ALL_DATABASE_URL)
    code, lines = doctor()
    line = lines["shop All", "Server"]
    assert (line["state"], sentence in line["sentence"]) == (state, True)
    assert failed(lines) == ([("shop All", "Server")] if code else [])


def test_a_bonus_server_in_another_encoding_is_named(doctor, shop_all, in_encoding, dock):
    dsn = in_encoding("KOI8R")
    migrate_bonus_server(dsn)
    dock(dsn)
    line = doctor()[1]["Бонусный сервер 8", "Database server"]
    assert (line["state"], line["sentence"]) == (
        "failed",
        "The database of Бонусный сервер 8 has the encoding KOI8R.",
    )
    assert "Move it into a database with UTF8." in line["hint"]


def lines_that_failed(said):
    return [line for line in said.splitlines() if line.startswith("✗")]


@pytest.mark.parametrize(
    ("migration", "sentence", "hint"),
    [
        ("9999_later", "transfer.9999_later", ""),
        ("0002_users", "Data Transfer 0.1.0 made our own database.", "make forget"),
    ],
)
def test_a_schema_of_another_version_fails_and_nothing_else_is_looked_at(
    doctor, installation, migration, sentence, hint
):
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into django_migrations (app, name, applied) values ('transfer', %s, now())",
            [migration],
        )
    code, lines = doctor()
    with connection.cursor() as cursor:
        cursor.execute("delete from django_migrations where name = %s", [migration])
    assert (code, failed(lines)) == (1, [("Our own database", "Migrations")])
    line = lines["Our own database", "Migrations"]
    assert sentence in line["sentence"]
    assert hint in line["hint"]


def test_cron_and_a_service_on_one_machine_are_a_warning(doctor, installation):
    Heartbeat.beat("here: run_scheduler")
    code, lines = doctor()
    line = lines["Schedule", "Look"]
    assert [one for one in lines.values() if one["state"] == "failed"] == []
    assert (code, line["state"]) == (0, "warns")
    assert "On here both cron and a service" in line["sentence"]
    assert [one for one in lines if one[0] == "Problems"] == []


class Another(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>another program</html>")

    def log_message(self, *_arguments):
        pass


def answering(status, headers=()):
    class Answering(Another):
        def do_GET(self):
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()

    return Answering


@pytest.mark.parametrize(
    ("handler", "sentence", "hint"),
    [
        (Another, "another program answers (HTTP 200)", "SITE_URL"),
        (answering(502), "the proxy answers (HTTP 502), and the pages behind it do not.", ""),
        (
            answering(400, [("X-Request-ID", "1")]),
            "The pages refuse to be called http://127.0.0.1",
            "ALLOWED_HOSTS",
        ),
    ],
)
def test_another_program_a_proxy_without_pages_and_a_refused_name_are_told_apart(
    doctor, installation, settings, handler, sentence, hint
):
    with HTTPServer(("127.0.0.1", 0), handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        settings.SITE_URL = f"http://127.0.0.1:{other.server_port}"
        _code, lines = doctor()
        job = RecurringJob.objects.create(kind="check_pages")
        job.do(lambda: recurring.work(job, None))
        other.shutdown()
    assert failed(lines) == [("Pages", "Address")]
    assert sentence in lines["Pages", "Address"]["sentence"]
    assert hint in lines["Pages", "Address"]["hint"]
    (problem,) = [one for one in problems() if one.code == Code.PAGES]
    assert sentence.rstrip(".") in problem.sentence


def test_pages_that_are_not_started_are_a_warning_that_says_how_to_start_them(
    doctor, installation, settings
):
    settings.SITE_URL = "http://127.0.0.1:1"
    line = doctor()[1]["Pages", "Address"]
    assert (line["state"], line["sentence"]) == (
        "warns",
        "The pages do not answer at http://127.0.0.1:1: nothing listens there. "
        "Start them: gunicorn",
    )


@pytest.mark.parametrize(
    "address", ["dtadmin.shop.local", "http://dtadmin:port", "ftp://dtadmin.shop.local"]
)
def test_what_is_no_address_of_pages_is_named(doctor, installation, settings, address):
    settings.SITE_URL = address
    _code, lines = doctor()
    assert failed(lines) == [("Pages", "Address")]
    line = lines["Pages", "Address"]
    assert line["sentence"] == f"SITE_URL is not an address of pages: {address}."
    job = RecurringJob.objects.create(kind="check_pages")
    job.do(lambda: recurring.work(job, None))
    (problem,) = [one for one in problems() if one.code == Code.PAGES]
    assert "SITE_URL is not an address of pages" in problem.sentence


@pytest.fixture
def proxys_socket(settings):
    """The socket that a proxy of this machine opens, in a folder with a short name."""
    with tempfile.TemporaryDirectory(prefix="dt") as folder, socket.socket(socket.AF_UNIX) as made:
        settings.BEHIND_PROXY = "unix"
        settings.PROXY_SOCKET = Path(folder) / "web.sock"
        made.bind(str(settings.PROXY_SOCKET))
        yield settings.PROXY_SOCKET


def test_a_socket_of_the_proxy_that_all_accounts_may_open_fails(
    doctor, installation, proxys_socket
):
    proxys_socket.chmod(0o660)
    line = doctor()[1]["Pages", "Proxy"]
    assert line["state"] == "ok"
    assert f"Only the group {grp.getgrgid(os.getegid()).gr_name}" in line["sentence"]
    proxys_socket.chmod(0o666)
    line = doctor()[1]["Pages", "Proxy"]
    assert line["state"] == "failed"
    assert "SocketMode=0660" in line["hint"]


def test_a_socket_of_the_proxy_that_is_not_there_is_a_warning(doctor, installation, proxys_socket):
    proxys_socket.unlink()
    line = doctor()[1]["Pages", "Proxy"]
    assert (line["state"], f"{proxys_socket} is not there" in line["sentence"]) == ("warns", True)


@pytest.mark.parametrize(("network", "state"), [("127.0.0.1", "warns"), ("10.0.0.5", "ok")])
def test_a_proxy_by_the_address_of_this_machine_is_a_warning_of_the_package(
    doctor, installation, settings, network, state
):
    settings.SYSTEMD = True
    settings.BEHIND_PROXY = [ip_network(network)]
    assert doctor()[1]["Pages", "Proxy"]["state"] == state


def test_a_service_of_the_package_that_has_failed_is_named(
    doctor, installation, settings, tmp_path, monkeypatch
):
    """As systemctl of systemd 257 lists it; the program itself is not on this machine."""
    listed = "dtadmin-web.socket loaded failed failed Data Transfer: where its pages are asked for"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "{listed}"\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings.SYSTEMD = True
    line = doctor()[1]["This machine", "Services"]
    assert (line["state"], line["sentence"]) == (
        "failed",
        "These services have failed: dtadmin-web.socket.",
    )
    assert "systemctl status dtadmin-web.socket" in line["hint"]


def test_a_systemd_that_does_not_answer_is_no_sign_that_no_service_has_failed(
    doctor, installation, settings, tmp_path, monkeypatch
):
    """As systemctl of systemd 257 answers other users than root where dbus is not installed."""
    cause = "Failed to connect to system scope bus via local transport: No such file or directory"
    (tmp_path / "systemctl").write_text(f'#!/bin/sh\necho "{cause}" >&2\nexit 1\n')
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    settings.SYSTEMD = True
    line = doctor()[1]["This machine", "Services"]
    assert line["state"] == "warns"
    assert cause in line["sentence"]
    assert "Install dbus, or ask as root: systemctl --failed" in line["sentence"]


def test_a_bonus_server_whose_secrets_can_not_be_read_is_one_line(doctor, installation):
    with connection.cursor() as cursor:  # as another SECRET_KEY had encrypted it
        cursor.execute("update transfer_bonusserver set db_password = 'gAAAAAbyanotherkey'")
    _code, lines = doctor()
    assert failed(lines) == [("Бонусный сервер 8", "API token")]


def test_a_mail_server_that_does_not_answer_fails_if_someone_is_notified_by_mail(
    doctor, installation, settings
):
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert failed(doctor()[1]) == []
    Recipient.objects.create(name="Olga", channel="mail", address="olga@shop")
    _code, lines = doctor()
    assert failed(lines) == [("Pages", "Mail")]
    assert "The mail server 127.0.0.1 does not answer" in lines["Pages", "Mail"]["sentence"]


def test_an_old_backup_is_a_warning(doctor, installation, settings):
    line = doctor()[1]["Our own database", "Backup"]
    assert (line["state"], line["sentence"]) == (
        "warns",
        "There is no backup yet. Make one: manage.py backup FILE",
    )
    settings.BACKUP_FOLDER = "/var/backups"
    said = doctor()[1]["Our own database", "Backup"]["sentence"]
    assert said.endswith("Make one: manage.py backup")
    settings.BACKUP_FOLDER = ""
    made = {"who": "ivan", "action": "backup", "new": {"bytes": 1}}
    AuditEntry.objects.create(**made, at=timezone.now() - timedelta(days=8))
    line = doctor()[1]["Our own database", "Backup"]
    assert (line["state"], "8 days ago" in line["sentence"]) == ("warns", True)
    AuditEntry.objects.create(**made, at=timezone.now() - timedelta(days=3))
    assert doctor()[1]["Our own database", "Backup"]["state"] == "ok"
    settings.BACKUP_FOLDER = "/var/backups"  # one a night
    assert doctor()[1]["Our own database", "Backup"]["state"] == "warns"


def test_a_postgresql_newer_than_those_tested_is_named(shop_all, monkeypatch):
    monkeypatch.setattr(databases, "NEWEST", databases.OLDEST)
    passed = databases.try_server(databases.shop_all().database)
    assert passed.warns
    assert "is newer than those that Data Transfer is tested with" in passed.sentence


def test_another_chains_shop_all_is_named(doctor, installation, shop_all):
    LogPlace.objects.create(
        origin=uuid4(), kind="balances", number=7, mark=uuid4(), seen_at=timezone.now()
    )
    code, lines = doctor()
    assert (code, failed(lines)) == (1, [("shop All", "Chain")])
    assert "that of another chain" in lines["shop All", "Chain"]["sentence"]
    (origin,) = query(shop_all, "select origin from datatransfer.origin")[0]
    LogPlace.objects.update(origin=origin)
    assert failed(doctor()[1]) == []


def test_a_unique_key_over_values_is_a_remark(doctor, installation, shop_all):
    query(
        shop_all,
        'create unique index once on "changeAccountBalanceTemp" (account, amount, validfrom)',
    )
    code, lines = doctor()
    line = lines["shop All", "Tables"]
    assert (code, line["state"]) == (0, "warns")
    assert "takes no second row with the same values, by its index public.once" in line["sentence"]


def test_published_staging_tables_are_said_with_what_a_move_by_replication_needs(
    doctor, installation, shop_all
):
    query(shop_all, 'create publication elsewhere for table "changeAccountBalanceTemp"')
    query(shop_all, 'alter table "changeAccountBalanceTemp" replica identity full')
    line = doctor()[1]["shop All", "Tables"]
    assert line["state"] == "ok"
    assert "are published (elsewhere)" in line["sentence"]
    assert "run init_shop_all there after the switch" in line["sentence"]


def test_sizes_and_the_lifetime_of_lines_are_said(doctor, installation, shop_all, bonus):
    stage(shop_all, "balances", [("4100", 5)])
    Flow("balances", shop_all, bonus).move()
    _code, lines = doctor()
    line = lines["shop All", "Log"]
    assert line["state"] == "ok"
    assert "Lines are kept for 60 days" in line["sentence"]
    assert "Receipts and exceptions: about" in lines["Бонусный сервер 8", "Receipts"]["sentence"]


def test_a_backup_that_is_older_than_the_lines_are_kept_is_a_warning(
    doctor, installation, settings, tmp_path
):
    settings.BACKUP_FOLDER = str(tmp_path)
    file = tmp_path / "dtadmin-2026-01-01-030000.dump"
    file.touch()
    os.utime(file, (0, (timezone.now() - timedelta(days=59)).timestamp()))
    assert doctor()[1]["shop All", "Log"]["state"] == "ok"
    os.utime(file, (0, (timezone.now() - timedelta(days=61)).timestamp()))
    line = doctor()[1]["shop All", "Log"]
    assert line["state"] == "warns"
    assert "the folder of backups has one of" in line["sentence"]
