"""`--help` and wrong usage: every command of ours speaks one language, that of DTADMIN_LANGUAGE."""

import os
import re
import subprocess
import sys
import tomllib
from argparse import SUPPRESS

import pytest
from django.core.management import load_command_class
from django.utils import translation

from tests.databases import ROOT
from transfer.engine.kinds import KINDS

COMMANDS = sorted(path.stem for path in (ROOT / "transfer/management/commands").glob("[a-z]*.py"))
# What is typed as it stands, and the names of things, are the same in both languages.
TYPED = re.compile(
    r"(?<!\w)--?[\w-]+|\S*(postgresql|https)://\S+|manage\.py(\s\w+)?|\d{4}-\S+"
    r"|`\w+`|\b(Data Transfer|DATABASE_URL|Europe/Moscow|postgres)\b"
    r"|\b(DATABASE|SHOP_ALL|(DATABASE|SHOP_ALL)_ADMIN|ADMINISTRATOR|DTADMIN_TABLES)\b"
    r"|\b(All|maintenance-12|run_now|CSV|Ctrl-C|JSON|SECRET_KEY\w*|SIGTERM|XLSX|cron|crontab|backup|db_worker)\b"
)


def parser_of(command):
    return load_command_class("transfer", command).create_parser("manage.py", command)


def help_in(language, command):
    with translation.override(language):
        return parser_of(command).format_help()


def english(text):
    return set(re.findall(r"[A-Za-z][\w-]+", TYPED.sub(" ", text)))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_holds_no_word_of_the_other_language(command):
    assert not re.findall("[А-Яа-яЁё]+", help_in("en", command))
    choices = [choice for action in parser_of(command)._actions for choice in action.choices or []]
    assert not english(help_in("ru", command)) - set(choices) - {command}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_says_what_the_command_and_each_argument_are(command):
    with translation.override("ru"):
        parser = parser_of(command)
    shown = [action.help or "" for action in parser._actions if action.help != SUPPRESS]
    assert all(re.search("[А-Яа-я]", text) for text in [parser.description, *shown])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "нужны аргументы"),
        (["pincodes", "--chunk", "0"], "целое число от 1 до 1000000"),
        (["pincodes", "--chunk"], "нужно значение"),
        (["nonsense"], "можно: "),
        (["pincodes", "--fast"], "неизвестные аргументы: --fast"),
    ],
)
def test_wrong_usage_is_told_in_the_same_language(arguments, words, capsys):
    with translation.override("ru"):
        parser = parser_of("transfer")
        parser.called_from_command_line = True
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(arguments)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert words in error
    assert not english(error) - {"transfer", "nonsense", "all", *KINDS}


def test_a_failure_is_told_without_the_name_of_a_class(manage):
    process = manage("transfer", "all")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors == "No bonus server is docked. Run: manage.py add_bonus_server\n"


def manage(*arguments):
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env={**os.environ, "DTADMIN_LANGUAGE": "en"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_help_lists_our_commands_alone_with_what_they_do():
    done = manage("help")
    listed = re.findall("^  ([a-z_]+)  +(.+)$", done.stdout, re.MULTILINE)
    assert [name for name, _text in listed] == sorted(COMMANDS)
    assert dict(listed)["doctor"].startswith("Looks at everything that can be wrong")
    assert "makemigrations" not in done.stdout


def test_the_version_is_that_of_the_product():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert manage("--version").stdout == f"Data Transfer {wanted}\n"


def test_a_command_that_does_not_exist_is_wrong_usage():
    done = manage("docter")
    assert done.returncode == 2
    assert "doctor" in done.stderr
