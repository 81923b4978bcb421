"""Tables of registers: those beside one server, all of them with all servers, and shops.

They may have 250 rows and many servers: their cells are drawn in Python, and few queries are made.
"""

from collections.abc import Callable, Iterable
from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _, gettext_lazy, pgettext

from transfer.models import BonusServer, CashRegister, Shop
from transfer.models.accounts import AccountState, attach_states
from transfer.pages.drawing import ago, badge
from transfer.pages.registers.drawing import account_badge, register_name
from transfer.pages.tables import ChooseColumn, DrawnColumn, NumberColumn, Table, classed
from transfer.registers.file import RegisterLine
from transfer.text import formats
from transfer.text.explain import Explanation

# The worst first, as AccountState lists them.
SEVERITY = Case(
    *(When(shown_state=state, then=Value(number)) for number, state in enumerate(AccountState)),
    default=Value(99),
    output_field=IntegerField(),
)


def state_cell(record: CashRegister, words: Callable[[Explanation], str]) -> SafeString:
    """The state of `record.account`, and the words for the error that it keeps."""
    state, account = record.shown_state, record.account  # type: ignore[attr-defined]
    badge = account_badge(state, record.mothballed)
    if account is None or not account.explained:
        return format_html("<div>{}</div>", badge)
    note = words(account.explained)
    return format_html('<div>{}<div class="note">{}</div></div>', badge, note)


class StateOnServer(DrawnColumn):
    """The state on one server, of registers that `attach_states` has seen."""

    def __init__(self, server: BonusServer, name: str) -> None:
        """`name` is a short one, for a card on a phone."""
        attrs = {"td": {"data-label": name}}
        super().__init__(verbose_name=server.name, orderable=False, attrs=attrs)
        self.server = server

    def draw(self, record: CashRegister) -> SafeString:
        state, seen = record.states.get(self.server.pk, (AccountState.NOT_CREATED, None))
        badge = account_badge(state, record.mothballed)
        if state != AccountState.OFFLINE:
            return badge
        words = '<span class="row">{}<span class="muted small">{}</span></span>'
        return format_html(words, badge, formats.ago(seen))


class NamedTable(Table):
    """Registers by their names, with the shops that they stand in."""

    name = DrawnColumn(
        gettext_lazy("Register’s name"), order_by=("name", "code"), attrs=classed("cell-name")
    )
    shop = DrawnColumn(
        gettext_lazy("Shop’s name"),
        order_by=("shop__name", "shop__code", "name"),
        attrs=classed("cell-shop"),
    )

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts"}

    def draw_name(self, record: CashRegister) -> SafeString:
        return register_name(record)

    def draw_shop(self, record: CashRegister) -> Shop:
        return record.shop


class AccountTable(NamedTable):
    """The registers beside one server: "Information about the server accounts"."""

    caption = gettext_lazy("Accounts of the registers on this server")

    choose = ChooseColumn("register", lambda one: _("Choose %(register)s") % {"register": one.name})
    shown_state = DrawnColumn(gettext_lazy("State"), attrs=classed("cell-state"))
    last_seen = DrawnColumn(
        gettext_lazy("Last seen"), accessor="account__last_seen", attrs=classed("cell-seen")
    )

    class Meta(NamedTable.Meta):
        sequence = ("choose", "...")

    def draw_shown_state(self, record: CashRegister) -> SafeString:
        return state_cell(record, str)

    def draw_last_seen(self, record: CashRegister) -> Any:
        if record.account is None or record.account.last_seen is None:
            return format_html('<span class="muted">{}</span>', formats.NOTHING)
        return ago(record.account.last_seen)

    def order_shown_state(
        self, registers: QuerySet[CashRegister], descending: bool
    ) -> tuple[QuerySet[CashRegister], bool]:
        ordered = registers.alias(severity=SEVERITY)
        return ordered.order_by("-severity" if descending else "severity", "name", "code"), True


class ResultTable(NamedTable):
    """What a change of accounts has come to; what to do stands above, once for each cause."""

    caption = gettext_lazy("Results")

    shown_state = DrawnColumn(gettext_lazy("State"), orderable=False, attrs=classed("cell-state"))
    Meta = NamedTable.Meta

    def draw_shown_state(self, record: CashRegister) -> SafeString:
        return state_cell(record, lambda cause: cause.sentence)


class RegisterTable(NamedTable):
    """All registers; a column of states for each server."""

    caption = gettext_lazy("Cash registers")

    last_seen = DrawnColumn(gettext_lazy("Last seen"), orderable=False, attrs=classed("cell-seen"))

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts beside-all"}
        sequence = ("...", "last_seen")

    def __init__(self, registers: Any, servers: Iterable[BonusServer]) -> None:
        self.servers = list(servers)
        short = formats.told_apart(server.name for server in self.servers)
        states = [
            (f"server_{server.pk}", StateOnServer(server, short[server.name]))
            for server in self.servers
        ]
        super().__init__(registers, extra_columns=states)

    def before_render(self, request: HttpRequest) -> None:
        attach_states((row.record for row in self.paginated_rows), self.servers)

    def draw_last_seen(self, record: CashRegister) -> Any:
        """When a server last saw the register; `attach_states` must have seen it."""
        moments = [seen for _state, seen in record.states.values() if seen is not None]
        return ago(max(moments)) if moments else formats.NOTHING


class ShopTable(Table):
    """Shops, each with the `count` of its registers."""

    LINK = '<a class="button plain small" href="{}">{}<span class="visually-hidden">: {}</span></a>'
    ACTIONS = (("shop_edit", gettext_lazy("Edit")), ("shop_remove", gettext_lazy("Remove")))

    caption = gettext_lazy("Shops")

    code = DrawnColumn(gettext_lazy("Code"))
    name = tables.Column(gettext_lazy("Shop’s name"), default="", attrs=classed("unlabelled"))
    count = NumberColumn(verbose_name=gettext_lazy("Cash registers"))
    actions = DrawnColumn(gettext_lazy("Actions"), orderable=False, attrs=classed("unlabelled"))

    def draw_code(self, record: Shop) -> SafeString:
        address = reverse("registers", query={"shop": record.code})
        return format_html('<a href="{}">{}</a>', address, record.code)

    def draw_actions(self, record: Shop) -> SafeString:
        links = ((reverse(name, args=[record.pk]), words, record) for name, words in self.ACTIONS)
        return format_html('<div class="row">{}</div>', format_html_join("", self.LINK, links))


class LineTable(Table):
    """The lines of a file of registers, and what would become of each."""

    caption = gettext_lazy("Lines of the file")

    number = NumberColumn(gettext_lazy("Line"))
    shop = tables.Column(gettext_lazy("Shop"))
    code = tables.Column(gettext_lazy("Code"))
    name = tables.Column(gettext_lazy("Register’s name"))
    what = tables.Column(gettext_lazy("What happens"), empty_values=())

    def render_what(self, record: RegisterLine) -> SafeString:
        words = record.changes
        if record.problem:
            drawn, words = badge("bad", pgettext("a line of a file", "bad")), [record.problem]
        elif record.is_new:
            drawn = badge("info", _("new"), "plus")
        else:
            drawn = badge("idle", pgettext("a line of a file", "changes"), "edit")
        return format_html("<div>{} {}</div>", drawn, "; ".join(words))
