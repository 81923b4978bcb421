"""backup and restore of our own database: what is refused, and what does not begin by itself."""

import os
import shutil
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from deb.next_version import make_next_version
from tests.chaos.instance import BINARIES, TARGET_POSTGRES_VERSION
from tests.databases import ROOT, as_url, query
from tests.pages.things import things
from transfer.engine.kinds import KINDS
from transfer.models import (
    AuditEntry,
    BonusServer,
    MaintenanceTask,
    Notice,
    RegisterAccount,
    TransferTask,
    Upload,
)

pytestmark = pytest.mark.long

by_path = pytest.mark.skipif(
    Path(f"/usr/lib/postgresql/{TARGET_POSTGRES_VERSION}/bin").exists(),
    reason="Debian's own programs of this version are found before those of PATH",
)
QUEUE = DBTaskResult._meta.db_table
NEWER = (
    "insert into django_migrations (app, name, applied) values ('transfer', '9999_later', now())"
)


@pytest.fixture
def environment(environment):
    """PostgreSQL's programs are those of the wheel: the machine's own may be older."""
    return {**environment, "PATH": f"{BINARIES}{os.pathsep}{environment['PATH']}"}


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "own.dump"


@pytest.fixture
def call(manage):
    """Runs `manage.py …` and returns its exit code and all that it said."""

    def call(*arguments):
        process = manage(*map(str, arguments))
        return process.wait(), "".join(process.communicate())

    return call


@pytest.fixture
def wrap(environment, tmp_path):
    """Puts a script in place of one of PostgreSQL's programs, which it calls as "$real"."""

    def wrap(program, script):
        folder = tmp_path / "programs"
        folder.mkdir()
        (folder / program).write_text(f"#!/bin/sh\nreal={BINARIES}/{program}\n{script}\n")
        (folder / program).chmod(0o755)
        environment["PATH"] = f"{folder}{os.pathsep}{environment['PATH']}"

    return wrap


@pytest.fixture
def restored(call, environment, empty_database, file):
    """Restores the file into the empty database; returns its DSN, the exit code and the output."""

    def restored(*options, **changed):
        environment.update(changed, DATABASE_URL=as_url(empty_database))
        return empty_database, *call("restore", file, *options)

    return restored


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Path:
    """Where the backup lies that is made once for all tests that read it."""
    return tmp_path_factory.mktemp("backup") / "own.dump"


@pytest.fixture
def backed_up(own_database, call, file, kept):
    """The backup of an installation in which something of everything has been ordered."""
    if not kept.exists():
        order_something_of_everything()
        assert call("backup", kept)[0] == 0
    shutil.copy(kept, file)


def order_something_of_everything():
    about = things()
    BonusServer.objects.update(db_password="s3cret")
    about["server"].refresh_from_db()
    about["server"].db_password = "s3cret"
    about["server"].save()
    TransferTask.objects.update(enabled=True, next_run_at=timezone.now() - timedelta(minutes=1))
    Upload.objects.filter(pk=about["upload"].pk).update(state="confirmed")
    RegisterAccount.objects.update(state="waiting", job=about["job"])
    Notice.objects.create(recipient=about["recipient"], event="test")


@pytest.mark.usefixtures("own_database")
def test_a_backup_is_for_its_owner_alone_and_the_audit_knows_of_it(call, file):
    assert call("backup", file)[0] == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    end, beginning = AuditEntry.objects.filter(action="backup")
    assert (beginning.new, end.new) == ({}, {"file": "own.dump", "bytes": file.stat().st_size})


@pytest.mark.usefixtures("own_database")
def test_nightly_backups_are_new_files_of_which_the_last_14_are_kept(call, environment, tmp_path):
    environment["BACKUP_FOLDER"] = str(tmp_path)
    before = [tmp_path / f"dtadmin-2026-01-{day:02}-030000.dump" for day in range(1, 16)]
    other = tmp_path / "before-the-upgrade.dump"
    for path in [*before, other]:
        path.touch()
    code, said = call("backup")
    assert code == 0, said
    (new,) = {*tmp_path.glob("*.dump")} - {*before, other}
    assert new.stat().st_size > 10_000
    assert {*tmp_path.iterdir()} == {*before[2:], other, new}


