"""The keys of the HTTP API: what each may do, and who made it."""

from typing import NamedTuple

from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import ApiKey, User
from transfer.pages.components.states import state_badge
from transfer.pages.components.times import moment
from transfer.pages.html import Html, muted, unseen_lazy
from transfer.pages.tables import DrawnColumn, TemplateColumn, WholeTable, classed


class KeyLine(NamedTuple):
    """A key, in words what it may do, and who made it, if that user still exists."""

    key: ApiKey
    scopes: list[str]
    maker: User | None


class KeyTable(WholeTable):
    caption = gettext_lazy("API keys")
    program = TemplateColumn("keys/cells/program.html", gettext_lazy("Program"))
    last_used = TemplateColumn("keys/cells/last_used.html", gettext_lazy("Last used"))
    expires = DrawnColumn(gettext_lazy("Expires"))
    state = DrawnColumn(gettext_lazy("State"))
    revoke = TemplateColumn(
        "keys/cells/revoke.html",
        unseen_lazy(gettext_lazy("Revoke")),
        attrs=classed("unlabelled"),
    )

    def draw_expires(self, record: KeyLine) -> Html | str:
        expires_at = record.key.expires_at
        return moment(expires_at) if expires_at else muted(_("no expiry"))

    def draw_state(self, record: KeyLine) -> Html:
        return state_badge("key", record.key.state)
