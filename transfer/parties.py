"""The programs and databases that Data Transfer works with, as errors name them."""

from enum import StrEnum
from typing import NamedTuple, Self


def gettext_noop(text: str) -> str:
    """Marks `text` for the translation catalogue."""
    return text


class PartyKind(StrEnum):
    SHOP_ALL = "shop_all"  # the database of shop All
    DATABASE = "database"  # of a bonus server
    SERVER = "server"  # a bonus server's ports
    OWN = "own"  # our own database
    MAIL = "mail"
    WEBHOOK = "webhook"
    MESSENGER = "messenger"  # one that only Apprise's address names
    TELEGRAM = "telegram"
    MAX = "max"
    MATTERMOST = "mattermost"
    SLACK = "slack"
    CHECK = "check"  # one step of a connection test or of the doctor


# As the subject of a sentence: a noun phrase in the nominative case.
PHRASES = {
    PartyKind.SHOP_ALL: gettext_noop("the database of shop All"),
    PartyKind.DATABASE: gettext_noop("the database of %(name)s"),
    PartyKind.SERVER: gettext_noop("server “%(name)s”"),
    PartyKind.OWN: gettext_noop("Data Transfer's own database"),
    PartyKind.MAIL: gettext_noop("the mail server %(name)s"),
    PartyKind.WEBHOOK: gettext_noop("the webhook"),
    PartyKind.MESSENGER: gettext_noop("the messenger"),
    PartyKind.TELEGRAM: "Telegram",
    PartyKind.MAX: "MAX",
    PartyKind.MATTERMOST: "Mattermost",
    PartyKind.SLACK: "Slack",
    PartyKind.CHECK: gettext_noop("the check “%(name)s”"),
}


class Party(NamedTuple):
    """One of them; `name` is that of the server or of the check."""

    kind: PartyKind
    name: str = ""

    @classmethod
    def read(cls, saved: str) -> Self:
        """The party as `saved` writes it. Raises ValueError."""
        kind, _colon, name = saved.partition(":")
        return cls(PartyKind(kind), name)

    @property
    def saved(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def phrase(self) -> str:
        """A message id of the catalogue with the parameter `name`."""
        return PHRASES[self.kind]


SHOP_ALL, OWN = Party(PartyKind.SHOP_ALL), Party(PartyKind.OWN)


def database_of(server: str) -> Party:
    return Party(PartyKind.DATABASE, server)


def server(name: str) -> Party:
    return Party(PartyKind.SERVER, name)


def as_subject(phrase: str, name: str, sentence: str) -> str:
    """The phrase for a sentence, with a capital letter if the sentence begins with it."""
    if sentence.startswith("%(party)s"):
        phrase = phrase[:1].upper() + phrase[1:]
    return phrase % {"name": name}
