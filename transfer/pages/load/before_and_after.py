"""What a balance change by hand would do on every bonus server, and whether to ask again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.translation import gettext as _, gettext_lazy

from transfer.errors import TransferError
from transfer.models import Settings, Upload
from transfer.pages.shown.task_groups import MANY
from transfer.pages.shown.traced import which
from transfer.servers.balances import ask_balances
from transfer.text import formats

SECONDS = 3.0


class SureForm(forms.Form):
    sure = forms.BooleanField(
        label=gettext_lazy("Yes, that is what I want"),
        error_messages={"required": gettext_lazy("Confirm it, or go back and correct the amount.")},
    )


@dataclass
class Outlook:
    """The balance on each server before and after, in words, and reasons to ask again."""

    points: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def outlook(upload: Upload) -> Outlook:
    """Asks every server. Rows that are still waiting are not counted."""
    result = Outlook()
    if not upload.kind_spec.appends or upload.amount is None:
        return result
    account = upload.report["sample"][0]["cells"][0]
    answers = list(ask_balances([account], SECONDS))
    for servers, before in _balances(answers, account):
        names = {"server": servers}
        if before is None:
            result.points.append(
                _("%(server)s: the balance is not known, it did not answer") % names
            )
            continue
        after = before + upload.amount
        names |= {
            "before": formats.amount(before, signed=False),
            "after": formats.amount(after, signed=False),
        }
        result.points.append(_("%(server)s: balance %(before)s, afterwards %(after)s") % names)
        if after < 0 and upload.amount < 0:
            words = _("On %(server)s the balance goes below zero: %(after)s.")
            result.doubts.append(words % names)
    if abs(upload.amount) > (limit := Settings.load().large_amount):
        words = _("The amount is larger than usual: %(amount)s (above %(limit)s).")
        amounts = {"amount": formats.amount(upload.amount), "limit": formats.number(limit)}
        result.doubts.append(words % amounts)
    return result


def _balances(answers: Sequence[Any], account: str) -> Iterator[tuple[str, Decimal | None]]:
    """The balance on each server; of many servers once for all with the same. None: not known."""
    balances = [
        (
            server.name,
            None if isinstance(answer, TransferError) else answer.get(account, Decimal(0)),
        )
        for server, answer in answers
    ]
    if len(balances) < MANY:
        yield from balances
        return
    alike: dict[Decimal | None, list[str]] = {}
    for name, balance in balances:
        alike.setdefault(balance, []).append(name)
    for balance, names in sorted(alike.items(), key=lambda one: -len(one[1])):
        yield which(names, len(balances)), balance
