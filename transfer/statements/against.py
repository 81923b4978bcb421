"""Compares a statement with the databases: was it kept, and what would it say now?"""

from dataclasses import dataclass
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings

from transfer.causes.statements import STATEMENT_OF_ANOTHER
from transfer.engine.shop_all.source import ShopAll
from transfer.errors import TransferError
from transfer.models import BonusServer, Settings, Statement
from transfer.statements.changes import changes_between
from transfer.statements.copies import kept_in, not_in_chain
from transfer.statements.count import count_period
from transfer.statements.document import Document, missing_in, proven_by
from transfer.statements.keep import kept_chain
from transfer.statements.period import Period


@dataclass(frozen=True)
class Compared:
    """`is_kept`: this very statement was kept. `wrong`: numbers of the chain that lack, were
    changed, or do not fit the one before. `changes`: what the databases say otherwise today.
    """

    is_kept: bool
    wrong: list[int]
    changes: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Whether the statement is that of the chain. Later changes are no fault of it."""
        return self.is_kept and not self.wrong


def compare(document: Document, key: Ed25519PublicKey | None) -> Compared:
    """Compare with our own database and with shop All.

    The chain that our own database has is checked by `key`: see `proven_by`.

    Raises STATEMENT_OF_ANOTHER, and TransferError where shop All does not answer.
    """
    content = document.content
    installation = str(Settings.load().installation)
    if content.get("installation") != installation:
        raise TransferError(STATEMENT_OF_ANOTHER, installation=str(content.get("installation")))
    kept = Statement.objects.filter(number=document.number, digest=document.digest).exists()
    of = content["period"]
    period = Period(
        date.fromisoformat(of["from"]), date.fromisoformat(of["to"]), ZoneInfo(of["time_zone"])
    )
    named = content["server"]
    # An undocked server has no key any more: its days are still known by its number.
    server = BonusServer(pk=named["id"], name=named["name"]) if named else None
    wrong = sorted({*wrong_in_chain(key), *numbers_outside()})
    return Compared(kept, wrong, changes_between(content, count_period(period, server)))


def numbers_outside() -> list[int]:
    """Return the numbers of statements that shop All has, and our own database not, or another.

    Since a restore of our own database, or since two databases have gone on from one.
    """
    with (
        ShopAll(settings.SHOP_ALL_DATABASE_URL, "verify", secret=False) as source,
        source.snapshot(),
    ):
        return [one.number for one in not_in_chain(kept_in(source))]


def wrong_in_chain(key: Ed25519PublicKey | None) -> list[int]:
    """Return the numbers of the kept chain that lack, were changed, or do not fit.

    Also of statements that the key does not prove: see `proven_by`.
    """
    numbers = [*Statement.objects.order_by("number").values_list("number", flat=True)]
    known: list[Document] = []
    wrong: set[int] = set()
    for number, one in zip(numbers, kept_chain(), strict=False):
        if one is None or one.number != number:
            wrong.add(number)
        else:
            known.append(one)
    if numbers:
        wrong |= {*range(1, numbers[0])}
    proven = proven_by(key, known)
    wrong |= {one.number for one in known if one not in proven}
    return sorted(wrong | {*missing_in(known)})
