"""What a correction of a rejected row would send, before it is sent.

The page shows the row as shop All has checked it, and holds the values that were typed encrypted:
the button sends exactly these, and a PIN code is on no page.
"""

import json
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken
from django.utils.translation import gettext as _

from transfer.loading.values import as_people_write
from transfer.models import RejectedRow, Settings
from transfer.models.secret import cipher
from transfer.pages.rejects.forms import received
from transfer.rejects.resend import Values
from transfer.text import formats
from transfer.text.columns import heading

SECONDS = 3600
"""How long a page that shows a correction can send it."""


class Cell(NamedTuple):
    """A value of the row: the heading of its column, as it was rejected, as it is sent."""

    heading: str
    old: str
    new: str

    @property
    def is_changed(self) -> bool:
        return self.old != self.new


class Preview(NamedTuple):
    """The row that would be sent, and its typed values, encrypted."""

    cells: list[Cell]
    sealed: str


def preview(one: RejectedRow, typed: Values, row: Values) -> Preview:
    """Return what would be sent in place of a reject. `row` is as shop All has checked it."""
    zone = Settings.load().zone
    old = received(one, zone)
    kind = one.kind_spec
    cells = []
    for name in kind.names:
        if name in kind.secrets:
            was = one.payload.get(name) or ""
            new = _("the one that you have typed") if typed.get(name) else row.get(name) or ""
        else:
            was, new = old.get(name, ""), as_people_write(name, row.get(name), zone)
            new = formats.typed_amount(new) if name == "amount" else new
        cells.append(Cell(heading(name), was, new))
    content = json.dumps({"reject": one.pk, "values": typed})
    sealed: bytes = cipher().encrypt(content.encode())
    return Preview([one for one in cells if one.old or one.new], sealed.decode())


def unsealed(one: RejectedRow, sealed: str) -> Values | None:
    """Return the typed values of a preview of this reject; None if it is of none, or too old."""
    try:
        content: dict[str, Any] = json.loads(cipher().decrypt(sealed.encode(), ttl=SECONDS))
    except InvalidToken:
        return None
    return content["values"] if content["reject"] == one.pk else None
