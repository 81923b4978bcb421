"""One class per cause: the party that failed is a parameter."""

import pickle
import re

import pytest
from django.utils import translation

from transfer.causes.connections import (
    CONNECTION_LOST,
    HOST_SILENT,
    HOST_UNKNOWN,
    PORT_CLOSED,
    TOO_SLOW,
    UNREACHABLE,
)
from transfer.errors import TransferError, Unreachable
from transfer.models import BonusServer
from transfer.models.failing import saved_error
from transfer.parties import OWN, PHRASES, SHOP_ALL, Party, PartyKind, database_of, server
from transfer.text.explain import explain

WHERE = {"host": "bs9", "port": "5432", "seconds": "5", "reason": "> 5 s"}


@pytest.mark.parametrize(
    ("party", "english", "russian"),
    [
        (SHOP_ALL, "The database of shop All does", "База магазина All не"),
        (database_of("msk 9"), "The database of msk 9 does", "База сервера «msk 9» не"),
        (server("msk 9"), "Server “msk 9” does", "Сервер «msk 9» не"),
        (OWN, "Data Transfer's own database does", "Собственная база Data Transfer не"),
        (Party(PartyKind.MAIL, "mx"), "The mail server mx does", "Почтовый сервер mx не"),
    ],
)
def test_each_party_is_the_subject_of_the_same_sentence(party, english, russian):
    error = Unreachable(PORT_CLOSED, party=party, **WHERE)
    with translation.override("en"):
        assert explain(error).sentence == (
            f"{english} not answer: nothing listens at bs9, port 5432."
        )
        assert explain(error).sentence == str(error)
    with translation.override("ru"):
        assert explain(error).sentence == f"{russian} отвечает: на bs9 никто не слушает порт 5432."


@pytest.mark.parametrize("kind", PartyKind)
def test_each_phrase_is_translated(kind):
    with translation.override("ru"):
        said = explain(Unreachable(UNREACHABLE, party=Party(kind, "9"), reason="x")).sentence
    assert re.fullmatch(
        "(Telegram|MAX|Mattermost|Slack|[А-Я]([а-я «»9]|All|Data Transfer)+) не отвечает\\.", said
    )
    assert set(PHRASES) == set(PartyKind)


@pytest.mark.parametrize(
    "cause", [UNREACHABLE, PORT_CLOSED, HOST_SILENT, TOO_SLOW, CONNECTION_LOST]
)
def test_what_to_do_about_a_server_differs_from_what_to_do_about_a_database(cause):
    parties = (server("9"), database_of("9"))
    hints = {explain(TransferError(cause, party=one, **WHERE)).hint for one in parties}
    assert len(hints) == 2


@pytest.mark.parametrize(
    ("code", "params", "sentence"),
    [
        ("a_code_of_tomorrow", {"party": "server:9"},
         "An unexpected error stopped the transfer."),
        ("host_unknown", {"party": "a_party_of_tomorrow:x", "host": "bs8"},
         "— does not answer: the name bs8 is not known in this network."),
        ("host_unknown", {"party": "database:8"},
         "The database of 8 does not answer: the name — is not known in this network."),
    ],
)  # fmt: skip
def test_what_a_newer_version_has_saved_has_a_sentence(code, params, sentence):
    """After an upgrade was taken back, or while one is made."""
    with translation.override("en"):
        assert explain(saved_error(code, params)).sentence == sentence


def test_an_error_with_its_party_is_the_same_after_our_database_and_another_process(db):
    error = Unreachable(HOST_UNKNOWN, "EAI_NONAME", party=server("9: a"), host="bs9")
    row = BonusServer(name="9", host="bs9", db_name="x")
    row.note_error(error)
    row.save()
    stored = BonusServer.objects.get().error
    for copy in (stored, pickle.loads(pickle.dumps(error))):
        assert (copy.cause, copy.party, str(copy)) == (HOST_UNKNOWN, error.party, str(error))
