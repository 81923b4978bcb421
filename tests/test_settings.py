"""What an installation must say, and what happens when it does not."""

import os
import subprocess
import sys

import pytest

from tests.databases import ROOT
from tests.deployment import COMPLETE

SHOW = (
    "from django.conf import settings; d = settings.DATABASES['default']; "
    "print(d['NAME'], d['HOST'], settings.DEBUG, settings.LANGUAGE_CODE)"
)


def command(arguments, environment):
    """Calls `manage.py` with these arguments, with nothing else in its environment."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def start(environment):
    """Loads the settings in a process of its own, with nothing else in its environment."""
    return subprocess.run(
        [sys.executable, "-c", SHOW],
        env={
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "dtadmin.settings",
            **environment,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_environment_is_enough_and_debug_is_off():
    assert start(COMPLETE).stdout.split() == ["dtadmin", "db", "False", "ru"]


def test_an_env_file_is_read_and_what_the_environment_has_wins(tmp_path):
    file = tmp_path / "dtadmin.env"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in COMPLETE.items()))
    shown = start({"DTADMIN_ENV": str(file), "DTADMIN_LANGUAGE": "en"}).stdout
    assert shown.split() == ["dtadmin", "db", "False", "en"]


def test_an_env_file_in_another_encoding_is_named(tmp_path):
    file = tmp_path / "dtadmin.env"
    file.write_bytes("DEFAULT_FROM_EMAIL=Магазин <dtadmin@shop.local>".encode("cp1251"))
    ended = start({**COMPLETE, "DTADMIN_ENV": str(file), "DTADMIN_LANGUAGE": "en"})
    assert ended.returncode == 1
    assert ended.stderr.strip().splitlines()[-1].endswith(f"{file} is not written in UTF-8.")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY не задано"),
        ({"SHOP_ALL_DATABASE_URL": ""}, "SHOP_ALL_DATABASE_URL не задано"),
        ({"DATABASE_URL": "mysql://dtadmin:s3cret@db/x"}, "DATABASE_URL — не адрес PostgreSQL"),
        ({"SHOP_ALL_DATABASE_URL": "s3cret"}, "SHOP_ALL_DATABASE_URL — не адрес"),
        ({"DEBUG": "perhaps"}, "DEBUG должно быть 1 или 0"),
        ({"DEBUG": "perhaps", "DTADMIN_LANGUAGE": "en"}, "DEBUG must be 1 or 0"),
        ({"DEBUG": "perhaps", "DTADMIN_LANGUAGE": "xx"}, "DEBUG must be 1 or 0"),
        ({"DTADMIN_ENV": "/no/such/file"}, "/no/such/file"),
        ({"DTADMIN_LANGUAGE": "de"}, "DTADMIN_LANGUAGE must be ru or en."),
        ({"TIME_ZONE": "Mars/Olympus"}, "TIME_ZONE: часового пояса Mars/Olympus нет"),
        ({"TIME_ZONE": "Europe"}, "TIME_ZONE: часового пояса Europe нет"),
        ({"TIME_ZONE": "../passwd"}, "TIME_ZONE: часового пояса ../passwd нет"),
        ({"REMOTE_USER_HEADER": "X-Remote-User"}, "REMOTE_USER_HEADER больше нет"),
        (
            {"REMOTE_USER_HEADER": "X-Remote-User", "DTADMIN_LANGUAGE": "en"},
            "Remove it and let users log in at a provider instead: set OIDC_ISSUER.",
        ),
    ],
)
def test_what_is_missing_is_named_in_the_installations_language_and_no_password_quoted(
    wrong, words
):
    ended = start({**COMPLETE, **wrong})
    assert ended.returncode == 1
    assert words in ended.stderr.strip().splitlines()[-1]
    assert "s3cret" not in ended.stderr


def test_a_secret_is_read_from_the_file_that_its_variable_names(tmp_path):
    file = tmp_path / "database_url"
    file.write_text("postgresql://dtadmin:s3cret@elsewhere/other\n")
    without = {name: text for name, text in COMPLETE.items() if name != "DATABASE_URL"}
    shown = start({**without, "DATABASE_URL_FILE": str(file)}).stdout
    assert shown.split()[:2] == ["other", "elsewhere"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"key", "Set either SECRET_KEY or SECRET_KEY_FILE, not both."),
        ("ключ".encode("cp1251"), "is not written in UTF-8."),
        (None, "can't be read."),
    ],
)
def test_a_file_of_a_secret_that_can_not_be_used_is_named_without_the_secret(
    tmp_path, content, words
):
    file = tmp_path / "secret_key"
    given = {"SECRET_KEY_FILE": str(file), "DTADMIN_LANGUAGE": "en"}
    if content is not None:
        file.write_bytes(content)
    if content != b"key":
        given["SECRET_KEY"] = ""
    ended = start({**COMPLETE, **given})
    assert ended.returncode == 1
    said = ended.stderr.strip().splitlines()[-1]
    assert said.endswith(words)
    assert "SECRET_KEY_FILE" in said or str(file) in said


@pytest.mark.long
def test_an_error_in_the_file_of_tables_stops_each_command_with_a_sentence_alone(tmp_path):
    file = tmp_path / "tables.toml"
    file.write_text("[cards.shop_all]\ntabel = 'x'\n")
    for arguments in (["transfer", "all"], ["migrate"], ["run_due_tasks"]):
        ended = command(arguments, {**COMPLETE, "DTADMIN_TABLES": str(file)})
        assert (ended.returncode, ended.stdout) == (1, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(
            f"{file}, строка 2, раздел [cards.shop_all]: tabel здесь ничего не значит; "
            "может стоять: table"
        )


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "не читается"), (b"\xff", "не читается"), (b"[cards", "не TOML")],
)
def test_a_file_of_tables_that_can_not_be_read_is_named_in_one_sentence(tmp_path, content, words):
    file = tmp_path / "tables.toml"
    if content is not None:
        file.write_bytes(content)
    ended = command(["transfer", "all"], {**COMPLETE, "DTADMIN_TABLES": str(file)})
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert str(file) in line
    assert words in line


@pytest.mark.long
def test_without_django_crontab_everything_else_starts(environment):
    script = (
        "import sys; sys.modules['django_crontab'] = None; import django; django.setup(); "
        "from django.core.management import call_command; call_command('check')"
    )
    started = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment, "DJANGO_SETTINGS_MODULE": "dtadmin.settings"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert started.returncode == 0, started.stderr


def test_a_command_of_djangos_own_says_in_a_sentence_that_our_database_is_away():
    away = {**COMPLETE, "DATABASE_URL": "postgresql://dtadmin@127.0.0.1:1/dtadmin"}
    done = command(["showmigrations"], {**away, "DTADMIN_LANGUAGE": "en"})
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Data Transfer's own database failed: ")
    assert "Connection refused" in line
