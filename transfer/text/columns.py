"""Tables and columns as the pages call them."""

import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import translation
from django.utils.translation import gettext as _, gettext_lazy

from transfer.engine.checks import CARD_STATUSES
from transfer.engine.kind import Kind
from transfer.installed import installed_kinds
from transfer.text import formats

HEADINGS = {
    "account": gettext_lazy("Account"),
    "pincode": gettext_lazy("PIN code"),
    "amount": gettext_lazy("Amount"),
    "validfrom": gettext_lazy("Valid from"),
    "validto": gettext_lazy("Valid to"),
    "comment": gettext_lazy("Comment"),
    "card": gettext_lazy("Card"),
    "status": gettext_lazy("Status"),
    "reject": gettext_lazy("Rejected row no."),
}
HOW_TO_FILL_IN = {
    "account": gettext_lazy("The number of the account, formatted as text: 0041000001."),
    "pincode": gettext_lazy("The new PIN code, formatted as text, so that 0042 keeps its zeros."),
    "amount": gettext_lazy("By how much the balance changes: 100 adds, -25,50 takes away."),
    "validfrom": gettext_lazy("From when it counts: 01.12.2026, or 01.12.2026 09:00."),
    "validto": gettext_lazy("The last day on which it counts, to its end: 31.12.2026."),
    "comment": gettext_lazy("Any text."),
    "card": gettext_lazy("The number of the card, formatted as text."),
    "status": gettext_lazy(
        "0 earn only, 1 earn and pay, 2 no operations, 3 pay only. Empty: it stays as it is."
    ),
    "reject": gettext_lazy(
        "Only in a file of rejected rows, and left as it is there: the line is sent in place of "
        "that row, which is closed. Empty: a new row."
    ),
}
AMOUNT = re.compile(r"-?\d+(\.\d+)?")  # as the database says it
MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00")  # as the database says it
KEPT_PIN = gettext_lazy(
    "•••• keeps the PIN code of the rejected row, which is never shown. To replace it, write over "
    "it."
)
OPTIONAL_ACCOUNT = gettext_lazy(
    "The account that the card is linked to, formatted as text. Empty: the link stays as it is."
)


def heading(column: str) -> str:
    return str(HEADINGS[column])


def named(columns: str) -> str:
    """Columns of a table by their headings."""
    return ", ".join(heading(name) for name in columns.split(", ") if name)


def alternatives(groups: list[tuple[str, ...]]) -> str:
    """ "Card, Account / Status"."""
    return ", ".join(" / ".join(map(heading, group)) for group in groups)


def how_to_fill_in(kind: Kind, column: str) -> str:
    is_optional = column == "account" and ("account",) not in kind.needed
    return str(OPTIONAL_ACCOUNT if is_optional else HOW_TO_FILL_IN[column])


def status_words(status: int | str) -> str:
    """A card status, as number or digit; one that there is not, as it came."""
    known = {str(number): one for number, one in CARD_STATUSES.items()}
    return _(known[str(status)].words) if str(status) in known else str(status)


def titles(title: str) -> set[str]:
    """The name of a transfer in every language: the sheets of a file of rejects have it."""
    names = set()
    for language, _name in settings.LANGUAGES:
        with translation.override(language):
            names.add(_(title))
    return names


def amount_words(text: str) -> str:
    """An amount in words, with all of its decimals; as it came, where it is none."""
    return formats.amount(Decimal(text)) if AMOUNT.fullmatch(text) else text


def typed_amount(text: str) -> str:
    """An amount as people type it; as it came, where it is none."""
    return formats.typed_amount(text) if AMOUNT.fullmatch(text) else text


def with_local_moments(text: str, zone: ZoneInfo) -> str:
    """The text with moments as people write them, in place of how the database says them."""
    return MOMENT.sub(
        lambda match: f"{datetime.fromisoformat(match[0]).astimezone(zone):%d.%m.%Y %H:%M:%S}", text
    )


def table_choices() -> list[tuple[str, str]]:
    return [(kind.name, f"{_(kind.title)} ({kind.staging})") for kind in installed_kinds().values()]


def heading_of_place(layout: dict[str, Any], place: int) -> str:
    """ "B: Сумма", or with an example where there is no heading: "B: 100,00"."""
    from xlsxwriter.utility import xl_col_to_name  # type: ignore[import-untyped] # slow to load

    letters = xl_col_to_name(place)
    cells = (row[place] for row in layout.get("sample", ()) if place < len(row))
    name = layout["headings"][place] or next(filter(None, cells), "")
    return f"{letters}: {name}" if name else letters
