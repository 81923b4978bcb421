"""The staged connection test, with and without JavaScript's part in it; forms and their secrets."""

import re

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection
from django.test import Client
from django.urls import reverse

from tests.databases import connected, run
from tests.servers import misbehaving
from tests.servers.conftest import TOKEN, reference_server
from tests.servers.test_failures import certificate
from tests.servers.test_killed import wait_for
from transfer.models import AccountJob, Actor, AuditEntry, BonusServer
from transfer.pages.audit.words import subject
from transfer.queue.locks import Space
from transfer.servers import stages
from transfer.servers.stages import run_all, run_stage

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin(client: Client) -> Client:
    user = User.objects.create_user("olga")
    user.groups.add(Group.objects.get(name="administrator"))
    client.force_login(user)
    client.cookies["django_language"] = "en"
    return client


def fields(server: BonusServer, **changed) -> dict:
    names = """name host admin_port work_port api_ca db_host db_port db_name db_user db_sslmode"""
    known = {name: getattr(server, name) for name in names.split()}
    return known | {"api_token": "", "db_password": "", "api_verify": "on"} | changed


def test_all_stages_of_a_good_server_pass(docked):
    results = list(run_all(docked))
    assert [one.stage for one in results] == list(stages.STAGES)
    assert all(one.ok for one in results), results
    assert "Бонусный сервер 8" in results[2].sentence


def failing(server: BonusServer):
    *before, last = run_all(server)
    assert all(one.ok for one in before)
    assert not last.ok
    assert last.hint
    return last


def test_it_stops_at_the_first_stage_that_fails(docked):
    docked.host = "no-such-host.invalid"
    assert failing(docked).stage == "name"
    docked.host, docked.work_port = "127.0.0.1", 1
    failed = failing(docked)
    assert (failed.stage, failed.sentence) == (
        "ports",
        "127.0.0.1 refuses connections on port 1.",
    )


def test_over_https_with_a_certificate_of_the_own_authority(docked, bonus_of_reference, tmp_path):
    authority, _context = certificate(tmp_path)
    files = ("--certificate", str(tmp_path / "c.pem"), "--key", str(tmp_path / "c.key"))
    with reference_server(bonus_of_reference, *files) as secured:
        docked.admin_port, docked.work_port = secured.admin_port, secured.work_port
        assert failing(docked).stage == "token", "without HTTPS"
        docked.api_tls = True
        failed = failing(docked)
        assert (failed.stage, failed.sentence) == (
            "token",
            "Nobody trusted has signed the certificate of Бонусный сервер 8.",
        )
        docked.api_ca = authority
        docked.full_clean()
        assert all(one.ok for one in run_all(docked))
        docked.host = "localhost"
        assert "is not for the host localhost" in failing(docked).sentence


def test_a_wrong_token_a_wrong_database_a_wrong_user(docked):
    docked.api_token = "wrong"
    assert failing(docked).stage == "token"
    docked.api_token, docked.db_name = TOKEN, "no_such_database"
    failed = failing(docked)
    assert failed.stage == "login"
    assert failed.sentence.startswith(
        "Бонусный сервер 8: there is no database no_such_database on "
    )


def test_a_silent_database(docked):
    with misbehaving.server(misbehaving.is_silent) as port:
        docked.db_host, docked.db_port, docked.db_sslmode = "127.0.0.1", port, "disable"
        result = run_stage("login", docked, seconds=1)
    assert result.sentence == "Nothing came back within 1 s."


def test_missing_tables(docked, empty_database):
    from transfer.management.commands.add_bonus_server import database_fields

    for name, value in database_fields(empty_database).items():
        setattr(docked, name, value)
    failed = failing(docked)
    assert failed.stage == "tables"
    assert "has no table" in failed.sentence


def test_missing_rights_come_with_the_sql_to_run(docked, bonus_of_reference):
    with connected(bonus_of_reference) as admin:
        run(admin, "drop role if exists dt_reader")
        run(admin, "create role dt_reader login")
        run(admin, "grant select on all tables in schema public to dt_reader")
        docked.db_user = "dt_reader"
        try:
            failed = failing(docked)
        finally:
            run(admin, "drop owned by dt_reader")
            run(admin, "drop role dt_reader")
    assert failed.stage == "rights"
    assert 'grant insert on "asset" to dt_reader;' in failed.hint


def test_the_page_runs_stage_after_stage_and_uses_the_stored_secret(admin, docked):
    url = reverse("server_edit_test", args=[docked.pk])
    asked, stage = [], ""
    for _ in range(10):
        page = admin.post(url, fields(docked) | {"stage": stage}, headers={"HX-Request": "true"})
        text = page.content.decode()
        assert TOKEN not in text
        following = re.search(r'"stage": "(\w+)"', text)
        if following is None:
            break
        stage = following[1]
        asked.append(stage)
    assert asked == list(stages.STAGES)
    assert "may do all" in text


