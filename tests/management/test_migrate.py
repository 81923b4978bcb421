"""manage.py migrate: all pending migrations or none, and never on another version's schema."""

import os
from functools import partial

import pytest
from django.conf import settings

from tests.databases import as_url, query

NEWER = (
    "insert into django_migrations (app, name, applied) values ('transfer', '9999_later', now())"
)
OF_0_1_0 = NEWER.replace("9999_later", "0002_users")


@pytest.fixture
def manage_here(forking, migrated_database):
    """Runs a command of manage.py until it ends. `url`: of another database."""

    def manage_here(*arguments, url=""):
        return forking.run(
            *arguments,
            env={
                **os.environ,
                "DATABASE_URL": url or as_url(migrated_database),
                "SHOP_ALL_DATABASE_URL": as_url(migrated_database),
                "SECRET_KEY": settings.SECRET_KEY,
                "DTADMIN_LANGUAGE": "en",
            },
        )

    return manage_here


@pytest.fixture
def migrate(manage_here):
    return partial(manage_here, "migrate", "--verbosity=0")


@pytest.mark.long
def test_a_migration_that_fails_is_named_and_those_before_it_are_undone(migrate, empty_database):
    url = as_url(empty_database)
    query(empty_database, "create table transfer_upload ()")
    done = migrate("--noinput", url=url)
    assert done.returncode == 1
    failed = 'The migration transfer.0001_initial failed: relation "transfer_upload"'
    assert failed in done.stderr
    assert "Nothing was changed: the database has the schema of the version before." in done.stderr
    assert "or start the version before." in done.stderr
    assert "Traceback" not in done.stderr
    assert query(empty_database, "select tablename from pg_tables where schemaname = 'public'") == [
        ("transfer_upload",)
    ]
    query(empty_database, "drop table transfer_upload")
    assert migrate("--noinput", url=url).returncode == 0
    assert migrate("--check", url=url).returncode == 0


def test_a_newer_schema_is_refused_and_so_is_a_start_on_it(migrate, migrated_database):
    query(migrated_database, NEWER)
    for arguments in (["--check"], ["--noinput"]):
        done = migrate(*arguments)
        assert done.returncode == 1
        assert "A newer version has changed our own database (transfer.9999_later)" in done.stderr


@pytest.mark.parametrize(
    "service",
    [["run_due_tasks"], ["run_scheduler"], ["db_worker"]],
)
def test_no_service_starts_on_a_newer_schema(manage_here, migrated_database, service):
    query(migrated_database, NEWER)
    done = manage_here(*service)
    assert done.returncode == 1
    assert "A newer version has changed our own database (transfer.9999_later)." in done.stderr
    assert "Install that version again" in done.stderr
    assert query(migrated_database, "select count(*) from transfer_heartbeat") == [(0,)]


@pytest.mark.parametrize(
    "command",
    [
        ["migrate", "--noinput"],
        ["run_due_tasks"],
        ["run_scheduler"],
        ["db_worker"],
        ["transfer", "all"],
        ["task", "list"],
        ["backup", "never.dump"],
    ],
    ids=" ".join,
)
def test_a_database_of_0_1_0_is_refused_with_what_to_do(manage_here, migrated_database, command):
    query(migrated_database, OF_0_1_0)
    done = manage_here(*command)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Data Transfer 0.1.0 made our own database. There is no upgrade from that version.",
        "Create an empty database, name it in DATABASE_URL, and run: manage.py setup. For the "
        "demo, run: make forget",
    ]
    assert query(migrated_database, "select count(*) from transfer_heartbeat") == [(0,)]


def test_a_database_that_does_not_answer_has_an_exit_code_of_its_own(migrate):
    done = migrate("--noinput", url="postgresql://127.0.0.1:1/own")
    assert done.returncode == 4
    assert "Data Transfer's own database failed: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "WIN1251"])
def test_a_new_database_in_another_encoding_is_refused_before_anything_is_made(
    migrate, in_encoding, encoding
):
    dsn = in_encoding(encoding)
    done = migrate("--noinput", url=as_url(dsn))
    assert done.returncode == 1
    said = f"Data Transfer's own database has the encoding {encoding}, and needs UTF8."
    assert done.stderr.splitlines()[0] == said
    assert "createdb --encoding=UTF8 --template=template0" in done.stderr
    assert query(dsn, "select count(*) from pg_tables where schemaname = 'public'") == [(0,)]


@pytest.mark.long
def test_one_that_has_our_tables_already_is_only_named(migrate, in_encoding):
    """Else an upgrade would stop an installation whose texts are all ASCII."""
    dsn = in_encoding("SQL_ASCII")
    query(dsn, "create table django_migrations (id bigserial, app text, name text, applied date)")
    done = migrate("--noinput", url=as_url(dsn))
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        "Data Transfer's own database has the encoding SQL_ASCII, and needs UTF8."
    ]
    assert query(dsn, "select to_regclass('transfer_upload')") == [("transfer_upload",)]
