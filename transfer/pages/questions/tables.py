"""Lists of rows: lost with shop All, deleted from it by hand, sent again after a restore."""

from typing import Any

from django.utils.translation import gettext as _, gettext_lazy

from transfer.models.tasks import KindChoices
from transfer.pages.components.times import moment
from transfer.pages.html import Html, joined, muted
from transfer.pages.tables import (
    AmountColumn,
    DrawnColumn,
    MomentColumn,
    NumberColumn,
    Table,
    ValueColumn,
    WholeTable,
)
from transfer.text import formats


class KindColumn(ValueColumn):
    """The name of a transfer."""

    def render(self, value: str) -> str:
        return str(KindChoices(value).label)


class LostKindTable(WholeTable):
    """What bonus servers have received of the lost rows of each transfer.

    A record is a `summary` with its `kind`.
    """

    caption = gettext_lazy("What shop All has lost")
    kind = KindColumn(gettext_lazy("Transfer"))
    changesets = NumberColumn(gettext_lazy("Changesets"))
    rows = NumberColumn(gettext_lazy("Rows"), accessor="rows")
    amount = AmountColumn(gettext_lazy("Sum"))
    received = DrawnColumn(gettext_lazy("Received"))
    servers = DrawnColumn(gettext_lazy("Bonus servers"))

    def draw_received(self, record: dict[str, Any]) -> Html | str:
        if not record["changesets"]:
            return formats.NOTHING
        return joined((moment(record["first"]), moment(record["last"])), " – ")

    def draw_servers(self, record: dict[str, Any]) -> Html | str:
        if not record["changesets"]:
            return muted(_("No bonus server that has answered has received what is lost."))
        words = _("%(server)s (%(n)s)")
        numbers = {name: formats.number(n) for name, n in record["servers"].items()}
        return ", ".join(words % {"server": name, "n": n} for name, n in numbers.items())


class LostTable(WholeTable):
    """Lost changesets, when they were received, and by which servers: see `lines_of`."""

    caption = gettext_lazy("Changesets")
    kind = KindColumn(gettext_lazy("Transfer"))
    at = MomentColumn(gettext_lazy("Received"))
    rows = NumberColumn(gettext_lazy("Rows"), accessor="rows")
    amount = AmountColumn(gettext_lazy("Sum"))
    servers = DrawnColumn(gettext_lazy("Bonus servers"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards small"}

    def draw_servers(self, record: dict[str, Any]) -> str:
        return ", ".join(record["servers"])


class MissingTable(WholeTable):
    """Changesets of which rows were deleted by hand."""

    number = NumberColumn(gettext_lazy("Line of the log"))
    started = MomentColumn(gettext_lazy("Staged"))
    staged_by = ValueColumn(gettext_lazy("By"))
    rows = NumberColumn(gettext_lazy("Missing rows"), accessor="rows")
    amount = AmountColumn(gettext_lazy("Sum"))


class SentAgainTable(WholeTable):
    """What a bonus server that was restored gets again."""

    caption = gettext_lazy("What is sent again")
    kind = KindColumn(gettext_lazy("Transfer"))
    first = MomentColumn(gettext_lazy("From"))
    last = MomentColumn(gettext_lazy("To"))
    rows = NumberColumn(gettext_lazy("Rows"), accessor="rows")
