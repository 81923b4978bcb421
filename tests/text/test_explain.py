"""Errors as sentences: names stay as they are, and a command can be pasted into a shell."""

import re
import shlex
from collections import Counter
from html import unescape

import pytest
from django.utils import translation

from transfer.causes.ledger import BEGINNING_UNDECIDED, COPY_OF
from transfer.causes.runs import ALREADY_RUNNING, QUEUE_STUCK, STILL_QUEUED
from transfer.errors import AlreadyRunning, ServerUndecided, TransferError
from transfer.pages.components.basic import commands
from transfer.text.explain import explain

NAMES = ["MSK-8", "12:00 MSK", "O'Neil's", "100 %(kind)s %", "{0} {{ name }}", 'Склад "8" $HOME']


def pasted(hint: str) -> list[str]:
    """The words that a shell reads, from the command's name to its first option."""
    command = hint[hint.index("begin ") :]
    return shlex.split(command[: command.index(" --own")])


@pytest.mark.parametrize("name", [*NAMES, "shop All", "manage.py db_worker"])
@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("packaged", [False, True])
def test_the_command_in_a_hint_names_the_server_as_it_is(settings, name, language, packaged):
    settings.PACKAGED = packaged
    error = ServerUndecided(COPY_OF, database=name, other="MSK-9", kind="balances")
    with translation.override(language):
        assert pasted(explain(error).hint) == ["begin", name, "balances"]


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_names_the_server_as_it_is(name):
    with translation.override("ru"):
        assert (
            f"«{name}»"
            in explain(
                ServerUndecided(COPY_OF, database=name, other="MSK-9", kind="balances")
            ).sentence
        )


def test_the_zone_of_a_saved_time_is_said_in_the_language_of_the_reader():
    with translation.override("ru"):
        assert "14:05 МСК" in explain(TransferError(STILL_QUEUED, since="14:05 MSK")).sentence
        assert (
            "№ 12, 14:05 МСК"
            in explain(AlreadyRunning(ALREADY_RUNNING, holder="№ 12, 14:05 MSK")).sentence
        )
        assert "14:05 PST" in explain(TransferError(QUEUE_STUCK, since="14:05 PST")).sentence
    with translation.override("en"):
        assert "14:05 MSK" in explain(TransferError(STILL_QUEUED, since="14:05 MSK")).sentence


@pytest.mark.parametrize("name", [*NAMES, "srv.8"])
def test_a_page_shows_the_command_with_the_whole_name_as_code(name):
    drawn = commands(
        explain(ServerUndecided(COPY_OF, database=name, other="MSK-9", kind="balances")).hint
    )
    (code,) = [text for text in re.findall("<code>(.*?)</code>", drawn) if "begin" in text]
    typed = unescape(re.sub("<[^>]*>", "", code))
    assert shlex.split(typed)[-4:] == ["begin", name, "balances", "--own"]


def test_numbers_of_rows_are_grouped_as_on_all_pages():
    unsure = ServerUndecided(
        BEGINNING_UNDECIDED, database="БС 12", kind="balances", rows=30_607, table='"asset"', held=0
    )
    with translation.override("ru"):
        assert "строк — 30\u202f607, в таблице" in explain(unsure).sentence
        assert '"asset" — ни одной строки.' in explain(unsure).sentence


def test_no_two_errors_have_the_same_code():
    """The history keeps the code alone, and would show the words of the other one."""
    classes, own = [TransferError], Counter()
    while classes:
        cls = classes.pop()
        classes += cls.__subclasses__()
        own[cls.__dict__.get("code")] += 1
    del own[None]
    assert [code for code, times in own.items() if times > 1] == []
