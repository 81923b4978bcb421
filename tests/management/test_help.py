"""`--help` and wrong usage of every command."""

import os
import re
import tomllib
from argparse import SUPPRESS, _SubParsersAction

import pytest
from django.core.management import load_command_class
from django.utils import translation

from tests.databases import ROOT

COMMANDS = sorted(path.stem for path in (ROOT / "transfer/management/commands").glob("[a-z]*.py"))
# The library's own words stay English: Django's parser is used as it is.
OF_LIBRARIES = {"changepassword", "createsuperuser", "crontab", "migrate"}


@pytest.fixture
def ran(forking):
    """Runs `manage.py …` without databases."""
    return lambda *arguments: forking.run(*arguments, env={**os.environ, "DTADMIN_LANGUAGE": "en"})


def parser_of(command):
    return load_command_class("transfer", command).create_parser("manage.py", command)


def parsers_of(command):
    """The parser of the command, and those of its actions."""
    parser = parser_of(command)
    yield parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            yield from action.choices.values()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_help_says_what_the_command_and_each_argument_do(command, language):
    with translation.override(language):
        for parser in parsers_of(command):
            shown = [action.help or "" for action in parser._actions[1:]]  # without -h
            texts = [parser.description, *(text for text in shown if text != SUPPRESS)]
            if command in OF_LIBRARIES:
                texts = texts[:1]
            has_russian = [bool(re.search("[А-Яа-я]", text)) for text in texts if text]
            assert set(has_russian) == {language == "ru"}


def test_the_help_of_a_command_lists_its_actions():
    with translation.override("en"):
        shown = parser_of("task").format_help()
    assert re.findall("^    ([a-z]+) {2,}[A-Z]", shown, re.MULTILINE) == [
        *("list", "on", "off", "pause", "resume", "schedule", "run", "cancel")
    ]


def test_a_wrong_number_is_refused_in_the_users_language(capsys):
    with translation.override("ru"):
        parser = parser_of("transfer")
        parser.called_from_command_line = True
        with pytest.raises(SystemExit) as ended:
            parser.parse_args(["pincodes", "--chunk", "0"])
    assert ended.value.code == 2
    assert "целое число от 1 до 1000000" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["task"], ["task", "on"], ["task", "dance"], ["server", "x"]]
)
def test_an_action_that_is_missing_or_unknown_is_wrong_usage(ran, arguments):
    done = ran(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: manage.py" in done.stderr


def test_a_failure_is_told_without_the_name_of_a_class(manage):
    process = manage("transfer", "all")
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors == "No bonus server is docked. Run: manage.py server add\n"


def test_the_help_lists_our_commands_alone_with_what_they_do(ran):
    done = ran("help")
    listed = re.findall("^  ([a-z_]+)  +(.+)$", done.stdout, re.MULTILINE)
    assert [name for name, _text in listed] == sorted(COMMANDS)
    assert dict(listed)["doctor"].startswith("Looks at everything that can be wrong")
    assert "makemigrations" not in done.stdout


def test_the_version_is_that_of_the_product(ran):
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert ran("--version").stdout == f"Data Transfer {wanted}\n"


def test_a_command_that_does_not_exist_is_wrong_usage(ran):
    done = ran("docter")
    assert done.returncode == 2
    assert "doctor" in done.stderr