@pytest.mark.usefixtures("own_database")
def test_a_nightly_backup_that_fails_removes_none_and_does_not_count(
    call, environment, tmp_path, wrap
):
    environment["BACKUP_FOLDER"] = str(tmp_path)
    before = [tmp_path / f"dtadmin-2026-01-{day:02}-030000.dump" for day in range(1, 16)]
    for path in before:
        path.touch()
    wrap("pg_dump", "echo No space left on device >&2; exit 1")
    code, said = call("backup")
    assert (code, said) == (1, "No space left on device\n")
    assert {*tmp_path.glob("*.dump*")} == {*before}
    assert AuditEntry.objects.last_backup_at() is None


@pytest.mark.usefixtures("own_database")
def test_without_a_file_and_a_folder_it_says_what_to_name(call):
    code, said = call("backup")
    assert (code, "BACKUP_FOLDER" in said) == (2, True)


@pytest.mark.usefixtures("backed_up")
def test_what_a_backup_holds_as_ordered_is_not_done_after_the_restore_which_says_so(restored):
    dsn, code, said = restored()
    assert code == 0, said
    on = len(KINDS) + MaintenanceTask.objects.enabled().count()
    assert f"Tasks that are on: {on}, paused for an hour." in said
    assert "manage.py task resume all" in said
    assert "Users who may log in: somebody" in said

    def values(table, column="state"):
        return {value for (value,) in query(dsn, f"select {column} from transfer_{table}")}

    assert query(dsn, f"select count(*) from {QUEUE}") == [(0,)]
    assert not values("transferrun") & {"queued", "running"}
    assert not values("maintenancerun") & {"queued", "running"}
    assert values("upload") == {"ready", "loaded", "waiting"}
    assert values("registeraccount") == {"error"}
    assert None not in values("accountjob", "finished_at")
    enabled = query(
        dsn,
        "select enabled, next_run_at, paused_until > now() + interval '50 minutes' "
        "from transfer_transfertask",
    )
    assert set(enabled) == {(True, None, True)}
    assert query(dsn, "select action from transfer_auditentry order by id desc limit 2") == [
        ("restore",),
        ("backup",),
    ]


@pytest.mark.usefixtures("backed_up")
def test_a_tick_after_the_restore_begins_nothing_and_tells_nobody(restored, call):
    dsn, code, said = restored()
    assert code == 0, said
    _code, said = call("doctor")
    assert "! Schedule · Look: The scheduler has never run." in said
    assert "✗ Schedule" not in said
    code, said = call("run_due_tasks")
    assert code == 0, said
    # The jobs that look at the other databases come back; no run, load or change does.
    queued = query(dsn, f"select distinct args_kwargs -> 'args' ->> 0 from {QUEUE}")
    assert queued == [("recurringjob",)]
    assert query(dsn, "select distinct sent_at from transfer_notice") == [(None,)]
    assert query(dsn, "select distinct next_run_at > now() from transfer_transfertask") == [(True,)]


def test_a_database_that_is_not_empty_is_left_as_it_is(own_database, call, file):
    assert call("backup", file)[0] == 0
    code, said = call("restore", file)
    assert code == 1
    assert "is not empty. Create an empty one" in said


@pytest.mark.usefixtures("backed_up")
def test_a_database_in_another_encoding_is_left_as_it_is(environment, call, in_encoding, file):
    dsn = in_encoding("SQL_ASCII")
    environment["DATABASE_URL"] = as_url(dsn)
    code, said = call("restore", file)
    assert (code, tables(dsn)) == (1, 0)
    assert "has the encoding SQL_ASCII, and needs UTF8." in said


@pytest.mark.usefixtures("backed_up")
def test_another_secret_key_is_refused_before_anything_is_written(restored):
    dsn, code, said = restored(SECRET_KEY="another")
    assert code == 1
    assert said.startswith("The backup was made with another SECRET_KEY")
    assert tables(dsn) == 0


@pytest.mark.usefixtures("backed_up")
def test_an_earlier_key_among_the_fallbacks_will_do(restored, settings):
    assert restored(SECRET_KEY="new", SECRET_KEY_FALLBACKS=settings.SECRET_KEY)[1] == 0


@pytest.mark.usefixtures("backed_up")
def test_with_a_lost_key_the_rest_can_be_restored(restored):
    dsn, code, said = restored("--other-key", SECRET_KEY="another")
    assert code == 0, said
    assert query(dsn, "select count(*) from transfer_bonusserver") == [(1,)]


