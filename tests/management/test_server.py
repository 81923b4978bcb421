"""`manage.py server list|add|test|remove`."""

import io
import json
import socket

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from psycopg2.extensions import make_dsn, parse_dsn

from tests.databases import query, stage
from transfer.engine.kinds import KINDS
from transfer.models import AuditEntry, BonusServer, TransferRun, TransferTask
from transfer.models.run_base import State, Trigger

URL = "postgresql://bonus:s3cret@10.0.0.8:5433/loyalty"


def add(*options):
    call_command("server", "add", "--name", "Бонусный сервер 8", "--host", "127.0.0.1", *options)


def test_docking_creates_a_disabled_task_of_each_kind_and_shows_the_password_nowhere(db, capsys):
    add("--database-url", URL)
    server = BonusServer.objects.get()
    assert (server.admin_port, server.work_port) == (7770, 7771)
    assert (server.db_host, server.db_port, server.db_name) == ("10.0.0.8", 5433, "loyalty")
    tasks = {task.kind: task.enabled for task in server.tasks.all()}
    assert tasks == dict.fromkeys(KINDS, False)
    entry = AuditEntry.objects.get(action="create")
    assert entry.subject_id == server.pk
    assert entry.who.endswith("(manage.py)")
    assert entry.new["db_host"] == "10.0.0.8"
    with connection.cursor() as cursor:
        cursor.execute("select db_password from transfer_bonusserver")
        (stored,) = cursor.fetchone()
    assert "s3cret" not in stored + str(entry.new) + capsys.readouterr().out
    assert "password=s3cret" in server.dsn


def test_the_url_is_read_from_standard_input_where_no_process_list_shows_it(db, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{URL}\n"))
    add("--database-url", "-")
    assert BonusServer.objects.get().db_password == "s3cret"


@pytest.mark.parametrize(("more", "any_auth"), [("", False), ("?require_auth=md5", True)])
def test_a_weaker_log_in_is_allowed_by_the_url_alone(db, more, any_auth):
    add("--database-url", URL + more)
    assert BonusServer.objects.get().db_any_auth is any_auth


def test_the_connection_is_tested_at_once_up_to_what_fails(db, bonus, capsys):
    add("--database-url", bonus, "--admin-port", "1")
    lines = capsys.readouterr().out.splitlines()
    assert [line[:7] for line in lines[1:3]] == ["✓ Имя: ", "✗ Порты"]
    assert "никто не слушает порт 1" in lines[2]
    assert len(lines) == 4


@pytest.mark.long
def test_the_database_is_tested_though_the_token_is_entered_on_the_page_later(db, bonus, capsys):
    with socket.create_server(("127.0.0.1", 0)) as admin, socket.create_server(("", 0)) as work:
        ports = [str(one.getsockname()[1]) for one in (admin, work)]
        add("--database-url", bonus, "--admin-port", ports[0], "--work-port", ports[1])
    tested = [line for line in capsys.readouterr().out.splitlines() if line[0] in "✓✗"]
    assert "".join(line[0] for line in tested) == "✓✓✓✓✓✓"
    assert AuditEntry.objects.filter(action="test").count() == 1


def test_a_server_is_tested_up_to_the_stage_that_fails_which_the_exit_code_says(db, bonus, capsys):
    add("--database-url", bonus, "--admin-port", "1")
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        call_command("server", "test", "Бонусный сервер 8", "--json")
    tested = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["stage"], one["ok"]) for one in tested] == [("name", True), ("ports", False)]
    assert tested[1]["hint"]
    assert ended.value.code == 1


def test_a_server_whose_stages_all_pass_is_tested_with_exit_code_0(docked, capsys):
    call_command("server", "test", docked.name, "--json")
    tested = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["ok"] for one in tested] == [True] * 6


def test_docking_answers_with_the_server_as_json(db, capsys):
    add("--database-url", URL, "--json")
    docked, *tested = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (docked["name"], docked["admin_port"]) == ("Бонусный сервер 8", 7770)
    assert [one["stage"] for one in tested][:1] == ["name"]


