"""Which accounts of registers are shown, and how many are in which state."""

from collections.abc import Iterable
from typing import Any

import django_filters  # type: ignore[import-untyped]
from django.db.models import Count, Q, QuerySet
from django.utils.translation import gettext as _, gettext_lazy

from transfer.models import BonusServer, RegisterAccount, Shop
from transfer.models.accounts import PROBLEMS, AccountState, count_on_servers
from transfer.pages.filters import FilterSet

ANY_PROBLEM, MOTHBALLED = "problem", "mothballed"


def state_choices() -> list[tuple[str, Any]]:
    return [
        (ANY_PROBLEM, _("Any problem")),
        *((state.value, state.label) for state in AccountState),
        (MOTHBALLED, _("Out of service")),
    ]


class Search(FilterSet):
    q = django_filters.CharFilter(label=gettext_lazy("Register"), method="search")
    # A text, since a select of a thousand shops would be more than half of the page.
    shop = django_filters.CharFilter(label=gettext_lazy("Shop"), method="filter_shop")
    state = django_filters.ChoiceFilter(
        label=gettext_lazy("State"), choices=state_choices, method="filter_state"
    )

    def search(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        return registers.filter(Q(name__icontains=value) | Q(code__icontains=value))

    def filter_shop(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        """The shop with this code; if there is none, shops with this text in their names."""
        shops = Shop.objects.filter(code=value)
        return registers.filter(shop__in=shops or Shop.objects.filter(name__icontains=value))

    def filter_state(self, registers: QuerySet[Any], name: str, value: str) -> QuerySet[Any]:
        if value == MOTHBALLED:
            return registers.filter(mothballed=True)
        states = PROBLEMS if value == ANY_PROBLEM else [AccountState(value)]
        return registers.filter(self.in_states(states), mothballed=False)

    def in_states(self, states: list[AccountState]) -> Q:
        raise NotImplementedError


class AccountFilter(Search):
    """Registers of one server, each with `shown_state`."""

    def in_states(self, states: list[AccountState]) -> Q:
        return Q(shown_state__in=states)


class RegisterFilter(Search):
    """Registers of all servers, or of one."""

    server = django_filters.ModelChoiceFilter(
        label=gettext_lazy("Bonus server"),
        queryset=BonusServer.objects.all(),
        method="filter_server",
    )

    def filter_server(self, registers: QuerySet[Any], name: str, value: Any) -> QuerySet[Any]:
        """Does not filter: `filter_state` uses the server."""
        return registers

    def in_states(self, states: list[AccountState]) -> Q:
        """Registers that are in one of the states on the chosen server, or on any."""
        server = self.form.cleaned_data.get("server")
        servers = [server] if server else list(BonusServer.objects.all())
        accounts: Any = RegisterAccount.objects.filter(server__in=servers).order_by()
        there = accounts.filter(shown_state__in=states)
        if AccountState.ONLINE not in states:
            there = there.not_online()  # by the index on them
        chosen = Q(pk__in=there.values("register"))
        if AccountState.NOT_CREATED in states:
            everywhere = accounts.values("register").annotate(known=Count("pk"))
            chosen |= ~Q(pk__in=everywhere.filter(known=len(servers)).values("register"))
        return chosen


Summary = list[tuple[str, Any, int]]


def with_states(servers: Iterable[BonusServer], in_use: int) -> list[tuple[BonusServer, Summary]]:
    """Each server with the number of registers in use by their state there."""
    listed = list(servers)
    counts = count_on_servers(listed)
    return [(server, summary(counts.get(server.pk, {}), in_use)) for server in listed]


def summary(counts: dict[str, int], in_use: int) -> Summary:
    """Lists code, words and number of registers of each state that occurs."""
    there = sum(count for state, count in counts.items() if state != AccountState.NOT_CREATED)
    full = {**counts, AccountState.NOT_CREATED: in_use - there}
    return [(state.value, state.label, full[state]) for state in AccountState if full.get(state)]