def test_without_javascript_it_is_one_page_and_nothing_is_saved(admin, docked):
    url = reverse("server_edit_test", args=[docked.pk])
    page = admin.post(url, fields(docked, api_token="wrong", name="New name"))
    text = page.content.decode()
    assert "refuses the API token" in text
    assert text.count("not tried") == 3
    docked.refresh_from_db()
    assert (docked.name, docked.api_token) == ("Бонусный сервер 8", TOKEN)


def test_a_form_with_mistakes_is_not_tested(admin):
    page = admin.post(reverse("server_add_test"), {"name": "x"}, headers={"HX-Request": "true"})
    assert "Put these fields right first" in page.content.decode()


def test_the_stored_server_is_tested_on_its_own_page(admin, docked):
    page = admin.post(reverse("server_test", args=[docked.pk]))
    assert "may do all" in page.content.decode()


# --- Dock, change, undock -------------------------------------------------------------------------


def test_docking_encrypts_the_secrets_and_notes_no_secret(admin, docked):
    data = fields(docked, name="Server 9", api_token="t0ken", db_password="s3cret")
    page = admin.post(reverse("server_add"), data)
    server = BonusServer.objects.get(name="Server 9")
    assert page.url == reverse("server", args=[server.pk])
    assert (server.api_token, server.db_password) == ("t0ken", "s3cret")
    assert server.tasks.count() == 3
    with connection.cursor() as cursor:
        cursor.execute("select api_token, db_password from transfer_bonusserver")
        stored = str(cursor.fetchall())
    entry = AuditEntry.objects.about(server).get()
    assert "t0ken" not in stored + str(entry.new)
    assert "s3cret" not in stored + str(entry.new)


def test_an_empty_secret_keeps_the_stored_one_and_no_page_shows_it(admin, docked):
    url = reverse("server_edit", args=[docked.pk])
    assert TOKEN not in admin.get(url).content.decode()
    admin.post(url, fields(docked, name="New name"))
    docked.refresh_from_db()
    assert (docked.name, docked.api_token) == ("New name", TOKEN)
    entry = AuditEntry.objects.about(docked).get()
    assert (entry.old, entry.new) == ({"name": "Бонусный сервер 8"}, {"name": "New name"})


def test_no_certificate_and_a_token_in_russian_are_refused_at_their_fields(admin, docked):
    data = fields(docked, api_ca="hello", api_token="ключ")
    page = admin.post(reverse("server_edit", args=[docked.pk]), data)
    assert set(page.context["form"].errors) == {"api_ca", "api_token"}
    assert "ключ" not in page.content.decode()


def test_undocking_asks_and_keeps_history_rejects_and_audit(admin, docked):
    from transfer.models import RejectedRow, TransferRun
    from transfer.models.run_base import State

    task = docked.tasks.get(kind="balances")
    run = TransferRun.of(task, TransferRun.Trigger.MANUAL)
    run.state = State.REJECTS
    run.save()
    RejectedRow.objects.create(
        run=run,
        server=docked,
        server_name=docked.name,
        kind="balances",
        origin="0" * 32,
        staging_id=1,
        chunk_start=0,
        code="amount_zero",
        payload={},
    )
    url = reverse("server_remove", args=[docked.pk])
    asked = admin.get(url).content.decode()
    assert "The history of its transfers and its rejected rows stay." in asked
    assert BonusServer.objects.exists()
    admin.post(url)
    assert not BonusServer.objects.exists()
    kept = TransferRun.objects.get()
    assert (kept.server, kept.server_name) == (None, "Бонусный сервер 8")
    assert RejectedRow.objects.get().server_name == "Бонусный сервер 8"
    assert subject(AuditEntry.objects.get(action="delete")) == "Бонусный сервер 8"


def test_a_server_is_not_undocked_while_rows_are_moved_to_it(admin, docked):
    from transfer.models import TransferRun

    task = docked.tasks.get(kind="balances")
    TransferRun.of(task, TransferRun.Trigger.MANUAL).start()
    admin.post(reverse("server_remove", args=[docked.pk]))
    assert BonusServer.objects.exists()


def test_nor_while_its_accounts_are_changed_and_passwords_that_wait_are_told_of(
    admin, docked, six, ordered, own_database
):
    ordered("create", six)
    url = reverse("server_remove", args=[docked.pk])
    assert "The passwords of 6 registers have not been taken yet" in admin.get(url).text
    job = AccountJob.order(docked, AccountJob.Action.BLOCK, [six[0].pk], Actor("olga"))
    with connected(own_database) as worker:
        run(worker, "select pg_advisory_lock(%s, %s)", [Space.ACCOUNT_JOB, job.pk])
        page = admin.post(url, follow=True)
    assert "Accounts of registers are being changed on it." in page.text
    assert BonusServer.objects.exists()
    wait_for(lambda: admin.post(url) and not BonusServer.objects.exists())


def test_a_token_that_was_refused_leaves_the_stored_ones_readable(admin, docked):
    admin.post(reverse("server_edit", args=[docked.pk]), fields(docked, api_token="ключ"))
    docked.refresh_from_db()
    assert docked.api_token == TOKEN
