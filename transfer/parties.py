"""The programs and databases that Data Transfer works with, as errors name them."""

from enum import StrEnum
from typing import NamedTuple, Self


def gettext_noop(text: str) -> str:
    """Marks `text` for the translation catalogue."""
    return text


class Kind(StrEnum):
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
    Kind.SHOP_ALL: gettext_noop("the database of shop All"),
    Kind.DATABASE: gettext_noop("the database of %(name)s"),
    Kind.SERVER: gettext_noop("server “%(name)s”"),
    Kind.OWN: gettext_noop("Data Transfer's own database"),
    Kind.MAIL: gettext_noop("the mail server %(name)s"),
    Kind.WEBHOOK: gettext_noop("the webhook"),
    Kind.MESSENGER: gettext_noop("the messenger"),
    Kind.TELEGRAM: "Telegram",
    Kind.MAX: "MAX",
    Kind.MATTERMOST: "Mattermost",
    Kind.SLACK: "Slack",
    Kind.CHECK: gettext_noop("the check “%(name)s”"),
}


class Party(NamedTuple):
    """One of them; `name` is that of the server or of the check."""

    kind: Kind
    name: str = ""

    @classmethod
    def read(cls, saved: str) -> Self:
        """The party as `saved` writes it. Raises ValueError."""
        kind, _colon, name = saved.partition(":")
        return cls(Kind(kind), name)

    @property
    def saved(self) -> str:
        return f"{self.kind}:{self.name}"

    @property
    def phrase(self) -> str:
        """A message id of the catalogue with the parameter `name`."""
        return PHRASES[self.kind]


SHOP_ALL, OWN = Party(Kind.SHOP_ALL), Party(Kind.OWN)


def database_of(server: str) -> Party:
    return Party(Kind.DATABASE, server)


def server(name: str) -> Party:
    return Party(Kind.SERVER, name)


def as_subject(phrase: str, name: str, sentence: str) -> str:
    """The phrase for a sentence, with a capital letter if the sentence begins with it."""
    if sentence.startswith("%(party)s"):
        phrase = phrase[:1].upper() + phrase[1:]
    return phrase % {"name": name}
