"""Tables of registers: those beside one server, all of them with all servers, and shops."""

from collections.abc import Iterable
from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.utils.functional import lazy
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from transfer.models import BonusServer, CashRegister
from transfer.models.accounts import AccountState
from transfer.tables.base import NumberColumn, Table
from transfer.templatetags import transfer_ui
from transfer.templatetags.register_ui import account_badge

# The worst first, as AccountState lists them.
SEVERITY = Case(
    *(When(shown_state=state, then=Value(number)) for number, state in enumerate(AccountState)),
    default=Value(99),
    output_field=IntegerField(),
)


def unseen(heading: Any) -> Any:
    """A heading for screen readers alone. It also stands in an attribute between double quotes."""
    return lazy(lambda: format_html("<span class='visually-hidden'>{}</span>", heading), str)()


def cell(name: str, heading: Any, **options: Any) -> tables.TemplateColumn:
    """A column whose cells are drawn by a template of templates/registers/cells/."""
    return tables.TemplateColumn(
        template_name=f"registers/cells/{name}.html",
        verbose_name=heading,
        attrs={"td": {"class": f"cell-{name}"}, "th": {"class": f"cell-{name}"}},
        **options,
    )


class AccountTable(Table):
    """The registers beside one server: "Information about the server accounts"."""

    caption = _("Accounts of the registers on this server")

    choose = cell("choose", unseen(_("Choose")), orderable=False)
    name = cell("name", _("Register’s name"), order_by=("name", "code"))
    shop = tables.Column(
        _("Shop’s name"),
        order_by=("shop__name", "shop__code", "name"),
        attrs={"td": {"class": "cell-shop"}},
    )
    shown_state = cell("state", _("State"))
    last_seen = cell("seen", _("Last seen"), accessor="account__last_seen")

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts"}

    def order_shown_state(
        self, registers: QuerySet[CashRegister], descending: bool
    ) -> tuple[QuerySet[CashRegister], bool]:
        ordered = registers.alias(severity=SEVERITY)
        return ordered.order_by("-severity" if descending else "severity", "name", "code"), True


class RegisterTable(Table):
    """All registers; a column of states for each server."""

    caption = _("Cash registers")

    name = cell("name", _("Register’s name"), order_by=("name", "code"))
    shop = tables.Column(
        _("Shop’s name"),
        order_by=("shop__name", "shop__code", "name"),
        attrs={"td": {"class": "cell-shop"}},
    )

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts"}

    @classmethod
    def beside(cls, registers: Any, servers: Iterable[BonusServer]) -> "RegisterTable":
        states = [
            (f"server_{server.pk}", StateOnServer(server, verbose_name=server.name))
            for server in servers
        ]
        return cls(registers, extra_columns=states)


class StateOnServer(tables.Column):
    """The state of a register's account on one server."""

    def __init__(self, server: BonusServer, **options: Any) -> None:
        super().__init__(orderable=False, empty_values=(), **options)
        self.server = server

    def render(self, record: CashRegister) -> str:
        account = next(
            (one for one in record.accounts.all() if one.server_id == self.server.pk), None
        )
        if account is not None:
            account.server = self.server
        state = account.shown if account else AccountState.NOT_CREATED
        badge = account_badge(state, record.mothballed)
        if account is None or state != AccountState.OFFLINE:
            return badge
        # Not by a template: a page may have 250 registers beside many servers.
        since = transfer_ui.ago(account.last_seen)
        return format_html(
            '<span class="row">{}<span class="muted small">{}</span></span>', badge, since
        )


class ShopTable(Table):
    caption = _("Shops")

    code = cell("shop", _("Code"))
    name = tables.Column(_("Shop’s name"))
    count = NumberColumn(verbose_name=_("Cash registers"))
    actions = cell("shop_actions", _("Actions"), orderable=False)
