"""Tables of registers: those of one server, all of them with all servers, and shops."""

from collections.abc import Callable, Iterable
from typing import Any

import django_tables2 as tables  # type: ignore[import-untyped]
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer, CashRegister, Shop
from transfer.models.accounts import AccountState, attach_states
from transfer.pages.components.registers import (
    line_of_file,
    register_name,
    shop_actions,
    state_since,
    state_with_error,
    states_on_servers,
)
from transfer.pages.components.times import ago
from transfer.pages.html import Html, link, muted
from transfer.pages.tables import (
    ChooseColumn,
    DrawnColumn,
    NumberColumn,
    Table,
    ValueColumn,
    classed,
)
from transfer.registers.file import RegisterLine
from transfer.text import formats
from transfer.text.explain import Explanation

# AccountState lists the worst first.
SEVERITY = Case(
    *(When(shown_state=state, then=Value(number)) for number, state in enumerate(AccountState)),
    default=Value(99),
    output_field=IntegerField(),
)


def state_cell(record: CashRegister, words: Callable[[Explanation], str]) -> Html:
    """The state of `record.account`, and the words for the error that it keeps."""
    account = record.account
    error = words(account.explained) if account and account.explained else None
    return state_with_error(record.shown_state, record.mothballed, error)  # type: ignore[attr-defined]


class StateOnServer(DrawnColumn):
    """The state on one server, of registers with the states of `attach_states`."""

    def __init__(self, server: BonusServer, name: str) -> None:
        """`name`: a short one, for a card on a phone."""
        attrs = {"td": {"data-label": name}}
        super().__init__(verbose_name=server.name, orderable=False, attrs=attrs)
        self.server = server

    def draw(self, record: CashRegister) -> Html:
        state, seen = record.states.get(self.server.pk, (AccountState.NOT_CREATED, None))
        return state_since(state, record.mothballed, seen)


class NamedTable(Table):
    """Registers by their names, with their shops."""

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

    def draw_name(self, record: CashRegister) -> Html:
        return register_name(record)

    def draw_shop(self, record: CashRegister) -> Shop:
        return record.shop


class AccountTable(NamedTable):
    """The registers of one server: "Information about the server accounts"."""

    caption = gettext_lazy("Accounts of the registers on this server")

    choose = ChooseColumn("register", lambda one: _("Choose %(register)s") % {"register": one.name})
    shown_state = DrawnColumn(gettext_lazy("State"), attrs=classed("cell-state"))
    last_seen = DrawnColumn(
        gettext_lazy("Last seen"), accessor="account__last_seen", attrs=classed("cell-seen")
    )

    class Meta(NamedTable.Meta):
        sequence = ("choose", "...")

    def draw_shown_state(self, record: CashRegister) -> Html:
        return state_cell(record, str)

    def draw_last_seen(self, record: CashRegister) -> Any:
        if record.account is None or record.account.last_seen is None:
            return muted(formats.NOTHING)
        return ago(record.account.last_seen)

    def order_shown_state(
        self, registers: QuerySet[CashRegister], descending: bool
    ) -> tuple[QuerySet[CashRegister], bool]:
        ordered = registers.alias(severity=SEVERITY)
        return ordered.order_by("-severity" if descending else "severity", "name", "code"), True


class ResultTable(NamedTable):
    """The results of a job of accounts; above it the page says what to do, once for each cause."""

    caption = gettext_lazy("Results")

    shown_state = DrawnColumn(gettext_lazy("State"), orderable=False, attrs=classed("cell-state"))
    Meta = NamedTable.Meta

    def draw_shown_state(self, record: CashRegister) -> Html:
        return state_cell(record, lambda cause: cause.sentence)


class StatesOnServers(DrawnColumn):
    """The states on many servers, of registers with the states of `attach_states`."""

    def __init__(self, servers: Iterable[BonusServer]) -> None:
        heading = gettext_lazy("State on the bonus servers")
        super().__init__(heading, orderable=False, attrs=classed("cell-states unlabelled"))
        self.names = {server.pk: server.name for server in servers}

    def draw(self, record: CashRegister) -> Html:
        return states_on_servers(record.states, self.names, record.mothballed)


class RegisterTable(NamedTable):
    """All registers, with a column for each of a few servers, or one column for more of them.

    A server's column says when it last saw the register: each server has seen it at its own time.
    """

    # Servers with a column of their own, and the characters of their names: a desktop's window has
    # room for no more.
    SIDE_BY_SIDE, NAME = 3, 20

    caption = gettext_lazy("Cash registers")

    class Meta(Table.Meta):
        attrs = {"class": "table cards accounts beside-all"}

    def __init__(self, registers: Any, servers: Iterable[BonusServer]) -> None:
        self.servers = list(servers)
        short = formats.told_apart(server.name for server in self.servers)
        states: list[tuple[str, DrawnColumn]]
        if len(self.servers) > self.SIDE_BY_SIDE or max(map(len, short), default=0) > self.NAME:
            states = [("states", StatesOnServers(self.servers))]
        else:
            states = [
                (f"server_{server.pk}", StateOnServer(server, short[server.name]))
                for server in self.servers
            ]
        super().__init__(registers, extra_columns=states)

    def before_render(self, request: HttpRequest) -> None:
        attach_states((row.record for row in self.paginated_rows), self.servers)


class ShopTable(Table):
    """Shops, each with the `count` of its registers."""

    ACTIONS = (("shop_edit", gettext_lazy("Edit")), ("shop_remove", gettext_lazy("Remove")))

    caption = gettext_lazy("Shops")

    code = DrawnColumn(gettext_lazy("Code"))
    name = ValueColumn(gettext_lazy("Shop’s name"), attrs=classed("unlabelled"))
    count = NumberColumn(verbose_name=gettext_lazy("Cash registers"))
    actions = DrawnColumn(gettext_lazy("Actions"), orderable=False, attrs=classed("unlabelled"))

    def draw_code(self, record: Shop) -> Html:
        address = reverse("registers", query={"shop": record.code})
        return link(address, record.code)

    def draw_actions(self, record: Shop) -> Html:
        links = ((reverse(name, args=[record.pk]), words) for name, words in self.ACTIONS)
        return shop_actions(links, record)


class LineTable(Table):
    """The lines of a file of registers, and what the import does with each."""

    caption = gettext_lazy("Lines of the file")

    number = NumberColumn(gettext_lazy("Line"))
    shop = tables.Column(gettext_lazy("Shop"))
    code = tables.Column(gettext_lazy("Code"))
    name = tables.Column(gettext_lazy("Register’s name"))
    what = tables.Column(gettext_lazy("What happens"), empty_values=())

    def render_what(self, record: RegisterLine) -> Html:
        if record.problem:
            return line_of_file("bad", [record.problem])
        return line_of_file("new" if record.is_new else "changes", record.changes)