def test_a_name_that_is_taken_is_refused_and_nothing_is_created(db):
    add("--database-url", URL)
    with pytest.raises(CommandError, match="name") as failure:
        add("--database-url", URL)
    assert failure.value.returncode == 2
    assert BonusServer.objects.count() == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--database-url", "mysql://bonus:s3cret@host/name"], "database-url"),
        (["--database-url", URL + "?fancy=s3cret"], "database-url"),
        (["--database-url", URL + "?target_session_attrs=read-write"], "target_session_attrs"),
        (["--database-url", URL, "--work-port", "70000"], "work_port"),
        (["--database-url", "postgresql://bonus:s3cret@host"], "db_name"),
        (["--database-url", URL + "?sslmode=allow"], "db_sslmode"),
        (["--database-url", "postgresql://b:s3cret@one,two:1,2/x"], "database-url"),
    ],
)
def test_bad_input_is_refused_by_name_without_quoting_the_password(db, options, words):
    with pytest.raises(CommandError, match=words) as failure:
        add(*options)
    assert failure.value.returncode == 2
    assert "s3cret" not in str(failure.value)
    assert not BonusServer.objects.exists()


def test_the_list_names_servers_ports_and_tasks_but_no_password(db, capsys):
    add("--database-url", URL, "--admin-port", "8870")
    call_command("server", "list")
    output = capsys.readouterr().out
    assert "Бонусный сервер 8" in output
    assert "8870" in output
    call_command("server", "list", "--json")
    listed = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert listed["database"] == "10.0.0.8:5433/loyalty"
    assert listed["tasks"] == dict.fromkeys(KINDS, False)
    assert "s3cret" not in output + str(listed)


def test_an_empty_list_says_what_to_do(db, capsys):
    call_command("server", "list")
    assert "manage.py server add" in capsys.readouterr().out


def test_what_is_the_number_of_one_and_the_name_of_another_is_refused_and_both_are_named(db):
    first = BonusServer(name="Server 8", host="localhost", db_name="bonus")
    first.dock()
    other = BonusServer(name=str(first.pk), host="localhost", db_name="bonus")
    other.dock()
    named = f"{first.pk} \\(Server 8\\), {other.pk} \\({first.pk}\\)"
    for arguments in (
        ("task", "on", "all", "--server", other.name),
        ("begin", other.name, "balances", "--nothing"),
    ):
        with pytest.raises(CommandError, match=named) as refused:
            call_command(*arguments)
        assert refused.value.returncode == 2
    assert not TransferTask.objects.enabled().exists()
    call_command("task", "on", "all", "--server", first.name)
    assert not other.tasks.enabled().exists()


def another_name(host: str) -> str:
    """The same machine, or folder of sockets, by another name."""
    if host.startswith("/"):
        return f"{host}/"
    return "127.0.0.1" if host == "localhost" else "localhost"


