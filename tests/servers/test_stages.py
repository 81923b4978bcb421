"""The stages of the connection test: each says what it found, and the first that fails ends it."""

import pytest

from tests import misbehaving
from tests.certificates import certificate
from tests.databases import connected, run
from tests.reference_server import TOKEN, reference_server
from transfer.models import BonusServer
from transfer.servers import stages
from transfer.servers.stages import run_all, run_stage

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("in_english")]


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
        f"Server “{docked.name}” does not answer: nothing listens at 127.0.0.1, port 1.",
    )


def test_the_service_port_entered_as_the_administration_port_is_recognised(docked):
    docked.admin_port = docked.work_port
    failed = failing(docked)
    assert (failed.stage, failed.error_code) == ("ports", "api_service_port")
    assert failed.sentence == (
        f"Бонусный сервер 8: port {docked.work_port} is the service port, where registers log in."
    )


def test_the_administration_port_entered_as_the_service_port_is_recognised(docked):
    docked.work_port = docked.admin_port
    failed = failing(docked)
    assert (failed.stage, failed.error_code) == ("ports", "api_admin_port")
    assert not failed.may_swap_ports


def test_swapped_ports_are_recognised_also_over_https_and_no_token_is_sent(
    docked, bonus_of_reference, tmp_path
):
    certificate(tmp_path)
    files = ("--certificate", str(tmp_path / "c.pem"), "--key", str(tmp_path / "c.key"))
    with reference_server(bonus_of_reference, *files) as secured:
        docked.api_tls, docked.host = True, "127.0.0.1"
        docked.admin_port, docked.work_port = secured.work_port, secured.admin_port
        failed = failing(docked)
    assert (failed.stage, failed.error_code) == ("ports", "api_ports_swapped")
    assert failed.may_swap_ports
    assert f"{docked.admin_port} is the service port" in failed.sentence


def test_another_program_on_the_service_port_is_not_judged(docked):
    with misbehaving.server(misbehaving.speaks_garbage) as docked.work_port:
        assert run_stage("ports", docked).ok


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
            "The certificate of Бонусный сервер 8 is not signed by an authority that is trusted "
            "here.",
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
    assert failed.sentence.endswith(" has no database no_such_database.")


def test_a_missing_token_is_said_and_the_database_is_tried_all_the_same(docked):
    docked.api_token = ""
    results = {one.stage: one for one in run_all(docked)}
    assert list(results) == list(stages.STAGES)
    assert all(one.ok for one in results.values())
    assert results["token"].warns
    assert "No API token is entered" in results["token"].sentence


def test_a_silent_database(docked):
    with misbehaving.server(misbehaving.is_silent) as port:
        docked.db_host, docked.db_port, docked.db_sslmode = "127.0.0.1", port, "disable"
        result = run_stage("login", docked, seconds=1)
    assert result.sentence == "The check “Database log-in” did not answer in time."


def test_missing_tables(docked, empty_database):
    from transfer.management.docking import database_fields

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
    assert 'grant insert on "public"."asset" to "dt_reader";' in failed.hint