def test_a_backup_of_a_newer_version_is_refused(own_database, call, file, restored):
    query(own_database, NEWER)
    call("backup", file)
    dsn, code, said = restored()
    query(own_database, "delete from django_migrations where name = '9999_later'")
    assert (code, tables(dsn)) == (1, 0)
    assert "A newer version made this backup (transfer.9999_later)" in said


def test_a_backup_of_0_1_0_is_refused(own_database, file, restored):
    query(own_database, NEWER.replace("9999_later", "0002_users"))
    subprocess.run([BINARIES / "pg_dump", "-Fc", "-f", file, as_url(own_database)], check=True)
    dsn, code, said = restored()
    query(own_database, "delete from django_migrations where name = '0002_users'")
    assert (code, tables(dsn)) == (1, 0)
    assert "Data Transfer 0.1.0 made this backup. There is no upgrade from that version." in said


@pytest.mark.usefixtures("backed_up")
def test_the_next_version_migrates_a_backup_of_this_one(
    environment, empty_database, file, tmp_path
):
    tree = tmp_path / "next"
    make_next_version(tree)
    (migration,) = tree.glob("transfer/migrations/0*_of_migration_*.py")
    environment["DATABASE_URL"] = as_url(empty_database)
    for command in (["restore", file], ["migrate", "--check"]):
        called = [sys.executable, "manage.py", *command]
        done = subprocess.run(called, cwd=tree, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert query(empty_database, "select count(*) from transfer_bonusserver") == [(1,)]
    applied = f"select count(*) from django_migrations where name = '{migration.stem}'"
    assert query(empty_database, applied) == [(1,)]


@pytest.mark.usefixtures("backed_up")
@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.999])
def test_a_file_that_breaks_off_leaves_the_database_empty(restored, file, part):
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * part)])
    dsn, code, said = restored()
    assert (code, tables(dsn)) == (1, 0), said


@by_path
@pytest.mark.usefixtures("backed_up")
def test_a_reader_that_is_killed_between_two_tables_leaves_the_database_empty(restored, wrap):
    """What came until then are whole statements, and nobody has said an error."""
    wrap(
        "pg_restore",
        'case "$*" in *--data-only*) exec "$real" "$@";; esac\n'
        '"$real" "$@" | sed "/^[\\].$/q"\n'
        "kill -KILL $$",
    )
    dsn, code, said = restored()
    assert (code, tables(dsn)) == (1, 0), said
    assert said.startswith("pg_restore: ")


@pytest.mark.usefixtures("own_database")
@pytest.mark.parametrize("content", [None, b"", b"a text"])
def test_a_file_that_is_no_backup_is_refused(restored, file, content):
    if content is not None:
        file.write_bytes(content)
    dsn, code, said = restored()
    assert (code, tables(dsn)) == (1, 0)
    assert said.startswith("pg_restore: error: ")
    assert "Traceback" not in said


@pytest.mark.usefixtures("backed_up")
def test_a_full_disk_leaves_the_backup_before_as_it_was(file, environment):
    before = file.read_bytes()
    limited = ["prlimit", f"--fsize={len(before) // 2}", sys.executable, "manage.py"]
    done = subprocess.run(
        [*limited, "backup", file],
        env=environment, cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pg_dump" in done.stderr
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.usefixtures("own_database")
def test_a_folder_that_is_not_there_is_named(call, tmp_path):
    code, said = call("backup", tmp_path / "nowhere" / "own.dump")
    assert (code, said) == (1, f"{tmp_path}/nowhere/own.dump: No such file or directory\n")


@by_path
def test_the_password_is_on_no_command_line(own_database, environment, call, file, wrap, tmp_path):
    listed = tmp_path / "listed"
    wrap("pg_dump", f'echo "$@" > {listed}\nexec "$real" "$@"')
    environment["DATABASE_URL"] += "&password=s3cret"
    assert call("backup", file)[0] == 0
    assert "--format=custom" in listed.read_text()
    assert "s3cret" not in listed.read_text()


@by_path
def test_without_postgresqls_programs_it_says_what_to_install(
    own_database, environment, call, file
):
    environment["PATH"] = str(ROOT)
    code, said = call("backup", file)
    assert code == 1
    assert said.startswith("pg_dump, a part of PostgreSQL, is missing. Run: apt install")


def tables(dsn) -> int:
    return query(dsn, "select count(*) from pg_class where relnamespace = 'public'::regnamespace")[
        0
    ][0]