class TestRowsThatWereStagedBeforeTheDocking:
    """What a new server has received of them is the administrator's decision."""

    @pytest.fixture
    def url(self, transactional_db, shop_all, bonus, settings):
        settings.LANGUAGE_CODE = "en"
        stage(shop_all, "balances", [("1", 1), ("2", 1)])
        return bonus

    def test_are_not_sent_before_the_decision(self, url, bonus, capsys):
        add("--database-url", url)
        said = capsys.readouterr().out
        assert "2 rows are staged in shop All" in said
        assert "begin 'Бонусный сервер 8' balances" in said
        assert "holds no row" in said
        assert "cards" not in said.replace("bonus_cards", "")  # nothing is staged: it has begun
        with pytest.raises(SystemExit):
            call_command("transfer", "balances")
        assert query(bonus, "select count(*) from asset") == [(0,)]

    @pytest.mark.parametrize(
        ("received", "sent"), [("nothing", ["1", "2", "3"]), ("everything", ["3"])]
    )
    def test_are_sent_as_was_decided(self, url, bonus, shop_all, received, sent):
        add("--database-url", url, "--received", received)
        stage(shop_all, "balances", [("3", 1)])
        call_command("transfer", "balances")
        assert [row[0] for row in query(bonus, "select account from asset order by 1")] == sent
        call_command("reconcile")

    def test_of_a_database_that_is_docked_twice_only_one_reads(self, url, bonus, capsys):
        """By another address: by the same one, it is not docked."""
        add("--database-url", url, "--received", "nothing")
        second = ("server", "add", "--name", "9", "--host", "127.0.0.1", "--database-url")
        with pytest.raises(CommandError, match="This is the database of Бонусный сервер 8"):
            call_command(*second, url)
        call_command(*second, make_dsn(bonus, host=another_name(parse_dsn(bonus)["host"])))
        assert "is a copy of that of Бонусный сервер 8" in capsys.readouterr().out
        with pytest.raises(SystemExit):
            call_command("transfer", "balances", "--server", "9")
        call_command("transfer", "balances", "--server", "Бонусный сервер 8")
        assert query(bonus, "select count(*) from asset") == [(2,)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class TestUndocking:
    @pytest.fixture
    def eight(self, db):
        add("--database-url", URL)
        return BonusServer.objects.get()

    @pytest.fixture
    def answer(self, monkeypatch):
        """Types the answer on a terminal."""
        return lambda text: monkeypatch.setattr("sys.stdin", Terminal(f"{text}\n"))

    @pytest.mark.parametrize("yes", ["y", "Д", "да"])
    def test_says_what_it_means_asks_and_is_in_the_audit(self, eight, answer, capsys, yes):
        eight.tasks.update(enabled=True)
        answer(yes)
        call_command("server", "remove", str(eight.pk))
        said = capsys.readouterr().out
        assert f"{len(KINDS)} из {len(KINDS)} его задач" in said
        assert "Отстыковать «Бонусный сервер 8»?" in said
        assert said.endswith("Бонусный сервер 8 отстыкован.\n")
        assert not BonusServer.objects.exists()
        entry = AuditEntry.objects.get(action="delete")
        assert (entry.subject_id, entry.old["name"]) == (eight.pk, eight.name)
        assert entry.who.endswith("(manage.py)")

    @pytest.mark.parametrize("no", ["", "n", "нет", "Бонусный сервер 8"])
    def test_happens_only_after_a_yes(self, eight, answer, no):
        answer(no)
        with pytest.raises(CommandError) as refused:
            call_command("server", "remove", eight.name)
        assert refused.value.returncode == 1
        assert BonusServer.objects.exists()

    def test_without_a_terminal_has_to_be_confirmed_by_yes(self, eight, monkeypatch, capsys):
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        for options in ([], ["--json"]):
            with pytest.raises(CommandError, match="--yes") as refused:
                call_command("server", "remove", eight.name, *options)
            assert refused.value.returncode == 2
        assert BonusServer.objects.exists()
        capsys.readouterr()
        call_command("server", "remove", eight.name, "--yes", "--json")
        removed = json.loads(capsys.readouterr().out)
        assert (removed["id"], removed["name"]) == (eight.pk, eight.name)
        assert not BonusServer.objects.exists()

    def test_waits_for_the_end_of_a_transfer_which_the_exit_code_says(self, eight):
        TransferRun.of(eight.tasks.get(kind="balances"), Trigger.MANUAL).start()
        with pytest.raises(CommandError) as refused:
            call_command("server", "remove", eight.name, "--yes")
        assert refused.value.returncode == 3
        assert BonusServer.objects.exists()
        assert TransferRun.objects.get().state == State.RUNNING

    def test_of_a_server_that_is_not_docked_is_wrong_usage(self, eight):
        with pytest.raises(CommandError, match=eight.name) as refused:
            call_command("server", "remove", "Бонусный сервер 9", "--yes")
        assert refused.value.returncode == 2
