"""`python -m deb.manual FOLDER`: the manual pages and the completion for bash of `dtadmin`.

Both come from the commands themselves, so that they name every option.
"""

import argparse
import gzip
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import django
from django.core.management import get_commands, load_command_class
from django.utils import translation

from transfer.installed import version

# No database is asked. Since Python 3.14 argparse writes colours where there is a terminal.
SETTINGS = {
    "PYTHON_COLORS": "0",
    "DJANGO_SETTINGS_MODULE": "dtadmin.settings",
    "DATABASE_URL": "postgresql:///manual",
    "SHOP_ALL_DATABASE_URL": "postgresql:///manual",
    "SECRET_KEY": "manual",
}
PROGRAM = "dtadmin"
HEADINGS = {
    "en": ("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "FILES", "EXIT STATUS"),
    "ru": ("ИМЯ", "СИНТАКСИС", "ОПИСАНИЕ", "КОМАНДЫ", "ФАЙЛЫ", "КОД ВОЗВРАТА"),
}
TEXTS = {
    "en": {
        "name": "PIN codes, balance changes and card links from shop All to bonus servers",
        "command": "COMMAND",
        "about": "Installs, checks, backs up and repairs Data Transfer. Call it as root, or as the "
        "user dtadmin. Everyday work is done on the pages.",
        "/etc/dtadmin/dtadmin.env": "the settings",
        "/opt/dtadmin/docs": "the documentation, also on the pages under “Help”",
        "0": "done; rejected rows included",
        "1": "failed, or a difference was found",
        "2": "called wrongly",
        "3": "the task is already running",
        "4": "migrate: our own database does not answer",
    },
    "ru": {
        "name": "ПИН-коды, изменения баланса и привязки карт из магазина All на бонусные серверы",
        "command": "КОМАНДА",
        "about": "Устанавливает, проверяет, копирует и чинит Data Transfer. Запускается от имени "
        "root или пользователя dtadmin. Повседневная работа – на страницах.",
        "/etc/dtadmin/dtadmin.env": "настройки",
        "/opt/dtadmin/docs": "документация; она же на страницах, в разделе «Справка»",
        "0": "выполнено, в том числе если есть отклонённые строки",
        "1": "не удалось, или найдено расхождение",
        "2": "неверный вызов",
        "3": "задача уже выполняется",
        "4": "migrate: собственная база не отвечает",
    },
}


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ.update(SETTINGS)
    django.setup()
    parsers = {name: parser(name) for name, app in get_commands().items() if app == "transfer"}
    (folder / "dtadmin.bash").write_text(completion(dict(sorted(parsers.items()))))
    for language in HEADINGS:
        page = gzip.compress(manual(language).encode(), mtime=0)
        (folder / f"dtadmin.{language}.1.gz").write_bytes(page)


def parser(name: str) -> argparse.ArgumentParser:
    return load_command_class("transfer", name).create_parser(PROGRAM, name)


def manual(language: str) -> str:
    """The manual page, in roff."""
    texts, headings = TEXTS[language], iter(HEADINGS[language])
    with translation.override(language):
        names = sorted(name for name, app in get_commands().items() if app == "transfer")
        commands = [line for name in names for line in command(parser(name))]
    files = [line for name in texts if name.startswith("/") for line in item(name, texts[name])]
    codes = [line for name in texts if name.isdigit() for line in item(name, texts[name])]
    lines = [
        f'.TH DTADMIN 1 "" "Data Transfer {version()}"',
        *(f".SH {next(headings)}", f"{PROGRAM} \\- {roff(texts['name'])}"),
        *(f".SH {next(headings)}", f".B {PROGRAM}", f".I {texts['command']}"),
        *(f".SH {next(headings)}", roff(texts["about"])),
        *(f".SH {next(headings)}", *commands),
        *(f".SH {next(headings)}", *files),
        *(f".SH {next(headings)}", *codes),
    ]
    return "\n".join(lines) + "\n"


def command(of: argparse.ArgumentParser) -> Iterator[str]:
    """The section of a command, or of an action of it: what it does, and its options."""
    usage = re.sub(r"\s+", " ", of.format_usage().partition(": ")[2]).strip()
    yield f".SS {roff(usage)}"
    yield roff(of.description or "")
    for action in visible(of):
        if isinstance(action, argparse._SubParsersAction):
            for one in action.choices.values():
                yield from command(one)
        elif action.dest != "help":
            names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
            yield from item(names, (action.help or "") % {**vars(action), "prog": PROGRAM})


def visible(of: argparse.ArgumentParser) -> list[argparse.Action]:
    return [one for one in of._actions if one.help != argparse.SUPPRESS]


def item(name: str, text: str) -> list[str]:
    return [".TP", f".B {roff(name)}", roff(text)]


def roff(text: str) -> str:
    """The text without what roff takes for its own; commands as the package has them."""
    text = text.replace("manage.py", PROGRAM)
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("\n", " ")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def completion(parsers: dict[str, argparse.ArgumentParser]) -> str:
    """The names of commands, then the options and choices of the command that is typed."""
    cases = [line for name, of in parsers.items() for line in cases_of(name, of)]
    return "\n".join(
        [
            f"# bash completion of {PROGRAM}",
            f"_{PROGRAM}() {{",
            f'\tlocal words="{" ".join(parsers)}"',
            '\t((COMP_CWORD == 1)) || case "${COMP_WORDS[*]:1:2} " in',
            *cases,
            '\t*) words="" ;;',
            "\tesac",
            '\tmapfile -t COMPREPLY < <(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}")',
            "}",
            f"complete -o default -F _{PROGRAM} {PROGRAM}",
            "",
        ]
    )


def cases_of(name: str, of: argparse.ArgumentParser) -> Iterator[str]:
    """A branch for each action of a command, and one for the command itself."""
    words: list[str] = []
    for action in visible(of):
        if isinstance(action, argparse._SubParsersAction):
            for one, inner in action.choices.items():
                yield from cases_of(f"{name} {one}", inner)
        words += action.option_strings or [str(one) for one in action.choices or ()]
    yield f'\t"{name} "*) words="{" ".join(words)}" ;;'


if __name__ == "__main__":
    main()
